"""Arrays of a pack: short ones stand in the JSON, long ones in one binary file."""

from __future__ import annotations

import hashlib
import math
from typing import Any

import numpy as np

DTYPES = ("uint8", "int8", "int16", "int32", "float32", "float64")
# Up to so many numbers stand in the JSON.
MAX_INLINE = 96
# Typed arrays of JavaScript begin at multiples of their items' size.
_ALIGNMENT = 8


class ArrayWriter:
    """Collects the bytes of `arrays.bin`; arrays of equal bytes share them."""

    def __init__(self):
        self._content = bytearray()
        self._offsets: dict[tuple[int, bytes], int] = {}

    def encode(self, value) -> Any:
        """Returns what JSON takes: arrays as objects, whatever holds them as it is."""
        if isinstance(value, np.ndarray):
            return self._encode_array(value)
        if isinstance(value, dict):
            return {key: self.encode(item) for key, item in value.items()}
        if isinstance(value, list | tuple):
            return [self.encode(item) for item in value]
        if isinstance(value, np.generic):
            return value.item()
        return value

    @property
    def content(self) -> bytes:
        return bytes(self._content)

    def _encode_array(self, array):
        array = as_stored(array)
        head = {"dtype": array.dtype.name, "shape": list(array.shape)}
        if array.size <= MAX_INLINE:
            numbers = (
                None if number != number else number for number in array.ravel().tolist()
            )
            return head | {"values": list(numbers)}
        return head | {"offset": self._place(array)}

    def _place(self, array) -> int:
        content = array.astype(array.dtype.newbyteorder("<"), copy=False).tobytes()
        key = (len(content), hashlib.sha256(content).digest())
        if key not in self._offsets:
            self._content += bytes(-len(self._content) % _ALIGNMENT)
            self._offsets[key] = len(self._content)
            self._content += content
        return self._offsets[key]


def as_stored(array) -> np.ndarray:
    """Returns the array in a type that packs have: masks as uint8, indices as int32.

    Raises:
        ValueError: for other types, and for infinite numbers, which JSON has not.
    """
    array = np.asarray(array)
    if array.dtype == bool:
        array = array.astype(np.uint8)
    if array.dtype == np.int64:
        array = array.astype(np.int32)
    if array.dtype.name not in DTYPES:
        raise ValueError(f"A pack holds arrays of {DTYPES}, got {array.dtype}.")
    if np.isinf(array).any():
        raise ValueError("A pack holds no infinite numbers.")
    return array


class ArrayReader:
    """Turns the objects of `index.json` back into arrays.

    Raises:
        ValueError: for an object that is no array, or that lies outside `arrays.bin`.
    """

    def __init__(self, content: bytes):
        self._content = content

    def decode(self, value) -> Any:
        """Returns what `ArrayWriter.encode` was given; tuples are lists."""
        if isinstance(value, list):
            return [self.decode(item) for item in value]
        if not isinstance(value, dict):
            return value
        if is_array(value):
            return self._decode_array(value)
        return {key: self.decode(item) for key, item in value.items()}

    def _decode_array(self, value) -> np.ndarray:
        shape = _checked_shape(value)
        if value["dtype"] not in DTYPES:
            raise ValueError(
                f"An array's dtype must be one of {DTYPES}, got {value['dtype']!r}."
            )
        if "values" in value:
            numbers = [math.nan if number is None else number for number in value["values"]]
            return np.array(numbers, value["dtype"]).reshape(shape)
        dtype = np.dtype(value["dtype"]).newbyteorder("<")
        start, count = value["offset"], math.prod(shape)
        if start < 0 or start + count * dtype.itemsize > len(self._content):
            raise ValueError(
                f"An array of {count} {value['dtype']} at byte {start} does not lie in "
                f"arrays.bin, which has {len(self._content)} bytes."
            )
        stored = np.frombuffer(self._content, dtype, count, start)
        return stored.astype(value["dtype"]).reshape(shape)


def is_array(value) -> bool:
    """Returns True for objects that stand for arrays."""
    return (
        isinstance(value, dict)
        and {"dtype", "shape"} <= value.keys()
        and bool({"values", "offset"} & value.keys())
    )


def _checked_shape(value) -> tuple[int, ...]:
    shape = value["shape"]
    if not all(isinstance(size, int) and size >= 0 for size in shape):
        raise ValueError(f"An array's shape holds whole numbers from 0, got {shape}.")
    return tuple(shape)
