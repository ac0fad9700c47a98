"""Evaluation, audit and timing of a ledger's files."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from keras_pose.exporting.cache import cached
from keras_pose.exporting.formats.table import FORMATS
from keras_pose.exporting.inspection.audit import Audit, audit_file
from keras_pose.exporting.inspection.profiling import OperatorTime
from keras_pose.exporting.ledger import jobs
from keras_pose.exporting.ledger.ledger_settings import (
    KEYPOINTS_NAME,
    MIXED,
    REFERENCE,
    LedgerSettings,
    Say,
)
from keras_pose.exporting.ledger.rows import LedgerRow
from keras_pose.exporting.subprocesses import call_in_child
from keras_pose.files import check_writable, file_sha256

JOBS = jobs.__name__


def measure_reference(settings: LedgerSettings, source: Path, origin, say: Say):
    """Measures the float Keras model; returns its row."""
    measurement = None
    if settings.data is not None:
        folder = Path(settings.output) / REFERENCE
        measurement = _evaluated(settings, source, folder, origin, say)
    return LedgerRow(REFERENCE, num_bytes=source.stat().st_size, measurement=measurement)


def measure_format(settings: LedgerSettings, name: str, entry, say: Say) -> LedgerRow:
    """Audits and evaluates the file of one format; an error becomes a row with its text."""
    if "failure" in entry:
        say(f"  {name}: {entry['failure']}")
        return LedgerRow(name, failure=entry["failure"])
    path, sha256 = settings.path_of(name), entry["sha256"]
    usual = str(settings.range_rule) if is_integer(name) else ""
    row = LedgerRow(
        name,
        num_bytes=entry["num_bytes"],
        num_float_ops=entry.get("num_float_ops", 0),
        rule=entry.get("rule", usual),
    )
    try:
        audit = _audited(path, sha256)
        measurement, shift = None, {}
        if settings.data is not None:
            measurement = _evaluated(settings, path, path.parent, sha256, say)
            shift = _shift(settings, path.with_name(KEYPOINTS_NAME))
    except (ValueError, OSError, ImportError) as error:
        say(f"  {name}: {error}")
        return dataclasses.replace(row, failure=str(error))
    return dataclasses.replace(row, measurement=measurement, shift=shift, audit=audit)


def is_integer(name: str) -> bool:
    """Returns True for formats that ranges are set for."""
    return name == MIXED or FORMATS[name].is_calibrated


def _evaluated(settings, path, folder: Path, made_of, say: Say) -> dict[str, Any]:
    """Evaluates a file, unless that was done before."""
    keypoints = folder / KEYPOINTS_NAME

    def evaluate() -> dict[str, Any]:
        say(f"Measuring {folder.name} on {settings.dataset} ...")
        start = time.perf_counter()
        check_writable(folder)
        found = call_in_child(
            f"{JOBS}:evaluate_file", str(path), settings.data, str(keypoints)
        )
        seconds = time.perf_counter() - start
        say(f"  {found['metric']} {found['value']:.4f} ({seconds:.0f} s)")
        if found.get("reason"):
            say(f"  {found['reason']}")
        return found

    key = {"file": made_of, "data": settings.data}
    return cached(folder / "measurement.json", key, evaluate)


def _audited(path: Path, sha256: str) -> Audit:
    notes = path.with_name("audit.json")
    return Audit.from_dict(cached(notes, sha256, lambda: audit_file(path).to_dict()))


def _shift(settings: LedgerSettings, path: Path) -> dict[str, float]:
    reference = Path(settings.output) / REFERENCE / KEYPOINTS_NAME
    if not (path.exists() and reference.exists()):
        return {}  # detectors
    return jobs.keypoint_shift(reference, path)


def with_times(
    settings: LedgerSettings, keras: Path | None, rows: Sequence[LedgerRow], say: Say
) -> tuple[list[LedgerRow], dict[str, float], str]:
    """Times all files in one run, unless just these were timed so before.

    Args:
        settings: choice of threads and runs.
        keras: the float model, to be timed like its files; None to leave it out.
        rows: figures of the files so far.
        say: function that gets a line of text for every step.

    Returns:
        The rows with their times, and the peaks and instruction sets of the machine that
        timed; no times where no runs are asked for.
    """
    good = [row for row in rows if row.name != REFERENCE and row.failure is None]
    paths = {} if keras is None else {REFERENCE: keras}
    paths |= {row.name: settings.path_of(row.name) for row in good}
    if settings.num_runs == 0 or not paths:
        return list(rows), {}, ""
    is_profiled = {name for name in paths if name != REFERENCE and is_integer(name)}
    profiled = [name for name in paths if settings.with_profiles and name in is_profiled]

    def benchmark() -> dict[str, Any]:
        say(f"Timing {len(paths)} files, {settings.num_runs} interleaved runs of each ...")
        return call_in_child(
            f"{JOBS}:benchmark",
            [str(path) for path in paths.values()],
            list(settings.threads),
            settings.num_runs,
            [str(paths[name]) for name in profiled],
        )

    hashes = {name: file_sha256(path) for name, path in paths.items()}
    key: list[Any] = [hashes, list(settings.threads), settings.num_runs]
    key += [profiled] if profiled else []
    notes = Path(settings.output) / "benchmark.json"
    found = cached(notes, key, benchmark, is_valid=not settings.times_again)
    timed = [_timed(row, paths.get(row.name), found) for row in rows]
    # Notes of before do not say it.
    return timed, found["peaks"], found.get("instructions", "")


def _timed(row: LedgerRow, path: Path | None, found: dict[str, Any]) -> LedgerRow:
    """Returns a row with its times and its profile out of the benchmark."""
    times = {
        each["num_threads"]: each for each in found["rows"] if each["file"] == str(path)
    }
    profile = found.get("profiles", {}).get(str(path), {"times": [], "failure": None})
    return dataclasses.replace(
        row,
        times=times,
        profile=[OperatorTime(**each) for each in profile["times"]],
        profile_failure=profile["failure"],
    )
