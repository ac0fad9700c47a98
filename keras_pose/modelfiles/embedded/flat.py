"""Flatbuffers, as far as it takes: reading with every step checked, and writing.

Source: the format as described at flatbuffers.dev/internals. Numbers are little-endian. A
table begins with the (signed) way back to its vtable, which says where in the table its
fields are; a reference is the (unsigned) way forward to what it stands for. So whatever
is put before a buffer leaves all references within the buffer valid.
"""

from __future__ import annotations

import struct
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

# Weights are aligned so in `.tflite` files; a shift by a multiple keeps them so.
ALIGNMENT = 64
_DATA_ALIGNMENT = 16
# More than any network has; what says more is not read.
MAX_TABLES = 1 << 17


class DamagedError(ValueError):
    """A file whose offsets do not fit together."""


class Reader:
    """A buffer that is not trusted.

    All positions are counted from the file's beginning.

    Raises:
        DamagedError: by every method, for what would lie outside the file.
    """

    def __init__(self, content: memoryview):
        self._content = content

    def unpack(self, form: str, position: int) -> int:
        """Reads one number, `form` as for `struct`."""
        size = struct.calcsize("<" + form)
        if not 0 <= position <= len(self._content) - size:
            raise DamagedError(f"a number at byte {position} of {len(self._content)}")
        return struct.unpack_from("<" + form, self._content, position)[0]

    def follow(self, position: int) -> int:
        """Returns what the reference at a position refers to."""
        return position + self.unpack("I", position)

    def field(self, table: int, index: int) -> int | None:
        """Returns the position of a table's field; None where it is left out."""
        vtable = table - self.unpack("i", table)
        slot = 4 + 2 * index
        if slot + 2 > self.unpack("H", vtable):
            return None
        offset = self.unpack("H", vtable + slot)
        return table + offset if offset else None

    def vector(self, position: int, item_size: int) -> tuple[int, int]:
        """Returns where the vector behind a reference begins, and its length."""
        start = self.follow(position)
        length = self.unpack("I", start)
        if start + 4 + length * item_size > len(self._content):
            raise DamagedError(f"a vector of {length} at byte {start}")
        return start + 4, length

    def tables(self, table: int, index: int) -> Iterator[int]:
        """Yields the tables in the vector that is a table's field; none if left out."""
        position = self.field(table, index)
        if position is None:
            return
        start, length = self.vector(position, item_size=4)
        if length > MAX_TABLES:
            raise DamagedError(f"a list of {length} tables")
        for i in range(length):
            yield self.follow(start + 4 * i)

    def table(self, table: int, index: int, number: int) -> int:
        """Returns one of the tables in the vector that is a table's field."""
        position = self.field(table, index)
        start, length = (0, 0) if position is None else self.vector(position, item_size=4)
        if number >= length:
            raise DamagedError(f"table {number} of {length}")
        return self.follow(start + 4 * number)

    def data(self, table: int, index: int) -> tuple[int, int]:
        """Returns where the bytes of a field (a string, too) begin, and how many."""
        position = self.field(table, index)
        return (0, 0) if position is None else self.vector(position, item_size=1)

    def text(self, table: int, index: int, limit: int = 256) -> bytes:
        """Returns the first bytes of a string."""
        start, length = self.data(table, index)
        return bytes(self._content[start : start + min(length, limit)])


@dataclass(frozen=True)
class Kept:
    """Something of the old buffer, by its position there."""

    position: int


@dataclass(frozen=True)
class Number:
    """A field that stands in its table: of up to four bytes, and not negative."""

    value: int


@dataclass(frozen=True)
class Floats:
    """A vector of float32."""

    values: Sequence[float]


# Values to write: a table by its fields' numbers; a string; a vector of bytes, of
# floats, of references; or something that is there already.
Value = Mapping[int, Any] | str | bytes | Floats | list | Kept


def write(root: Value, identifier: bytes) -> tuple[bytes, dict[int, int]]:
    """Writes a buffer, each thing before all it refers to.

    Args:
        root: the table at the root; what it and others `Kept` lies behind this buffer.
        identifier: four bytes.

    Returns:
        The buffer, a multiple of `ALIGNMENT` long, and where each vector of bytes begins,
        by its `id`.
    """
    content = bytearray(4) + identifier
    references: deque[tuple[int, Value]] = deque([(0, root)])
    kept: list[tuple[int, int]] = []
    places: dict[int, int] = {}
    while references:
        position, value = references.popleft()
        if isinstance(value, Kept):
            kept.append((position, value.position))
            continue
        target, inner = _append(content, value)
        if isinstance(value, bytes):
            places[id(value)] = target + 4
        references.extend(inner)
        struct.pack_into("<I", content, position, target - position)
    content += bytes(-len(content) % ALIGNMENT)
    for position, old in kept:
        struct.pack_into("<I", content, position, len(content) + old - position)
    return bytes(content), places


def _append(content: bytearray, value) -> tuple[int, list[tuple[int, Value]]]:
    """Appends one thing; returns its position, and the references that it holds."""
    if isinstance(value, Mapping):
        return _append_table(content, value)
    _align(content, 4)
    target = len(content)
    if isinstance(value, list):
        content += struct.pack("<I", len(value)) + bytes(4 * len(value))
        return target, [(target + 4 + 4 * i, item) for i, item in enumerate(value)]
    if isinstance(value, Floats):
        content += struct.pack(f"<I{len(value.values)}f", len(value.values), *value.values)
    elif isinstance(value, str):
        encoded = value.encode()
        content += struct.pack("<I", len(encoded)) + encoded + b"\0"
    else:
        _align(content, _DATA_ALIGNMENT, before=4)
        target = len(content)
        content += struct.pack("<I", len(value)) + value
    return target, []


def _append_table(content: bytearray, fields) -> tuple[int, list[tuple[int, Value]]]:
    """Appends a vtable and its table, in which each field has four bytes."""
    _align(content, 4)
    vtable = len(content)
    count = max(fields, default=-1) + 1
    slots = [4 + 4 * i if i in fields else 0 for i in range(count)]
    content += struct.pack(f"<{count + 2}H", 4 + 2 * count, 4 + 4 * count, *slots)
    _align(content, 4)
    table = len(content)
    content += struct.pack("<i", table - vtable) + bytes(4 * count)
    references = []
    for index, value in fields.items():
        position = table + 4 + 4 * index
        if isinstance(value, Number):
            struct.pack_into("<I", content, position, value.value)
        else:
            references.append((position, value))
    return table, references


def _align(content: bytearray, size: int, before: int = 0) -> None:
    """Adds zeros until what comes after `before` more bytes is at a multiple of `size`."""
    content += bytes(-(len(content) + before) % size)
