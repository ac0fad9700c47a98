"""Graphs of model files in one form for `.tflite` and `.onnx`: tensors, operators,
multiply-accumulates. Files are read, not run.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Hashable, Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class Tensor:
    """One tensor of a graph.

    Attributes:
        name: name in the file.
        shape: sizes; a free one counts as 1.
        dtype: NumPy name, or TFLite's in small letters.
        is_constant: True if its values are in the file.
        scale: real value of one integer step; None where it is not quantized. The first
            one of a tensor that has one per channel.
        zero_point: integer that stands for 0; None where it is not quantized. The first one
            of a tensor that has one per channel.
        num_scales: 0, 1, or the number of channels.
    """

    name: str
    shape: tuple[int, ...]
    dtype: str
    is_constant: bool = False
    scale: float | None = None
    zero_point: int | None = None
    num_scales: int = 0


@dataclass(frozen=True)
class Operator:
    """One operator of a graph.

    Attributes:
        kind: operator's name, such as "CONV_2D" or "Conv"; operators that are not builtin
            are "custom:NAME".
        inputs: keys of tensors; those that were left out are not among them.
        outputs: keys of the tensors that it writes.
        options: other attributes in the file.
        version: version of the operator, which TFLite counts per kind.
    """

    kind: str
    inputs: tuple[Hashable, ...]
    outputs: tuple[Hashable, ...]
    options: Mapping[str, Any] = field(default_factory=dict, hash=False)
    version: int = 1


@dataclass(frozen=True)
class Graph:
    """Operators and tensors of a file.

    Attributes:
        file_type: ".tflite" or ".onnx".
        tensors: all of them by key.
        operators: operators in the order in which they run.
        inputs: keys of what goes in.
        outputs: keys of what comes out.
    """

    file_type: str
    tensors: Mapping[Hashable, Tensor]
    operators: tuple[Operator, ...]
    inputs: tuple[Hashable, ...]
    outputs: tuple[Hashable, ...]

    def inputs_of(self, operator: Operator) -> list[Tensor]:
        return [self.tensors[key] for key in operator.inputs]

    def outputs_of(self, operator: Operator) -> list[Tensor]:
        return [self.tensors[key] for key in operator.outputs]

    def counts(self) -> Counter:
        """Counts the operators by kind."""
        return Counter(operator.kind for operator in self.operators)


def count_graph_macs(graph: Graph) -> int:
    """Counts multiply-accumulates of one run; as `models.complexity`, from the file.

    Those of convolutions, dense layers and products of matrices; one counts 1, not 2.
    """
    return sum(operator_macs(graph, operator) for operator in graph.operators)


def operator_macs(graph: Graph, operator: Operator) -> int:
    """Counts the multiply-accumulates of one operator; 0 for those that do not multiply."""
    count = _MACS.get(operator.kind)
    if count is None or len(operator.inputs) < 2:
        return 0
    return count(graph.inputs_of(operator), graph.outputs_of(operator)[0])


def weight_type(graph: Graph) -> str:
    """Returns the type of the weights that most of the work is done with."""
    work: Counter = Counter()
    producers = {key: op for op in graph.operators for key in op.outputs}
    for operator in graph.operators:
        macs = operator_macs(graph, operator)
        if macs:
            key = operator.inputs[_WEIGHTS_AT.get(operator.kind, 1)]
            work[_stored_type(graph, producers, key)] += macs
    return work.most_common(1)[0][0] if work else "float32"


def _stored_type(graph, producers, key) -> str:
    """Returns the type a tensor has in the file, before it is dequantized."""
    producer = producers.get(key)
    if producer is not None and producer.kind in ("DEQUANTIZE", "DequantizeLinear"):
        return graph.tensors[producer.inputs[0]].dtype
    return graph.tensors[key].dtype


def _tflite_conv(inputs, output):
    return math.prod(output.shape) * math.prod(inputs[1].shape[1:])  # filter (O, h, w, I)


def _tflite_depthwise(inputs, output):
    return math.prod(output.shape) * math.prod(inputs[1].shape[1:3])  # filter (1, h, w, O)


def _tflite_transposed(inputs, output):
    # Inputs: output shape, filter (O, h, w, I), image. It multiplies at input positions.
    return math.prod(inputs[2].shape[:-1]) * math.prod(inputs[1].shape)


def _tflite_dense(inputs, output):
    return math.prod(output.shape) * inputs[1].shape[-1]  # filter (O, I)


def _matmul(inputs, output):
    return math.prod(output.shape) * inputs[0].shape[-1]


def _onnx_conv(inputs, output):
    return math.prod(output.shape) * math.prod(inputs[1].shape[1:])  # weights (O, I, h, w)


def _onnx_transposed(inputs, output):
    # Weights (I, O, h, w): every input position multiplies with all but I of them.
    return math.prod(inputs[0].shape) * math.prod(inputs[1].shape[1:])


def _onnx_quantized_conv(inputs, output):
    return math.prod(output.shape) * math.prod(inputs[3].shape[1:])


def _onnx_gemm(inputs, output):
    return math.prod(output.shape) * math.prod(inputs[1].shape) // output.shape[-1]


_MACS: dict[str, Callable[[list[Tensor], Tensor], int]] = {
    "CONV_2D": _tflite_conv,
    "DEPTHWISE_CONV_2D": _tflite_depthwise,
    "TRANSPOSE_CONV": _tflite_transposed,
    "FULLY_CONNECTED": _tflite_dense,
    "BATCH_MATMUL": _matmul,
    "Conv": _onnx_conv,
    "ConvTranspose": _onnx_transposed,
    "QLinearConv": _onnx_quantized_conv,
    "MatMul": _matmul,
    "MatMulInteger": _matmul,
    "Gemm": _onnx_gemm,
}
# Where the weights stand among the inputs; second by default.
_WEIGHTS_AT = {"QLinearConv": 3}
