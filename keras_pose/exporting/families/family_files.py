"""The files of one network, and what evaluation finds of them."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from pathlib import Path

from keras_pose.contracts.detector import read_model_contract
from keras_pose.exporting.cache import cached
from keras_pose.exporting.families import family_jobs
from keras_pose.exporting.families.cases import Case
from keras_pose.exporting.families.family_rows import Accuracy
from keras_pose.exporting.families.family_settings import FamiliesSettings
from keras_pose.exporting.ledger import jobs as ledger_jobs
from keras_pose.exporting.ledger.ledger_settings import (
    KEYPOINTS_NAME,
    REFERENCE,
    LedgerSettings,
    Say,
)
from keras_pose.exporting.ledger.making import make_ledger
from keras_pose.exporting.ledger.rows import Ledger
from keras_pose.exporting.quantization.attention import attention_ops
from keras_pose.exporting.subprocesses import call_in_child
from keras_pose.files import check_writable, file_sha256
from keras_pose.metrics.drop import POINTS, drop

JOBS = family_jobs.__name__
LEDGER_JOBS = ledger_jobs.__name__
FORMATS = ("float32", "int8")


@dataclass(frozen=True)
class IntegerFile:
    """An int8 file.

    Attributes:
        path: path of the file.
        num_float_ops: its operators in float.
        rule: range rule in words; "" for ranges of noise.
        accuracy: figures of its evaluation; None where nothing was measured.
    """

    path: Path
    num_float_ops: int
    rule: str = ""
    accuracy: Accuracy | None = None


@dataclass(frozen=True)
class Files:
    """The files of one network, and what evaluation found of them.

    Attributes:
        float32: the file that all others are compared with.
        integers: the others.
        float_value: metric of the float32 file; None where nothing was measured.
        refusal: reason why no file is int8 throughout, or none loses as little as it may;
            None where there is one.
    """

    float32: Path
    integers: tuple[IntegerFile, ...] = ()
    float_value: float | None = None
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
    return Files(paths[0], (IntegerFile(paths[1], len(kept_float)),))


def _trained_files(case: Case, settings: FamiliesSettings, folder: Path, say: Say):
    ledger_settings = LedgerSettings(
        str(case.weights),
        folder,
        dataset=settings.dataset,
        data_dir=settings.data_dir,
        limit=settings.limit,
        formats=FORMATS,
        calibration_images=settings.calibration_images,
        range_rule=settings.rules[0],
        num_runs=0,
    )
    ledger = make_ledger(ledger_settings, lambda text: say(f"  {text}"))
    files = _plain_files(ledger, ledger_settings)
    if settings.max_drop is None or _fits(files, settings.max_drop):
        return files
    try:
        return _with_mixed(case, files, settings, folder, say)
    except ValueError as error:  # nothing that was tried does
        say(f"  {error}")
        reasons = [files.refusal, str(error)]
        return dataclasses.replace(files, refusal=" ".join(filter(None, reasons)))


def _fits(files: Files, max_drop: float) -> bool:
    found = [file.accuracy for file in files.integers if file.accuracy is not None]
    return any(accuracy.drop <= max_drop for accuracy in found)


def _plain_files(ledger: Ledger, settings: LedgerSettings) -> Files:
    """Returns the files that the ledger wrote, or the reason why it refused the int8 file.

    Raises:
        ValueError: where there is not even a float32 file.
    """
    rows = {row.name: row for row in ledger.rows}
    reference, integer = rows["float32"], rows["int8"]
    if reference.failure is not None:
        raise ValueError(f"float32: {reference.failure}")
    found = reference.measurement
    value = found["value"] if found is not None else None
    files = Files(settings.path_of("float32"), float_value=value)
    if integer.failure is not None:
        return dataclasses.replace(files, refusal=f"int8: {integer.failure}")
    path = settings.path_of("int8")
    count = len(read_model_contract(path).float_operators)
    file = IntegerFile(path, count, str(settings.range_rule))
    if found is not None:
        accuracy = _accuracy(integer.measurement, found, integer.shift)
        file = dataclasses.replace(file, accuracy=accuracy)
    return dataclasses.replace(files, integers=(file,))


def _accuracy(measurement, reference, shift) -> Accuracy:
    lower_is_better = measurement["lower_is_better"]
    loss = drop(reference["value"], measurement["value"], lower_is_better)
    return Accuracy(
        metric=measurement["metric"],
        value=measurement["value"],
        drop=POINTS * loss,
        protocol=measurement["protocol"],
        shift=shift,
    )


def _with_mixed(case: Case, files: Files, settings, folder: Path, say: Say) -> Files:
    """Searches ranges, and operators to put into float, until the drop fits.

    The file that comes of it is measured like the others.
    """
    path = folder / "mixed" / "pose_model.tflite"
    paths = (files.float32, *(file.path for file in files.integers))
    rules = [rule.to_dict() for rule in settings.rules]
    key = [list(map(file_sha256, paths)), rules, settings.max_drop, settings.data]
    found = cached(
        path.with_name("mixed.json"),
        key,
        lambda: _make_mixed(case, settings, folder, path, say),
        is_valid=path.exists(),
    )
    reference = {"value": files.float_value}
    accuracy = _accuracy(found["measurement"], reference, found["shift"])
    file = IntegerFile(path, found["num_float_ops"], found["rule"], accuracy)
    return dataclasses.replace(files, integers=(*files.integers, file))


def _make_mixed(case: Case, settings: FamiliesSettings, folder: Path, path: Path, say: Say):
    say(f"  looking for a file that loses {settings.max_drop:g} points at most")
    crops, keypoints = folder / "calibration.npy", path.with_name(KEYPOINTS_NAME)
    check_writable(path.parent)
    found = call_in_child(
        f"{JOBS}:write_mixed", str(case.weights), str(crops), settings.data,
        settings.max_drop, [rule.to_dict() for rule in settings.rules], str(path),
    )  # fmt: skip
    for line in found["said"]:
        say(f"  {line}")
    measurement = call_in_child(
        f"{LEDGER_JOBS}:evaluate_file", str(path), settings.data, str(keypoints)
    )
    reference = folder / REFERENCE / KEYPOINTS_NAME
    shift = ledger_jobs.keypoint_shift(reference, keypoints) if keypoints.exists() else {}
    return {**found, "measurement": measurement, "shift": shift}
