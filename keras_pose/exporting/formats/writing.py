"""Writing a converted file: run first, named afterwards.

Converters have been seen to write, without a word, files that hold no weights. So every
file is run beside the Keras model before it stands under its own name.
"""

from __future__ import annotations

import contextlib
import errno
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np

from keras_pose.commandline.quiet import quiet_stderr
from keras_pose.contracts.crowd_fields import CrowdContract
from keras_pose.contracts.detector import DetectorContract, ModelContract
from keras_pose.contracts.entries import contracts_beside, write_contract
from keras_pose.contracts.one_stage import OneStageContract
from keras_pose.contracts.pose import Contract
from keras_pose.exporting.comparison import (
    boxes_error,
    keypoints_error,
    relative_error,
)
from keras_pose.exporting.errors import ExportError
from keras_pose.exporting.float_graph.serving import (
    MAP_OUTPUTS,
    counting_outputs,
    in_float32,
    of_one_tensor,
    people_from_maps,
    traced,
    with_maps,
)
from keras_pose.exporting.formats.embedding import embed_contract
from keras_pose.exporting.inspection.audit import with_audit
from keras_pose.exporting.quantization.calibration import NUM_CHECK_CROPS
from keras_pose.files import atomic_path
from keras_pose.models.equalization import NUM_CROPS, Peaks, with_peaks
from keras_pose.models.one_by_one import outputs_one_by_one
from keras_pose.runtime import PoseModel
from keras_pose.runtime.crowd_model import CrowdModel, open_crowd_model
from keras_pose.runtime.detector_model import Detector, open_detector
from keras_pose.runtime.loading import open_backend, open_model

# Largest error that still is rounding: several times what was measured on all families
# (1e-6, 9e-4, 0.03 and 0.06, those of pose_slim being the largest). They tell a broken
# file from a good one; what a good one is worth, only an evaluation shows. Where weights
# lose most, what they lose is measured for each model and comes on top (`error_limit`).
MAX_ERROR = {
    "float32": 1e-4,
    "float16": 1e-2,
    "dynamic": 0.2,
    "int8": 0.3,
    "int8_per_tensor": 0.3,
    "int16x8": 0.02,
    "int4": 0.02,
}
# Quantizers may round other ways than to the nearest, which is what is measured.
WEIGHT_MARGIN = 2.0
# A file that gives the same for all pictures has an error of 1; none as bad is written.
WORST_LIMIT = 0.9
# Input pixels: what float32 may lose against the codecs' float64.
MAX_DECODING_SHIFT = 0.01
# Measured: a trained RTMDet-nano had 0.41 with ranges by extremes, 0.10 by percentile.
_REMEDIES = {
    "int8": " Try --range percentile (outliers stretch ranges), or --max-drop 0.5.",
    "int8_per_tensor": " Try --range percentile (outliers stretch ranges).",
}
# Images from which on a trace takes less than calls layer by layer.
WORTH_A_TRACE = 5
_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)

Runnable = PoseModel | Detector | CrowdModel


@dataclass(frozen=True)
class Export:
    """A file that was written.

    Attributes:
        path: the file; its contract lies beside it.
        contract: input and outputs of the file.
        error: `relative_error` against the Keras model; `boxes_error` or `keypoints_error`
            where that of outputs is larger than it may be.
    """

    path: Path
    contract: ModelContract
    error: float


@dataclass(frozen=True)
class Draft:
    """A file that stands under a temporary name.

    Attributes:
        contract: input and outputs of the file.
        with_outputs: content of a second file, for a file that decodes in its graph: it
            gives, besides the keypoints, the outputs that they were decoded from.
        weight_error: error by the rounding of the weights alone, where it was measured; see
            `quantization.weight_rounding`.
        is_measured: True if an evaluation found that the file loses no more than it may.
            That is a stronger check than the bound for files without an evaluation, so then
            only the bound for broken files applies.
    """

    contract: ModelContract
    with_outputs: bytes | None = None
    weight_error: float = 0.0
    is_measured: bool = False

    @property
    def error_limit(self) -> float:
        """The largest error that its outputs may have."""
        if self.is_measured:
            return WORST_LIMIT
        return error_limit(self.contract.quantization, self.weight_error)


class Reference:
    """A Keras model that files are compared with, in float32: in mixed precision, as it
    may have been trained in, it rounds more than a float file may.

    Attributes:
        contract: contract of the model, with its normalisation.
        crops: (n, H, W, 3) uint8 that are compared on, the first few of those given.
    """

    def __init__(self, model, contract: ModelContract, crops):
        self._model, self.contract = model, contract
        self.crops = crops[:NUM_CHECK_CROPS]
        self._calibrating = crops[:NUM_CROPS]

    def people_of(self, maps) -> list[np.ndarray]:
        """Returns what a one-stage model makes of maps, one array for each tensor."""
        outputs = people_from_maps(in_float32(self._model))(list(maps), training=False)
        return [np.asarray(output, np.float32) for output in outputs]

    @property
    def outputs(self) -> list[np.ndarray]:
        """What the model gives for the crops, one array for each tensor.

        Those of a one-stage model begin with its maps.
        """
        return self._measured[0]

    @property
    def peaks(self) -> Peaks | None:
        """What `with_peaks` gives for the crops that calibrate; None if none do."""
        return self._measured[1]

    @cached_property
    def _measured(self) -> tuple[list[np.ndarray], Peaks | None]:
        """Outputs and peaks, by one trace, which takes longer than to run it."""
        calibrates = len(self._calibrating) > len(self.crops)
        images = self._calibrating if calibrates else self.crops
        if self.contract.normalization is not None:
            images = self.contract.normalization(images)
        network = with_maps(of_one_tensor(in_float32(self._model)), self.contract)
        count = len(network.outputs)
        keys: list[int] = []
        if calibrates:
            network, keys = with_peaks(network)
        if len(images) >= WORTH_A_TRACE:
            network = traced(network)
        outputs: list[list[np.ndarray]] = []
        peaks: list[list[np.ndarray]] = []
        for found in outputs_one_by_one(network, np.asarray(images, np.float32)):
            peaks.append(found[count:])
            if len(outputs) < len(self.crops):  # maps of all may be too large to be held
                outputs.append(found[:count])
        joined = [np.concatenate(parts) for parts in zip(*outputs, strict=True)]
        counting = counting_outputs(joined, self.contract)
        as_floats = [np.asarray(output, np.float32) for output in counting]
        if not calibrates:
            return as_floats, None
        highest = [np.concatenate(parts).max(axis=0) for parts in zip(*peaks, strict=True)]
        return as_floats, dict(zip(keys, highest, strict=True))


def write_export(path, write: Callable[[Path], Draft], reference: Reference) -> Export:
    """Writes, checks, then names a file, and writes its contract beside it.

    Args:
        path: path of the file to write.
        write: converts to the temporary path it is given.
        reference: the Keras model.

    Raises:
        ExportError: if the file does not do what the model does.
        PermissionError: if the folder cannot be written to.
        OSError: if the disk is full.
        ValueError: if a `pose_model.json` in the folder is no contract.

        Whatever is raised, file and contract that stood there before stay.
    """
    path = Path(path)
    contracts_beside(path)
    with _plain_disk_errors(path), _kept_on_error(path):
        with atomic_path(path) as temporary:
            draft = write(temporary)
            contract = with_audit(draft.contract, temporary)
            embed_contract(temporary, contract)
            error = _check(temporary, draft, reference)
        write_contract(path, contract)
    return Export(path, contract, error)


@contextlib.contextmanager
def _plain_disk_errors(path: Path) -> Iterator[None]:
    """Turns errors of full disks into ones that name the file, or the temporary folder."""
    try:
        yield
    except Exception as error:
        if not _is_full_disk(error):
            raise
        raise OSError(
            getattr(error, "errno", None) or errno.ENOSPC,
            f"No space left while writing {path} (temporary files go to "
            f"{tempfile.gettempdir()}); what stood there is as it was",
        ) from error


def _is_full_disk(error: Exception) -> bool:
    """Returns True for a full disk, which TensorFlow and HDF5 report by the words alone."""
    words = os.strerror(errno.ENOSPC)
    return getattr(error, "errno", None) in _FULL or words in str(error)


@contextlib.contextmanager
def _kept_on_error(path: Path) -> Iterator[None]:
    """Puts a file back as it was if the block raises after it was replaced."""
    backup = path.with_name(f".{path.stem}.{os.getpid()}.old{path.suffix}")
    existed = path.is_file()
    if existed:
        backup.unlink(missing_ok=True)
        try:
            os.link(path, backup)
        except OSError:  # some file systems have no links
            shutil.copy2(path, backup)
    try:
        yield
    except BaseException:
        if existed:
            os.replace(backup, path)
        elif path.is_file():
            path.unlink()
        raise
    finally:
        if existed:  # else the folder may be none
            backup.unlink(missing_ok=True)


def _check(path: Path, draft: Draft, reference: Reference) -> float:
    if isinstance(draft.contract, OneStageContract):
        return check_people(path, draft, reference)
    check = check_written if draft.with_outputs is None else check_decoding
    return check(path, draft, reference)


def check_written(path, draft: Draft, reference: Reference) -> float:
    """Runs a converted file beside the Keras model, on the first few crops.

    Args:
        path: the file.
        draft: contract and bounds of the file.
        reference: the Keras model.

    Returns:
        The `relative_error` of its outputs.

    Raises:
        ExportError: if the file cannot be run, or gives other outputs.
    """
    try:
        with quiet_stderr():
            actual = _outputs(_open(path, draft.contract), reference.crops)
    except (ValueError, RuntimeError) as cause:
        raise ExportError(f"The converted file does not run: {cause}") from cause
    return _limited_error(actual, reference.outputs, draft)


def check_decoding(path, draft: Draft, reference: Reference) -> float:
    """Checks a file that decodes, with a second file that also gives the outputs.

    The network's outputs must be those of the Keras model, as in any file; the keypoints
    those that the codec makes of the file's own outputs; and the file must give the
    keypoints that the second file gives.

    Returns:
        The `relative_error` of the network's outputs.

    Raises:
        ExportError: if one of them is not so.
    """
    contract = reference.contract
    if not isinstance(contract, Contract):
        raise TypeError("Only top-down networks decode in the graph.")
    names = (contract.output.name, draft.contract.outputs[0].name)
    outputs, keypoints = _run_with_outputs(path, draft, names, reference.crops)
    error = _limited_error([outputs], reference.outputs[:1], draft)
    expected_xy, _ = contract.codec.decode(outputs)
    with quiet_stderr():
        actual = _outputs(_open(path, draft.contract), reference.crops)[0]
    # Flat maps, as untrained networks give, send some keypoints anywhere in float32.
    shift = max(
        float(np.quantile(np.abs(found - wanted), 0.9))
        for found, wanted in (
            (keypoints[..., :2], expected_xy),
            (actual, keypoints),
        )
    )
    if not shift <= MAX_DECODING_SHIFT:
        raise ExportError(
            f"The {draft.contract.quantization} file of {draft.contract.model} does not "
            f"decode as its codec: keypoints must agree to {MAX_DECODING_SHIFT} pixels, "
            f"got {shift:.3g}."
        )
    return error


def check_people(path, draft: Draft, reference: Reference) -> float:
    """Checks a file of a one-stage network, with a second file that also gives the maps.

    People are compared with what Keras makes of the file's own maps: of others, the cells
    would be others, and come in another order.

    Args:
        path: the file.
        draft: contract and bounds of the file.
        reference: the Keras model.

    Returns:
        The `relative_error` of the maps.

    Raises:
        ExportError: if the maps are not those of the model, or the people not those of the
            maps.
    """
    names = [spec.name for spec in draft.contract.outputs]
    found = _run_with_outputs(path, draft, [*MAP_OUTPUTS, *names], reference.crops)
    maps, people = found[: len(MAP_OUTPUTS)], found[len(MAP_OUTPUTS) :]
    error = _limited_error(maps, reference.outputs[: len(maps)], draft)
    with quiet_stderr():
        actual = _outputs(_open(path, draft.contract), reference.crops)
    shift = max(
        float(np.quantile(np.abs(each - wanted) / np.maximum(np.abs(wanted), 1), 0.9))
        for pair in (zip(people, reference.people_of(maps), strict=True),
                     zip(actual, people, strict=True))
        for each, wanted in pair
    )  # fmt: skip
    if not shift <= MAX_DECODING_SHIFT:
        raise ExportError(
            f"The {draft.contract.quantization} file of {draft.contract.model} makes other "
            f"people of its maps than the Keras model: they must agree to "
            f"{MAX_DECODING_SHIFT} pixels or parts of them, got {shift:.3g}."
        )
    return error


def _run_with_outputs(path, draft: Draft, names, crops) -> list[np.ndarray]:
    """Returns outputs of the second file by name, one array for each."""
    with tempfile.TemporaryDirectory() as folder, quiet_stderr():
        second = Path(folder) / f"with_outputs{Path(path).suffix}"
        second.write_bytes(draft.with_outputs or b"")
        backend = open_backend(second)
        batch = backend.input.shape[0] or len(crops)
        padded = crops[np.arange(-(-len(crops) // batch) * batch) % len(crops)]
        runs = [
            backend.run_all(np.ascontiguousarray(padded[i : i + batch]))
            for i in range(0, len(padded), batch)
        ]
    specs = {spec.name: spec for spec in backend.outputs}
    return [
        np.concatenate([specs[name].to_real(run[name]) for run in runs])[: len(crops)]
        for name in names
    ]


def error_limit(quantization: str, weight_error: float = 0.0) -> float:
    """Returns the largest error of a good file; see `MAX_ERROR` and `Draft`."""
    limit = MAX_ERROR[quantization] + WEIGHT_MARGIN * weight_error
    return min(limit, WORST_LIMIT)


def _limited_error(actual, expected, draft: Draft) -> float:
    """Returns the largest error of some outputs; where that is beyond the limit, the error
    of what they are for, a detector's boxes or a pose network's keypoints.

    Raises:
        ExportError: if it is larger than rounding can be.
    """
    error = max(map(relative_error, actual, expected))
    if not error <= draft.error_limit:
        error = _error_of_use(actual, expected, draft.contract, error)
    if not error <= draft.error_limit:  # NaN must not pass
        kind, of_weights = draft.contract.quantization, ""
        if draft.weight_error:
            of_weights = f" (rounded weights alone: {draft.weight_error:.3g})"
        raise ExportError(
            f"The converted {kind} file of {draft.contract.model} gives other outputs than "
            f"the Keras model: the relative RMS error must be at most "
            f"{draft.error_limit:.3g}, got {error:.3g}{of_weights}."
            f"{_REMEDIES.get(kind, '')}"
        )
    return error


def _error_of_use(actual, expected, contract: ModelContract, error: float) -> float:
    """Returns the error of boxes, or of keypoints of int8 files; of others, `error`."""
    if isinstance(contract, DetectorContract):
        return boxes_error(actual, expected)
    # Only rounding to 8 bits may change maps so much and keep what they say.
    if isinstance(contract, Contract) and contract.quantization in _REMEDIES:
        decode = contract.codec.decode
        return keypoints_error(decode(actual[0]), decode(expected[0]))
    return error


def _open(path, contract: ModelContract) -> Runnable:
    if isinstance(contract, DetectorContract):
        return open_detector(path, contract)
    if isinstance(contract, CrowdContract):
        return open_crowd_model(path, contract)
    return open_model(path, contract)


def _outputs(model: Runnable, crops) -> list[np.ndarray]:
    """Returns all outputs for all crops, one array for each tensor."""
    if isinstance(model, PoseModel):
        return [each for each in model.predict_all(crops) if each is not None]
    per_crop = [model.predict(crop) for crop in crops]
    return [np.stack(values) for values in zip(*per_crop, strict=True)]
