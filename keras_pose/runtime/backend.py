"""The interface of the three ways of running a network."""

from __future__ import annotations

import os
from typing import Protocol

import numpy as np

from keras_pose.contracts.fields import TensorSpec


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


def resolve_num_threads(num_threads: int | None) -> int:
    """Returns a number of threads; None means all cores this process may use."""
    if num_threads is None:
        if hasattr(os, "sched_getaffinity"):
            return len(os.sched_getaffinity(0))
        return os.cpu_count() or 1
    if num_threads < 1:
        raise ValueError(f"num_threads must be at least 1, got {num_threads}.")
    return num_threads
