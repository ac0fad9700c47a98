"""Tensors of `.npz` files, with the same care as those of PyTorch files."""

from __future__ import annotations

import math
import zipfile
from pathlib import Path

import numpy as np
from numpy.lib import format as npy_format

# The largest network of the zoo takes 0.3 GB; archives may be compressed.
MAX_TOTAL_BYTES = 4 * 2**30
# Weights hardly shrink; what shrinks a hundredfold is no network, above a size that
# zeros alone may reach.
MAX_RATIO, RATIO_FREE_BYTES = 100, 64 * 2**20


def read_npz(path: str | Path) -> dict[str, np.ndarray]:
    """Reads a `.npz` file of arrays, name -> array, in the file's order.

    Raises:
        ValueError: if it is no such file, is damaged, holds pickled objects, or
            declares more data than any model has.
    """
    path = Path(path)
    try:
        with zipfile.ZipFile(path) as archive:
            total = sum(info.file_size for info in archive.infolist())
            if total > MAX_TOTAL_BYTES:
                raise ValueError(f"it unpacks to {total} bytes, far more than a model.")
            packed = path.stat().st_size
            if total > max(MAX_RATIO * packed, RATIO_FREE_BYTES):
                raise ValueError(f"its {packed} bytes unpack to {total}: no weights do.")
            return {
                info.filename.removesuffix(".npy"): _read_array(archive, info)
                for info in archive.infolist()
            }
    except (
        *(ValueError, KeyError, EOFError, OSError, RuntimeError),
        *(zipfile.BadZipFile, MemoryError),
    ) as error:
        raise ValueError(
            f"{path} is not an .npz file of arrays, or it is damaged: {error}"
        ) from error


def _read_array(archive: zipfile.ZipFile, info: zipfile.ZipInfo) -> np.ndarray:
    """Reads one array, but believes its header only where the bytes are there."""
    with archive.open(info) as member:
        version = npy_format.read_magic(member)
        read_header = (
            npy_format.read_array_header_1_0
            if version == (1, 0)
            else npy_format.read_array_header_2_0
        )
        shape, is_fortran_order, dtype = read_header(member)
        content = member.read()
    if dtype.hasobject:
        raise ValueError(f"{info.filename} holds pickled objects, which are never read.")
    if len(content) != math.prod(shape) * dtype.itemsize:
        raise ValueError(
            f"{info.filename} has {len(content)} bytes, its header says {shape} {dtype}."
        )
    values = np.frombuffer(content, dtype)
    return values.reshape(shape[::-1]).T if is_fortran_order else values.reshape(shape)
