"""The interface of the three ways of running a network."""

from __future__ import annotations

import importlib
import os
from typing import Any, Protocol

import numpy as np

from keras_pose.contracts.pose import TensorSpec
from keras_pose.quiet import import_tensorflow


class Backend(Protocol):
    """A network that is ready to run.

    Attributes:
        input: name, shape and dtype in the file; a batch of None takes any number of
            images.
        output: name, shape and dtype in the file, with the same batch.
    """

    input: TensorSpec
    output: TensorSpec

    def run(self, images: np.ndarray) -> np.ndarray:
        """Runs one batch of the input's shape and dtype; returns the raw output."""
        ...


class OutputsBackend(Protocol):
    """A network with several outputs that is ready to run.

    Attributes:
        input: name, shape and dtype in the file.
        outputs: name, shape and dtype of each, in the file's order.
    """

    input: TensorSpec
    outputs: tuple[TensorSpec, ...]

    def run_all(self, images: np.ndarray) -> dict[str, np.ndarray]:
        """Runs one batch of the input's type; returns the raw outputs by name."""
        ...


class FileBackend(Backend, OutputsBackend, Protocol):
    """A file, of which one output counts or all of them."""


def import_runtime(module: str, package: str, file_type: str) -> Any:
    """Imports what runs files of one type.

    Raises:
        ImportError: names the package to install.
    """
    try:
        if module in ("tensorflow", "keras"):
            import_tensorflow()
        return importlib.import_module(module)
    except ImportError as error:
        raise ImportError(
            f"Running a {file_type} file needs the package {package}, which cannot be "
            f"imported ({error}). Install it: pip install {package}"
        ) from error


def resolve_num_threads(num_threads: int | None) -> int:
    """Returns a number of threads; None means all cores this process may use."""
    if num_threads is None:
        if hasattr(os, "sched_getaffinity"):
            return len(os.sched_getaffinity(0))
        return os.cpu_count() or 1
    if num_threads < 1:
        raise ValueError(f"num_threads must be at least 1, got {num_threads}.")
    return num_threads
