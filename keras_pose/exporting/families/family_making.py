"""Every family's int8 against its float32: the metric, keypoints, size and time.

A trained network goes through the ledger, in the two formats, so that both files meet the
evaluator that measures all others. Where more is lost than may be, other ranges are tried,
and operators put into float until it fits. One with random weights, for families that
were not trained, is timed only. What is finished is not done again.

In the output folder, in one folder for each network:

float32/, int8/, ...     of the ledger, for trained networks
mixed/pose_model.tflite  the int8 file that fits, if it took other ranges or float
times.json               of all files in one run, and the profile of integer ones
families.md, .csv        above them all, see `family_table`
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from keras_pose.exporting.cache import cached
from keras_pose.exporting.families import family_jobs
from keras_pose.exporting.families.cases import Case
from keras_pose.exporting.families.family_files import Files, IntegerFile, write_files
from keras_pose.exporting.families.family_rows import FamilyRow
from keras_pose.exporting.families.family_settings import FamiliesSettings
from keras_pose.exporting.inspection.audit import Audit, audit_file
from keras_pose.exporting.inspection.profiling import OperatorTime
from keras_pose.exporting.ledger.ledger_settings import Say
from keras_pose.exporting.subprocesses import call_in_child
from keras_pose.files import check_writable, file_sha256

JOBS = family_jobs.__name__


def make_families(
    cases: Sequence[Case], settings: FamiliesSettings, say: Say = print
) -> list[FamilyRow]:
    """Writes, measures and times the files of all networks, one after the other.

    Args:
        cases: the networks.
        settings: choice of data, limits and threads.
        say: function that gets a line of text for every step.

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
    files = write_files(case, settings, folder, say)
    if not files.integers:
        return [FamilyRow(case, failure=files.refusal)]
    times = _times(files, settings, folder / "times.json", say)
    rows = [_row(case, files, file, times) for file in files.integers]
    return rows + ([FamilyRow(case, failure=files.refusal)] if files.refusal else [])


def _times(files: Files, settings: FamiliesSettings, notes: Path, say: Say):
    integers = [file.path for file in files.integers]
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
        return {**found, "profiles": profiles, "audits": audits}

    return cached(notes, key, make, is_valid=not settings.times_again)


def _row(case: Case, files: Files, file: IntegerFile, times: dict[str, Any]) -> FamilyRow:
    position = files.integers.index(file)
    num_threads = len(times["rows"]) // (1 + len(files.integers))
    # The rows go file by file, the float32 one first.
    float_rows = times["rows"][:num_threads]
    own_rows = times["rows"][(1 + position) * num_threads :][:num_threads]
    first = own_rows[0]["num_threads"]
    peaks = times["peaks"]
    return FamilyRow(
        case,
        num_float_ops=file.num_float_ops,
        rule=file.rule,
        num_bytes=(float_rows[0]["num_bytes"], own_rows[0]["num_bytes"]),
        accuracy=file.accuracy,
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
