"""Tensors of `.safetensors` files: a length, a JSON header, and the bytes of the tensors.

Format: https://huggingface.co/docs/safetensors, "Format". The arrays are views of the
mapped file, so memory is bounded by the file's size; bfloat16 is widened to float32.
"""

from __future__ import annotations

import json
import math
import mmap
from pathlib import Path
from typing import Any

import numpy as np

# The format's own limit; the header of a large network takes 0.1 MB.
MAX_HEADER_BYTES = 100_000_000
MAX_NAME_SHOWN = 100
LENGTH_BYTES = 8
DTYPES = {
    "F64": "<f8", "F32": "<f4", "F16": "<f2", "BF16": "<u2", "I64": "<i8", "I32": "<i4",
    "I16": "<i2", "I8": "i1", "U64": "<u8", "U32": "<u4", "U16": "<u2", "U8": "u1",
    "BOOL": "?",
}  # fmt: skip


def read_safetensors(path: str | Path) -> dict[str, np.ndarray]:
    """Reads name -> tensor, in the order of the header.

    Raises:
        ValueError: if it is no such file, is damaged, or has types that NumPy lacks.
    """
    path = Path(path)
    try:
        with path.open("rb") as file:
            content = memoryview(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ))
        header, start = _header(content)
        header.pop("__metadata__", None)
        body = content[start:]
        # Tensors do not share bytes, so widening them is bounded by the file, too.
        ends = [entry["data_offsets"] for entry in header.values()]
        if sum(end - begin for begin, end in ends) > len(body):
            raise ValueError("its tensors take more bytes than it has.")
        return {name: _tensor(name, entry, body) for name, entry in header.items()}
    except (ValueError, KeyError, TypeError, RecursionError, OverflowError) as error:
        raise ValueError(
            f"{path} is not a .safetensors file, or it is damaged: {error}"
        ) from error


def _header(content: memoryview) -> tuple[dict[str, Any], int]:
    """Returns the JSON header, and where the tensors' bytes begin."""
    length = int.from_bytes(content[:LENGTH_BYTES], "little")
    start = LENGTH_BYTES + length
    if start > len(content) or length > MAX_HEADER_BYTES:
        raise ValueError(f"its header of {length} bytes does not fit into it.")
    header = json.loads(bytes(content[LENGTH_BYTES:start]).decode("utf-8"))
    if not isinstance(header, dict):
        raise ValueError(f"its header is a {type(header).__name__}.")
    return header, start


def _tensor(name: str, entry: Any, content: memoryview) -> np.ndarray:
    """Returns a view of one tensor's bytes, once its entry is known to add up."""
    shown = repr(name[:MAX_NAME_SHOWN])
    shape, (begin, end) = entry["shape"], entry["data_offsets"]
    if entry["dtype"] not in DTYPES:
        raise ValueError(f"tensor {shown} is of type {str(entry['dtype'])[:20]!r}.")
    dtype = np.dtype(DTYPES[entry["dtype"]])
    numbers = [begin, end, *shape]
    if not all(type(number) is int and 0 <= number <= len(content) for number in numbers):
        raise ValueError(f"tensor {shown} lies outside the file.")
    if end - begin != math.prod(shape) * dtype.itemsize:
        raise ValueError(
            f"tensor {shown} has {end - begin} bytes, its header says {shape} {dtype}."
        )
    values = np.frombuffer(content[begin:end], dtype)
    if entry["dtype"] == "BF16":  # the upper half of a float32
        values = (values.astype("<u4") << 16).view("<f4")
    return values.reshape(shape)
