"""Writing a converted file: run first, named afterwards.

Converters have been seen to write, without a word, files that hold no weights. So every
file is run beside the Keras model before it stands under its own name.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from keras_pose.contract import contracts_beside, write_contract
from keras_pose.detector_contract import DetectorContract, ModelContract
from keras_pose.exporting.calibration import NUM_CHECK_CROPS
from keras_pose.exporting.errors import ExportError
from keras_pose.files import atomic_path
from keras_pose.quiet import quiet_stderr
from keras_pose.runtime import PoseModel
from keras_pose.runtime.detector import Detector, open_detector
from keras_pose.runtime.loading import open_model

# Largest error that still is rounding: several times what was measured on all families
# (1e-6, 9e-4, 0.03 and 0.06, those of pose_slim being the largest). They tell a broken
# file from a good one; what a good one is worth, only an evaluation tells.
MAX_ERROR = {
    "float32": 1e-4,
    "float16": 1e-2,
    "dynamic": 0.2,
    "int8": 0.3,
}

# What can be run to compare a file with.
Runnable = PoseModel | Detector


@dataclass(frozen=True)
class Export:
    """A file that was written.

    Attributes:
        path: the file; its contract lies beside it.
        contract: what the file takes and gives.
        error: see `relative_error`, against the Keras model.
    """

    path: Path
    contract: ModelContract
    error: float


def write_export(
    path, write: Callable[[Path], ModelContract], reference: Runnable, crops
) -> Export:
    """Writes, checks, then names a file, and writes its contract beside it.

    Args:
        path: where to.
        write: converts to the temporary path it is given; returns the file's contract.
        reference: the Keras model.
        crops: (N, H, W, 3) uint8 to compare on.

    Raises:
        ExportError: if the file does not do what the model does. Nothing is then
            left at `path`.
        PermissionError: if the folder cannot be written to.
        ValueError: if a `pose_model.json` in the folder is no contract.
    """
    path = Path(path)
    contracts_beside(path)
    with atomic_path(path) as temporary:
        contract = write(temporary)
        error = check_written(temporary, contract, reference, crops)
    write_contract(path, contract)
    return Export(path, contract, error)


def check_written(path, contract: ModelContract, reference: Runnable, crops) -> float:
    """Runs a converted file beside the Keras model, on the first few crops.

    Returns:
        The `relative_error` of its outputs.

    Raises:
        ExportError: if the file cannot be run, or gives other outputs.
    """
    crops = crops[:NUM_CHECK_CROPS]
    expected = _outputs(reference, crops)
    try:
        with quiet_stderr():
            actual = _outputs(_open(path, contract), crops)
    except (ValueError, RuntimeError) as cause:
        raise ExportError(f"The converted file does not run: {cause}") from cause
    error = max(map(relative_error, actual, expected))
    limit = MAX_ERROR[contract.quantization]
    if not error <= limit:  # NaN must not pass
        raise ExportError(
            f"The converted {contract.quantization} file of {contract.model} gives other "
            f"outputs than the Keras model: the relative RMS error must be at most "
            f"{limit}, got {error:.3g}."
        )
    return error


def runnable(model, contract: ModelContract) -> Runnable:
    """Wraps a Keras model in memory so that it takes pixels."""
    if isinstance(contract, DetectorContract):
        return Detector.from_keras(model, contract)
    return PoseModel.from_keras(model, contract)


def _open(path, contract: ModelContract) -> Runnable:
    if isinstance(contract, DetectorContract):
        return open_detector(path, contract)
    return open_model(path, contract)


def _outputs(model: Runnable, crops) -> list[np.ndarray]:
    """Returns all outputs for all crops, one array for each tensor."""
    if isinstance(model, PoseModel):
        return [model.predict(crops)]
    per_crop = [model.predict(crop) for crop in crops]
    return [np.stack(values) for values in zip(*per_crop, strict=True)]


def relative_error(actual, expected) -> float:
    """Returns the RMS difference / the standard deviation of what is expected.

    An untrained head may give nearly a constant, to be divided by a tenth of that instead.
    """
    difference = np.asarray(actual, np.float64) - expected
    size = float(np.sqrt(np.mean(np.square(expected, dtype=np.float64))))
    scale = max(float(np.std(expected)), 0.1 * size, 1e-6)
    return float(np.sqrt(np.mean(difference**2)) / scale)
