"""Timing model files against each other: interleaved, so that a shared machine's moods
fall on all of them alike. Compare ratios, not milliseconds.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from keras_pose.detector_contract import is_detector, read_detector_contract
from keras_pose.runtime.loading import KERAS_TYPES, file_type, load_keras, open_backend

NUM_WARMUP_RUNS = 3


@dataclass(frozen=True)
class Timing:
    """How long one file takes for one batch.

    Attributes:
        path: the file.
        num_threads: None for TensorFlow's own choice.
        milliseconds: (runs,) float64.
    """

    path: Path
    num_threads: int | None
    milliseconds: np.ndarray

    @property
    def median(self) -> float:
        return float(np.median(self.milliseconds))

    @property
    def spread(self) -> float:
        """Half the distance between the quartiles, milliseconds."""
        low, high = np.percentile(self.milliseconds, [25, 75])
        return float(high - low) / 2


def cases_of(paths, thread_counts, num_runs: int) -> list[tuple[Path, int | None]]:
    """Pairs files with numbers of threads.

    Args:
        paths: `.tflite` and `.onnx` files, with or without a contract, and `.keras`
            files, which are timed once: TensorFlow's threads cannot be set per model.
        thread_counts: how many threads each file gets in turn.
        num_runs: measurements of each.

    Raises:
        ValueError: for a file of another type, or no runs.
        FileNotFoundError: for a file that is not there.
    """
    if num_runs < 1:
        raise ValueError(f"num_runs must be at least 1, got {num_runs}.")
    return [
        (Path(path), num_threads)
        for path in paths
        for num_threads in ((None,) if file_type(path) in KERAS_TYPES else thread_counts)
    ]


def timings_of(cases, samples) -> list[Timing]:
    """Names samples, (cases, runs) milliseconds, after what was timed."""
    return [
        Timing(path, num_threads, milliseconds)
        for (path, num_threads), milliseconds in zip(cases, samples, strict=True)
    ]


def time_interleaved(calls: list[Callable[[], object]], num_runs: int) -> np.ndarray:
    """Times calls in turn, round after round; returns (calls, runs) milliseconds."""
    for call in calls:
        for _ in range(NUM_WARMUP_RUNS):
            call()
    samples = np.empty((len(calls), num_runs))
    for run in range(num_runs):
        for index, call in enumerate(calls):
            start = time.perf_counter()
            call()
            samples[index, run] = 1e3 * (time.perf_counter() - start)
    return samples


def make_call(path: Path, num_threads: int | None) -> Callable[[], object]:
    """Returns a call that runs a file once, on noise.

    Raises:
        ValueError: for a file of another type, or a damaged one.
        FileNotFoundError: for a file that is not there.
    """
    backend, run = _open(path, num_threads)
    shape = [size or 1 for size in backend.input.shape]
    noise = np.random.default_rng(seed=0).integers(0, 256, shape)
    images = noise.astype(backend.input.dtype)
    return lambda: run(images)


def _open(path: Path, num_threads):
    """Returns a network, and the function that runs it to all outputs that count."""
    if file_type(path) not in KERAS_TYPES:
        backend = open_backend(path, num_threads)
        return backend, backend.run_all
    from keras_pose.runtime.keras_backend import KerasBackend, KerasOutputs, load_network

    if path.suffix == ".keras" and is_detector(path):
        names = [spec.name for spec in read_detector_contract(path).outputs]
        outputs = KerasOutputs(load_network(path), names)
        return outputs, outputs.run_all
    model, contract = load_keras(path)
    network = KerasBackend(model, contract.output.name)
    return network, network.run


def ratios(timings: list[Timing]) -> list[float]:
    """Returns the medians in units of that of the first file at the same threads."""
    references: dict = {}
    for timing in timings:
        references.setdefault(timing.num_threads, timing.median)
    return [timing.median / references[timing.num_threads] for timing in timings]


def align(rows, num_words: int = 1) -> str:
    """Lays a table out: the first columns to the left, numbers to the right."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = []
    for row in rows:
        cells = [
            cell.ljust(width) if column < num_words else cell.rjust(width)
            for column, (cell, width) in enumerate(zip(row, widths, strict=True))
        ]
        lines.append("  ".join(cells).rstrip())
    return "\n".join(lines)
