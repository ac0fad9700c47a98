"""The training loop of networks of all kinds: who takes part, and how a run goes on.

`fit`, `fit_bottom_up` and `fit_detector` wire data, network and loss, and hand them to it.
"""

from __future__ import annotations

import contextlib
import dataclasses
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import keras
import tensorflow as tf

from keras_pose.data.data_service import served
from keras_pose.data.pipeline import (
    WHOLE,
    Part,
    check_divides,
    indices_of_batch,
    plain_order,
)
from keras_pose.trainer import callbacks
from keras_pose.trainer.cluster import Cluster, stops_with_others
from keras_pose.trainer.cluster_steps import Team
from keras_pose.trainer.devices import recipe_strategy
from keras_pose.trainer.meeting import code_facts, compare, data_facts
from keras_pose.trainer.plan import Plan
from keras_pose.trainer.preparation import build_compiled
from keras_pose.trainer.run_dirs import AnyRecipe, check_run_dir
from keras_pose.trainer.run_facts import books
from keras_pose.trainer.run_recipe import RunRecipe, precision_policy
from keras_pose.trainer.run_state import Progress, RunState, forget_rows_from

# Minutes between saves within an epoch.
SAVE_MINUTES = 10.0
# Callbacks of the chief alone, which write or measure for the folder of the run.
WRITERS = (
    keras.callbacks.CSVLogger,
    keras.callbacks.TensorBoard,
    callbacks.MeasureMetric,
)
# Function from the number of a first batch, the step to the next, and a share of each, to
# an endless data set of training batches.
MakeBatches = Callable[[int, int, Part], tf.data.Dataset]


@dataclass(frozen=True)
class Run:
    """A training, as one of the processes that take part in it sees it.

    Attributes:
        folder: folder of the run.
        strategy: strategy that shares out batches among devices.
        team: workers that train together; None for a process that trains by itself.
        watchers: Keras callbacks that are called besides those of every run.
        save_minutes: time between saves within an epoch.
        data_services: addresses of servers that make the training input.
    """

    folder: Path
    strategy: tf.distribute.Strategy
    team: Team | None
    watchers: tuple[keras.callbacks.Callback, ...]
    save_minutes: float
    data_services: tuple[str, ...]

    @property
    def is_chief(self) -> bool:
        """True for the one process that writes, prints and measures."""
        return self.team is None or self.team.is_chief

    @property
    def part(self) -> Part:
        """Share of each batch that this process makes."""
        return WHOLE if self.team is None else self.team.part

    def compare(self, sources: Mapping, progress: Progress) -> None:
        """Compares data and position with the other workers, see `meeting.data_facts`."""
        if self.team is not None:
            compare(self.team, data_facts(sources, progress))

    def batches(self, make: MakeBatches, number: int) -> tf.data.Dataset:
        """Returns this process' part of the training batches from a number on."""

        def own(first, every):
            return make(first, every, self.part)

        return served(own, self.data_services, number, self.part)

    def spread(self, batches: tf.data.Dataset):
        """Hands the batches of this process to `fit`."""
        return batches if self.team is None else self.team.spread(batches)


@contextlib.contextmanager
def take_part(
    recipe: AnyRecipe,
    run_dir,
    devices: str = "auto",
    watchers: Sequence[keras.callbacks.Callback] = (),
    save_minutes: float = SAVE_MINUTES,
    cluster: Cluster | None = None,
    data_services: tuple[str, ...] = (),
) -> Iterator[Run]:
    """Meets the other workers, if any; they train within the block, and stop together.

    Args:
        recipe: settings of the training.
        run_dir: folder of the run, made if need be; if it holds the same run,
            training goes on after the last step that was saved.
        devices: devices to train on, a word of `trainer.devices.make_strategy`.
        watchers: Keras callbacks that are called besides those of every run.
        save_minutes: time between saves within an epoch.
        cluster: workers that train together, each in a process that calls this with the
            same recipe and folder; None for a process that trains by itself.
        data_services: addresses of servers that make the training input, see
            `data.data_service`.

    Raises:
        ValueError: for a recipe, data or devices that do not fit.
        ConnectionError: if other workers do not come.
        LostWorker: when one of them, or a server, is gone.
        FileNotFoundError: when the data set is not where the recipe says.
        PermissionError: when the folder cannot be written to.
    """
    run_dir = Path(run_dir)
    if run_dir.exists():
        check_run_dir(run_dir, recipe)  # refuses another run before any work is done
    strategy = recipe_strategy(recipe, devices, cluster)
    team = Team(cluster, strategy) if cluster else None
    with stops_with_others(cluster, data_services):
        if team is not None:
            compare(team, code_facts(recipe, team))
        keras.utils.set_random_seed(recipe.seed)
        keras.mixed_precision.set_global_policy(precision_policy(recipe.mixed_precision))
        yield Run(run_dir, strategy, team, tuple(watchers), save_minutes, data_services)


def begin(state: RunState | None, recipe: RunRecipe, strategy) -> Progress:
    """Returns where a run is, and how many samples a step has on all devices together.

    A run that goes on keeps that number, on fewer devices or on more.

    Raises:
        ValueError: where they cannot share it out evenly.
    """
    count = strategy.num_replicas_in_sync
    progress = state.progress if state else Progress()
    if progress.global_batch:
        check_divides(progress.global_batch, count)
        return progress
    return dataclasses.replace(progress, global_batch=recipe.batch_size * count)


def go_through(
    run: Run,
    model: keras.Model,
    make: MakeBatches,
    val_batches: tf.data.Dataset | None,
    plan: Plan,
    progress: Progress,
    chosen: Sequence[keras.callbacks.Callback],
) -> None:
    """Trains a compiled model from where a run is to its end.

    Args:
        run: folder, workers and servers.
        model: Keras model, with the weights and the optimizer of the run so far.
        make: function that makes training batches.
        val_batches: validation batches of this process, or None.
        plan: steps and epochs of the whole run.
        progress: position of the run.
        chosen: callbacks.
    """
    done, first = progress.epochs_done, progress.epochs_done * plan.steps_per_epoch
    chosen = [*chosen, *run.watchers]
    batches = run.batches(make, first + progress.steps_done)
    with run.strategy.scope():
        build_compiled(model, batches.element_spec)
    if run.team is not None:
        run.team.share_steps(model)
        chosen = [x for x in chosen if run.is_chief or not isinstance(x, WRITERS)]
        for each in chosen:
            if isinstance(each, callbacks.SaveState):
                each.team = run.team
    if run.is_chief:
        forget_rows_from(run.folder, done)
    options = {
        "validation_data": None if val_batches is None else run.spread(val_batches),
        "callbacks": chosen,
        "verbose": (1 if sys.stdout.isatty() else 2) if run.is_chief else 0,
        "shuffle": False,  # the data set has its own order; Keras would only warn
    }
    if progress.steps_done:
        rest = plan.steps_per_epoch - progress.steps_done
        with _unfinished(model.optimizer):
            if rest:
                model.fit(
                    run.spread(batches),
                    steps_per_epoch=rest,
                    initial_epoch=done,
                    epochs=done + 1,
                    **options,
                )
            else:
                _end_epoch(
                    model, run.spread(batches), options["validation_data"], done, chosen
                )
        done = plan.epochs if model.stop_training else done + 1
    if done < plan.epochs:
        model.fit(
            run.spread(run.batches(make, done * plan.steps_per_epoch)),
            steps_per_epoch=plan.steps_per_epoch,
            initial_epoch=done,
            epochs=plan.epochs,
            **options,
        )
    if run.team is not None:
        run.team.wait()  # a worker that leaves early would be missed by the others


@contextlib.contextmanager
def _unfinished(optimizer):
    """Keeps Keras from putting the averages into the weights when `fit` ends."""
    optimizer.finalize_variable_values = lambda variables: None
    try:
        yield
    finally:
        del optimizer.finalize_variable_values


def _end_epoch(model, batches, val_batches, epoch, chosen):
    """Ends an epoch of which all steps are done, as `fit` would."""
    model.stop_training = False
    # Metrics are built at the first batch.
    model.evaluate(batches, steps=1, verbose=0)
    listed = keras.callbacks.CallbackList(chosen, model=model)
    listed.on_train_begin()
    listed.on_epoch_begin(epoch)  # restores them
    logs = model.get_metrics_result()
    if val_batches is not None:
        values = model.evaluate(val_batches, callbacks=listed, verbose=0, return_dict=True)
        logs |= {f"val_{name}": value for name, value in values.items()}
    listed.on_epoch_end(epoch, logs)
    listed.on_train_end()


def picture_callbacks(
    run: Run, recipe, plan: Plan, source, measure, checkpoint: callbacks.DetectorCheckpoint
) -> list[keras.callbacks.Callback]:
    """Returns the callbacks of networks that see whole pictures.

    Args:
        run: folder of the run.
        recipe: settings of the training.
        plan: steps and epochs of the whole run.
        source: pictures that are trained on, with their `image_ids`.
        measure: function that returns the figure by which the best weights are chosen.
        checkpoint: callback that saves state and best weights.
    """

    def names_of_batch(number):
        order = plain_order(len(source), recipe.seed)
        chosen = indices_of_batch(order, number, plan.global_batch)
        return [str(source.image_ids[index]) for index in chosen]

    return [
        *([callbacks.StopAtStep(recipe.max_steps)] if recipe.max_steps else []),
        callbacks.StopAtNaN(run.folder, names_of_batch),
        callbacks.MeasureMetric(
            measure, recipe.ap_every, plan.epochs, checkpoint.best_name
        ),
        *books(run.folder),
        checkpoint,
    ]
