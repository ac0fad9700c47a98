"""The table of families as Markdown and CSV, and in words where int8's time goes."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from keras_pose.exporting.inspection.audit import XNNPACK
from keras_pose.exporting.inspection.benchmark import write_csv
from keras_pose.exporting.ledger.family_rows import FamilyRow
from keras_pose.exporting.ledger.ledger_table import with_instructions
from keras_pose.exporting.quantization.measured_ranges import EXTREMES
from keras_pose.files import atomic_path

NOTHING = "-"
NUM_TOP_KINDS = 3
# Shares of the time below this explain nothing.
WORTH_TELLING = 0.05


# Columns of the figures that docs/results.md shows, as `result_files` takes them.
RESULT_COLUMNS = {
    "network": "", "file": "", "metric": ".4f", "points lost": ".2f",
    "mean shift, px": ".2f", "MB": ".2f", "ms, 1 thread": ".2f",
    "times as fast as float32": ".2f", "in float": "d", "a GPU takes": "",
}  # fmt: skip


def results_of(rows: Sequence[FamilyRow]) -> list[list[Any]]:
    """Returns a row of `RESULT_COLUMNS` for each network in float32 and for each file."""
    results: list[list[Any]] = []
    for row in rows:
        if row.failure is not None:
            blank = [None] * (len(RESULT_COLUMNS) - 2)
            results.append([row.case.model, row.failure, *blank])
            continue
        name = _labels(row)[1]
        size, own_size = (count / 1e6 for count in row.num_bytes)
        slow, fast = row.milliseconds.get(1, (None, None))
        if not results or results[-1][0] != name:
            float32 = [name, "float32", row.float_value, None, None, size, slow]
            results.append([*float32, None, None, None])
        results.append([
            name, _file(row), *_measured(row), own_size, fast, row.gains.get(1),
            row.num_float_ops if row.file_format.startswith("int") else None,
            _gpu_counts(row),
        ])  # fmt: skip
    return results


def _measured(row: FamilyRow) -> tuple[float | None, ...]:
    if row.accuracy is None:
        return None, None, None
    return row.accuracy.value, row.accuracy.drop, row.accuracy.shift.get("mean")


def write_families(folder, rows: Sequence[FamilyRow]) -> list[Path]:
    """Writes families.md and families.csv; returns where they are.

    Raises:
        PermissionError: if the folder cannot be written to.
    """
    folder = Path(folder)
    with atomic_path(folder / "families.md") as temporary:
        temporary.write_text(as_markdown(rows), encoding="utf-8")
    table = write_csv(folder / "families.csv", [figures(row, rows) for row in rows])
    return [folder / "families.md", table]


def as_markdown(rows: Sequence[FamilyRow]) -> str:
    """Lays out accuracy, then times, then why they are not better, then failures."""
    good = [row for row in rows if row.failure is None]
    measured = [row for row in good if row.accuracy is not None]
    parts = []
    if measured:
        protocols = {row.accuracy.protocol for row in measured if row.accuracy}
        parts += [_accuracy_table(measured), f"Measured on {'; '.join(sorted(protocols))}."]
    if good:
        parts += [_time_table(good), _time_note(good)]
        parts.append("\n".join(f"- **{_name(row)}**: {explain(row)}" for row in good))
    failed = [row for row in rows if row.failure is not None]
    if failed:
        lines = [f"- **{_name(row)}**: {row.failure}" for row in failed]
        parts += ["Not made or not measured:", "\n".join(lines)]
    return "\n\n".join(parts) + "\n"


def _time_note(rows: Sequence[FamilyRow]) -> str:
    machines = "; ".join(sorted({row.instructions for row in rows} - {""}))
    return (
        f"Milliseconds are medians of interleaved runs on this machine"
        f"{with_instructions(machines)}, one image at a time; networks without accuracy "
        "above have random weights, which cost as much time. *At most* is by how much "
        "integer products of large matrices are faster than float ones here. Where the "
        "time goes, operator by operator:"
    )


def _accuracy_table(rows: Sequence[FamilyRow]) -> str:
    header = ["family", "network", "file", "metric", "float32", "file's", "drop, points"]
    header += ["mean shift, px", "95 % shift, px"]
    body = []
    for row in rows:
        accuracy = row.accuracy
        if accuracy is None:
            continue
        body.append([
            *_labels(row),
            accuracy.metric,
            _number(row.float_value, ".4f"),
            _number(accuracy.value, ".4f"),
            _number(accuracy.drop, "+.2f"),
            _number(accuracy.shift.get("mean"), ".2f"),
            _number(accuracy.shift.get("p95"), ".2f"),
        ])  # fmt: skip
    return _table([header, *body], num_words=4)


def _time_table(rows: Sequence[FamilyRow]) -> str:
    counts = thread_counts(rows)
    header = ["family", "network", "file", "MB, float32", "MB"]
    for count in counts:
        header += [f"ms, float32, {count} threads", "ms", "times as fast"]
    header += ["at most", "operators outside XNNPACK", "their time", "a GPU takes"]
    body = []
    for row in rows:
        cells = [*_labels(row), *(f"{size / 1e6:.2f}" for size in row.num_bytes)]
        for count in counts:
            times = row.milliseconds.get(count, (None, None))
            cells += [_number(each, ".2f") for each in times]
            cells.append(_number(row.gains.get(count), ".2f"))
        cells.append(_number(row.peak_gain, ".1f"))
        cells.append(_outside_counts(row))
        outside = sum(outside_shares(row).values()) if row.profile else None
        cells.append(_number(outside, ".0%"))
        cells.append(_gpu_counts(row))
        body.append(cells)
    return _table([header, *body], num_words=3)


def _labels(row: FamilyRow) -> list[str]:
    height, width = row.case.input_hw
    return [row.case.family, f"{row.case.model} {height}x{width}", _file(row)]


def _file(row: FamilyRow) -> str:
    words = [row.file_format]
    if row.rule not in ("", str(EXTREMES)):
        words.append(f"ranges by {row.rule}")
    if row.num_float_ops:
        words.append(f"{row.num_float_ops} in float")
    return ", ".join(words)


def _name(row: FamilyRow) -> str:
    file = _file(row)
    return row.case.model if file == "int8" else f"{row.case.model}, {file}"


def thread_counts(rows: Sequence[FamilyRow]) -> list[int]:
    return sorted({count for row in rows for count in row.milliseconds})


def explain(row: FamilyRow) -> str:
    """Returns one line on the operators that take most time, and on their speed."""
    if row.profile_failure is not None:
        return f"no profile: {row.profile_failure}"
    parts = [f"most in {_worst(kind_shares(row))}"]
    outside = outside_shares(row)
    if sum(outside.values()) >= WORTH_TELLING:
        words = f"{sum(outside.values()):.0%} outside XNNPACK ({_worst(outside)})"
        parts.append(words)
    moving = moving_shares(row)
    if sum(moving.values()) >= WORTH_TELLING:
        words = f"{sum(moving.values()):.0%} in operators without products"
        parts.append(f"{words} ({_worst(moving)})")
    if row.peak_share is not None:
        parts.append(f"as a whole {row.peak_share:.0%} of the integer peak")
    return "; ".join(parts)


def kind_shares(row: FamilyRow) -> dict[str, float]:
    """Returns kind of operator -> share of the time, the largest first."""
    return _shares(row, lambda each: each.milliseconds)


def outside_shares(row: FamilyRow) -> dict[str, float]:
    """Does the same of operators that XNNPACK leaves to plain kernels.

    Those of one kind that it takes in part are counted in part.
    """
    left = _outside(row)
    counts: Counter = Counter()
    for each in row.profile:
        counts[_last(each.kind)] += each.count

    def milliseconds(each) -> float:
        kind = _last(each.kind)
        return each.milliseconds * min(left.get(kind, 0) / counts[kind], 1.0)

    return _shares(row, milliseconds)


def moving_shares(row: FamilyRow) -> dict[str, float]:
    """Does the same of operators that multiply nothing: they move and convert numbers."""
    return _shares(row, lambda each: 0.0 if each.macs else each.milliseconds)


def _shares(row: FamilyRow, milliseconds_of) -> dict[str, float]:
    total = sum(each.milliseconds for each in row.profile)
    shares: Counter[str] = Counter()
    for each in row.profile:
        shares[_last(each.kind)] += milliseconds_of(each) / total
    return {kind: share for kind, share in shares.most_common() if share > 0}


def _last(kind: str) -> str:
    """Names a fused group by what it computes: "PAD+CONV_2D" is a "CONV_2D"."""
    return kind.rpartition("+")[2]


def _outside(row: FamilyRow) -> Counter:
    """Returns kind -> how many operators of it XNNPACK leaves to plain kernels."""
    counts: Counter = Counter()
    verdict = row.audit.delegate(XNNPACK) if row.audit else None
    for reason, count in (verdict.fallen if verdict else {}).items():
        counts[reason.partition(":")[0]] += count
    return counts


def _outside_counts(row: FamilyRow) -> str:
    verdict = row.audit.delegate(XNNPACK) if row.audit else None
    if verdict is None:
        return NOTHING
    return f"{verdict.num_operators - verdict.num_taken} of {verdict.num_operators}"


def _gpu_counts(row: FamilyRow) -> str:
    verdict = row.audit.delegate("GPU") if row.audit else None
    if verdict is None:
        return NOTHING
    return f"{verdict.num_taken} of {verdict.num_operators}"


def _worst(shares: dict[str, float]) -> str:
    return ", ".join(
        f"{kind} {share:.0%}" for kind, share in list(shares.items())[:NUM_TOP_KINDS]
    )


def figures(row: FamilyRow, rows: Sequence[FamilyRow]) -> dict[str, Any]:
    """Returns a row's figures by name, the same names for all; "" for what is unknown."""
    height, width = row.case.input_hw
    accuracy = row.accuracy
    values: dict[str, Any] = {
        "family": row.case.family,
        "model": row.case.model,
        "format": row.file_format,
        "input": f"{height}x{width}",
        "weights": "random" if row.case.weights is None else str(row.case.weights),
        "float_operators": row.num_float_ops,
        "ranges": row.rule,
        "metric": accuracy.metric if accuracy else "",
        "float32_value": _or_empty(row.float_value),
        "value": accuracy.value if accuracy else "",
        "drop_points": accuracy.drop if accuracy else "",
        "mean_shift_pixels": accuracy.shift.get("mean", "") if accuracy else "",
        "p95_shift_pixels": accuracy.shift.get("p95", "") if accuracy else "",
        "float32_bytes": row.num_bytes[0] or "",
        "bytes": row.num_bytes[1] or "",
    }
    for count in thread_counts(rows):
        slow, fast = row.milliseconds.get(count, ("", ""))
        values[f"float32_milliseconds_{count}_threads"] = slow
        values[f"milliseconds_{count}_threads"] = fast
        values[f"gain_{count}_threads"] = _or_empty(row.gains.get(count))
    values["peak_gain"] = _or_empty(row.peak_gain)
    values["peak_share"] = _or_empty(row.peak_share)
    values["time_outside_xnnpack"] = sum(outside_shares(row).values())
    values["explanation"] = "" if row.failure else explain(row)
    return {**values, "failure": row.failure or ""}


def _or_empty(value):
    return "" if value is None else value


def _number(value: float | None, style: str) -> str:
    return NOTHING if value is None else format(value, style)


def _table(rows: list[list[str]], num_words: int) -> str:
    header, *body = rows
    line = [*["---"] * num_words, *["---:"] * (len(header) - num_words)]
    return "\n".join("| " + " | ".join(each) + " |" for each in (header, line, *body))
