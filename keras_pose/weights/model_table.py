"""The zoo as one table: what there is, how large, how good, and who says so.

Figures come from the zoo's rows, the catalogue of weights and `tflite_sizes.json`; no
framework is loaded.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from keras_pose.files import atomic_path, read_json, write_json
from keras_pose.weights.catalog import CatalogEntry, entries_of
from keras_pose.zoo import TASKS, ZOO, ModelSpec

SIZES_PATH = Path(__file__).parents[1] / "zoo" / "tflite_sizes.json"
BEGIN, END = "<!-- zoo -->\n", "<!-- /zoo -->"
COLUMNS = (
    "model", "family", "task", "input", "parameters", "GMACs", "float16 .tflite",
    "weights", "reported", "protocol",
)  # fmt: skip
NOTHING = "-"


@dataclass(frozen=True)
class Row:
    """One network, as the table shows it; all text.

    Attributes:
        cells: one for each of `COLUMNS`.
        source: document that states the reported figure; empty without one.
    """

    cells: tuple[str, ...]
    source: str


def table_rows(task: str | None = None) -> list[Row]:
    """Returns the networks in the order of the zoo.

    Args:
        task: only those for this one of `zoo.TASKS`.

    Raises:
        ValueError: for an unknown task.
    """
    if task is not None and task not in TASKS:
        raise ValueError(f"There is no task {task!r}. Tasks: {', '.join(TASKS)}.")
    sizes = read_sizes()
    specs = [spec for spec in ZOO.values() if task in (None, spec.task)]
    return [_row(spec, sizes.get(spec.name)) for spec in specs]


def _row(spec: ModelSpec, size: int | None) -> Row:
    entries = entries_of(spec.name)
    measured = _reported(spec, entries)
    height, width = spec.input_hw
    cells = (
        spec.name,
        spec.family,
        spec.task,
        f"{height}x{width}",
        f"{spec.params / 1e6:.2f} M",
        f"{spec.macs / 1e9:.2f}",
        f"{size / 1e6:.1f} MB" if size else NOTHING,
        _words(entries),
        _figure(measured) if measured else NOTHING,
        str(measured.protocol) if measured else NOTHING,
    )
    return Row(cells, measured.source if measured else "")


def _reported(spec: ModelSpec, entries: list[CatalogEntry]) -> CatalogEntry | None:
    """Chooses the figure to show: of the usual outputs and input, if there is one."""
    measured = [entry for entry in entries if entry.metric]
    usual = [entry for entry in measured if entry.num_keypoints == spec.num_keypoints]
    return next(iter(usual + measured), None)


def _words(entries: list[CatalogEntry]) -> str:
    """Names the plain words, and counts the others."""
    plain = [entry.weights for entry in entries if "_" not in entry.weights]
    others = len(entries) - len(plain)
    return (", ".join(plain) + (f" +{others}" if others else "")) or NOTHING


def _figure(entry: CatalogEntry) -> str:
    return f"{entry.metric} {100 * (entry.value or 0):.1f} ({entry.weights})"


def as_text(rows: list[Row]) -> str:
    """Lays the table out for a terminal, with sources below."""
    lines = [COLUMNS, *(row.cells for row in rows)]
    widths = [max(len(line[i]) for line in lines) for i in range(len(COLUMNS))]
    text = [
        "  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True))
        for line in lines
    ]
    return "\n".join(line.rstrip() for line in (*text, "", *_sources(rows)))


def as_markdown(rows: list[Row]) -> str:
    """Writes the table as Markdown; a figure's number leads to its source."""
    sources = list(dict.fromkeys(_origin(row) for row in rows if row.source))
    lines = [COLUMNS, ("---",) * len(COLUMNS)]
    for row in rows:
        name, *rest = row.cells
        if row.source:
            rest[-2] += f" [{sources.index(_origin(row)) + 1}]"
        lines.append((f"`{name}`", *rest))
    table = "\n".join(f"| {' | '.join(line)} |" for line in lines)
    notes = "; ".join(f"[{i + 1}] {source}" for i, source in enumerate(sources))
    return f"{table}\n\nReported by: {notes or 'nobody'}.\n"


def _sources(rows: list[Row]) -> list[str]:
    return [f"{row.cells[0]}: reported in {row.source}" for row in rows if row.source]


def _origin(row: Row) -> str:
    """Returns repository and commit, without the file."""
    return row.source.partition(",")[0]


def read_sizes() -> dict[str, int]:
    """Returns name -> bytes of the float16 `.tflite` file, of networks as they are now."""
    stored = read_json(SIZES_PATH) if SIZES_PATH.exists() else {}
    return {
        name: entry["bytes"]
        for name, entry in stored.items()
        # A size measured before the network was changed is none.
        if name in ZOO and entry["params"] == ZOO[name].params
    }


def write_size(spec: ModelSpec, size: int) -> None:
    """Notes a size beside the others."""
    stored = read_json(SIZES_PATH) if SIZES_PATH.exists() else {}
    stored[spec.name] = {"bytes": size, "params": spec.params}
    order = [name for name in ZOO if name in stored]
    write_json(SIZES_PATH, {name: stored[name] for name in order})


def update_readme(path) -> Path:
    """Puts the table between the README's markers.

    Raises:
        ValueError: if the markers are not there, once each.
    """
    path = Path(path)
    text = path.read_text(encoding="utf-8")
    if text.count(BEGIN) != 1 or text.count(END) != 1:
        raise ValueError(f"{path} must have the markers {BEGIN.strip()} and {END} once.")
    pattern = re.escape(BEGIN) + ".*?" + re.escape(END)
    table = f"{BEGIN}{as_markdown(table_rows())}{END}"
    with atomic_path(path) as temporary:
        temporary.write_text(
            re.sub(pattern, lambda _: table, text, flags=re.DOTALL), encoding="utf-8"
        )
    return path
