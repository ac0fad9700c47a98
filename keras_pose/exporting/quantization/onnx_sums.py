"""Weights of int8 `.onnx` files that all processors sum alike.

x86 processors without VNNI multiply unsigned by signed bytes and add each two neighbouring
products in 16 bits (VPMADDUBSW), where a large sum saturates: the same file then gives
other outputs than elsewhere. Activations reach 255, so two neighbouring weights may add up
to 128 at most, 255 * 128 < 2**15. A channel's step is made as coarse as that takes, which
is finer than 7 bits for all weights.

Neighbours are those in the order that ONNX Runtime sums in: kernel row, kernel column,
input channel, the last one fastest. Two at any place count, not only those at even ones,
since other runtimes begin anew at each row or pixel. Depthwise convolutions sum in 32 bits,
and transposed ones are computed in float: their weights keep 8 bits.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from onnx import numpy_helper

# Largest sum of two neighbouring weights.
MAX_SUM = 128
# Operators that sum such products -> axis of their kernels' output channels.
CHANNEL_AXES = {"Conv": 0, "MatMul": 1, "Gemm": 1}


@dataclass(frozen=True)
class SummedKernel:
    """A kernel whose products with activations are added in pairs.

    Attributes:
        name: name of the constant.
        axis: axis of its output channels.
        values: the constant, real numbers or integers.
    """

    name: str
    axis: int
    values: np.ndarray

    @property
    def rows(self) -> np.ndarray:
        """(channels, products) weights in the order that they are summed in."""
        kernels = np.moveaxis(self.values, self.axis, 0)
        if kernels.ndim > 2:
            kernels = np.moveaxis(kernels, 1, -1)
        return kernels.reshape(len(kernels), -1)

    def limits(self) -> np.ndarray:
        """Returns the real number that each channel's largest integer stands for.

        Rounding adds a half to each of two neighbours, so their sum may be one more than
        that integer, 127.
        """
        rows = self.rows
        singles = np.abs(rows).max(axis=1)
        pairs = np.abs(rows[:, 1:] + rows[:, :-1]).max(axis=1, initial=0)
        return np.maximum(singles, pairs)


def summed_kernels(model) -> list[SummedKernel]:
    """Returns the kernels of a float or an int8 file whose products are added in pairs.

    Args:
        model: `onnx.ModelProto`.
    """
    stored = {each.name: each for each in model.graph.initializer}
    integers = {
        node.output[0]: node.input[0]
        for node in model.graph.node
        if node.op_type == "DequantizeLinear"
    }
    kernels = {}
    for node in model.graph.node:
        if node.op_type not in CHANNEL_AXES:
            continue
        name = integers.get(node.input[1], node.input[1])
        options = {each.name: each.i for each in node.attribute}
        if name not in stored or _is_depthwise(options, stored[name]):
            continue
        values = numpy_helper.to_array(stored[name])
        kernels[name] = SummedKernel(name, channel_axis(node), values)
    return list(kernels.values())


def channel_axis(node) -> int:
    """Returns the axis of output channels in the kernel of an `onnx.NodeProto`."""
    options = {each.name: each.i for each in node.attribute}
    is_turned = node.op_type == "Gemm" and options.get("transB", 0)
    return 0 if is_turned else CHANNEL_AXES[node.op_type]


def _is_depthwise(options: Mapping[str, int], kernel) -> bool:
    return options.get("group", 1) > 1 and kernel.dims[1] == 1


def sums_fit(model) -> bool | None:
    """Returns True for an int8 file that all processors compute alike.

    Returns:
        False for one whose sums some processors saturate; None for a file without integers.
    """
    kernels = [each for each in summed_kernels(model) if each.values.dtype == np.int8]
    if not kernels:
        return None
    rows = [kernel.rows.astype(int) for kernel in kernels]
    largest = max(np.abs(each[:, 1:] + each[:, :-1]).max(initial=0) for each in rows)
    return bool(largest <= MAX_SUM)
