"""The YAML that `data.yaml` of YOLO folders is written in: keys, lists and plain values.

PyYAML would be a package more for one small file. All else that YAML can do (anchors,
tags, text over several lines) is refused, with the line.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any, NoReturn

_KEY = re.compile(r"""("[^"]*"|'[^']*'|[^\s:#\[\]{}&*!|>'"][^:#]*?)\s*:(?:\s+(.*))?$""")
_WORDS = {"": None, "~": None, "null": None, "true": True, "false": False}
_INDICATORS = "&*!|>%@`"


def read_plain_yaml(path) -> dict[Any, Any]:
    """Reads keys with plain values, lists and mappings, one in another.

    Raises:
        FileNotFoundError: names the file.
        ValueError: names the file and the line of what is not read.
    """
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"File {path} does not exist.")
    try:
        text = path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise ValueError(f"{path} is not UTF-8: {error}.") from error
    reader = _Reader(path, _lines(text))
    values = reader.block(0) if reader.lines else {}
    if reader.lines or not isinstance(values, dict):
        reader.fail("is not read, or the line behind it")
    return values


def _lines(text) -> list[tuple[int, int, str]]:
    """Returns (number, indent, text) of lines that say anything; brackets end in one."""
    found: list[tuple[int, int, str]] = []
    is_open = False
    for number, line in enumerate(text.splitlines(), 1):
        line = _without_comment(line)
        if not line.strip() or line.strip() == "---":
            continue
        if is_open:
            first, indent, before = found[-1]
            found[-1] = first, indent, f"{before} {line.strip()}"
        else:
            found.append((number, len(line) - len(line.lstrip()), line.strip()))
        words = re.sub(r"\"[^\"]*\"|'[^']*'", "", found[-1][2])
        is_open = sum(map(words.count, "[{")) > sum(map(words.count, "]}"))
    return found


def _without_comment(line) -> str:
    quote = None
    for i, character in enumerate(line):
        if quote:
            quote = None if character == quote else quote
        elif character in "\"'":
            quote = character
        elif character == "#" and (i == 0 or line[i - 1].isspace()):
            return line[:i].rstrip()
    return line.rstrip()


class _Reader:
    """Reads lines from the first on, and drops those that are read."""

    def __init__(self, path, lines):
        self.path = path
        self.lines = lines
        self._at = lines[0] if lines else (0, 0, "")

    def fail(self, problem) -> NoReturn:
        number, _, text = self._at
        raise ValueError(
            f"{self.path}, line {number}: {text!r} {problem}. Keys, lists and plain "
            "values are read, nothing else of YAML."
        )

    def block(self, indent) -> Any:
        """Reads the lines of one indentation: a list, or keys."""
        is_list = _is_item(self.lines[0][2])
        values: Any = [] if is_list else {}
        while self.lines and self.lines[0][1] == indent:
            self._at = self.lines[0]
            if _is_item(self.lines[0][2]) != is_list:
                break
            if is_list:
                _, _, text = self._take()
                values.append(self._value(text[1:].strip()))
                continue
            match = _KEY.fullmatch(self.lines[0][2])
            if match is None:
                self.fail("has no key")
            key = self._value(match[1])
            if key in values:
                self.fail("has a key that is there twice")
            self._take()
            rest = match[2]
            values[key] = self._value(rest) if rest else self._nested(indent)
        return values

    def _nested(self, indent):
        """Reads what follows a key without a value; lists need not be indented."""
        if not self.lines:
            return None
        _, next_indent, text = self.lines[0]
        if next_indent > indent or (next_indent == indent and _is_item(text)):
            return self.block(next_indent)
        return None

    def _take(self):
        return self.lines.pop(0)

    def _value(self, text) -> Any:
        values, rest = self._flow(text.strip(), "")
        if rest:
            self.fail("is not read")
        return values

    def _flow(self, text, ends) -> tuple[Any, str]:
        """Reads one value; returns it and the text behind."""
        if text[:1] == "[":
            return self._flow_list(text[1:].lstrip())
        if text[:1] == "{":
            return self._flow_dict(text[1:].lstrip())
        if text[:1] in ("'", '"'):
            end = text.find(text[0], 1)
            if end < 0:
                self.fail("has a quote without an end")
            return text[1:end], text[end + 1 :].lstrip()
        if text[:1] and text[0] in _INDICATORS:
            self.fail("is not read")
        end = min([i for i in map(text.find, ends) if i >= 0], default=len(text))
        return _plain(text[:end].strip()), text[end:]

    def _flow_list(self, text):
        values = []
        while text[:1] != "]":
            value, text = self._flow(text, ",]")
            values.append(value)
            text = self._comma(text, "]")
        return values, text[1:].lstrip()

    def _flow_dict(self, text):
        values = {}
        while text[:1] != "}":
            key, text = self._flow(text, ":,}")
            if text[:1] != ":":
                self.fail("has no value for a key")
            values[key], text = self._flow(text[1:].lstrip(), ",}")
            text = self._comma(text, "}")
        return values, text[1:].lstrip()

    def _comma(self, text, end):
        if text[:1] == ",":
            return text[1:].lstrip()
        if text[:1] != end:
            self.fail(f"has no {end!r}")
        return text


def _is_item(text) -> bool:
    return text == "-" or text.startswith("- ")


def _plain(text) -> Any:
    if text.lower() in _WORDS:
        return _WORDS[text.lower()]
    for kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            continue
    return text
