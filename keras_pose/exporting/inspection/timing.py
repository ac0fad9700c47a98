"""Timing model files against each other: interleaved, so that a shared machine's moods
fall on all of them alike. Compare ratios, not milliseconds.
"""

from __future__ import annotations

import time
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np

from keras_pose.contracts.detector import read_model_contract
from keras_pose.contracts.pose import Contract
from keras_pose.runtime.loading import (
    KERAS_TYPES,
    RUNTIMES,
    file_type,
    load_keras,
    open_backend,
    runtime_of,
)
from keras_pose.runtime.openvino_backend import wrong_sums

NUM_WARMUP_RUNS = 3
# Files whose operators have no fast kernels take seconds a run; fewer runs must do.
SLOW_SECONDS = 1.0
MAX_SECONDS = 60.0
MIN_RUNS = 3


class TimedCase(NamedTuple):
    """A way to run a file.

    Attributes:
        path: the file.
        num_threads: None for TensorFlow's own choice.
        runtime: key of `runtime.loading.RUNTIMES`.
    """

    path: Path
    num_threads: int | None
    runtime: str


@dataclass(frozen=True)
class Timing:
    """Times of one case for one batch.

    Attributes:
        case: file, threads and runtime.
        milliseconds: (runs,) float64, as many as there was time for.
    """

    case: TimedCase
    milliseconds: np.ndarray

    @property
    def path(self) -> Path:
        return self.case.path

    @property
    def median(self) -> float:
        return float(np.median(self.milliseconds))

    @property
    def spread(self) -> float:
        """Half the distance between the quartiles, milliseconds."""
        low, high = np.percentile(self.milliseconds, [25, 75])
        return float(high - low) / 2


def cases_of(
    paths, thread_counts, num_runs: int, runtimes: Sequence[str] | None = None
) -> list[TimedCase]:
    """Pairs files with numbers of threads and runtimes.

    Args:
        paths: `.tflite` and `.onnx` files, with or without a contract, and `.keras`
            files, which are timed once: TensorFlow's threads cannot be set per model.
        thread_counts: numbers of threads that each file gets in turn.
        num_runs: measurements of each.
        runtimes: keys of `runtime.loading.RUNTIMES`; each runs what it can of the files.
            None for the usual one of each. OpenVINO leaves out files that it would compute
            wrongly here, with a warning.

    Raises:
        ValueError: for a file of another type, no runs, or a file that none of the
            runtimes runs.
        FileNotFoundError: for a file that is not there.
    """
    if num_runs < 1:
        raise ValueError(f"num_runs must be at least 1, got {num_runs}.")
    cases = []
    for path in map(Path, paths):
        kind = file_type(path)
        is_keras = kind in KERAS_TYPES
        for runtime in _runtimes_of(path, kind, None if is_keras else runtimes):
            counts = (None,) if is_keras else thread_counts
            cases += [TimedCase(path, count, runtime) for count in counts]
    return cases


def _runtimes_of(path: Path, kind: str, runtimes: Sequence[str] | None) -> list[str]:
    if runtimes is None:
        return [runtime_of(kind)]
    able = [name for name in runtimes if kind in RUNTIMES[name]]
    reason = wrong_sums(path) if "openvino" in able else ""
    if reason:
        warnings.warn(f"Not timed in openvino: {reason}", stacklevel=3)
        able.remove("openvino")
    if not able:
        raise ValueError(
            f"{path} is run by {' or '.join(n for n in RUNTIMES if kind in RUNTIMES[n])}, "
            f"by none of the runtimes {', '.join(runtimes)}."
        )
    return able


def timings_of(cases: Sequence[TimedCase], samples) -> list[Timing]:
    """Names the samples of `time_interleaved` after what was timed."""
    return [
        Timing(case, milliseconds[np.isfinite(milliseconds)])
        for case, milliseconds in zip(cases, samples, strict=True)
    ]


def time_interleaved(
    calls: list[Callable[[], object]],
    num_runs: int,
    clock: Callable[[], float] = time.perf_counter,
) -> np.ndarray:
    """Times calls in turn, round after round.

    Args:
        calls: what to time.
        num_runs: measurements of each.
        clock: returns seconds; `time.process_time` leaves out what other programs take.

    Returns:
        (calls, runs) milliseconds; NaN for runs that were left out, since a call took
        more than `MAX_SECONDS` in all.
    """
    for call in calls:
        _warm_up(call)
    samples = np.full((len(calls), num_runs), np.nan)
    seconds = np.zeros(len(calls))
    for run in range(num_runs):
        for index, call in enumerate(calls):
            if run >= MIN_RUNS and seconds[index] > MAX_SECONDS:
                continue
            start = clock()
            call()
            samples[index, run] = 1e3 * (clock() - start)
            seconds[index] += samples[index, run] / 1e3
    return samples


def _warm_up(call: Callable[[], object]) -> None:
    """Runs a call a few times; once, where that takes seconds."""
    for _ in range(NUM_WARMUP_RUNS):
        start = time.perf_counter()
        call()
        if time.perf_counter() - start > SLOW_SECONDS:
            return


def make_call(
    path: Path, num_threads: int | None, runtime: str | None = None
) -> Callable[[], object]:
    """Returns a call that runs a file once, on noise.

    Args:
        path: the file.
        num_threads: None for all cores.
        runtime: key of `runtime.loading.RUNTIMES`; None for the usual one.

    Raises:
        ValueError: for a file of another type, or a damaged one.
        FileNotFoundError: for a file that is not there.
    """
    backend, run = _open(path, num_threads, runtime)
    shape = [size or 1 for size in backend.input.shape]
    noise = np.random.default_rng(seed=0).integers(0, 256, shape)
    images = noise.astype(backend.input.dtype)
    return lambda: run(images)


def _open(path: Path, num_threads, runtime):
    """Returns a network, and the function that runs it to all outputs that count."""
    if file_type(path) not in KERAS_TYPES:
        backend = open_backend(path, num_threads, runtime)
        return backend, backend.run_all
    from keras_pose.runtime.keras_backend import KerasBackend, KerasOutputs, load_network

    if path.suffix == ".keras" and not isinstance(read_model_contract(path), Contract):
        names = [spec.name for spec in read_model_contract(path).outputs]
        outputs = KerasOutputs(load_network(path), names)
        return outputs, outputs.run_all
    model, contract = load_keras(path)
    network = KerasBackend(model, contract.output.name)
    return network, network.run


def ratios(timings: list[Timing]) -> list[float]:
    """Returns the medians in units of that of the first file at the same threads."""
    references: dict = {}
    for timing in timings:
        references.setdefault(timing.case.num_threads, timing.median)
    return [timing.median / references[timing.case.num_threads] for timing in timings]


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
