"""Opening MATLAB, HDF5 and NumPy files; broken ones are errors that name the file."""

from __future__ import annotations

import zipfile
import zlib
from pathlib import Path
from typing import Any

import numpy as np

_BAD_ZIP = (zipfile.BadZipFile, zlib.error)


def read_mat(path, variable: str) -> Any:
    """Reads a variable of a MATLAB file; structures become objects with attributes.

    Raises:
        FileNotFoundError: names the file.
        ValueError: names the file that is broken or lacks the variable.
    """
    # Imported here: of all readers only those of .mat files need it.
    from scipy.io import loadmat

    path = _existing(path)
    try:
        values = loadmat(path, struct_as_record=False, squeeze_me=True)
    # scipy raises what its parser happens to stumble over.
    except Exception as error:
        raise ValueError(f"{path} cannot be read as a MATLAB file: {error}.") from error
    return _variable(path, values, variable)


def read_h5(path, variables: tuple[str, ...]) -> dict[str, np.ndarray]:
    """Reads variables of an HDF5 file, all with one row per person.

    Raises:
        FileNotFoundError: names the file.
        ValueError: names the file that is broken, or the variable that is not there
            or has another length.
    """
    # Imported here: following people in videos comes by, and is installed without it.
    import h5py

    path = _existing(path)
    try:
        with h5py.File(path) as file:
            values = {name: np.asarray(_variable(path, file, name)) for name in variables}
    except (OSError, RuntimeError, KeyError) as error:
        raise ValueError(f"{path} cannot be read as an HDF5 file: {error}.") from error
    return check_rows(path, values)


def read_npz(path, variables: tuple[str, ...]) -> dict[str, np.ndarray]:
    """Reads arrays of a NumPy archive; objects (pickles) are refused.

    Raises:
        FileNotFoundError: names the file.
        ValueError: names the file that is broken, or the array that is not there.
    """
    path = _existing(path)
    try:
        # Opened here: NumPy leaves damaged archives open.
        with open(path, "rb") as stream, np.load(stream, allow_pickle=False) as file:
            values = {name: file[name] for name in variables if name in file}
    # ValueError: for pickles, which are not read, and for files that look like them.
    except (OSError, EOFError, TypeError, ValueError, *_BAD_ZIP) as error:
        raise ValueError(f"{path} cannot be read as a NumPy archive: {error}.") from error
    return {name: _variable(path, values, name) for name in variables}


def check_rows(path, values: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Returns the arrays, or raises ValueError when their lengths differ."""
    counts = {name: len(rows) if rows.ndim else -1 for name, rows in values.items()}
    if len(set(counts.values())) > 1:
        raise ValueError(f"{path} needs one row per person in each array, got {counts}.")
    return values


def decode_name(path, name: Any) -> str:
    """Returns a file name that may come as bytes, padded with zeros.

    Raises:
        ValueError: for bytes that are no UTF-8.
    """
    if not isinstance(name, bytes):
        return str(name)
    try:
        return name.rstrip(b"\0").decode("utf-8")
    except UnicodeDecodeError as error:
        raise ValueError(f"{path}: the image name {name!r} is not UTF-8.") from error


def _existing(path) -> Path:
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"File {path} does not exist.")
    return path


def _variable(path, values, name):
    if name not in values:
        there = sorted(key for key in values if not key.startswith("__"))
        raise ValueError(f"{path} lacks the variable {name!r}; it has {there}.")
    return values[name]
