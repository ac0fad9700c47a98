"""Figures as data: what a measuring program found, in a file that documents are made of.

`docs/tables.py` lays such files out in docs/results.md, and marks those that are older than
the code they describe.
"""

from __future__ import annotations

import json
import shlex
import subprocess
import sys
from collections.abc import Mapping, Sequence
from datetime import date
from pathlib import Path
from typing import Any

from keras_pose.runtime.instructions import machine

ROOT = Path(__file__).resolve().parents[2]


def write_results(
    path,
    columns: Mapping[str, str],
    rows: Sequence[Sequence[Any]],
    code: Sequence[str],
    protocol: Any = "",
) -> Path:
    """Writes a table, and under what it was measured.

    Args:
        path: file to write, `.json`.
        columns: title -> format of its numbers, such as ".2f"; "" for words.
        rows: a cell for each column: a number, a word, or None.
        code: files and folders of the repository that the figures hang on.
        protocol: conditions of the measurement, in words or as a dictionary.

    Raises:
        ValueError: for a row of another length, or code that is not there.
    """
    for row in rows:
        if len(row) != len(columns):
            raise ValueError(f"A row must have {len(columns)} cells, got {list(row)}.")
    missing = [name for name in code if not (ROOT / name).exists()]
    if missing:
        raise ValueError(f"code must name files of the repository, got {missing}.")
    figures = {
        "command": command(sys.argv),
        "commit": commit(),
        "date": date.today().isoformat(),
        "machine": machine(),
        "protocol": protocol,
        "code": list(code),
        "columns": dict(columns),
        "rows": [list(row) for row in rows],
    }
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    text = json.dumps(figures, indent=1, ensure_ascii=False)
    path.write_text(_rows_in_lines(text, figures["rows"]) + "\n", encoding="utf-8")
    return path


def _rows_in_lines(text: str, rows) -> str:
    """Returns JSON whose rows have a line each, as a reader of changes wants them."""
    begin = text.index(' "rows": [')
    lines = (json.dumps(row, ensure_ascii=False) for row in rows)
    return text[:begin] + ' "rows": [\n  ' + ",\n  ".join(lines) + "\n ]\n}"


def command(argv: Sequence[str]) -> str:
    """Returns a command line without this machine's folders."""
    script = Path(argv[0]).resolve()
    is_ours = script.is_relative_to(ROOT)
    words = [script.relative_to(ROOT).as_posix() if is_ours else script.name]
    words += map(_without_folders, argv[1:])
    return shlex.join(["python", *words])


def _without_folders(word: str) -> str:
    """Returns a word of a command with the last part of its path, also of NAME=PATH."""
    if Path(word).is_absolute():
        return Path(word).name
    parts = (each.rpartition("=") for each in word.split(","))
    return ",".join(
        f"{name}{sign}{Path(path).name if Path(path).is_absolute() else path}"
        for name, sign, path in parts
    )


def commit() -> str | None:
    """Returns the commit that is checked out; None outside a repository."""
    done = subprocess.run(
        ["git", "rev-parse", "--short", "HEAD"], cwd=ROOT, capture_output=True, text=True
    )
    return done.stdout.strip() or None
