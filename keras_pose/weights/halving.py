"""Keras files of half the size, as the package ships them to train on.

A `.keras` file stays one: Keras casts what it reads to what its layers hold. Kernels are
rounded to half precision. Vectors stay as they are: they are a few percent of the bytes,
and the variances of batch norms may lie beyond what 16 bits hold.
"""

from __future__ import annotations

import io
import zipfile
from pathlib import Path

import h5py
import numpy as np

from keras_pose.files import atomic_path

WEIGHTS_MEMBER = "model.weights.h5"


def write_halved(source, path) -> Path:
    """Writes a `.keras` file again, whole or not at all, with kernels in half precision.

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
        zipfile.ZipFile(temporary, "w", zipfile.ZIP_DEFLATED) as halved,
    ):
        for name in archive.namelist():
            content = archive.read(name)
            is_weights = name == WEIGHTS_MEMBER
            halved.writestr(name, _halved(content, source) if is_weights else content)
    return path


def _halved(content: bytes, source) -> bytes:
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
        values = item[()]
        if values.ndim > 1 and values.dtype == np.float32:
            values = _half(values, f"{source}: {item.name}")
        new.create_dataset(name, data=values).attrs.update(item.attrs)


def _half(values: np.ndarray, name: str) -> np.ndarray:
    largest = np.abs(values).max()
    if not largest <= np.finfo(np.float16).max:
        raise ValueError(
            f"{name} goes up to {largest:g}, beyond half precision, which ends at "
            f"{np.finfo(np.float16).max:g}."
        )
    return values.astype(np.float16)
