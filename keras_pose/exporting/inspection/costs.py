"""Costs of a model file before its first answer: time to load it, and memory.

Measured in a process of its own, so that neither another file's weights nor a converter
is counted.
"""

from __future__ import annotations

import dataclasses
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from keras_pose.commandline.packages import import_runtime
from keras_pose.exporting.subprocesses import call_in_child, current_memory, peak_memory
from keras_pose.runtime.loading import KERAS_TYPES, file_type, runtime_of

NUM_LOADS = 3
# Modules and packages that a runtime loads.
_PACKAGES = {
    "litert": (("ai_edge_litert.interpreter", "ai-edge-litert"),),
    "onnxruntime": (("onnxruntime", "onnxruntime"),),
    "openvino": (("openvino", "openvino"),),
    "keras": (("tensorflow", "tensorflow"), ("keras", "keras")),
}


@dataclass(frozen=True)
class Costs:
    """Load time and memory of a file.

    Attributes:
        load_milliseconds: time from the path to a network that is ready, median of several,
            but one for Keras; the runtime itself is loaded, the file in the disk's cache.
        memory_bytes: growth of the process's memory at its peak since before the file was
            opened, bytes, one run included.
    """

    load_milliseconds: float
    memory_bytes: int


def measure_costs(path, num_threads: int = 1, runtime: str | None = None) -> Costs:
    """Loads and runs a model file in a process of its own.

    Args:
        path: `.tflite`, `.onnx` or `.keras`, with or without a contract.
        num_threads: threads of `.tflite` and `.onnx`.
        runtime: key of `runtime.loading.RUNTIMES`; None for the usual one.

    Raises:
        FileNotFoundError, ValueError: as `timing.make_call`.
    """
    target = f"{__name__}:costs_here"
    return Costs(**call_in_child(target, str(path), num_threads, runtime))


def costs_here(path: str, num_threads: int, runtime: str | None) -> dict[str, Any]:
    """Measures in this process, which should have done nothing before."""
    from keras_pose.exporting.inspection.timing import make_call

    kind = file_type(path)
    for module, package in _PACKAGES[runtime_of(kind, runtime)]:
        import_runtime(module, package, kind)
    before = current_memory()
    threads = None if kind in KERAS_TYPES else num_threads
    durations = []
    # Keras takes seconds, which no other process's moods change much.
    for _ in range(1 if kind in KERAS_TYPES else NUM_LOADS):
        start = time.perf_counter()
        call = make_call(Path(path), threads, runtime)
        durations.append(1e3 * (time.perf_counter() - start))
        if len(durations) == 1:
            call()
            memory_bytes = max(peak_memory() - before, 0)
    return dataclasses.asdict(Costs(float(np.median(durations)), memory_bytes))
