"""The files of one network, and what evaluation finds of them."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

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
        refusal: why no operators in float bring the drop down, where none do.
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
        num_runs=0,
    )
    ledger = make_ledger(ledger_settings, lambda text: say(f"  {text}"))
    _check(ledger)
    paths = {name: ledger_settings.path_of(name) for name in FORMATS}
    count = len(read_model_contract(paths["int8"]).float_operators)
    files = Files(paths["float32"], {count: paths["int8"]})
    if settings.dataset is None:
        return files
    files = _with_accuracy(files, ledger, count)
    lost = files.accuracies[count].drop
    if settings.max_drop is None or lost <= settings.max_drop:
        return files
    try:
        return _with_mixed(case, files, settings, folder, say)
    except ValueError as error:  # half of the operators in float do not do
        say(f"  {error}")
        return dataclasses.replace(files, refusal=str(error))


def _check(ledger: Ledger) -> None:
    for row in ledger.rows:
        if row.failure is not None:
            raise ValueError(f"{row.name}: {row.failure}")


def _with_accuracy(files: Files, ledger: Ledger, count: int) -> Files:
    rows: dict[str, Any] = {row.name: row for row in ledger.rows}
    reference = rows["float32"].measurement
    accuracy = _accuracy(rows["int8"].measurement, reference, rows["int8"].shift)
    return Files(files.float32, files.integers, reference["value"], {count: accuracy})


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
    (integer,) = files.integers.values()
    key = [file_sha256(integer), settings.max_drop, settings.data]
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
    say(f"  more than {settings.max_drop:g} points are lost: looking for float operators")
    crops, keypoints = folder / "calibration.npy", path.with_name(KEYPOINTS_NAME)
    check_writable(path.parent)
    found = call_in_child(
        f"{JOBS}:write_mixed", str(case.weights), str(crops), settings.data,
        settings.max_drop, str(path),
    )  # fmt: skip
    for line in found["said"]:
        say(f"  {line}")
    measurement = call_in_child(
        f"{LEDGER_JOBS}:evaluate_file", str(path), settings.data, str(keypoints)
    )
    reference = folder / REFERENCE / KEYPOINTS_NAME
    shift = ledger_jobs.keypoint_shift(reference, keypoints) if keypoints.exists() else {}
    return {**found, "measurement": measurement, "shift": shift}
