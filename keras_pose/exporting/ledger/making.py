"""The ledger: every format of a model, written and measured, in one table.

Float Keras and every file go through the same evaluator; all are timed in one interleaved
run; every conversion and every evaluation has a process of its own. What is finished is
kept with the hashes of what it was made of, and is not done again: an interrupted ledger
goes on where it stopped. A format that fails is a row that says why.

In the output folder:

FORMAT/pose_model.*     the file, with its contract beside it
FORMAT/entry.json       what was found of it, and the key it was found under
FORMAT/keypoints.npz    its predictions, for the shift against float
calibration.npy         the crops that all integer files are calibrated on
benchmark.json          the times of all files in one run
ledger.md, .csv, .json, .png
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import keras_pose
from keras_pose.contract import CONTRACT_NAME
from keras_pose.exporting.children import call_in_child
from keras_pose.exporting.formats.table import FORMATS, NUM_CALIBRATION_CROPS, get_format
from keras_pose.exporting.inspection.audit import Audit, audit_file
from keras_pose.exporting.ledger import jobs
from keras_pose.files import check_writable, file_sha256, read_json, write_json
from keras_pose.runs import RECIPE_NAME

JOBS = jobs.__name__
# The row that all others are compared with.
REFERENCE = "keras"
ENTRY_NAME = "entry.json"
KEYPOINTS_NAME = "keypoints.npz"


@dataclass(frozen=True)
class LedgerSettings:
    """What to make a ledger of.

    Attributes:
        weights: what `sources.open_source` takes; None for random weights of `model`,
            whose size and time are measured only.
        output: folder.
        model: zoo name, where the weights do not say it.
        num_keypoints: likewise; None for the zoo's.
        input_hw: likewise, (height, width) in pixels.
        dataset: name of the data set to measure on; None for size and time only.
        data_dir: its folder; None for its usual one.
        split: of the data set.
        limit: images to measure on; None for all.
        flip_test: whether mirrored crops are averaged in.
        formats: keys of `formats.table.FORMATS`.
        calibration_images: crops to calibrate integer files on.
        threads: numbers of threads to time files at.
        num_runs: measurements of each; 0 to leave times out.
    """

    weights: str | None
    output: Path
    model: str | None = None
    num_keypoints: int | None = None
    input_hw: tuple[int, int] | None = None
    dataset: str | None = None
    data_dir: str | None = None
    split: str = "val"
    limit: int | None = None
    flip_test: bool = False
    formats: tuple[str, ...] = tuple(FORMATS)
    calibration_images: int = NUM_CALIBRATION_CROPS
    threads: tuple[int, ...] = (1, 2)
    num_runs: int = 50

    def __post_init__(self) -> None:
        for name in self.formats:
            get_format(name)
        if self.weights is None and self.model is None:
            raise ValueError("A ledger is of weights, or of a model with random weights.")
        if self.weights is None and self.dataset is not None:
            raise ValueError(
                f"Random weights of {self.model} have no accuracy to measure on "
                f"{self.dataset}: give weights, or no data set."
            )

    @property
    def data(self) -> dict[str, Any] | None:
        """What `jobs.evaluate_file` is told; None where nothing is measured."""
        if self.dataset is None:
            return None
        names = ("dataset", "data_dir", "split", "limit", "flip_test")
        return {name: getattr(self, name) for name in names}

    def path_of(self, name: str) -> Path:
        """Returns where the file of a format goes."""
        return Path(self.output) / name / f"pose_model{FORMATS[name].suffix}"


@dataclass(frozen=True)
class LedgerRow:
    """What was found of one file.

    Attributes:
        name: key of `formats.table.FORMATS`, or `REFERENCE`.
        failure: why there is no file; None where there is one.
        num_bytes: its size.
        measurement: see `jobs.evaluate_file`; None where nothing was measured.
        shift: see `jobs.keypoint_shift`; {} likewise, and for detectors.
        audit: None for Keras.
        times: number of threads (None: TensorFlow's own) -> row of the benchmark.
    """

    name: str
    failure: str | None = None
    num_bytes: int = 0
    measurement: dict[str, Any] | None = None
    shift: dict[str, float] = field(default_factory=dict)
    audit: Audit | None = None
    times: dict[int | None, dict[str, Any]] = field(default_factory=dict)


@dataclass(frozen=True)
class Ledger:
    """All rows, the float model's first.

    Attributes:
        model: zoo name.
        source: what the files were made of, in words.
        calibration: what integer files were calibrated on, in words.
        peaks: of this machine, see `benchmark.Benchmark`.
        rows: one for each format.
    """

    model: str
    source: str
    calibration: str
    peaks: dict[str, float]
    rows: list[LedgerRow]

    def to_dict(self) -> dict[str, Any]:
        values = dataclasses.asdict(self)
        for row in values["rows"]:
            row["times"] = list(row["times"].values())
        return values


Say = Callable[[str], None]


def make_ledger(settings: LedgerSettings, say: Say = print) -> Ledger:
    """Writes and measures every format; goes on where an earlier call stopped.

    Args:
        settings: what to do.
        say: is told what happens.

    Raises:
        FileNotFoundError: for missing weights, or a missing data set.
        ValueError: for weights that do not fit, or where not even the float model can be
            measured. What a single format cannot do is in its row.
        PermissionError: if the folder cannot be written to.
    """
    check_writable(settings.output)
    source, origin = _open_source(settings, say)
    calibration = _calibrate(settings, source, origin, say)
    entries = _write_files(settings, source, origin | calibration["key"], say)
    reference = _reference_entry(settings, source, origin, say)
    rows = [reference]
    for name in settings.formats:
        rows.append(_measure(settings, name, entries[name], say))
    times, peaks = _time(settings, source, rows, say) if settings.num_runs else ({}, {})
    rows = [dataclasses.replace(row, times=times.get(row.name, {})) for row in rows]
    return Ledger(origin["model"], origin["words"], calibration["words"], peaks, rows)


def _open_source(settings: LedgerSettings, say: Say) -> tuple[Path, dict[str, Any]]:
    """Returns the float model as a `.keras` file, and what identifies it."""
    output, weights = Path(settings.output), settings.weights
    given = Path(weights) if weights is not None else None
    if given is not None and given.suffix == ".keras":
        from keras_pose.contract import read_entry

        name = read_entry(given)[0]["model"]
        return given, _origin(settings, name, f"{given.name} ({_digits(given)})")
    words = f"random weights, seed {jobs.SEED}"
    if given is not None:
        words = f"{given.name} ({_digits(given)})" if given.is_file() else str(weights)
    path, origin_path = output / "source.keras", output / "source.json"
    origin = _origin(settings, settings.model or "", words)
    if not (path.exists() and _stored(origin_path) == origin):
        say(f"Building {settings.model} from {words}.")
        size = list(settings.input_hw) if settings.input_hw else None
        call_in_child(
            f"{JOBS}:prepare", weights, settings.model, settings.num_keypoints, size,
            str(path),
        )  # fmt: skip
        write_json(origin_path, origin)
    return path, origin


def _origin(settings: LedgerSettings, model: str, words: str) -> dict[str, Any]:
    return {
        "model": model,
        "words": words,
        "num_keypoints": settings.num_keypoints,
        "input_hw": list(settings.input_hw) if settings.input_hw else None,
        "keras_pose": keras_pose.__version__,
    }


def _digits(path) -> str:
    return file_sha256(path)[:12]


def _stored(path: Path) -> Any:
    """Reads what an earlier call left; None where it left nothing that can be read."""
    try:
        return read_json(path)
    except (FileNotFoundError, ValueError):
        return None


def _calibrate(settings: LedgerSettings, source: Path, origin, say: Say) -> dict[str, Any]:
    """Cuts the calibration crops, for integer files and to check all others."""
    recipe: dict[str, Any] = {}
    if settings.weights is not None:
        recipe = _stored(Path(settings.weights).with_name(RECIPE_NAME)) or {}
    known = {"dataset", "data_dir", "skeleton", "seed"}
    key = {
        "origin": origin,
        "recipe": {name: recipe[name] for name in sorted(known & set(recipe))},
        "data": settings.data and [settings.dataset, settings.data_dir],
        "calibration_images": settings.calibration_images,
    }
    path, notes = _crops_path(settings), Path(settings.output) / "calibration.json"
    stored = _stored(notes)
    if not (path.exists() and stored and stored["key"] == key):
        found = call_in_child(
            f"{JOBS}:cut_calibration", str(source), recipe, settings.data,
            settings.calibration_images, str(path),
        )  # fmt: skip
        words = f"{found['count']} crops of {found['description']}"
        stored = {"key": key, "words": words, "sha256": file_sha256(path)}
        write_json(notes, stored)
    say(f"Calibrating on {stored['words']}.")
    return {"words": stored["words"], "key": {"crops": stored["sha256"]}}


def _crops_path(settings: LedgerSettings) -> Path:
    return Path(settings.output) / "calibration.npy"


def _key(values: Any) -> str:
    """Returns a hash of what something was made of."""
    return hashlib.sha256(json.dumps(values, sort_keys=True).encode()).hexdigest()[:16]


def _write_files(settings: LedgerSettings, source, made_of, say: Say) -> dict[str, Any]:
    """Writes the files that are not there yet; returns format -> what became of it."""
    key = _key(made_of)
    entries = {name: _stored_entry(settings, name) for name in settings.formats}
    missing = [
        name
        for name, entry in entries.items()
        if entry.get("made_of") != key or _is_gone(settings, name, entry)
    ]
    for suffix in sorted({FORMATS[name].suffix for name in missing}, reverse=True):
        names = [name for name in missing if FORMATS[name].suffix == suffix]
        for name, result in _convert(settings, source, names, say).items():
            path = settings.path_of(name)
            entries[name] = {"made_of": key, **result}
            if "failure" not in result:
                entries[name]["sha256"] = file_sha256(path)
                entries[name]["num_bytes"] = path.stat().st_size
            write_json(path.with_name(ENTRY_NAME), entries[name])
    return entries


def _stored_entry(settings: LedgerSettings, name: str) -> dict[str, Any]:
    return _stored(settings.path_of(name).with_name(ENTRY_NAME)) or {}


def _is_gone(settings: LedgerSettings, name: str, entry) -> bool:
    """Tells files that vanished, or that somebody else has written since."""
    path = settings.path_of(name)
    if "failure" in entry:
        return False
    return (
        not path.exists()
        or not path.with_name(CONTRACT_NAME).exists()
        or file_sha256(path) != entry.get("sha256")
    )


def _convert(settings: LedgerSettings, source, names: Sequence[str], say: Say):
    """Writes files of one suffix; whatever kills the process is blamed on one format."""
    done: dict[str, dict[str, Any]] = {}
    with tempfile.TemporaryDirectory() as folder:
        while remaining := [name for name in names if name not in done]:
            say(f"Writing {', '.join(remaining)} ...")
            results = Path(folder) / f"{len(done)}.json"
            paths = {name: str(settings.path_of(name)) for name in remaining}
            crops = str(_crops_path(settings))
            try:
                call_in_child(
                    f"{JOBS}:write_formats", str(source), paths, crops, str(results)
                )
            except (ValueError, OSError, ImportError) as error:
                done |= _stored(results) or {}
                blamed = next((name for name in remaining if name not in done), None)
                if blamed is not None:
                    done[blamed] = {"failure": str(error)}
            else:
                done |= read_json(results)
    return done


def _reference_entry(settings: LedgerSettings, source: Path, origin, say: Say) -> LedgerRow:
    """Measures the float Keras model."""
    folder = Path(settings.output) / REFERENCE
    measurement = None
    if settings.data is not None:
        key = {"origin": origin, "data": settings.data}
        measurement = _evaluated(settings, source, folder, key, REFERENCE, say)
    return LedgerRow(REFERENCE, num_bytes=source.stat().st_size, measurement=measurement)


def _evaluated(settings, path, folder: Path, key, name: str, say: Say) -> dict[str, Any]:
    """Evaluates a file, unless that was done before."""
    notes, keypoints = folder / "measurement.json", folder / KEYPOINTS_NAME
    stored = _stored(notes)
    if stored is not None and stored["key"] == _key(key):
        return stored["measurement"]
    say(f"Measuring {name} on {settings.dataset} ...")
    start = time.perf_counter()
    check_writable(folder)
    measurement = call_in_child(
        f"{JOBS}:evaluate_file", str(path), settings.data, str(keypoints)
    )
    seconds = time.perf_counter() - start
    say(f"  {measurement['metric']} {measurement['value']:.4f} ({seconds:.0f} s)")
    write_json(notes, {"key": _key(key), "measurement": measurement})
    return measurement


def _measure(settings: LedgerSettings, name: str, entry, say: Say) -> LedgerRow:
    """Audits and evaluates the file of one format; errors make a row that tells them."""
    if "failure" in entry:
        say(f"  {name}: {entry['failure']}")
        return LedgerRow(name, failure=entry["failure"])
    path = settings.path_of(name)
    try:
        audit = _audited(path, entry["sha256"])
        measurement, shift = None, {}
        if settings.data is not None:
            key = {"file": entry["sha256"], "data": settings.data}
            measurement = _evaluated(settings, path, path.parent, key, name, say)
            shift = _shift(settings, path.with_name(KEYPOINTS_NAME))
    except (ValueError, OSError, ImportError) as error:
        say(f"  {name}: {error}")
        return LedgerRow(name, failure=str(error), num_bytes=entry["num_bytes"])
    return LedgerRow(name, None, entry["num_bytes"], measurement, shift, audit)


def _audited(path: Path, sha256: str) -> Audit:
    notes = path.with_name("audit.json")
    stored = _stored(notes)
    if stored is None or stored["sha256"] != sha256:
        stored = {"sha256": sha256, "audit": audit_file(path).to_dict()}
        write_json(notes, stored)
    return Audit.from_dict(stored["audit"])


def _shift(settings: LedgerSettings, path: Path) -> dict[str, float]:
    reference = Path(settings.output) / REFERENCE / KEYPOINTS_NAME
    if not (path.exists() and reference.exists()):
        return {}  # detectors
    return jobs.keypoint_shift(reference, path)


def _time(settings: LedgerSettings, source: Path, rows, say: Say):
    """Times all files in one run, unless just these were timed so before."""
    paths = {REFERENCE: source}
    paths |= {
        row.name: settings.path_of(row.name)
        for row in rows
        if row.name != REFERENCE and row.failure is None
    }
    key = _key([
        {name: file_sha256(path) for name, path in paths.items()},
        list(settings.threads),
        settings.num_runs,
    ])  # fmt: skip
    notes = Path(settings.output) / "benchmark.json"
    stored = _stored(notes)
    if stored is None or stored["key"] != key:
        say(f"Timing {len(paths)} files, {settings.num_runs} interleaved runs of each ...")
        found = call_in_child(
            f"{JOBS}:benchmark",
            [str(path) for path in paths.values()],
            list(settings.threads),
            settings.num_runs,
        )
        stored = {"key": key, "benchmark": found}
        write_json(notes, stored)
    names = {str(path): name for name, path in paths.items()}
    times: dict[str, dict[int | None, dict[str, Any]]] = {}
    for row in stored["benchmark"]["rows"]:
        times.setdefault(names[row["file"]], {})[row["num_threads"]] = row
    return times, stored["benchmark"]["peaks"]
