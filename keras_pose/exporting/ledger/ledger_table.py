"""A ledger as Markdown, CSV, JSON and a picture."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from keras_pose.exporting.inspection.audit import fallen_kinds
from keras_pose.exporting.inspection.benchmark import write_csv
from keras_pose.exporting.ledger.ledger_settings import REFERENCE
from keras_pose.exporting.ledger.rows import Ledger, LedgerRow
from keras_pose.files import atomic_path, write_json

NOTHING = "-"
# Bars of the picture: as trained, of `.tflite` files, of `.onnx` files.
_COLORS = {"keras": "#8a8f98", "tflite": "#1f77b4", "onnx": "#ff7f0e"}


def write_ledger(folder, ledger: Ledger) -> list[Path]:
    """Writes ledger.md, .csv, .json and .png; returns where they are.

    Raises:
        PermissionError: if the folder cannot be written to.
    """
    folder = Path(folder)
    with atomic_path(folder / "ledger.md") as temporary:
        temporary.write_text(as_markdown(ledger), encoding="utf-8")
    table = [figures(row, ledger) for row in ledger.rows]
    return [
        folder / "ledger.md",
        write_csv(folder / "ledger.csv", table),
        write_json(folder / "ledger.json", ledger.to_dict()),
        draw_ledger(folder / "ledger.png", ledger),
    ]


def figures(row: LedgerRow, ledger: Ledger) -> dict[str, Any]:
    """Returns a row's figures by name, the same for all rows; "" for what is unknown."""
    reference = ledger.rows[0]
    measured = row.measurement or {}
    first_times = next(iter(row.times.values()), {})
    values: dict[str, Any] = {
        "format": row.name,
        "bytes": row.num_bytes or "",
        "metric": measured.get("metric", ""),
        "value": measured.get("value", ""),
        "drop": _or_empty(row.lost(reference)),
        "mean_shift_pixels": row.shift.get("mean", ""),
        "p95_shift_pixels": row.shift.get("p95", ""),
    }
    for count in thread_counts(ledger):
        values[f"milliseconds_{count}_threads"] = _or_empty(milliseconds(row, count))
    for name in ("load_milliseconds", "memory_bytes", "peak_share"):
        values[name] = _or_empty(first_times.get(name))
    for name in delegate_names(ledger):
        audit = row.audit.delegate(name) if row.audit else None
        values[f"{name}_share"] = audit.share if audit else ""
        values[f"{name}_partitions"] = audit.num_partitions if audit else ""
        values[f"{name}_left_to_cpu"] = fallen_kinds(audit) if audit else ""
    return {**values, "failure": row.failure or ""}


def _or_empty(value):
    return "" if value is None else value


def thread_counts(ledger: Ledger) -> list[int]:
    counts = {n for row in ledger.rows for n in row.times if n is not None}
    return sorted(counts)


def milliseconds(row: LedgerRow, num_threads: int) -> float | None:
    """Returns the median time; Keras has one, at TensorFlow's own number of threads."""
    times = row.times.get(num_threads, row.times.get(None))
    return times["milliseconds"] if times else None


def delegate_names(ledger: Ledger) -> list[str]:
    names = [d.name for row in ledger.rows if row.audit for d in row.audit.delegates]
    return list(dict.fromkeys(names))


def as_markdown(ledger: Ledger) -> str:
    """Lays the ledger out: what was measured, and what accelerators leave to the CPU."""
    parts = [_heading(ledger), _table(_measured_rows(ledger))]
    audited = _audit_rows(ledger)
    if len(audited) > 1:
        parts += [_AUDIT_HEADING, _table(audited)]
    failures = [f"- **{row.name}**: {row.failure}" for row in ledger.rows if row.failure]
    if failures:
        parts += ["Not made or not measured:", "\n".join(failures)]
    return "\n\n".join(parts) + "\n"


_AUDIT_HEADING = (
    "Operators that each accelerator leaves to the CPU (XNNPACK: as the interpreter says, "
    "GPU, NNAPI and Core ML: by their published rules), and in how many partitions it "
    "takes the others:"
)


def _heading(ledger: Ledger) -> str:
    lines = [f"**{ledger.model}**, {ledger.source}."]
    measurement = ledger.rows[0].measurement
    if measurement is not None:
        lines.append(f"Measured on {measurement['protocol']}.")
    lines.append(f"Integer files were calibrated on {ledger.calibration}.")
    if ledger.peaks:
        peaks = ", ".join(f"{k} {rate / 1e9:.0f}" for k, rate in ledger.peaks.items())
        lines.append(
            "Milliseconds are medians of one interleaved run on this machine"
            f"{with_instructions(ledger.instructions)}, one image at a time; its peak in "
            f"GMAC/s: {peaks}."
        )
    return " ".join(lines)


def with_instructions(instructions: str) -> str:
    """Returns instruction sets in brackets; "" where they are not known."""
    return f" ({instructions})" if instructions else ""


def _measured_rows(ledger: Ledger) -> list[list[str]]:
    reference = ledger.rows[0]
    measurement = reference.measurement
    columns: list[tuple[str, Callable[[LedgerRow], str]]] = [("format", lambda r: r.name)]
    columns.append(("MB", lambda r: _number(r.num_bytes / 1e6 or None, ".2f")))
    if measurement is not None:
        columns += [
            (measurement["metric"], lambda r: _number(_value(r), ".4f")),
            ("drop", lambda r: _number(r.lost(reference), "+.4f")),
        ]
    if any(row.shift for row in ledger.rows):
        columns.append(("shift, px", lambda r: _number(r.shift.get("mean"), ".3f")))
    for count in thread_counts(ledger):
        columns.append((f"ms, {count} threads", _milliseconds_column(count)))
    columns += [
        ("of peak", lambda r: _number(_first(r, "peak_share"), ".0%")),
        ("load ms", lambda r: _number(_first(r, "load_milliseconds"), ".0f")),
        ("memory MB", lambda r: _number(_scaled(_first(r, "memory_bytes"), 1e-6), ".0f")),
        ("XNNPACK", _xnnpack),
    ]
    rows = [[title for title, _ in columns]]
    for row in ledger.rows:
        rows.append([cell(row) for _, cell in columns])
    return rows


def _milliseconds_column(count: int) -> Callable[[LedgerRow], str]:
    return lambda row: _number(milliseconds(row, count), ".2f")


def _value(row: LedgerRow) -> float | None:
    return row.measurement["value"] if row.measurement else None


def _first(row: LedgerRow, name: str) -> float | None:
    """Returns a figure at the first number of threads."""
    return next(iter(row.times.values()), {}).get(name)


def _scaled(value: float | None, factor: float) -> float | None:
    return None if value is None else factor * value


def _number(value: float | None, style: str) -> str:
    return NOTHING if value is None else format(value, style)


def _xnnpack(row: LedgerRow) -> str:
    audit = row.audit.delegate("XNNPACK") if row.audit else None
    return NOTHING if audit is None else f"{audit.share:.0%}"


def _audit_rows(ledger: Ledger) -> list[list[str]]:
    names = delegate_names(ledger)
    rows = [["format", *names]]
    for row in ledger.rows:
        if row.audit is not None:
            rows.append([row.name, *(_verdict(row, name) for name in names)])
    return rows


def _verdict(row: LedgerRow, name: str) -> str:
    audit = row.audit.delegate(name) if row.audit else None
    if audit is None:
        return NOTHING
    if audit.num_taken == 0:
        return "all"
    text = fallen_kinds(audit) or "none"
    return text if audit.num_partitions < 2 else f"{text} ({audit.num_partitions} parts)"


def _table(rows: list[list[str]]) -> str:
    header, *body = rows
    lines = [header, ["---", *["---:"] * (len(header) - 1)], *body]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def draw_ledger(path, ledger: Ledger) -> Path:
    """Draws size, accuracy and time of every format as bars, side by side.

    Returns:
        The path, of a `.png` file.
    """
    # Here and not above: only pictures need it, and it takes its time to load.
    from matplotlib.figure import Figure

    rows = [row for row in ledger.rows if row.failure is None]
    panels = _panels(ledger, rows)
    figure = Figure(figsize=(3.6 * len(panels), 1.2 + 0.32 * len(rows)), dpi=110)
    figure.set_layout_engine("constrained")
    for number, (title, values, style) in enumerate(panels, start=1):
        axes = figure.add_subplot(1, len(panels), number)
        heights = [0.0 if value is None else value for value in values]
        bars = axes.barh(range(len(rows)), heights, color=[_color(row) for row in rows])
        labels = [_number(value, style) for value in values]
        axes.bar_label(bars, labels, padding=2, fontsize=7)
        axes.set_yticks(range(len(rows)), [row.name for row in rows] if number == 1 else [])
        axes.invert_yaxis()
        axes.margins(x=0.2)
        axes.set(xlabel=title)
        axes.grid(axis="x", alpha=0.3)
    figure.suptitle(f"{ledger.model}, {ledger.source}", fontsize=9)
    with atomic_path(path) as temporary:
        figure.savefig(temporary, format="png")
    return Path(path)


def _panels(ledger: Ledger, rows):
    panels: list[tuple[str, list[float | None], str]] = [
        ("MB", [row.num_bytes / 1e6 for row in rows], ".1f")
    ]
    measurement = ledger.rows[0].measurement
    if measurement is not None:
        panels.append((measurement["metric"], [_value(row) for row in rows], ".3f"))
    if any(row.shift for row in rows):
        title = "mean keypoint shift, input pixels"
        panels.append((title, [row.shift.get("mean") for row in rows], ".2f"))
    for count in thread_counts(ledger):
        times = [milliseconds(row, count) for row in rows]
        panels.append((f"milliseconds, {count} threads", times, ".1f"))
    return panels


def _color(row: LedgerRow) -> str:
    if row.name == REFERENCE:
        return _COLORS["keras"]
    return _COLORS["onnx" if row.name.startswith("onnx") else "tflite"]
