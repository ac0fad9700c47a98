"""Keras files of a third of the size, as the package ships them to train on.

A `.keras` file stays one: Keras casts what it reads to what its layers hold. Kernels are
rounded to `SIGNIFICANT_BITS`, half as coarse as an int8 file's, and compressed. Vectors
stay as they are: they are a few percent of the bytes, and the variances of batch norms may
lie beyond what 16 bits hold.
"""

from __future__ import annotations

import io
import zipfile
from pathlib import Path

import h5py
import numpy as np

from keras_pose.files import atomic_path

WEIGHTS_MEMBER = "model.weights.h5"
# Float16 has 11. The last ones are noise that no compression takes away: kernels of
# EfficientNet-Lite0's take 1.2 bytes a weight so, and 1.7 with all.
SIGNIFICANT_BITS = 6
# Values of a kernel below which a filter of HDF5's costs more than it saves.
_FEW_VALUES = 256


def write_compact(source, path) -> Path:
    """Writes a `.keras` file again, whole or not at all, with rounded kernels.

    Rounding twice is rounding once: a compact file is written as it is.

    Args:
        source: the `.keras` file.
        path: file to write.

    Returns:
        The path.

    Raises:
        ValueError: for a kernel that half precision does not hold.
    """
    path = Path(path)
    with (
        atomic_path(path) as temporary,
        zipfile.ZipFile(source) as archive,
        zipfile.ZipFile(temporary, "w", zipfile.ZIP_DEFLATED) as compact,
    ):
        for name in archive.namelist():
            content = archive.read(name)
            is_weights = name == WEIGHTS_MEMBER
            compact.writestr(name, _compact(content, source) if is_weights else content)
    return path


def _compact(content: bytes, source) -> bytes:
    written = io.BytesIO()
    with (
        h5py.File(io.BytesIO(content), "r") as old,
        h5py.File(written, "w") as new,
    ):
        _copy(old, new, source)
    return written.getvalue()


def _copy(old: h5py.Group, new: h5py.Group, source) -> None:
    new.attrs.update(old.attrs)
    for name, item in old.items():
        if isinstance(item, h5py.Group):
            _copy(item, new.create_group(name), source)
            continue
        values, filters = item[()], {}
        if values.ndim > 1 and values.dtype in (np.float32, np.float16):
            values = rounded(values, f"{source}: {item.name}")
            if values.size > _FEW_VALUES:
                # All first bytes, then all second ones: only the first are alike.
                filters = {
                    "chunks": values.shape,
                    "shuffle": True,
                    "compression": "gzip",
                    "compression_opts": 9,
                }
        new.create_dataset(name, data=values, **filters).attrs.update(item.attrs)


def rounded(values: np.ndarray, name: str) -> np.ndarray:
    """Rounds values to `SIGNIFICANT_BITS`.

    Args:
        values: float array.
        name: words for it, for the error.

    Returns:
        Float16 of the same shape.

    Raises:
        ValueError: for values that half precision does not hold.
    """
    largest = np.abs(values).max()
    if not largest <= np.finfo(np.float16).max:
        raise ValueError(
            f"{name} goes up to {largest:g}, beyond half precision, which ends at "
            f"{np.finfo(np.float16).max:g}."
        )
    fraction, exponent = np.frexp(values.astype(np.float64))
    steps = 2.0**SIGNIFICANT_BITS
    return np.ldexp(np.round(fraction * steps) / steps, exponent).astype(np.float16)
