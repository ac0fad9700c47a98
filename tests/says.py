"""What the program says when it says no, in tests and in docs/when_it_says_no.md.

A test that a message is given names it with what to do about it:

    with Says("has no box of a person", do="Give people category_id 1.").refuses():
        DetectionFile(path)

    python tests/says.py      # writes the page anew, from all tests

So the page holds only what a test has seen said. It is made from the tests' text, which
takes no time: both arguments are plain strings, written where `Says` is called.
"""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
PAGE = ROOT / "docs" / "when_it_says_no.md"
PIPE = "\\|"  # in a table
ERRORS = (ValueError, OSError, ImportError, SystemExit)
# Folders and files of tests, and what their messages are about; the first that fits.
SECTIONS = {
    "tests/unit/data": "Annotations and pictures",
    "tests/unit/pictures": "Annotations and pictures",
    "tests/scripts/test_prepare_data.py": "Annotations and pictures",
    "tests/unit/metrics": "Measuring",
    "tests/scripts/test_evaluate": "Measuring",
    "tests/unit/trainer": "Training",
    "tests/scripts/test_train.py": "Training",
    "tests/unit/weights": "Weights and checkpoints",
    "tests/unit/runtime": "Weights and checkpoints",
    "tests/unit/exporting": "Export",
    "tests/unit/inference": "Prediction and videos",
    "tests/scripts/test_predict": "Prediction and videos",
    "tests": "Everything else",
}
_INTRO = """\
# When it says no

Every refusal and warning here is one that a test has seen given; `...` stands for what
differs from case to case. `KERAS_POSE_TRACEBACK=1` shows where an error was raised. The
page is written by `python tests/says.py`.
"""


class Says:
    """A message, and what to do about it.

    Attributes:
        text: a part of the message; "..." stands for anything.
        do: what to do, in one or two sentences.
        pattern: regular expression of the text.
    """

    def __init__(self, text: str, *, do: str):
        self.text, self.do = text, do
        parts = [re.escape(part.strip()) for part in text.split("...")]
        self.pattern = "(?s)" + ".*".join(parts)

    def refuses(self, kind=ERRORS):
        """Returns a context that passes if an error says so."""
        return pytest.raises(kind, match=self.pattern)

    def warns(self, kind=Warning):
        """Returns a context that passes if a warning says so."""
        return pytest.warns(kind, match=self.pattern)

    def is_in(self, printed: str) -> bool:
        """Returns True if printed text says so."""
        return re.search(self.pattern, printed) is not None


def messages_of(path: Path) -> list[tuple[str, str]]:
    """Reads what a test file has of `Says`: pairs of text and what to do.

    Raises:
        ValueError: for a call that is not of two plain strings.
    """
    tree = ast.parse(path.read_text(encoding="utf-8"))
    calls = [
        node
        for node in ast.walk(tree)
        if isinstance(node, ast.Call)
        and isinstance(node.func, ast.Name)
        and node.func.id == Says.__name__
    ]
    return [_arguments(path, call) for call in sorted(calls, key=lambda call: call.lineno)]


def _arguments(path, call):
    given = [*call.args, *(each.value for each in call.keywords if each.arg == "do")]
    texts = [each.value for each in given if isinstance(each, ast.Constant)]
    if len(given) != 2 or len(texts) != 2:
        raise ValueError(
            f"{path}, line {call.lineno}: Says takes a string and do=, another, both "
            "literals."
        )
    return tuple(texts)


def make_page(root: Path = ROOT) -> str:
    """Returns the page: a table for each section, in the order of the tests."""
    rows: dict[str, list[tuple[str, str]]] = {name: [] for name in SECTIONS.values()}
    for path in sorted((root / "tests").rglob("test_*.py")):
        if path.name == f"test_{PAGE.stem}.py":  # its messages are made up
            continue
        name = path.relative_to(root).as_posix()
        section = next(title for start, title in SECTIONS.items() if name.startswith(start))
        rows[section] += messages_of(path)
    parts = [_INTRO]
    for title, messages in rows.items():
        if messages:
            lines = [
                f"| `{text.replace('|', PIPE)}` | {do} |"
                for text, do in dict.fromkeys(messages)
            ]
            table = "\n".join(["| it says | what to do |", "|---|---|", *lines])
            parts.append(f"## {title}\n\n{table}\n")
    return "\n".join(parts)


if __name__ == "__main__":
    PAGE.write_text(make_page(), encoding="utf-8")
    print(f"written     {PAGE}")
