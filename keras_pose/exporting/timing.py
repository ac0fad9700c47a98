"""Timing model files against each other: interleaved, so that a shared machine's moods
fall on all of them alike. Compare ratios, not milliseconds.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from keras_pose.runtime.backend import Backend
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


def time_files(paths, thread_counts=(1, 2), num_runs: int = 50) -> list[Timing]:
    """Times files on one batch of noise.

    Args:
        paths: `.tflite` and `.onnx` files, with or without a contract, and `.keras`
            files, which are timed once: TensorFlow's threads cannot be set per model.
        thread_counts: how many threads each file gets in turn.
        num_runs: measurements of each.

    Raises:
        ValueError: for a file of another type, or a damaged one.
        FileNotFoundError: for a file that is not there.
    """
    if num_runs < 1:
        raise ValueError(f"num_runs must be at least 1, got {num_runs}.")
    cases = [
        (Path(path), num_threads)
        for path in paths
        for num_threads in ((None,) if file_type(path) in KERAS_TYPES else thread_counts)
    ]
    samples = time_interleaved([_make_call(*case) for case in cases], num_runs)
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


def _make_call(path: Path, num_threads) -> Callable[[], object]:
    """Returns a call that runs a file once, on noise."""
    if file_type(path) in KERAS_TYPES:
        from keras_pose.runtime.keras_backend import KerasBackend

        model, contract = load_keras(path)
        backend: Backend = KerasBackend(model, contract.output.name)
    else:
        backend = open_backend(path, num_threads)
    shape = [size or 1 for size in backend.input.shape]
    noise = np.random.default_rng(seed=0).integers(0, 256, shape)
    images = noise.astype(backend.input.dtype)
    return lambda: backend.run(images)


def timing_table(timings: list[Timing]) -> str:
    """Lays timings out; the ratio is to the first file at the same threads."""
    rows = [("file", "MB", "threads", "ms", "+-", "ratio")]
    references: dict = {}
    for timing in timings:
        reference = references.setdefault(timing.num_threads, timing.median)
        rows.append(
            (
                str(timing.path),
                f"{timing.path.stat().st_size / 1e6:.2f}",
                str(timing.num_threads or "all"),
                f"{timing.median:.2f}",
                f"{timing.spread:.2f}",
                f"{timing.median / reference:.2f}",
            )
        )
    return _align(rows)


def _align(rows) -> str:
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    lines = []
    for name, *numbers in rows:
        cells = [number.rjust(w) for number, w in zip(numbers, widths[1:], strict=True)]
        lines.append("  ".join([name.ljust(widths[0]), *cells]))
    return "\n".join(lines)
