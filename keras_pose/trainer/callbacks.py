"""Callbacks at the end of an epoch: AP, checkpoints, and the records of a run."""

from __future__ import annotations

import contextlib
import math
import signal
import threading
import time
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import keras

from keras_pose.contracts.activation_ranges import save_with_ranges
from keras_pose.contracts.bottom_up import BottomUpContract
from keras_pose.contracts.detector import DetectorContract
from keras_pose.contracts.entries import CONTRACT_NAME, AnyContract, save_keras_model
from keras_pose.contracts.pose import Contract
from keras_pose.files.runs import BEST_NAME, LAST_NAME
from keras_pose.models.fake_quantization import trained_ranges
from keras_pose.trainer.cluster_steps import Team
from keras_pose.trainer.optimization import steps_taken
from keras_pose.trainer.run_state import (
    NETWORK_CONTRACT_NAME,
    Progress,
    metric_values,
    restore_metrics,
    save_state,
)

BOX_AP = "val_box_ap"
PCK = "pck"
# Share of keypoints of known kind whose kind a head for visibility finds.
KIND_ACCURACY = "kind_accuracy"


class MeasureMetric(keras.callbacks.Callback):
    """Adds a figure to the logs, such as `val_ap`: COCO AP of the averaged weights, if any.

    Every epoch gets the entry (NaN where nothing was measured), because a CSV file
    has its columns from the first row on.
    """

    def __init__(self, measure, every: int, last_epoch: int, name: str = "val_ap"):
        """Takes a function that returns the figure, how often to call it, and its name."""
        super().__init__()
        self._measure = measure
        self._name = name
        self._every = every
        self._last_epoch = last_epoch

    def on_epoch_end(self, epoch, logs=None):
        is_due = (epoch + 1) % self._every == 0 or epoch + 1 == self._last_epoch
        value = self._value() if is_due else float("nan")
        if is_due:
            print(f"\nepoch {epoch + 1}: {self._name} {value:.4f}")
        if logs is not None:
            logs[self._name] = value

    def _value(self):
        with averaged_weights(self.model):
            return self._measure()


class ValidateAverages(keras.callbacks.Callback):
    """Validates the optimizer's moving averages of the weights, where it has them."""

    def __init__(self):
        super().__init__()
        self._swapped = contextlib.ExitStack()

    def on_test_begin(self, logs=None):
        self._swapped.enter_context(averaged_weights(self.model))

    def on_test_end(self, logs=None):
        self.put_back()

    def put_back(self):
        """Puts the weights themselves back into the model, before validation is over."""
        self._swapped.close()


class StopAtNaN(keras.callbacks.Callback):
    """Ends training at a loss that is no number, before anything of it is saved."""

    def __init__(self, run_dir: Path, names_of_batch: Callable[[int], list[str]]):
        """Takes the run's folder, and a function from a batch's number to picture names."""
        super().__init__()
        self._run_dir = run_dir
        self._names_of_batch = names_of_batch
        self._epoch = 0

    def on_epoch_begin(self, epoch, logs=None):
        self._epoch = epoch

    def on_train_batch_end(self, batch, logs=None):
        loss = float((logs or {}).get("loss", 0.0))
        if math.isfinite(loss):
            return
        # The optimizer has counted the step that went wrong.
        step = steps_taken(self.model.optimizer)
        names = dict.fromkeys(self._names_of_batch(step - 1))
        saved = self._run_dir / LAST_NAME
        where = f"{saved} is from before" if saved.exists() else "nothing was saved yet"
        raise ValueError(
            f"The loss is {loss} after step {step} (epoch {self._epoch + 1}): {where}. "
            "Look at the labels of this batch's pictures, lower --learning-rate, or set "
            f"clip_norm in the recipe. The pictures: {', '.join(names)}."
        )


class PlainMetricNames(keras.callbacks.Callback):
    """Renames metrics of a network of several outputs, such as to `pck`, for one output.

    Keras puts the name of the output before them. Comes before all that read or write logs.
    """

    def on_epoch_end(self, epoch, logs=None):
        if logs is None:
            return
        for plain in (PCK, KIND_ACCURACY):
            for name in [name for name in logs if name.endswith(f"_{plain}")]:
                split = "val_" if name.startswith("val_") else ""
                logs[f"{split}{plain}"] = logs.pop(name)


def best_name_of(visibility: str | None) -> str:
    """Returns the figure by which a run's best weights are chosen.

    Args:
        visibility: entry of the recipe; where the head alone is trained, PCK stays.
    """
    return f"val_{KIND_ACCURACY if visibility == 'only' else PCK}"


class StopRun(SystemExit):
    """The end of a process that was asked to end and has saved its run.

    Its exit status is EX_TEMPFAIL of sysexits.h, on which schedulers can requeue.
    """

    STATUS = 75

    def __init__(self, run_dir: Path):
        super().__init__(self.STATUS)
        self.run_dir = run_dir


class SaveState(keras.callbacks.Callback):
    """Saves `last.keras` every few minutes, at SIGTERM, and at the end of each epoch.

    SIGTERM, by which machines are taken back, ends the process by `StopRun`, once the step
    that is being computed is done and saved.
    """

    best_name = f"val_{PCK}"
    contract_name = CONTRACT_NAME
    # Of several workers, all save after the same step, and worker 0 writes.
    team: Team | None = None

    def __init__(
        self,
        run_dir: Path,
        contract: AnyContract,
        progress: Progress,
        minutes: float,
        averages: ValidateAverages | None = None,
    ):
        """Sets the rules.

        Args:
            run_dir: folder of the run.
            contract: contract of the network.
            progress: position of the run when it begins or goes on.
            minutes: time between saves.
            averages: the callback that puts averages into the model for validation.
        """
        super().__init__()
        self._averages = averages
        self._run_dir = run_dir
        self._contract = contract
        self._start = progress
        self._best = progress.best
        self._seconds = 60 * minutes
        self._is_ending = self._must_end = self._is_due = False
        self._old_handler: Any = None
        self._saved_at = time.monotonic()
        self._epoch = self._steps = 0
        self._metrics: tuple = ()

    def on_train_begin(self, logs=None):
        # Only the main thread may take signals; others do without.
        if threading.current_thread() is threading.main_thread():
            self._old_handler = signal.signal(signal.SIGTERM, self._note_end)

    def on_train_end(self, logs=None):
        if self._old_handler is not None:
            signal.signal(signal.SIGTERM, self._old_handler)
            self._old_handler = None

    def _note_end(self, number, frame):
        self._is_ending = True

    def on_epoch_begin(self, epoch, logs=None):
        self._epoch, self._steps = epoch, 0
        if epoch == self._start.epochs_done and self._start.steps_done:
            self._steps = self._start.steps_done
            restore_metrics(self.model, self._start.metrics)

    def on_train_batch_end(self, batch, logs=None):
        self._steps += 1
        self._agree(time.monotonic() - self._saved_at > self._seconds)
        if self._is_due or self._must_end:
            self._save_within_epoch(metric_values(self.model))

    def on_test_begin(self, logs=None):
        self._metrics = metric_values(self.model)  # validation begins by forgetting them

    def on_test_batch_end(self, batch, logs=None):
        self._agree(False)
        if self._must_end:
            if self._averages is not None:
                self._averages.put_back()
            self._save_within_epoch(self._metrics)

    def on_epoch_end(self, epoch, logs=None):
        self._save(self._progress(epoch + 1, 0))

    def _progress(self, epochs, steps, metrics=()):
        return Progress(epochs, steps, self._best, metrics, self._start.global_batch)

    def _agree(self, is_due):
        """Finds out whether all save or end now, of which a signal is one worker's word."""
        if self.team is None:
            self._is_due, self._must_end = is_due, self._is_ending
        else:
            self._is_due, self._must_end = self.team.agree(is_due, self._is_ending)

    @property
    def _writes(self) -> bool:
        return self.team is None or self.team.is_chief

    def _save_within_epoch(self, metrics):
        progress = self._progress(self._epoch, self._steps, metrics)
        try:
            self._save(progress)
        except OSError as error:
            # The state before is whole; a disk may have room again at the next time.
            warnings.warn(
                f"The run was not saved after step {self._steps} of epoch "
                f"{self._epoch + 1} ({error}).",
                stacklevel=2,
            )
            self._saved_at = time.monotonic()

    def _save(self, progress):
        if self._writes:
            save_state(
                self.model,
                self._run_dir,
                self._contract,
                progress,
                self.best_name,
                self.contract_name,
            )
        self._saved_at = time.monotonic()
        if self.team is None:
            self._must_end = self._is_ending
        if self._must_end:
            self.on_train_end()
            if self.team is not None:
                self.team.wait()
            raise StopRun(self._run_dir)


class RunCheckpoint(SaveState):
    """Saves the state of a pose model's run, and `best.keras`, without the optimizer.

    Best means the highest `val_pck`, or what else `best_name` says. It is the network
    alone, with the ranges that quantization-aware training found for its tensors.
    """

    def __init__(
        self,
        run_dir,
        contract: Contract,
        progress,
        minutes,
        averages,
        network,
        best_name: str = SaveState.best_name,
    ):
        super().__init__(run_dir, contract, progress, minutes, averages)
        self._network = network
        self.best_name = best_name

    def on_epoch_end(self, epoch, logs=None):
        value = float((logs or {})[self.best_name])
        if value > self._best or not (self._run_dir / BEST_NAME).exists():
            self._best = max(value, self._best)
            if self._writes:
                self._save_best()
        super().on_epoch_end(epoch, logs)

    def _save_best(self):
        with averaged_weights(self.model):
            save_network(
                without_optimizer(self._network),
                self._run_dir / BEST_NAME,
                self._contract,
                self.model,
            )


def save_network(network, path, contract, model) -> None:
    """Saves a network, with the ranges of the model that it was trained in, if any."""
    ranges = trained_ranges(model)
    if ranges:
        save_with_ranges(network, path, contract, ranges)
    else:
        save_keras_model(network, path, contract)


def without_optimizer(model: keras.Model) -> keras.Model:
    """Returns a model of the same layers that was never compiled: a third of the file."""
    return keras.Model(model.inputs, model.outputs, name=model.name)


@contextlib.contextmanager
def averaged_weights(model: keras.Model) -> Iterator[None]:
    """Puts the optimizer's moving averages into a model for as long as the block runs.

    Without averages the model stays as it is.
    """
    # Mixed precision wraps the optimizer in one that scales the loss.
    optimizer = getattr(model.optimizer, "inner_optimizer", model.optimizer)
    if not optimizer.use_ema:
        yield
        return
    variables = model.trainable_variables
    own = [keras.ops.convert_to_numpy(variable) for variable in variables]
    averages = (
        optimizer._model_variables_moving_average
    )  # Keras' own callback reads it, too
    try:
        for variable, average in zip(variables, averages, strict=True):
            variable.assign(average)
        yield
    finally:
        for variable, value in zip(variables, own, strict=True):
            variable.assign(value)


class DetectorCheckpoint(SaveState):
    """Saves the state of a detector's run, and `best.keras`.

    The latter is the network alone with averaged weights and its contract. Best means
    the highest `best_name` of the logs; until one is measured, it is the newest.
    """

    best_name = BOX_AP
    # The trained model has other outputs than the network, so it has no contract.
    contract_name = NETWORK_CONTRACT_NAME

    def __init__(
        self,
        run_dir,
        contract: DetectorContract | BottomUpContract,
        progress,
        minutes,
        network,
    ):
        super().__init__(run_dir, contract, progress, minutes)
        self._network = network

    def on_epoch_end(self, epoch, logs=None):
        value = float((logs or {}).get(self.best_name, float("nan")))
        if value > self._best or self._best == 0:
            self._best = max(self._best, 0.0 if math.isnan(value) else value)
            if self._writes:
                with averaged_weights(self.model):
                    save_network(
                        self._network,
                        self._run_dir / BEST_NAME,
                        self._contract,
                        self.model,
                    )
        super().on_epoch_end(epoch, logs)


class BottomUpCheckpoint(DetectorCheckpoint):
    """Does the same for a bottom-up network, whose figure is `val_ap`."""

    best_name = "val_ap"


class StopAtStep(keras.callbacks.Callback):
    """Ends training after a number of steps, counted over all resumed parts."""

    def __init__(self, max_steps: int):
        super().__init__()
        self._max_steps = max_steps

    def on_train_batch_end(self, batch, logs=None):
        if steps_taken(self.model.optimizer) >= self._max_steps:
            self.model.stop_training = True
