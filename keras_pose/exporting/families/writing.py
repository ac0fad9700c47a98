"""The files of one network, and what evaluation finds of them."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass, field
from pathlib import Path

from keras_pose.detector_contract import read_model_contract
from keras_pose.exporting.children import call_in_child
from keras_pose.exporting.families import jobs
from keras_pose.exporting.families.cases import Case
from keras_pose.exporting.families.rows import Accuracy
from keras_pose.exporting.families.settings import FamiliesSettings, Say
from keras_pose.exporting.kept import kept
from keras_pose.exporting.ledger import jobs as ledger_jobs
from keras_pose.exporting.ledger.making import make_ledger
from keras_pose.exporting.ledger.rows import Ledger
from keras_pose.exporting.ledger.settings import KEYPOINTS_NAME, REFERENCE, LedgerSettings
from keras_pose.exporting.quantization.attention import attention_ops
from keras_pose.files import check_writable, file_sha256

JOBS = jobs.__name__
LEDGER_JOBS = ledger_jobs.__name__
FORMATS = ("float32", "int8")
POINTS = 100


@dataclass(frozen=True)
class Files:
    """The files of one network, and what evaluation found of them.

    Attributes:
        float32: the file that all others are compared with.
        integers: operators in float -> file.
        float_value: of the metric; None where nothing was measured.
        accuracies: operators in float -> what was found.
        refusal: why there is no file that is int8 throughout, or none that loses as
            little as it may, where there is none.
    """

    float32: Path
    integers: dict[int, Path]
    float_value: float | None = None
    accuracies: dict[int, Accuracy] = field(default_factory=dict)
    refusal: str | None = None


def write_files(case: Case, settings: FamiliesSettings, folder: Path, say: Say) -> Files:
    """Writes a network's files, and measures those of a trained one.

    Raises:
        ValueError: for a network that cannot be written or measured.
    """
    if case.weights is None:
        return _random_files(case, folder, say)
    return _trained_files(case, settings, folder, say)


def _random_files(case: Case, folder: Path, say: Say) -> Files:
    paths = [folder / f"{name}.tflite" for name in FORMATS]
    if not all(path.exists() for path in paths):
        say("  writing float32, int8")
        texts = [str(path) for path in paths]
        call_in_child(f"{JOBS}:write_timing_files", case.model, list(case.input_hw), *texts)
    kept_float = attention_ops(paths[0].read_bytes())
    return Files(paths[0], {len(kept_float): paths[1]})


def _trained_files(case: Case, settings: FamiliesSettings, folder: Path, say: Say):
    ledger_settings = LedgerSettings(
        str(case.weights),
        folder,
        dataset=settings.dataset,
        data_dir=settings.data_dir,
        limit=settings.limit,
        formats=FORMATS,
        calibration_images=settings.calibration_images,
        range_method=settings.range_method,
        percentile=settings.percentile,
        num_runs=0,
    )
    ledger = make_ledger(ledger_settings, lambda text: say(f"  {text}"))
    files = _plain_files(ledger, ledger_settings)
    drops = [accuracy.drop for accuracy in files.accuracies.values()]
    if settings.max_drop is None or (drops and drops[0] <= settings.max_drop):
        return files
    try:
        return _with_mixed(case, files, settings, folder, say)
    except ValueError as error:  # half of the operators in float do not do
        say(f"  {error}")
        reasons = [files.refusal, str(error)]
        return dataclasses.replace(files, refusal=" ".join(filter(None, reasons)))


def _plain_files(ledger: Ledger, settings: LedgerSettings) -> Files:
    """Returns what the ledger wrote; an int8 file that was refused is told as such.

    Raises:
        ValueError: where there is not even a float32 file.
    """
    rows = {row.name: row for row in ledger.rows}
    reference, integer = rows["float32"], rows["int8"]
    if reference.failure is not None:
        raise ValueError(f"float32: {reference.failure}")
    found = reference.measurement
    value = found["value"] if found is not None else None
    files = Files(settings.path_of("float32"), {}, value)
    if integer.failure is not None:
        return dataclasses.replace(files, refusal=f"int8: {integer.failure}")
    path = settings.path_of("int8")
    count = len(read_model_contract(path).float_operators)
    files = dataclasses.replace(files, integers={count: path})
    if found is None:
        return files
    accuracy = _accuracy(integer.measurement, found, integer.shift)
    return dataclasses.replace(files, accuracies={count: accuracy})


def _accuracy(measurement, reference, shift) -> Accuracy:
    loss = reference["value"] - measurement["value"]
    return Accuracy(
        metric=measurement["metric"],
        value=measurement["value"],
        drop=POINTS * (-loss if measurement["lower_is_better"] else loss),
        protocol=measurement["protocol"],
        shift=shift,
    )


def _with_mixed(case: Case, files: Files, settings, folder: Path, say: Say) -> Files:
    """Puts operators into float until the drop fits, and measures that file as well."""
    path = folder / "mixed" / "pose_model.tflite"
    hashes = [file_sha256(each) for each in (files.float32, *files.integers.values())]
    key = [hashes, settings.ranges, settings.max_drop, settings.data]
    found = kept(
        path.with_name("mixed.json"),
        key,
        lambda: _make_mixed(case, settings, folder, path, say),
        is_valid=path.exists(),
    )
    reference = {"value": files.float_value}
    accuracy = _accuracy(found["measurement"], reference, found["shift"])
    count = found["num_float_ops"]
    return dataclasses.replace(
        files,
        integers=files.integers | {count: path},
        accuracies=files.accuracies | {count: accuracy},
    )


def _make_mixed(case: Case, settings: FamiliesSettings, folder: Path, path: Path, say: Say):
    say(f"  looking for float operators that keep the drop below {settings.max_drop:g}")
    crops, keypoints = folder / "calibration.npy", path.with_name(KEYPOINTS_NAME)
    check_writable(path.parent)
    found = call_in_child(
        f"{JOBS}:write_mixed", str(case.weights), str(crops), settings.data,
        settings.max_drop, settings.ranges, str(path),
    )  # fmt: skip
    for line in found["said"]:
        say(f"  {line}")
    measurement = call_in_child(
        f"{LEDGER_JOBS}:evaluate_file", str(path), settings.data, str(keypoints)
    )
    reference = folder / REFERENCE / KEYPOINTS_NAME
    shift = ledger_jobs.keypoint_shift(reference, keypoints) if keypoints.exists() else {}
    return {**found, "measurement": measurement, "shift": shift}
