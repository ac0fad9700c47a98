"""Operators that a phone's accelerators take, by the published rules of each.

A delegate takes what it can of a graph; all else stays on the CPU, and every change
between the two costs a copy. No accelerator is here to ask, so these are the rules in
their source code and documentation; drivers may refuse more. XNNPACK, on the CPU, is not
in this table: the interpreter reports what it took (`exporting.inspection.audit`).

Sources, of TensorFlow 2.21 and ONNX Runtime 1.2x:

- GPU: `lite/tools/versioning/gpu_compatibility.cc` (operators and their shapes),
  `IsAllAllowedTensors` in `lite/delegates/gpu/common/model_builder.cc` (types, ranks).
- NNAPI: `NNAPIDelegateKernel::Validate` in `lite/delegates/nnapi/nnapi_delegate.cc`, at
  Android 11 (NNAPI 1.3); ranks from the NDK's NeuralNetworks.h. NPUs of today have
  delegates of their vendors, whose lists are near it. Deprecated since Android 15.
- Core ML: `lite/delegates/coreml/README.md`, "Supported ops", at Core ML 3.
- ONNX Runtime: `tools/ci_build/github/android/nnapi_supported_ops.md` and
  `tools/ci_build/github/apple/coreml_supported_mlprogram_ops.md`.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Hashable, Sequence

from keras_pose.modelfiles.graph import Graph, Operator

# Why a delegate leaves an operator to the CPU; None where it takes it.
Rule = Callable[[Graph, Operator], str | None]


def _names(text: str) -> frozenset[str]:
    return frozenset(text.split())


_FLOATS = ("float32", "float16")
_QUANTIZED = ("int8", "uint8")
MAX_RANK = 4

_ELEMENTWISE = _names(
    "ABS ADD DIV EXP LOG LOGISTIC MAXIMUM MINIMUM MUL NEG POW RELU RELU6 RELU_N1_TO_1 "
    "RSQRT SIN SQRT SUB TANH EQUAL GREATER GREATER_EQUAL LESS LESS_EQUAL NOT_EQUAL "
    "LOGICAL_AND PRELU LEAKY_RELU ELU FLOOR HARD_SWISH"
)
_COMMON = _ELEMENTWISE | _names(
    "AVERAGE_POOL_2D BATCH_MATMUL CAST CONCATENATION CONV_2D DENSIFY DEPTHWISE_CONV_2D "
    "DEPTH_TO_SPACE DEQUANTIZE FULLY_CONNECTED GATHER MAX_POOL_2D MEAN MIRROR_PAD PACK PAD "
    "PADV2 QUANTIZE REDUCE_MAX REDUCE_MIN REDUCE_PROD RESHAPE RESIZE_BILINEAR "
    "RESIZE_NEAREST_NEIGHBOR SELECT SLICE SOFTMAX SPACE_TO_DEPTH SPLIT SPLIT_V "
    "STRIDED_SLICE SUM TILE TRANSPOSE TRANSPOSE_CONV"
)
GPU_OPS = _COMMON | _names(
    "ADD_N ATAN2 CEIL COS CUMSUM FLOOR_DIV FLOOR_MOD GELU LSTM ONE_HOT SELECT_V2 SIGN "
    "SQUARE SQUARED_DIFFERENCE"
)
_GPU_RANK_3_OR_4 = _names("MIRROR_PAD PAD PADV2 SLICE STRIDED_SLICE")
_GPU_MASKS = {
    "shrinkAxisMask": "drops an axis",
    "newAxisMask": "adds an axis",
    "ellipsisMask": "has an ellipsis",
}
NNAPI_OPS = _COMMON | _names(
    "ARG_MAX ARG_MIN BATCH_TO_SPACE_ND EXPAND_DIMS FILL L2_NORMALIZATION L2_POOL_2D "
    "LOCAL_RESPONSE_NORMALIZATION LOGICAL_NOT LOGICAL_OR REDUCE_ANY SPACE_TO_BATCH_ND "
    "SQUEEZE TOPK_V2"
)
COREML_OPS = _names(
    "ADD AVERAGE_POOL_2D CONCATENATION CONV_2D DEPTHWISE_CONV_2D FULLY_CONNECTED "
    "HARD_SWISH LOGISTIC MAX_POOL_2D MIRROR_PAD MUL PAD PADV2 RELU RELU_N1_TO_1 RELU6 "
    "RESIZE_BILINEAR SOFTMAX TANH TRANSPOSE_CONV"
)
# Operators that NNAPI computes on real numbers only.
_NNAPI_FLOAT_ONLY = _names("ABS DIV EXP LOG POW REDUCE_PROD RSQRT SIN SQRT")
_CONVOLUTIONS = _names("CONV_2D DEPTHWISE_CONV_2D TRANSPOSE_CONV")

ONNX_NNAPI_OPS = _names(
    "Abs Add AveragePool Cast Clip Concat Conv DepthToSpace DequantizeLinear Div Elu Exp "
    "Flatten Floor Gather Gemm GlobalAveragePool GlobalMaxPool Identity Log MatMul MaxPool "
    "Max Min Mul Neg Pad Pow PRelu QLinearConv QLinearMatMul QuantizeLinear Relu Reshape "
    "Resize Sigmoid Sin Slice Softmax Sqrt Squeeze Sub Tanh Transpose Unsqueeze"
)
ONNX_COREML_OPS = _names(
    "Add Argmax AveragePool Cast Clip Concat Conv ConvTranspose Cos DepthToSpace Ceil Div "
    "Elu Erf Exp GatherND Gemm Gelu GlobalAveragePool GlobalMaxPool GridSample "
    "GroupNormalization HardSigmoid Identity InstanceNormalization LayerNormalization "
    "LeakyRelu MatMul MaxPool Max Mul Pow PRelu Range Reciprocal ReduceSum ReduceMean "
    "ReduceMax Relu Reshape Resize Round Shape Sin Slice Softplus Split Sub Sigmoid "
    "Softmax Sqrt Squeeze Tanh Tile Transpose Unsqueeze"
)


def gpu_rule(graph: Graph, operator: Operator) -> str | None:
    """LiteRT's GPU delegate, which dequantizes int8 files and computes in float."""
    if operator.kind not in GPU_OPS:
        return "no such operator"
    if operator.kind == "CAST":
        kinds = [graph.tensors[operator.inputs[0]].dtype]
        kinds.append(graph.tensors[operator.outputs[0]].dtype)
        if not {*kinds} <= {*_FLOATS, "int32", "bool"}:
            return f"casts {kinds[0]} to {kinds[1]}"
    allowed = (*_FLOATS, *_QUANTIZED, "bool")
    extra = ("int32",) if operator.kind in ("CAST", "ONE_HOT") else ()
    reason = _bad_tensor(graph, operator, allowed + extra)
    if reason is None and operator.kind in ("ADD", "MUL"):
        return _bad_broadcast(graph, operator)
    return reason or _beyond_gpu(graph, operator)


def _beyond_gpu(graph: Graph, operator: Operator) -> str | None:
    """Finds a shape or an option that the GPU delegate has not of an operator it has."""
    rank = len(graph.tensors[operator.inputs[0]].shape)
    if operator.kind in _GPU_RANK_3_OR_4 and rank not in (3, 4):
        return f"of {rank} dimensions"
    if operator.kind == "STRIDED_SLICE":
        for option, words in _GPU_MASKS.items():
            if operator.options.get(option):
                return words
    if operator.kind == "SOFTMAX" and operator.options.get("beta", 1) != 1:
        return f"has beta {operator.options['beta']}"
    return None


def nnapi_rule(graph: Graph, operator: Operator) -> str | None:
    """Android's NNAPI 1.3, through which NPUs were reached."""
    if operator.kind not in NNAPI_OPS:
        return "no such operator"
    allowed: tuple[str, ...] = (*_FLOATS, *_QUANTIZED, "int32", "bool")
    if operator.kind in _NNAPI_FLOAT_ONLY:
        allowed = _FLOATS
    reason = _bad_tensor(graph, operator, allowed)
    if reason is not None:
        return reason
    source = graph.tensors[operator.inputs[0]]
    result = graph.tensors[operator.outputs[0]]
    if operator.kind == "QUANTIZE" and source.dtype != "float32":
        return f"requantizes {source.dtype}"
    if operator.kind == "CONV_2D" and len(operator.inputs) < 3:
        return "has no bias"
    same = (source.scale, source.zero_point) == (result.scale, result.zero_point)
    if operator.kind == "MEAN" and not same:
        return "input and output have different scales"
    return None


def coreml_rule(graph: Graph, operator: Operator) -> str | None:
    """LiteRT's Core ML delegate, for float files."""
    if operator.kind not in COREML_OPS:
        return "no such operator"
    reason = _bad_tensor(graph, operator, _FLOATS)
    if reason is not None:
        return reason
    if operator.kind == "FULLY_CONNECTED":
        rows = graph.tensors[operator.inputs[0]].shape[:-1]
        if any(size != 1 for size in rows):
            return "has more than one row"
    if operator.kind in ("ADD", "MUL"):
        return _bad_broadcast(graph, operator)
    return None


def _bad_tensor(graph, operator, allowed) -> str | None:
    """Finds a tensor of a type or rank that a delegate has not."""
    constants_too = operator.kind in _CONVOLUTIONS or operator.kind == "FULLY_CONNECTED"
    for tensor in (*graph.inputs_of(operator), *graph.outputs_of(operator)):
        if len(tensor.shape) > MAX_RANK:
            return f"has {len(tensor.shape)} dimensions"
        if tensor.is_constant and (tensor.dtype == "int32" or not constants_too):
            continue  # sizes, axes, biases
        known = (*allowed, *_QUANTIZED) if tensor.is_constant else allowed
        if tensor.dtype not in known:
            return f"is of type {tensor.dtype}"
    return None


def _bad_broadcast(graph, operator) -> str | None:
    """One of two inputs must be as large as the result."""
    shapes = [tensor.shape for tensor in graph.inputs_of(operator)]
    result = graph.tensors[operator.outputs[0]].shape
    return None if result in shapes else f"broadcasts both of {shapes[0]} and {shapes[1]}"


def _onnx_rule(known: frozenset[str]) -> Rule:
    """Makes the rule of one of ONNX Runtime's execution providers."""

    def rule(graph: Graph, operator: Operator) -> str | None:
        if operator.kind not in known:
            return "no such operator"
        for tensor in (*graph.inputs_of(operator), *graph.outputs_of(operator)):
            if len(tensor.shape) > MAX_RANK + 1:
                return f"has {len(tensor.shape)} dimensions"
        if operator.kind == "Conv":
            weights = graph.tensors[operator.inputs[1]]
            producer = _producer(graph, operator.inputs[1])
            if not weights.is_constant and producer not in ("DequantizeLinear",):
                return "its weights are not constant"
        return None

    return rule


def _producer(graph, key) -> str | None:
    for operator in graph.operators:
        if key in operator.outputs:
            return operator.kind
    return None


# File type -> delegate -> its rule.
DELEGATES: dict[str, dict[str, Rule]] = {
    ".tflite": {"GPU": gpu_rule, "NNAPI": nnapi_rule, "Core ML": coreml_rule},
    ".onnx": {"NNAPI": _onnx_rule(ONNX_NNAPI_OPS), "Core ML": _onnx_rule(ONNX_COREML_OPS)},
}


def fallen_operators(graph: Graph, rule: Rule) -> dict[int, str]:
    """Returns index -> reason of the operators that a delegate leaves to the CPU.

    An operator that only unpacks constants (DEQUANTIZE of float16 weights) is folded away
    by the delegate that takes its consumer, and is left out.
    """
    return {
        index: reason
        for index, operator in enumerate(graph.operators)
        if not is_unpacking(graph, operator)
        and (reason := rule(graph, operator)) is not None
    }


def is_unpacking(graph: Graph, operator: Operator) -> bool:
    """Returns True for operators without any input but constants."""
    return all(tensor.is_constant for tensor in graph.inputs_of(operator))


def partitions(graph: Graph, taken: Sequence[bool]) -> list[list[int]]:
    """Groups the operators that a delegate takes as TFLite does.

    Whatever is ready to run on one side runs, until only the other side's operators are
    ready: every such stretch on the delegate is one partition.

    Source: `PartitionGraphIntoIndependentNodeSubsets` of TensorFlow's `lite/graph_info.cc`.

    Args:
        graph: the graph.
        taken: one bool for each operator, True if the delegate takes it.

    Returns:
        The indices of the operators of each partition.
    """
    producers: dict[Hashable, int] = {
        key: index for index, op in enumerate(graph.operators) for key in op.outputs
    }
    consumers: dict[int, list[int]] = {i: [] for i in range(len(graph.operators))}
    missing = []
    for index, operator in enumerate(graph.operators):
        sources = {producers[key] for key in operator.inputs if key in producers}
        missing.append(len(sources))
        for source in sources:
            consumers[source].append(index)
    ready = {True: deque[int](), False: deque[int]()}
    for index, count in enumerate(missing):
        if count == 0:
            ready[bool(taken[index])].append(index)
    # The side of the first operator that can run begins.
    heads = [(queue[0], side) for side, queue in ready.items() if queue]
    side = min(heads)[1] if heads else True
    found: list[list[int]] = []
    while any(ready.values()):
        stretch = []
        while ready[side]:
            index = ready[side].popleft()
            stretch.append(index)
            for consumer in consumers[index]:
                missing[consumer] -= 1
                if missing[consumer] == 0:
                    ready[bool(taken[consumer])].append(consumer)
        if side and stretch:
            found.append(stretch)
        side = not side
    return found
