"""What happens at the end of an epoch: AP, checkpoints, and the books kept of a run."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Iterator
from pathlib import Path

import keras

from keras_pose.activation_ranges import save_with_ranges
from keras_pose.contract import Contract, save_keras_model
from keras_pose.detector_contract import DetectorContract
from keras_pose.files import atomic_path, write_json
from keras_pose.models.fake_quantization import trained_ranges
from keras_pose.runs import BEST_NAME, LAST_NAME, PROGRESS_NAME, read_progress

BOX_AP = "val_box_ap"
PCK = "pck"


class MeasureMetric(keras.callbacks.Callback):
    """Adds a figure to the logs, such as `val_ap`: COCO AP of the model as it stands.

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
        self._swapped.close()


class PlainMetricNames(keras.callbacks.Callback):
    """Has the metric of a network of several outputs called `pck`, as that of one output.

    Keras puts the name of the output before it. Comes before all that read or write logs.
    """

    def on_epoch_end(self, epoch, logs=None):
        if logs is None:
            return
        for name in [name for name in logs if name.endswith(f"_{PCK}")]:
            split = "val_" if name.startswith("val_") else ""
            logs[f"{split}{PCK}"] = logs.pop(name)


class RunCheckpoint(keras.callbacks.Callback):
    """Saves `last.keras` (with the optimizer, to resume from) and `best.keras` (without).

    Best means the highest `val_pck`. The latter is the network alone, with the ranges that
    quantization-aware training found for its tensors. `progress.json` is written last, so
    that what it says is always on disk.
    """

    def __init__(self, run_dir: Path, contract: Contract, network: keras.Model):
        super().__init__()
        self._run_dir = run_dir
        self._contract = contract
        self._network = network
        self._best = read_progress(run_dir)["best_val_pck"]

    def on_epoch_end(self, epoch, logs=None):
        value = float((logs or {})[f"val_{PCK}"])
        if value > self._best or not (self._run_dir / BEST_NAME).exists():
            self._best = max(value, self._best)
            with averaged_weights(self.model):
                save_network(
                    without_optimizer(self._network),
                    self._run_dir / BEST_NAME,
                    self._contract,
                    self.model,
                )
        save_keras_model(self.model, self._run_dir / LAST_NAME, self._contract)
        values = {"epochs_done": epoch + 1, "best_val_pck": self._best}
        write_json(self._run_dir / PROGRESS_NAME, values)


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


class MeasureDetector(MeasureMetric):
    """Adds `val_box_ap`, the box AP of the averaged weights, to the logs."""

    def __init__(self, measure, every: int, last_epoch: int):
        """Takes a function from the model to its AP, and how often to call it."""
        super().__init__(lambda: measure(self.model), every, last_epoch, BOX_AP)


class DetectorCheckpoint(keras.callbacks.Callback):
    """Saves `last.keras` (what is trained, with its optimizer) and `best.keras`.

    The latter is the network alone with averaged weights and its contract. Best means
    the highest `val_box_ap`; until one is measured, it is the newest. `progress.json` is
    written last, so that what it says is always on disk.
    """

    def __init__(self, run_dir: Path, contract: DetectorContract, network: keras.Model):
        super().__init__()
        self._run_dir = run_dir
        self._contract = contract
        self._network = network
        self._best = read_progress(run_dir).get(f"best_{BOX_AP}", 0.0)

    def on_epoch_end(self, epoch, logs=None):
        value = float((logs or {}).get(BOX_AP, float("nan")))
        if value > self._best or self._best == 0:
            self._best = max(self._best, 0.0 if math.isnan(value) else value)
            with averaged_weights(self.model):
                save_network(
                    self._network, self._run_dir / BEST_NAME, self._contract, self.model
                )
        with atomic_path(self._run_dir / LAST_NAME) as temporary:
            self.model.save(temporary)
        values = {"epochs_done": epoch + 1, f"best_{BOX_AP}": self._best}
        write_json(self._run_dir / PROGRESS_NAME, values)


class StopAtStep(keras.callbacks.Callback):
    """Ends training after a number of steps, counted over all resumed parts."""

    def __init__(self, max_steps: int):
        super().__init__()
        self._max_steps = max_steps

    def on_train_batch_end(self, batch, logs=None):
        if int(self.model.optimizer.iterations.numpy()) >= self._max_steps:
            self.model.stop_training = True
