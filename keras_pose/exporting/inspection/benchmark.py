"""Benchmarks of model files: times, arithmetic rates, load times, memory, in one table.

Everything that is compared is timed interleaved in one run, the machine's own peak
included, so that a shared machine's moods fall on all alike.
"""

from __future__ import annotations

import csv
import dataclasses
import io
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from keras_pose.commandline.quiet import quiet_stderr
from keras_pose.exporting.inspection.costs import Costs, measure_costs
from keras_pose.exporting.inspection.peak_rates import PEAK_TYPE, peak_calls, peak_rates
from keras_pose.exporting.inspection.profiling import (
    OperatorTime,
    profile_file,
    profile_table,
)
from keras_pose.exporting.inspection.timing import (
    Timing,
    align,
    cases_of,
    make_call,
    ratios,
    time_interleaved,
    timings_of,
)
from keras_pose.files import atomic_path, write_json
from keras_pose.measuring.tradeoff import Accuracy, best_files
from keras_pose.modelfiles.graph import Graph, count_graph_macs, weight_type
from keras_pose.modelfiles.reading import read_graph
from keras_pose.runtime.instructions import instructions
from keras_pose.runtime.loading import KERAS_TYPES, file_type


@dataclass(frozen=True)
class BenchmarkRow:
    """One file at one number of threads, in one runtime.

    Attributes:
        file: its path.
        runtime: key of `runtime.loading.RUNTIMES`.
        num_bytes: its size.
        num_threads: None for TensorFlow's own choice.
        milliseconds: median of the runs, for one batch.
        spread: half the distance between their quartiles.
        ratio: time in units of the first file's at the same threads.
        macs: multiply-accumulates of one run; None where the file does not tell.
        rate: multiply-accumulates a second; None where the file does not tell.
        peak_share: `rate` in units of this machine's peak for such weights; None without a
            rate.
        load_milliseconds: time to load the file, from `costs.Costs`.
        memory_bytes: peak memory, from `costs.Costs`.
    """

    file: str
    runtime: str
    num_bytes: int
    num_threads: int | None
    milliseconds: float
    spread: float
    ratio: float
    macs: int | None
    rate: float | None
    peak_share: float | None
    load_milliseconds: float
    memory_bytes: int


@dataclass(frozen=True)
class Benchmark:
    """Figures of one run.

    Attributes:
        num_runs: measurements of each.
        rows: a row for each file and number of threads.
        peaks: "float32 x 2 threads" and the like -> multiply-accumulates a second.
        profiles: file -> its operators, where that was asked for.
        accuracy: figures of the files on a data set, where that was asked for.
        instructions: instruction sets of the processor, from `instructions.instructions`.
        is_processor_time: True if milliseconds are the process's time on processors.
    """

    num_runs: int
    rows: list[BenchmarkRow]
    peaks: dict[str, float]
    profiles: dict[str, list[OperatorTime]] = field(default_factory=dict)
    accuracy: Accuracy | None = None
    instructions: str = field(default_factory=instructions)
    is_processor_time: bool = False

    def to_dict(self) -> dict[str, Any]:
        return dataclasses.asdict(self)


def benchmark_files(
    paths,
    thread_counts=(1, 2),
    num_runs: int = 50,
    profiles: bool = False,
    runtimes: Sequence[str] | None = None,
    is_processor_time: bool = False,
) -> Benchmark:
    """Measures model files against each other, on one batch of noise.

    Args:
        paths: `.tflite` and `.onnx` files, with or without a contract, and `.keras`
            files, which run at TensorFlow's own number of threads.
        thread_counts: numbers of threads that each file gets in turn.
        num_runs: measurements of each.
        profiles: True to time operators one by one too, at the first of `thread_counts`.
        runtimes: keys of `runtime.loading.RUNTIMES`; each runs what it can of the files.
            None for the usual one of each.
        is_processor_time: True to count the process's time on processors, in which other
            programs of a busy machine have no part. With several threads it tells nothing:
            those that have nothing to do keep waiting for work for a while.

    Raises:
        ValueError: for a file of another type, a damaged one, no runs, or one that none of
            the runtimes runs.
        FileNotFoundError: for a file that is not there.
        ImportError: names the package of a runtime that is missing.
    """
    cases = cases_of(paths, thread_counts, num_runs, runtimes)
    peaks = peak_calls(thread_counts)
    with quiet_stderr():
        calls = [make_call(*case) for case in cases]
    clock = time.process_time if is_processor_time else time.perf_counter
    samples = time_interleaved([*calls, *(peak.call for peak in peaks)], num_runs, clock)
    rates = peak_rates(peaks, samples[len(cases) :])
    timings = timings_of(cases, samples[: len(cases)])
    graphs = {case.path: graph_of(case.path) for case in cases}
    ways = dict.fromkeys((case.path, case.runtime) for case in cases)
    costs = {way: measure_costs(way[0], runtime=way[1]) for way in ways}
    rows = [
        _row(timing, ratio, graphs[timing.path], costs, rates)
        for timing, ratio in zip(timings, ratios(timings), strict=True)
    ]
    return Benchmark(
        num_runs,
        rows,
        {f"{dtype} x {n} threads": rate for (dtype, n), rate in rates.items()},
        _profiles(graphs, thread_counts[0]) if profiles else {},
        is_processor_time=is_processor_time,
    )


def graph_of(path) -> Graph | None:
    """Reads a file's graph; Keras files have none that one could count in."""
    return None if file_type(path) in KERAS_TYPES else read_graph(path)


def _profiles(graphs, num_threads) -> dict[str, list[OperatorTime]]:
    known = [path for path, graph in graphs.items() if graph is not None]
    return {str(path): profile_file(path, num_threads) for path in known}


def _row(
    timing: Timing, ratio: float, graph: Graph | None, costs: dict[Any, Costs], rates
) -> BenchmarkRow:
    path, num_threads, runtime = timing.case
    macs = count_graph_macs(graph) if graph else None
    rate = macs / (1e-3 * timing.median) if macs else None
    peak = peak_of(graph, num_threads, rates)
    cost = costs[path, runtime]
    return BenchmarkRow(
        file=str(path),
        runtime=runtime,
        num_bytes=path.stat().st_size,
        num_threads=num_threads,
        milliseconds=timing.median,
        spread=timing.spread,
        ratio=ratio,
        macs=macs,
        rate=rate,
        peak_share=rate / peak if rate and peak else None,
        load_milliseconds=cost.load_milliseconds,
        memory_bytes=cost.memory_bytes,
    )


def peak_of(graph: Graph | None, num_threads, rates) -> float | None:
    """Returns this machine's peak for weights such as a file has."""
    if graph is None:
        return None
    return rates.get((PEAK_TYPE.get(weight_type(graph), "float32"), num_threads))


def benchmark_table(benchmark: Benchmark) -> str:
    """Lays the rows out, then the peaks, then the profiles."""
    unit = "CPU ms" if benchmark.is_processor_time else "ms"
    header = ("file", "runtime", "MB", "threads", unit, "+-", "ratio", "GMAC/s", "of peak")
    rows = [(*header, "load ms", "memory MB"), *map(_cells, benchmark.rows)]
    peaks = ", ".join(f"{k} {rate / 1e9:.0f}" for k, rate in benchmark.peaks.items())
    machine = f"this machine ({benchmark.instructions})"
    parts = [align(rows, num_words=2), f"Peak of {machine}, GMAC/s: {peaks}."]
    if benchmark.accuracy:
        parts.append(f"\n{_accuracy_table(milliseconds_of(benchmark), benchmark.accuracy)}")
    for path, times in benchmark.profiles.items():
        row = next(row for row in benchmark.rows if row.file == path)
        peak = row.rate / row.peak_share if row.rate and row.peak_share else None
        total = sum(each.milliseconds for each in times)
        parts.append(
            f"\n{path}, {row.num_threads} threads ({benchmark.instructions}): "
            f"{total:.2f} ms operator by operator, {row.milliseconds:.2f} ms as a whole\n"
            f"{profile_table(times, peak)}"
        )
    return "\n".join(parts)


def milliseconds_of(benchmark: Benchmark) -> dict[str, float]:
    """Returns each file's time at the first of its numbers of threads."""
    times: dict[str, float] = {}
    for row in benchmark.rows:
        times.setdefault(row.file, row.milliseconds)
    return times


def _accuracy_table(times: dict[str, float], accuracy: Accuracy) -> str:
    """Lays out figure and time of each file, and which no other file beats in both."""
    best = best_files(times, accuracy)
    rows = [("file", accuracy.name, "ms", "best", "measured by")]
    for name, milliseconds in times.items():
        figure = f"{accuracy.values[name]:.3f}"
        source = "another program" if name in accuracy.known else "this one"
        mark = "yes" if name in best else "-"
        rows.append((name, figure, f"{milliseconds:.2f}", mark, source))
    return "\n".join([align(rows), *accuracy.remarks])


def _cells(row: BenchmarkRow) -> tuple[str, ...]:
    return (
        row.file,
        row.runtime,
        f"{row.num_bytes / 1e6:.2f}",
        str(row.num_threads or "all"),
        f"{row.milliseconds:.2f}",
        f"{row.spread:.2f}",
        f"{row.ratio:.2f}",
        "-" if row.rate is None else f"{row.rate / 1e9:.1f}",
        "-" if row.peak_share is None else f"{row.peak_share:.0%}",
        f"{row.load_milliseconds:.0f}",
        f"{row.memory_bytes / 1e6:.0f}",
    )


def write_benchmark(path, benchmark: Benchmark) -> Path:
    """Writes everything as JSON, or the rows as CSV, by the file's name.

    Raises:
        ValueError: for another kind of file.
        PermissionError: if it cannot be written.
    """
    path = check_output(path)
    if path.suffix == ".json":
        return write_json(path, benchmark.to_dict())
    return write_csv(path, [dataclasses.asdict(row) for row in benchmark.rows])


def check_output(path) -> Path:
    """Raises ValueError unless figures can be written into a file of such a name."""
    path = Path(path)
    if path.suffix not in (".json", ".csv"):
        raise ValueError(f"Figures are written as .json or .csv, got {path}.")
    return path


def write_csv(path, rows: Sequence[dict[str, Any]]) -> Path:
    """Writes rows that all have the same keys, whole or not at all."""
    path = Path(path)
    text = io.StringIO(newline="")
    writer = csv.DictWriter(text, list(rows[0]))
    writer.writeheader()
    writer.writerows(rows)
    with atomic_path(path) as temporary:
        temporary.write_bytes(text.getvalue().encode())
    return path
