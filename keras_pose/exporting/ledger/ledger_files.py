"""The files of a ledger: made of what, calibrated on what, and what became of each."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import keras_pose
from keras_pose.contracts.entries import CONTRACT_NAME, read_entry
from keras_pose.exporting.cache import cached, key_of, stored
from keras_pose.exporting.formats.table import FORMATS
from keras_pose.exporting.ledger import int8_jobs, jobs
from keras_pose.exporting.ledger.ledger_settings import LedgerSettings, Say
from keras_pose.exporting.quantization.calibration import USUAL_CHOICE
from keras_pose.exporting.subprocesses import call_in_child
from keras_pose.files import check_writable, file_sha256, read_json, write_json
from keras_pose.files.runs import RECIPE_NAME
from keras_pose.weights.file_kinds import split_table
from keras_pose.zoo import get_spec

JOBS, NOISE_JOBS = jobs.__name__, int8_jobs.__name__
ENTRY_NAME = "entry.json"
RANDOM_WORDS = f"random weights, seed {jobs.SEED}"


def open_source(settings: LedgerSettings, say: Say) -> tuple[Path, dict[str, Any]]:
    """Returns the float model as a `.keras` file, and what identifies it."""
    output, weights = Path(settings.output), settings.weights
    given = Path(weights) if weights is not None else None
    if given is not None and given.suffix == ".keras":
        name = read_entry(given)[0]["model"]
        return given, _origin(settings, name, f"{given.name} ({_digits(given)})")
    words = RANDOM_WORDS
    if given is not None:
        file, _ = split_table(given)
        words = f"{given.name} ({_digits(file)})" if file.is_file() else str(weights)
    path, origin_path = output / "source.keras", output / "source.json"
    origin = _origin(settings, settings.model or "", words)
    if not (path.exists() and stored(origin_path) == origin):
        say(f"Building {settings.model} from {words}.")
        size = list(settings.input_hw) if settings.input_hw else None
        call_in_child(
            f"{JOBS}:prepare", weights, settings.model, settings.num_keypoints, size,
            str(path), settings.skeleton,
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
        **({"skeleton": settings.skeleton} if settings.skeleton else {}),
    }


def _digits(path) -> str:
    return file_sha256(path)[:12]


def calibrate(settings: LedgerSettings, source: Path, origin, say: Say) -> dict[str, Any]:
    """Cuts the calibration crops, for integer files and to check all others.

    Returns:
        "words" that tell of them, and their "sha256".
    """
    recipe: dict[str, Any] = {}
    if settings.weights is not None:
        recipe = stored(Path(settings.weights).with_name(RECIPE_NAME)) or {}
    known = {"dataset", "data_dir", "skeleton", "seed"}
    key = {
        "origin": origin,
        "recipe": {name: recipe[name] for name in sorted(known & set(recipe))},
        "data": settings.data and [settings.dataset, settings.data_dir],
        "calibration_images": settings.calibration_images,
        "choice": USUAL_CHOICE,
    }
    path, notes = settings.crops_path, Path(settings.output) / "calibration.json"
    earlier = stored(notes)
    if not (path.exists() and earlier and earlier["key"] == key):
        found = call_in_child(
            f"{JOBS}:cut_calibration", str(source), recipe, settings.data,
            settings.calibration_images, str(path),
        )  # fmt: skip
        words = f"{found['count']} crops of {found['description']}"
        earlier = {"key": key, "words": words, "sha256": file_sha256(path)}
        write_json(notes, earlier)
    say(f"Calibrating on {earlier['words']}.")
    return earlier


def write_files(settings: LedgerSettings, source, made_of, say: Say) -> dict[str, Any]:
    """Writes the files that are not there yet; returns format -> what became of it."""
    key = key_of(made_of)
    entries = {name: _stored_entry(settings, name) for name in settings.formats}
    missing = [
        name
        for name, entry in entries.items()
        if entry.get("made_of") != key or _is_stale(settings, name, entry)
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


def write_noise(settings: LedgerSettings, say: Say) -> dict[str, Any]:
    """Writes the files of a network that is timed only, as `write_files` does.

    Raises:
        ValueError: for a network that cannot be converted.
    """
    paths = {name: settings.path_of(name) for name in settings.formats}
    size = list(settings.input_hw or get_spec(str(settings.model)).input_hw)

    def write() -> dict[str, Any]:
        say(f"Writing {', '.join(paths)} ...")
        for path in paths.values():
            check_writable(path.parent)
        texts = map(str, paths.values())
        return call_in_child(
            f"{NOISE_JOBS}:write_noise_files", settings.model, size, *texts
        )

    found = cached(
        Path(settings.output) / "noise.json",
        [settings.model, size],
        write,
        is_valid=all(path.exists() for path in paths.values()),
    )
    entries: dict[str, Any] = {
        name: {"sha256": file_sha256(path), "num_bytes": path.stat().st_size, "rule": ""}
        for name, path in paths.items()
    }
    entries["int8"] |= found
    return entries


def _stored_entry(settings: LedgerSettings, name: str) -> dict[str, Any]:
    return stored(settings.path_of(name).with_name(ENTRY_NAME)) or {}


def _is_stale(settings: LedgerSettings, name: str, entry) -> bool:
    """Returns True for files that vanished, or that another process has written since.

    So are entries of earlier versions, which did not count operators in float.
    """
    path = settings.path_of(name)
    if "failure" in entry:
        return False
    return (
        "num_float_ops" not in entry
        or not path.exists()
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
            crops = str(settings.crops_path)
            try:
                call_in_child(
                    f"{JOBS}:write_formats", str(source), paths, crops,
                    settings.range_rule.to_dict(), str(results),
                )  # fmt: skip
            except (ValueError, OSError, ImportError) as error:
                done |= stored(results) or {}
                blamed = next((name for name in remaining if name not in done), None)
                if blamed is not None:
                    done[blamed] = {"failure": str(error)}
            else:
                done |= read_json(results)
    return done
