"""The int8 file that loses no more than it may: other ranges, and operators in float."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from keras_pose.exporting.cache import cached
from keras_pose.exporting.ledger import int8_jobs
from keras_pose.exporting.ledger.ledger_settings import MIXED, LedgerSettings, Say
from keras_pose.exporting.ledger.rows import LedgerRow
from keras_pose.exporting.subprocesses import call_in_child
from keras_pose.files import check_writable, file_sha256
from keras_pose.metrics.drop import POINTS

JOBS = int8_jobs.__name__


def write_mixed_file(
    settings: LedgerSettings, source: Path, rows: Sequence[LedgerRow], say: Say
) -> dict[str, Any] | None:
    """Searches ranges, and operators to put into float, until the drop fits.

    Args:
        settings: choice of the limit, `max_drop`, and of the rules to try.
        source: the float model, a `.keras` file.
        rows: figures of the files so far, the float32 file's and the int8 file's included.
        say: function that gets a line of text for every step.

    Returns:
        The entry of the file, or the reason why there is none, as of every format; None
        where int8 loses no more than it may.
    """
    if settings.max_drop is None or settings.data is None:
        return None
    named = {row.name: row for row in rows}
    reference, integer = named["float32"], named["int8"]
    if reference.failure is not None or _fits(reference, integer, settings.max_drop):
        return None
    path = settings.path_of(MIXED)
    made_of = [
        settings.path_of(row.name) for row in (reference, integer) if not row.failure
    ]
    rules = [rule.to_dict() for rule in settings.drop_rules]
    key = [list(map(file_sha256, made_of)), rules, settings.max_drop, settings.data]

    def write() -> dict[str, Any]:
        say(f"Looking for a file that loses {settings.max_drop:g} points at most ...")
        check_writable(path.parent)
        found = call_in_child(
            f"{JOBS}:write_mixed", str(source), str(settings.crops_path), settings.data,
            settings.max_drop, rules, str(path),
        )  # fmt: skip
        for line in found["said"]:
            say(line)
        return found

    try:
        found = cached(path.with_name("entry.json"), key, write, is_valid=path.exists())
    except ValueError as error:  # nothing that was tried does
        return {"failure": str(error)}
    return {**found, "sha256": file_sha256(path), "num_bytes": path.stat().st_size}


def _fits(reference: LedgerRow, integer: LedgerRow, max_drop: float) -> bool:
    lost = integer.lost(reference)
    return lost is not None and POINTS * lost <= max_drop
