"""Every family's int8 against its float32: the metric, keypoints, size and time.

A trained network goes through the ledger, in the two formats, so that both files meet the
evaluator that measures all others. Where more is lost than may be, operators are put into
float until it fits. One with random weights, for families that nobody trained, is timed
only. What is finished is not done again.

In the output folder, in one folder for each network:

float32/, int8/, ...     of the ledger, for trained networks
mixed/pose_model.tflite  the int8 file with operators in float, if it took any
times.json               of all files in one run, and the profile of integer ones
families.md, .csv        above them all, see `families.table`
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from keras_pose.contract import read_contract
from keras_pose.detector_contract import is_detector, read_detector_contract
from keras_pose.exporting.children import call_in_child
from keras_pose.exporting.families import jobs
from keras_pose.exporting.formats.table import NUM_CALIBRATION_CROPS
from keras_pose.exporting.inspection.audit import Audit, audit_file
from keras_pose.exporting.inspection.profiling import OperatorTime
from keras_pose.exporting.ledger import jobs as ledger_jobs
from keras_pose.exporting.ledger.making import (
    KEYPOINTS_NAME,
    REFERENCE,
    Ledger,
    LedgerSettings,
    make_ledger,
)
from keras_pose.files import check_writable, file_sha256, read_json, write_json
from keras_pose.runs import BEST_NAME
from keras_pose.zoo import ZOO, ModelSpec, get_spec

JOBS = jobs.__name__
LEDGER_JOBS = ledger_jobs.__name__
FORMATS = ("float32", "int8")
POINTS = 100
# Networks that take more multiply-accumulates are timed at half their height and width:
# in float they would take seconds a run.
MAX_TIMED_MACS = 6e9
PEOPLE_TASKS = ("top_down", "bottom_up", "detection")


@dataclass(frozen=True)
class Case:
    """One network.

    Attributes:
        model: zoo name.
        input_hw: (height, width), pixels.
        weights: `.keras` file of a trained one; None for random weights.
    """

    model: str
    input_hw: tuple[int, int]
    weights: Path | None = None

    @property
    def family(self) -> str:
        return get_spec(self.model).family

    @property
    def folder_name(self) -> str:
        height, width = self.input_hw
        digits = "" if self.weights is None else f"_{file_sha256(self.weights)[:8]}"
        return f"{self.model}_{height}x{width}{digits}"


def lightest_models() -> list[str]:
    """Returns the network of each family that takes the fewest multiply-accumulates.

    Of families that find people or their poses; classifiers and the like are trunks.
    """
    lightest: dict[str, ModelSpec] = {}
    for spec in ZOO.values():
        if spec.task not in PEOPLE_TASKS:
            continue
        if spec.macs < lightest.setdefault(spec.family, spec).macs:
            lightest[spec.family] = spec
    return [spec.name for spec in lightest.values()]


def random_cases(models: Sequence[str]) -> list[Case]:
    """Returns networks with random weights, by zoo name.

    Raises:
        ValueError: for a name that is not in the zoo.
    """
    return [Case(name, _timed_hw(get_spec(name))) for name in models]


def _timed_hw(spec: ModelSpec) -> tuple[int, int]:
    if spec.macs <= MAX_TIMED_MACS:
        return spec.input_hw
    multiple = spec.input_multiple
    height, width = (size // (2 * multiple) * multiple for size in spec.input_hw)
    return height, width


def trained_cases(paths) -> list[Case]:
    """Finds trained networks.

    Args:
        paths: `.keras` files, run folders, or folders of run folders.

    Raises:
        FileNotFoundError: for a path with no network.
        ValueError: for a file without a contract.
    """
    cases = []
    for path in paths:
        for file in _checkpoints(Path(path)):
            read = read_detector_contract if is_detector(file) else read_contract
            contract = read(file)
            cases.append(Case(contract.model, contract.input_hw, file))
    return cases


def _checkpoints(path: Path) -> list[Path]:
    if path.suffix == ".keras":
        return [path]
    found = [path / BEST_NAME] if (path / BEST_NAME).exists() else []
    found = found or sorted(path.glob(f"*/{BEST_NAME}"))
    if not found:
        raise FileNotFoundError(
            f"{path} must be a .keras file, a run, or a folder of runs with a {BEST_NAME} "
            "each; there is none."
        )
    return found


@dataclass(frozen=True)
class FamiliesSettings:
    """What to measure, and how.

    Attributes:
        output: folder.
        dataset: name of the data set to measure trained networks on; None for times only.
        data_dir: its folder; None for its usual one.
        limit: images of its val split; None for all.
        max_drop: points of the metric that int8 may lose before operators are put into
            float; None for whatever it loses.
        calibration_images: crops to calibrate trained networks on.
        threads: numbers of threads to time files at.
        num_runs: measurements of each.
        times_again: whether files that have been timed are timed again.
    """

    output: Path
    dataset: str | None = None
    data_dir: str | None = None
    limit: int | None = None
    max_drop: float | None = None
    calibration_images: int = NUM_CALIBRATION_CROPS
    threads: tuple[int, ...] = (1, 2)
    num_runs: int = 20
    times_again: bool = False

    def __post_init__(self) -> None:
        if self.max_drop is not None and self.max_drop < 0:
            raise ValueError(f"max_drop must be at least 0, got {self.max_drop}.")

    @property
    def data(self) -> dict[str, Any]:
        """What evaluation is told of the data."""
        return {
            "dataset": self.dataset,
            "data_dir": self.data_dir,
            "split": "val",
            "limit": self.limit,
            "flip_test": False,
        }


@dataclass(frozen=True)
class Accuracy:
    """What evaluation found of one file.

    Attributes:
        metric: such as "AP".
        value: of the file.
        drop: points lost against the float32 file; negative for a gain.
        protocol: what it was measured on, in words.
        shift: see `ledger.jobs.keypoint_shift`; {} for detectors.
    """

    metric: str
    value: float
    drop: float
    protocol: str
    shift: dict[str, float]


@dataclass(frozen=True)
class FamilyRow:
    """An integer file against the float32 file of the same network.

    Attributes:
        case: the network.
        failure: why there is nothing to tell of it; None where there is.
        num_float_ops: operators in float, 0 for int8 throughout.
        num_bytes: size of the float32 file and of this one.
        accuracy: None where nothing was measured.
        float_value: of the float32 file.
        milliseconds: number of threads -> of the float32 file and of this one.
        peak_gain: by how much integer products are faster than float ones on this
            machine, at the first number of threads: no file can gain more by products.
        peak_share: of the integer peak that this file's products reach.
        audit: what is in this file.
        profile: operators by time, the most expensive first.
        profile_failure: why there is none.
    """

    case: Case
    failure: str | None = None
    num_float_ops: int = 0
    num_bytes: tuple[int, int] = (0, 0)
    accuracy: Accuracy | None = None
    float_value: float | None = None
    milliseconds: dict[int, tuple[float, float]] = field(default_factory=dict)
    peak_gain: float | None = None
    peak_share: float | None = None
    audit: Audit | None = None
    profile: list[OperatorTime] = field(default_factory=list)
    profile_failure: str | None = None

    @property
    def gains(self) -> dict[int, float]:
        """Number of threads -> how many times as fast as float32."""
        return {n: slow / fast for n, (slow, fast) in self.milliseconds.items()}


@dataclass(frozen=True)
class _Files:
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


Say = Callable[[str], None]


def make_families(
    cases: Sequence[Case], settings: FamiliesSettings, say: Say = print
) -> list[FamilyRow]:
    """Writes, measures and times the files of all networks, one after the other.

    Args:
        cases: the networks.
        settings: what to measure.
        say: is told what happens.

    Returns:
        A row for each integer file; what fails is a row that says why.

    Raises:
        PermissionError: if the output folder cannot be written to.
    """
    check_writable(settings.output)
    rows: list[FamilyRow] = []
    for case in cases:
        say(f"{case.model}, {'random weights' if case.weights is None else case.weights}")
        try:
            rows += _rows(case, settings, say)
        except (ValueError, OSError, ImportError) as error:
            say(f"  {error}")
            rows.append(FamilyRow(case, failure=str(error)))
    return rows


def _rows(case: Case, settings: FamiliesSettings, say: Say) -> list[FamilyRow]:
    folder = Path(settings.output) / case.folder_name
    check_writable(folder)
    make = _random_files if case.weights is None else _trained_files
    files = make(case, settings, folder, say)
    times = _times(files, settings, folder / "times.json", say)
    rows = [_row(case, files, count, times) for count in files.integers]
    return rows + ([FamilyRow(case, failure=files.refusal)] if files.refusal else [])


def _random_files(case: Case, settings, folder: Path, say: Say) -> _Files:
    paths = [folder / f"{name}.tflite" for name in FORMATS]
    if not all(path.exists() for path in paths):
        say("  writing float32, int8")
        texts = [str(path) for path in paths]
        call_in_child(f"{JOBS}:write_timing_files", case.model, list(case.input_hw), *texts)
    return _Files(paths[0], {0: paths[1]})


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
    files = _Files(paths["float32"], {0: paths["int8"]})
    if settings.dataset is None:
        return files
    files = _with_accuracies(files, ledger)
    lost = files.accuracies[0].drop
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


def _with_accuracies(files: _Files, ledger: Ledger) -> _Files:
    rows: dict[str, Any] = {row.name: row for row in ledger.rows}
    reference = rows["float32"].measurement
    accuracy = _accuracy(rows["int8"].measurement, reference, rows["int8"].shift)
    return _Files(files.float32, files.integers, reference["value"], {0: accuracy})


def _accuracy(measurement, reference, shift) -> Accuracy:
    loss = reference["value"] - measurement["value"]
    return Accuracy(
        metric=measurement["metric"],
        value=measurement["value"],
        drop=POINTS * (-loss if measurement["lower_is_better"] else loss),
        protocol=measurement["protocol"],
        shift=shift,
    )


def _with_mixed(case: Case, files: _Files, settings, folder: Path, say: Say) -> _Files:
    """Puts operators into float until the drop fits, and measures that file as well."""
    path = folder / "mixed" / "pose_model.tflite"
    key = [file_sha256(files.integers[0]), settings.max_drop, settings.data]
    found = _kept(
        path.with_name("mixed.json"),
        key,
        lambda: _make_mixed(case, settings, folder, path, say),
        is_there=path.exists(),
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


def _times(files: _Files, settings: FamiliesSettings, notes: Path, say: Say):
    integers = list(files.integers.values())
    hashes = [file_sha256(path) for path in (files.float32, *integers)]
    key = [hashes, list(settings.threads), settings.num_runs]

    def make():
        say(f"  timing {1 + len(integers)} files")
        found = call_in_child(
            f"{JOBS}:time_files", str(files.float32), [str(path) for path in integers],
            list(settings.threads), settings.num_runs,
        )  # fmt: skip
        profiles = [found["profiles"][str(path)] for path in integers]
        audits = [audit_file(path).to_dict() for path in integers]
        kept = {"rows": found["rows"], "profiles": profiles, "audits": audits}
        return {**kept, "peaks": found["peaks"]}

    return _kept(notes, key, make, is_there=not settings.times_again)


def _kept(notes: Path, key, make: Callable[[], dict[str, Any]], is_there: bool):
    """Returns what an earlier call found for the same key, or makes and keeps it."""
    digits = hashlib.sha256(json.dumps(key, sort_keys=True).encode()).hexdigest()
    if is_there and notes.exists():
        stored = read_json(notes)
        if stored.get("key") == digits:
            return stored["found"]
    found = make()
    write_json(notes, {"key": digits, "found": found})
    return found


def _row(case: Case, files: _Files, count: int, times: dict[str, Any]) -> FamilyRow:
    position = list(files.integers).index(count)
    num_threads = len(times["rows"]) // (1 + len(files.integers))
    # The rows go file by file, the float32 one first.
    float_rows = times["rows"][:num_threads]
    own_rows = times["rows"][(1 + position) * num_threads :][:num_threads]
    first = own_rows[0]["num_threads"]
    peaks = times["peaks"]
    return FamilyRow(
        case,
        num_float_ops=count,
        num_bytes=(float_rows[0]["num_bytes"], own_rows[0]["num_bytes"]),
        accuracy=files.accuracies.get(count),
        float_value=files.float_value,
        milliseconds={
            own["num_threads"]: (slow["milliseconds"], own["milliseconds"])
            for slow, own in zip(float_rows, own_rows, strict=True)
        },
        peak_gain=peaks[f"int8 x {first} threads"] / peaks[f"float32 x {first} threads"],
        peak_share=own_rows[0]["peak_share"],
        audit=Audit.from_dict(times["audits"][position]),
        profile=[OperatorTime(**each) for each in times["profiles"][position]["times"]],
        profile_failure=times["profiles"][position]["failure"],
    )
