"""Evaluation, audit and timing of a ledger's files."""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from keras_pose.exporting.cache import cached
from keras_pose.exporting.inspection.audit import Audit, audit_file
from keras_pose.exporting.ledger import jobs
from keras_pose.exporting.ledger.ledger_settings import (
    KEYPOINTS_NAME,
    REFERENCE,
    LedgerSettings,
    Say,
)
from keras_pose.exporting.ledger.rows import LedgerRow
from keras_pose.exporting.subprocesses import call_in_child
from keras_pose.files import check_writable, file_sha256

JOBS = jobs.__name__

# Format -> number of threads (None: TensorFlow's own) -> row of the benchmark.
Times = dict[str, dict[int | None, dict[str, Any]]]


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
    try:
        audit = _audited(path, sha256)
        measurement, shift = None, {}
        if settings.data is not None:
            measurement = _evaluated(settings, path, path.parent, sha256, say)
            shift = _shift(settings, path.with_name(KEYPOINTS_NAME))
    except (ValueError, OSError, ImportError) as error:
        say(f"  {name}: {error}")
        return LedgerRow(name, failure=str(error), num_bytes=entry["num_bytes"])
    return LedgerRow(name, None, entry["num_bytes"], measurement, shift, audit)


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


def measure_times(
    settings: LedgerSettings, source: Path, rows: Sequence[LedgerRow], say: Say
) -> tuple[Times, dict[str, float]]:
    """Times all files in one run, unless just these were timed so before.

    Returns:
        The times, and the peaks of this machine; nothing where no runs are asked for.
    """
    if settings.num_runs == 0:
        return {}, {}
    paths = {REFERENCE: source}
    paths |= {
        row.name: settings.path_of(row.name)
        for row in rows
        if row.name != REFERENCE and row.failure is None
    }

    def benchmark() -> dict[str, Any]:
        say(f"Timing {len(paths)} files, {settings.num_runs} interleaved runs of each ...")
        return call_in_child(
            f"{JOBS}:benchmark",
            [str(path) for path in paths.values()],
            list(settings.threads),
            settings.num_runs,
        )

    hashes = {name: file_sha256(path) for name, path in paths.items()}
    key = [hashes, list(settings.threads), settings.num_runs]
    found = cached(Path(settings.output) / "benchmark.json", key, benchmark)
    names = {str(path): name for name, path in paths.items()}
    times: Times = {}
    for row in found["rows"]:
        times.setdefault(names[row["file"]], {})[row["num_threads"]] = row
    return times, found["peaks"]
