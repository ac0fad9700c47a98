"""Tensors of PaddlePaddle's `.pdparams` files, read without it and without unpickling.

Such a file is a pickle of a dictionary of NumPy arrays. As with PyTorch's files it is not
run: see `torch_reader`. An array is rebuilt from three things that its pickle holds: its
shape, the code of its numbers' type, and their bytes.
"""

from __future__ import annotations

import io
import math
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from keras_pose.weights.torch_reader import (
    ALLOWED_CALLS,
    MAX_DIMENSIONS,
    Global,
    PickleMachine,
    UnsafeCheckpointError,
)

# The table of Paddle's own names for tensors; it lies beside them.
NAME_TABLE = "StructuredToParameterName@@"
# Type codes of numbers in arrays: floats and whole numbers.
NUMBER_KINDS = "fiu"
_NDARRAY = "ndarray"
_ARRAY_FUNCTION, _BYTE_ORDERS = "_reconstruct", "<>=|"


class _Type:
    """A NumPy type while its pickle is read."""

    def __init__(self, code, *_flags):
        if not isinstance(code, str) or code[:1] not in NUMBER_KINDS:
            raise ValueError(f"it holds an array of type {str(code)[:20]!r}: no numbers.")
        self.dtype = np.dtype(code)

    def build(self, state) -> None:
        order = state[1]
        if order not in tuple(_BYTE_ORDERS):
            raise ValueError(f"it holds an array of byte order {str(order)[:20]!r}.")
        self.dtype = self.dtype.newbyteorder(order)


class _Array:
    """An array while its pickle is read."""

    values: np.ndarray | None = None

    def build(self, state) -> None:
        _version, shape, kind, is_fortran, content = state
        if not isinstance(kind, _Type) or not isinstance(content, bytes):
            raise ValueError("it holds an array that is not made of a type and bytes.")
        sizes_fit = isinstance(shape, tuple) and len(shape) <= MAX_DIMENSIONS
        if not sizes_fit or not all(isinstance(n, int) and n >= 0 for n in shape):
            raise ValueError("it holds an array without a shape.")
        if math.prod(shape) * kind.dtype.itemsize != len(content):
            raise ValueError(
                f"it holds an array of shape {shape} and {kind.dtype} in {len(content)} "
                "bytes."
            )
        values = np.frombuffer(content, kind.dtype)
        self.values = values.reshape(shape[::-1]).T if is_fortran else values.reshape(shape)


def _new_array(kind, *_start):
    if not isinstance(kind, Global) or kind.name != _NDARRAY:
        raise UnsafeCheckpointError("its pickle makes an array of an unknown class.")
    return _Array()


def _encoded(text, encoding):
    """Returns bytes that a pickle of the older protocols holds as text."""
    if not isinstance(text, str) or encoding != "latin1":
        raise UnsafeCheckpointError("its pickle encodes text that is no array's bytes.")
    return text.encode(encoding)


class _ArrayMachine(PickleMachine):
    """Carries out, besides, what builds NumPy arrays."""

    calls: Mapping[Global, Callable[..., Any]] = ALLOWED_CALLS | {
        Global("_codecs", "encode"): _encoded,
        Global("builtins", "tuple"): tuple,
        Global("numpy", "dtype"): _Type,
        Global("numpy.core.multiarray", _ARRAY_FUNCTION): _new_array,
        Global("numpy._core.multiarray", _ARRAY_FUNCTION): _new_array,
    }

    def _step(self, name: str, argument: Any) -> None:
        if name == "BUILD" and isinstance(self.stack[-2], _Type | _Array):
            state = self.stack.pop()
            if not isinstance(state, tuple):
                raise ValueError(f"a pickle fills an array from a {type(state).__name__}.")
            self.stack[-1].build(state)
        else:
            super()._step(name, argument)


def read_pdparams(path: str | Path) -> dict[str, np.ndarray]:
    """Reads the tensors of a `.pdparams` file.

    Returns:
        Name -> array, in the file's order; read-only.

    Raises:
        UnsafeCheckpointError: if the pickle asks for any class or function that is not
            part of an array.
        ValueError: if the file is not one of PaddlePaddle's, or is damaged.
    """
    path = Path(path)
    try:
        saved = _ArrayMachine().run(io.BytesIO(path.read_bytes()))
        if not isinstance(saved, dict):
            raise ValueError(f"it holds a {type(saved).__name__}, not a dictionary.")
        return {
            name: _values(name, entry)
            for name, entry in saved.items()
            if name != NAME_TABLE
        }
    except UnsafeCheckpointError as error:
        raise UnsafeCheckpointError(f"{path}: {error}") from error
    except (
        *(ValueError, KeyError, IndexError, TypeError, AttributeError, OverflowError),
        *(MemoryError, EOFError),
    ) as error:
        raise ValueError(
            f"{path} is not a .pdparams file, or it is damaged: {error}"
        ) from error


def _values(name, entry) -> np.ndarray:
    """Returns an entry's array; newer versions pair it with the tensor's own name."""
    if isinstance(entry, tuple) and len(entry) == 2:
        entry = entry[1]
    if not isinstance(name, str) or not isinstance(entry, _Array) or entry.values is None:
        raise ValueError(f"its entry {str(name)[:100]!r} is no array.")
    return entry.values
