"""What an export takes: processor time and memory of whole programs, build beside build.

Each build is a checkout of this repository. Its programs export the same weights to the
same formats, in turns, so that what else the machine does meets all of them.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

from keras_pose.exporting.subprocesses import call_in_child, proc_value

# Program -> formats.
EXPORTS = {
    "to_tflite": ("float32", "float16", "int8", "dynamic"),
    "to_onnx": ("float32", "int8"),
}
COLUMNS = {
    "build": "",
    "export": "",
    "CPU s": ".0f",
    "of the first": ".2f",
    "peak MB": ",.0f",
    "of the first's": ".2f",
}
_NUM_CROPS = 50
_WEIGHTS, _CROPS = "settled.weights.h5", "crops"
# Of scales of what is added to a tensor: small ones keep random networks from making much
# of every rounding, as trained ones do not.
_ADDED = 0.2
_MEGABYTE = 2**20
_SECONDS_BETWEEN_SAMPLES = 0.25


@dataclass(frozen=True)
class Costs:
    """What one program took.

    Attributes:
        cpu_seconds: time of all its processes, user and system.
        peak_bytes: most memory that its processes held together.
    """

    cpu_seconds: float
    peak_bytes: int


def compare_builds(builds: Mapping[str, str], model: str, rounds: int) -> list[list]:
    """Runs the exports of several builds in turns.

    Args:
        builds: name -> folder of a checkout.
        model: zoo name.
        rounds: times that each export is run; the median counts.

    Returns:
        Rows of a table, see `COLUMNS`; the last rows of a build are of all exports
        together, time as a sum, memory as a maximum.

    Raises:
        RuntimeError: if an export fails.
    """
    found: dict[tuple[str, str], list[Costs]] = {}
    with tempfile.TemporaryDirectory() as folder:
        call_in_child(f"{__name__}:write_inputs", model, folder)
        for _ in range(rounds):
            for program in EXPORTS:
                for name, checkout in builds.items():
                    costs = _export(program, checkout, model, Path(folder))
                    found.setdefault((name, program), []).append(costs)
                    print(name, program, costs, flush=True)
    return table(found)


def table(found: Mapping[tuple[str, str], Sequence[Costs]]) -> list[list]:
    """Returns the rows of a table, of costs by build and program."""
    middle = {
        key: (median(x.cpu_seconds for x in each), median(x.peak_bytes for x in each))
        for key, each in found.items()
    }
    builds = list(dict.fromkeys(name for name, _ in middle))
    for name in builds:
        each_one = [middle[name, program] for program in EXPORTS]
        total = sum(seconds for seconds, _ in each_one)
        middle[name, "both"] = (total, max(peak for _, peak in each_one))
    rows = []
    for program in (*EXPORTS, "both"):
        first = middle[builds[0], program]
        for name in builds:
            seconds, peak = middle[name, program]
            shares = (seconds / first[0], peak / first[1])
            rows.append(
                [name, program, seconds, shares[0], peak / _MEGABYTE, shares[1]],
            )
    return rows


def write_inputs(model: str, folder: str) -> None:
    """Writes weights that export as trained ones do, and crops to calibrate on."""
    import keras
    import numpy as np
    from PIL import Image

    from keras_pose.data.sources import synthetic_source
    from keras_pose.exporting.quantization.calibration import calibration_crops
    from keras_pose.weights.creation import create_model
    from keras_pose.weights.provenance import contract_of

    keras.utils.set_random_seed(0)
    network: Any = create_model(model)
    contract = contract_of(network)
    if contract.normalization is None:
        raise ValueError(f"{model} has no normalization, which exports need.")
    crops = calibration_crops(synthetic_source(_NUM_CROPS * 4), contract, _NUM_CROPS)
    (Path(folder) / _CROPS).mkdir()
    for number, crop in enumerate(crops):
        Image.fromarray(crop).save(Path(folder) / _CROPS / f"{number:03}.png")
    norms = [x for x in network.layers if isinstance(x, keras.layers.BatchNormalization)]
    added = set(_added_norms(network))
    for norm in norms:
        norm.momentum = 0.0  # what one batch gives is all that it will know
        if norm.name in added:
            norm.gamma.assign(_ADDED * norm.gamma)
    images = contract.normalization(crops[:16]).astype(np.float32)
    network(images, training=True)
    network.save_weights(Path(folder) / _WEIGHTS)


def _added_norms(network) -> Iterator[str]:
    """Yields the batch norms whose outputs are added up, resized or not."""
    from keras import layers

    for layer in network.layers:
        for tensor in layer.input if isinstance(layer, layers.Add) else ():
            maker = tensor._keras_history.operation
            if isinstance(maker, layers.UpSampling2D):
                maker = maker.input._keras_history.operation
            if isinstance(maker, layers.BatchNormalization):
                yield maker.name


def _export(program: str, checkout: str, model: str, folder: Path) -> Costs:
    words = [sys.executable, f"export/{program}.py", "--format", *EXPORTS[program]]
    words += ["--weights", str(folder / _WEIGHTS), "--model", model]
    words += ["--calibration-data", str(folder / _CROPS)]
    words += ["--calibration-images", str(_NUM_CROPS)]
    return costs_of(words, checkout)


def costs_of(words: Sequence[str], folder: str) -> Costs:
    """Runs a program to its end.

    Raises:
        RuntimeError: if it fails.
    """
    with tempfile.TemporaryFile() as log:
        # One thread for NumPy: others wait for work in a loop, which counts as time.
        environment = os.environ | {"OPENBLAS_NUM_THREADS": "1"}
        process = subprocess.Popen(
            words, cwd=folder, stdout=log, stderr=log, env=environment
        )
        peaks: list[int] = [0]
        ended = threading.Event()
        watch = threading.Thread(target=_watch, args=(process.pid, peaks, ended))
        watch.start()
        _, status, usage = os.wait4(process.pid, 0)
        ended.set()
        watch.join()
        process.returncode = os.waitstatus_to_exitcode(status)
        if process.returncode:
            log.seek(0)
            raise RuntimeError(f"{words} failed: {log.read().decode(errors='replace')}")
    return Costs(usage.ru_utime + usage.ru_stime, peaks[0])


def _watch(process: int, peaks: list[int], ended: threading.Event) -> None:
    """Notes the most memory that a process and those below it hold together.

    Not the usage that the system tells at the end: on Linux its maximum starts at what this
    process held.
    """
    while not ended.is_set():
        family = list(_family(process))
        # Pss is a process's memory; what it shares with others counts in parts.
        shares = sum(proc_value("Pss:", each, "smaps_rollup") or 0 for each in family)
        # The most of any one of them, between two looks as well.
        alone = max(proc_value("VmHWM:", each) or 0 for each in family)
        peaks[0] = max(peaks[0], 1024 * max(shares, alone))
        ended.wait(_SECONDS_BETWEEN_SAMPLES)


def _family(process: int) -> Iterator[int]:
    yield process
    try:
        lists = [x.read_text() for x in Path(f"/proc/{process}/task").glob("*/children")]
    except OSError:  # it has ended
        return
    for child in " ".join(lists).split():
        yield from _family(int(child))
