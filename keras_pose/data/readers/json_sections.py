"""Large JSON objects, read list by list: an annotation file need never be in memory whole.

A COCO file of a million people is half a gigabyte of text and four of Python objects.
Here its long lists come in batches, each dropped before the next is parsed.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NoReturn

_SPACE = re.compile(r"[ \t\n\r]*")
_COMMA = re.compile(r"[ \t\n\r]*,[ \t\n\r]*")
_PIECE = 1 << 22  # characters read at a time
BATCH = 2048  # entries of a list that are handed over at a time


def read_sections(path, listed: tuple[str, ...]) -> Iterator[tuple[str, Any]]:
    """Yields the sections (name, value) of the object that a JSON file holds.

    Args:
        path: JSON file in UTF-8, UTF-16 or UTF-32, with or without a byte order mark.
        listed: names of sections whose lists come in batches, (name, part of the list),
            at least one each. A value that is no list comes whole.

    Raises:
        FileNotFoundError: names the file.
        ValueError: names the file and the place where it stops being JSON; or says that
            it holds no object, or a section twice.
    """
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"File {path} does not exist.")
    with open(path, "rb") as file:
        encoding = json.detect_encoding(file.read(4))
    with open(path, encoding=encoding, newline="") as file:
        yield from _sections(_Text(path, file), listed)


def _sections(text, listed):
    if text.peek() != "{":
        text.value()
        text.end()
        raise ValueError(f"{text.path} is not a COCO file: expected an object at the top.")
    seen = set()
    for name in text.names():
        if name in seen:
            raise ValueError(f"{text.path} has the section {name!r} twice.")
        seen.add(name)
        if name in listed and text.peek() == "[":
            for batch in text.batches():
                yield name, batch
        else:
            yield name, text.value()
    text.end()


class _Text:
    """The text of a file, a piece at a time; what has been parsed is dropped."""

    def __init__(self, path, file):
        self.path = path
        self._file = file
        self._text = ""
        self._at = 0
        self._dropped = 0  # characters before `_text`
        self._is_whole = False
        self._scan: Any = json.JSONDecoder().scan_once  # type: ignore[attr-defined]

    def fail(self, problem, at) -> NoReturn:
        raise ValueError(
            f"File {self.path} is not valid JSON: {problem} (character "
            f"{self._dropped + at})."
        )

    def _more(self, size):
        try:
            piece = self._file.read(size)
        except UnicodeError as error:
            self.fail(error, len(self._text))
        self._is_whole = len(piece) < size
        self._dropped += self._at
        self._text = self._text[self._at :] + piece
        self._at = 0

    def peek(self) -> str:
        """Returns the next character that is no space, '' at the end of the file."""
        while True:
            self._at = _SPACE.match(self._text, self._at).end()  # type: ignore[union-attr]
            if self._at < len(self._text):
                return self._text[self._at]
            if self._is_whole:
                return ""
            self._more(_PIECE)

    def take(self, *wanted) -> str:
        found = self.peek()
        if found not in wanted:
            self.fail(f"expected {' or '.join(wanted)}, got {found!r}", self._at)
        self._at += 1
        return found

    def value(self) -> Any:
        """Parses one value of any kind."""
        self.peek()
        size = _PIECE
        while True:
            try:
                value, end = self._scan(self._text, self._at)
                # A number at the end of a piece may go on in the next.
                if end < len(self._text) or self._is_whole:
                    self._at = end
                    return value
            except StopIteration as error:
                if self._is_whole:
                    self.fail("expected a value", error.value)
            except json.JSONDecodeError as error:
                if self._is_whole:
                    self.fail(error.msg, error.pos)
            except RecursionError:
                self.fail("it is nested too deeply", self._at)
            self._more(size)
            size *= 2  # or a long value would be scanned again and again

    def names(self) -> Iterator[str]:
        """Yields the keys of an object; each value is to be parsed before the next."""
        self.take("{")
        if self.peek() == "}":
            self._at += 1
            return
        while True:
            if self.peek() != '"':
                self.fail("expected a name in double quotes", self._at)
            name = self.value()
            self.take(":")
            yield name
            if self.take(",", "}") == "}":
                return

    def batches(self) -> Iterator[list[Any]]:
        """Yields the entries of a list, `BATCH` at a time."""
        self.take("[")
        if self.peek() == "]":
            self._at += 1
            yield []
            return
        batch: list[Any] = []
        is_last = False
        while not is_last:
            self._take_complete(batch)
            batch.append(self.value())
            is_last = self.take(",", "]") == "]"
            if len(batch) >= BATCH or is_last:
                yield batch
                batch = []

    def _take_complete(self, batch):
        """Parses entries as long as they, and a comma after each, are in the text."""
        self.peek()  # to where the next begins
        scan, text, at, after = self._scan, self._text, self._at, _COMMA.match
        try:
            while len(batch) < BATCH - 1:
                value, end = scan(text, at)
                comma = after(text, end)
                if comma is None:
                    break
                batch.append(value)
                at = comma.end()
        except (StopIteration, ValueError, RecursionError):
            pass  # half an entry, or none: `value` goes on or says so
        self._at = at

    def end(self):
        if self.peek():
            self.fail("something follows its end", self._at)
