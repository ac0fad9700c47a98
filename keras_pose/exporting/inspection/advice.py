"""Advice from a benchmark: the fastest file and runtime, and where int8 does not pay."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass

from keras_pose.contracts.detector import read_model_contract
from keras_pose.exporting.inspection.benchmark import Benchmark, BenchmarkRow
from keras_pose.runtime.integer_speed import INT8, why_little

# Times that are nearer to each other than this are called alike.
NO_GAIN = 0.9


@dataclass(frozen=True)
class Described:
    """Facts from a file's contract.

    Attributes:
        network: zoo name and input size; files that share it do the same work.
        quantization: number format, such as "float32".
    """

    network: str
    quantization: str | None


def describe_files(benchmark: Benchmark) -> dict[str, Described]:
    """Reads the contracts of timed files; those without one are left out."""
    found = {}
    for file in dict.fromkeys(row.file for row in benchmark.rows):
        try:
            contract = read_model_contract(file)
        except (FileNotFoundError, ValueError):
            continue
        height, width = contract.input_hw
        quantization = contract.quantization or "float32"
        found[file] = Described(f"{contract.model} {height}x{width}", quantization)
    return found


def advise(benchmark: Benchmark, described: Mapping[str, Described]) -> list[str]:
    """Returns sentences, at the fewest threads that were timed.

    Args:
        benchmark: times of files.
        described: facts by file, from `describe_files`.

    Returns:
        For each network that was timed in several ways the fastest one; and each int8
        `.tflite` that is hardly faster than float32, with the reason.
    """
    counts = [row.num_threads for row in benchmark.rows if row.num_threads is not None]
    if not counts:
        return []
    networks: dict[str, list[BenchmarkRow]] = defaultdict(list)
    for row in benchmark.rows:
        if row.num_threads in (None, min(counts)):
            known = described.get(row.file)
            networks[known.network if known else row.file].append(row)
    lines = []
    for network, rows in networks.items():
        if len(rows) > 1:
            lines.append(_fastest(network, rows, benchmark, described))
        lines += _disappointments(rows, benchmark, described, min(counts))
    return lines


def _fastest(network: str, rows, benchmark: Benchmark, described) -> str:
    best = min(rows, key=lambda row: row.milliseconds)
    text = (
        f"Fastest here for {network}: {best.file} in {best.runtime}, "
        f"{best.milliseconds:.2f} ms"
    )
    plain = _float32(rows, described)
    if plain is not None and plain is not best:
        share = best.milliseconds / plain.milliseconds
        text += f", {share:.2f} of float32's time in {plain.runtime}"
    return f"{text} ({benchmark.instructions})."


def _float32(rows, described) -> BenchmarkRow | None:
    """Returns the `.tflite` in float32 in its usual runtime."""
    for row in rows:
        known = described.get(row.file)
        if row.runtime == "litert" and known and known.quantization == "float32":
            return row
    return None


def _disappointments(rows, benchmark: Benchmark, described, num_threads: int):
    plain = _float32(rows, described)
    for row in rows:
        known = described.get(row.file)
        is_int8 = row.runtime == "litert" and known and known.quantization in INT8
        if plain is None or not is_int8:
            continue
        share = row.milliseconds / plain.milliseconds
        if share > NO_GAIN:
            reason = _reason(benchmark, num_threads)
            yield f"{row.file} takes {share:.2f} of float32's time in litert: {reason}"


def _reason(benchmark: Benchmark, num_threads: int) -> str:
    peaks = [benchmark.peaks[f"{kind} x {num_threads} threads"] for kind in _PEAKS]
    gain = peaks[0] / peaks[1]
    measured = (
        "integer products of large matrices are "
        f"{gain:.2f} times as fast as float ones, by the better runtime of each"
    )
    reason = why_little(benchmark.instructions)
    if reason:
        return (
            f"{reason}. Here {measured}. An int8 file is a quarter of the size and needs "
            "less memory; it is faster where there is a dot product (phones, newer "
            "processors)."
        )
    return f"here {measured}, so its time goes elsewhere; --profile says where."


_PEAKS = ("int8", "float32")
