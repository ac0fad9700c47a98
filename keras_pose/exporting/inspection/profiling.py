"""Time of a model file, operator by operator.

ONNX Runtime writes a profile. LiteRT's Python package has no profiler, so there every
operator is cut out into a file of its own and timed; those alike are timed once. What
XNNPACK fuses across operators (a pad into its convolution) is cut out together.
"""

from __future__ import annotations

import json
import math
import tempfile
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from keras_pose.commandline.packages import import_runtime
from keras_pose.commandline.quiet import quiet_stderr
from keras_pose.exporting.inspection.delegates import is_unpacking
from keras_pose.exporting.inspection.timing import align, time_interleaved
from keras_pose.modelfiles.flatbuffer import cut_out
from keras_pose.modelfiles.graph import Graph, operator_macs
from keras_pose.modelfiles.reading import read_graph

# Operators that XNNPACK folds into the one that follows.
_FOLDED = ("PAD",)
_FOLDING = ("CONV_2D", "DEPTHWISE_CONV_2D")


@dataclass(frozen=True)
class OperatorTime:
    """Operators of one kind and shape.

    Attributes:
        kind: operator's name, such as "CONV_2D" or "PAD+CONV_2D".
        shape: shape and type of the result, such as "1x64x48x32 int8".
        count: number of them in the file.
        milliseconds: time of all of them together.
        macs: multiply-accumulates of all of them together.
    """

    kind: str
    shape: str
    count: int
    milliseconds: float
    macs: int


def profile_file(path, num_threads: int = 1, num_runs: int = 20) -> list[OperatorTime]:
    """Times the operators of a `.tflite` or `.onnx` file, on noise.

    Args:
        path: the file.
        num_threads: threads for every operator.
        num_runs: measurements, of which the median counts.

    Returns:
        The operators, the most expensive first.

    Raises:
        ValueError: for another type of file, or a damaged one.
        FileNotFoundError: for a file that is not there.
    """
    graph = read_graph(path)
    profile = _profile_tflite if graph.file_type == ".tflite" else _profile_onnx
    times = profile(Path(path), graph, num_threads, num_runs)
    return sorted(times, key=lambda each: -each.milliseconds)


def _profile_tflite(path, graph: Graph, num_threads, num_runs) -> list[OperatorTime]:
    alike = defaultdict(list)
    for group in groups_to_time(graph):
        alike[_signature(graph, group)].append(group)
    firsts = [groups[0] for groups in alike.values()]
    with quiet_stderr():
        pieces = zip(firsts, cut_out(path, firsts), strict=True)
        calls = [
            _make_call(piece, num_threads, _kinds(graph, group)) for group, piece in pieces
        ]
    medians = np.nanmedian(time_interleaved(calls, num_runs), axis=1)
    return [
        OperatorTime(
            kind=_kinds(graph, groups[0]),
            shape=_shape(graph, groups[0]),
            count=len(groups),
            milliseconds=float(median) * len(groups),
            macs=sum(operator_macs(graph, graph.operators[i]) for i in groups[0])
            * len(groups),
        )
        for groups, median in zip(alike.values(), medians, strict=True)
    ]


def groups_to_time(graph: Graph) -> list[list[int]]:
    """Groups operators that only make sense together.

    Returns:
        Indices of operators: each that computes, after those that unpack its constants
        and a pad that is folded into it.
    """
    producers = {key: i for i, op in enumerate(graph.operators) for key in op.outputs}
    num_readers: dict = defaultdict(int)
    for operator in graph.operators:
        for key in operator.inputs:
            num_readers[key] += 1

    def companions(index: int) -> list[int]:
        found = []
        for key in graph.operators[index].inputs:
            source = producers.get(key)
            if source is None:
                continue
            is_fold = (
                graph.operators[index].kind in _FOLDING
                and graph.operators[source].kind in _FOLDED
                and num_readers[key] == 1
            )
            if is_fold or is_unpacking(graph, graph.operators[source]):
                found += [*companions(source), source]
        return found

    groups = [
        [*companions(index), index]
        for index, operator in enumerate(graph.operators)
        if not is_unpacking(graph, operator)
    ]
    folded = {i for group in groups for i in group[:-1]}
    return [group for group in groups if group[-1] not in folded]


def _signature(graph: Graph, group: Sequence[int]) -> tuple:
    """Equal for groups that take equally long."""
    parts: list[Any] = []
    for index in group:
        operator = graph.operators[index]
        tensors = (*graph.inputs_of(operator), *graph.outputs_of(operator))
        parts.append(operator.kind)
        parts += [(t.shape, t.dtype, t.is_constant, t.num_scales) for t in tensors]
        parts += [(name, str(value)) for name, value in operator.options.items()]
    return tuple(parts)


def _kinds(graph, group) -> str:
    kinds = [graph.operators[i].kind for i in group]
    return "+".join(kind for kind in kinds if kind != "DEQUANTIZE" or len(kinds) == 1)


def _shape(graph, group) -> str:
    result = graph.outputs_of(graph.operators[group[-1]])[0]
    return f"{'x'.join(map(str, result.shape)) or 'scalar'} {result.dtype}"


def _make_call(content: bytes, num_threads: int, kinds: str) -> Callable[[], object]:
    litert = import_runtime("ai_edge_litert.interpreter", "ai-edge-litert", ".tflite")
    interpreter = litert.Interpreter(model_content=content, num_threads=num_threads)
    interpreter.allocate_tensors()
    for details in interpreter.get_input_details():
        interpreter.set_tensor(details["index"], _noise(details["shape"], details["dtype"]))
    try:
        interpreter.invoke()
    except RuntimeError as error:
        raise ValueError(f"{kinds} cannot be timed by itself: {error}") from error
    return interpreter.invoke


def _noise(shape, dtype):
    rng = np.random.default_rng(seed=0)
    if np.issubdtype(dtype, np.integer):
        # No further than int8 reaches. Wider ones may be indices; the first place exists.
        high = 127 if np.dtype(dtype).itemsize == 1 else 1
        return rng.integers(0, high, shape).astype(dtype)
    return rng.uniform(0.5, 1.5, shape).astype(dtype)


def _profile_onnx(path, graph: Graph, num_threads, num_runs) -> list[OperatorTime]:
    onnxruntime = import_runtime("onnxruntime", "onnxruntime", ".onnx")
    with tempfile.TemporaryDirectory() as folder:
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = num_threads
        options.enable_profiling = True
        options.profile_file_prefix = str(Path(folder) / "profile")
        session = onnxruntime.InferenceSession(
            str(path), options, providers=["CPUExecutionProvider"]
        )
        image = graph.tensors[graph.inputs[0]]
        feed = {image.name: _noise(image.shape, np.dtype(image.dtype))}
        for _ in range(num_runs + 1):
            session.run(None, feed)
        events = json.loads(Path(session.end_profiling()).read_text(encoding="utf-8"))
    return _read_onnx_profile(events)


def _read_onnx_profile(events: list[dict]) -> list[OperatorTime]:
    """Puts the kernel times of ONNX Runtime's profile together, the first run left out."""
    samples: dict[str, list[float]] = defaultdict(list)
    about: dict[str, dict] = {}
    for event in events:
        if event.get("cat") == "Node" and event["name"].endswith("_kernel_time"):
            samples[event["name"]].append(event["dur"] / 1e3)
            about[event["name"]] = event["args"]
    alike: dict[tuple, list[str]] = defaultdict(list)
    for name, args in about.items():
        shapes = json.dumps([args.get("input_type_shape"), args.get("output_type_shape")])
        alike[args["op_name"], shapes].append(name)
    return [
        OperatorTime(
            kind=kind,
            shape=_onnx_shape(about[names[0]]),
            count=len(names),
            milliseconds=sum(float(np.median(samples[name][1:])) for name in names),
            macs=_onnx_macs(kind, about[names[0]]) * len(names),
        )
        for (kind, _), names in alike.items()
    ]


def _onnx_shape(args) -> str:
    for entry in args.get("output_type_shape", [])[:1]:
        for dtype, shape in entry.items():
            return f"{'x'.join(map(str, shape)) or 'scalar'} {dtype}"
    return "unknown"


def _onnx_macs(kind: str, args) -> int:
    """Counts the work of the kinds of operators that fusion makes of convolutions."""
    inputs, outputs = (_shapes(args, side) for side in ("input", "output"))
    if not outputs or len(inputs) < 2:
        return 0
    if kind in ("Conv", "FusedConv", "NhwcFusedConv"):
        return math.prod(outputs[0]) * math.prod(inputs[1][1:])
    if kind == "QLinearConv" and len(inputs) > 3:
        return math.prod(outputs[0]) * math.prod(inputs[3][1:])
    if kind in ("MatMul", "FusedMatMul", "Gemm", "FusedGemm", "MatMulInteger"):
        return math.prod(outputs[0]) * inputs[0][-1]
    if kind == "ConvTranspose":
        return math.prod(inputs[0]) * math.prod(inputs[1][1:])
    return 0


def _shapes(args, side: str) -> list[list[int]]:
    """Reads such as [{"float": [1, 3, 8, 8]}, ...]."""
    entries = args.get(f"{side}_type_shape", [])
    return [shape for entry in entries for shape in entry.values()]


def profile_table(
    times: Sequence[OperatorTime], peak_rate: float | None = None, num_slowest: int = 10
) -> str:
    """Lays a profile out: by kind, then the slowest operators.

    Args:
        times: profile of a file, from `profile_file`.
        peak_rate: peak of this machine, multiply-accumulates a second.
        num_slowest: operators to name.
    """
    total = sum(each.milliseconds for each in times)
    kinds: dict[str, list[OperatorTime]] = defaultdict(list)
    for each in times:
        kinds[each.kind].append(each)
    merged = [
        OperatorTime(
            kind,
            "all",
            sum(each.count for each in group),
            sum(each.milliseconds for each in group),
            sum(each.macs for each in group),
        )
        for kind, group in kinds.items()
    ]
    merged.sort(key=lambda each: -each.milliseconds)
    header = ("operator", "result", "count", "ms", "share", "GMAC/s", "of peak")
    rows = [
        _profile_row(each, total, peak_rate) for each in (*merged, *times[:num_slowest])
    ]
    return align([header, *rows], num_words=2)


def _profile_row(each: OperatorTime, total: float, peak_rate) -> tuple[str, ...]:
    rate = each.macs / (1e-3 * each.milliseconds) if each.milliseconds else 0.0
    return (
        each.kind,
        each.shape,
        str(each.count),
        f"{each.milliseconds:.3f}",
        f"{each.milliseconds / total:.0%}" if total else "-",
        f"{rate / 1e9:.1f}" if each.macs else "-",
        f"{rate / peak_rate:.0%}" if each.macs and peak_rate else "-",
    )
