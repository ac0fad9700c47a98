"""Messages before and after a training run, and the records of it."""

from __future__ import annotations

from pathlib import Path

import keras

from keras_pose.files.runs import BEST_NAME, LOG_NAME, TENSORBOARD_NAME
from keras_pose.models.complexity import count_params
from keras_pose.trainer.plan import Plan
from keras_pose.trainer.run_recipe import RunRecipe
from keras_pose.trainer.run_state import Progress


def print_facts(
    recipe: RunRecipe, plan: Plan, network, strategy, progress: Progress
) -> None:
    """Prints the plan of the run, before it takes hours."""
    num_params = f"{count_params(network):,} parameters"
    print(f"model       {recipe.model}, input {recipe.input_hw}, {num_params}")
    devices = strategy.extended.worker_devices
    count = strategy.num_replicas_in_sync
    more = "" if count == len(devices) else f" on each of {count // len(devices)} workers"
    print(f"devices     {count} replicas: {', '.join(devices)}{more}")
    print(f"batch       {plan.global_batch // count} x {count} = {plan.global_batch}")
    if recipe.accumulate > 1:
        print(f"weights     change every {recipe.accumulate} steps")
    step = f", step {progress.steps_done + 1}" if progress.steps_done else ""
    print(
        f"steps       {plan.steps_per_epoch} x {plan.epochs} epochs, "
        f"from epoch {progress.epochs_done + 1}{step}"
    )


def print_outcome(run_dir: Path, skipped: dict[str, int]) -> None:
    """Prints where a run lies, and the next commands.

    Args:
        run_dir: folder of the run.
        skipped: words behind "broken images" -> number of those that were left out.
    """
    for what, count in skipped.items():
        if count:
            print(f"skipped     {count} broken images{what}")
    best = run_dir / BEST_NAME
    print(f"run         {run_dir}")
    print(f"evaluate    python training/evaluate.py --weights {best}")
    print(f"export      python export/to_tflite.py --int8 --weights {best}")
    print(f"look        tensorboard --logdir {run_dir / TENSORBOARD_NAME}")
    print(f"            {run_dir / LOG_NAME}")


def books(run_dir: Path) -> list[keras.callbacks.Callback]:
    """Returns the callbacks that write down each epoch."""
    return [
        keras.callbacks.CSVLogger(str(run_dir / LOG_NAME), append=True),
        keras.callbacks.TensorBoard(str(run_dir / TENSORBOARD_NAME), write_graph=False),
    ]
