"""Kernels of a float `.onnx` file rounded by what they meet, see `adaptive_rounding`."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from onnx import helper, numpy_helper

from keras_pose.exporting.quantization.adaptive_rounding import (
    InputMoments,
    Kernel,
    rounded_rows,
    some_places,
    taps,
)
from keras_pose.exporting.quantization.kernels import same_margins
from keras_pose.exporting.quantization.onnx_sums import (
    CHANNEL_AXES,
    MAX_SUM,
    SummedKernel,
    channel_axis,
)

_BIAS_INPUT = 2
_NUM_BITS = 8


@dataclass(frozen=True)
class _Kernel:
    """A constant that a node multiplies what is computed by.

    Attributes:
        node: `onnx.NodeProto` of a Conv, Gemm or MatMul.
        values: the constant, as it is stored.
    """

    node: Any
    values: np.ndarray

    @property
    def options(self) -> dict[str, Any]:
        return {x.name: helper.get_attribute_value(x) for x in self.node.attribute}

    @property
    def is_depthwise(self) -> bool:
        return self.options.get("group", 1) > 1

    @property
    def axis(self) -> int:
        """Axis of the output channels."""
        return channel_axis(self.node)

    @property
    def rows(self) -> np.ndarray:
        """(G, R, n) float64: the weights of each output in the order of their sum."""
        rows = SummedKernel(self.node.input[1], self.axis, self.values).rows
        return (rows[:, None] if self.is_depthwise else rows[None]).astype(np.float64)

    def with_rows(self, rows: np.ndarray) -> np.ndarray:
        """Returns the constant with other weights."""
        shape = np.moveaxis(self.values, self.axis, 0).shape
        if self.is_depthwise or len(shape) == 2:
            kernels = rows.reshape(shape)
        else:
            kernels = np.moveaxis(rows.reshape(shape[0], *shape[2:], shape[1]), -1, 1)
        turned = np.moveaxis(kernels, 0, self.axis)
        return np.ascontiguousarray(turned, dtype=np.float32)

    def inputs(self, values: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        """Returns (G, P, n) inputs of the outputs at P places of one picture."""
        if self.node.op_type != "Conv":
            places = values.reshape(1, -1, values.shape[-1])
            return places[:, some_places(places.shape[1], rng)]
        options, window_hw = self.options, self.values.shape[2:]
        strides = options.get("strides", [1, 1])
        dilations = options.get("dilations", [1, 1])
        margins: Any = same_margins(values.shape[2:], strides, dilations, window_hw)
        if options.get("auto_pad", b"NOTSET") in (b"NOTSET", b"VALID"):
            top, left, bottom, right = options.get("pads", [0] * 4)
            margins = [(top, bottom), (left, right)]
        image = values.transpose(0, 2, 3, 1)
        seen = taps(image, window_hw, strides, dilations, margins, rng)
        if self.is_depthwise:
            return seen.transpose(1, 0, 2)
        return seen.transpose(0, 2, 1).reshape(1, len(seen), -1)


def kernels_met(model) -> Iterator[Kernel]:
    """Yields the kernels of a file for `adaptive_rounding.collect_both`.

    Args:
        model: `onnx.ModelProto`.
    """
    for kernel in _kernels(model):
        yield kernel.node.output[0], kernel.node.input[0], kernel.inputs


def round_adaptively(
    model,
    moments: Mapping[str, InputMoments],
    limits: Mapping[str, np.ndarray],
    left_out: Collection[str] = (),
) -> None:
    """Rounds the kernels of a float file, in place; they stay floats.

    Nodes that are left out keep theirs, also where others read the same.

    Args:
        model: `onnx.ModelProto`.
        moments: what `adaptive_rounding.collect_both` found in this file.
        limits: name of a constant -> (R,) real number that the largest integer of each
            channel stands for, where two neighbours may add up to `MAX_SUM` at most. For
            others it is the largest weight.
        left_out: names of nodes that stay as they are.
    """
    stored = {each.name: each for each in model.graph.initializer}
    sharing: dict[str, list[_Kernel]] = {}
    for kernel in _kernels(model):
        sharing.setdefault(kernel.node.input[1], []).append(kernel)
    for name, kernels in sharing.items():
        nodes = [
            kernel.node
            for kernel in kernels
            if kernel.node.name not in left_out and kernel.node.output[0] in moments
        ]
        if not nodes:
            continue
        if len(nodes) < len(kernels):
            _copy_kernel(model, stored[name], kernels, nodes)
        known = [moments[node.output[0]] for node in nodes]
        rows = kernels[0].rows
        largest = np.abs(rows).max(axis=2)
        if name in limits:
            largest = limits[name].reshape(largest.shape)
        steps = np.where(largest > 0, largest / (2 ** (_NUM_BITS - 1) - 1), 1.0)
        rounded = rounded_rows(
            rows,
            np.broadcast_to(steps[:, :, None], rows.shape),
            known,
            _NUM_BITS,
            MAX_SUM if name in limits else None,
        )
        content = numpy_helper.from_array(kernels[0].with_rows(rounded), name)
        stored[name].CopyFrom(content)
        for node, each in zip(nodes, known, strict=True):
            change = ((rows - rounded) @ each.mean[..., None]).ravel()
            _add_to_bias(model, stored, node, change)


def _copy_kernel(model, constant, kernels, rounded) -> None:
    """Gives the nodes whose kernel is not rounded a constant of their own."""
    copied = model.graph.initializer.add()
    copied.CopyFrom(constant)
    copied.name = f"{constant.name}_as_it_is"
    for kernel in kernels:
        if kernel.node not in rounded:
            kernel.node.input[1] = copied.name


def _kernels(model) -> Iterator[_Kernel]:
    """Yields the kernels that are rounded here: not those of convolutions in groups."""
    stored = {each.name: each for each in model.graph.initializer}
    for node in model.graph.node:
        if node.op_type not in CHANNEL_AXES or node.input[1] not in stored:
            continue
        kernel = _Kernel(node, numpy_helper.to_array(stored[node.input[1]]))
        groups = kernel.options.get("group", 1)
        is_depthwise = groups == kernel.values.shape[0] and kernel.values.shape[1] == 1
        is_plain = groups == 1 and not kernel.options.get("transA", 0)
        if kernel.values.ndim in (2, 4) and (is_plain or is_depthwise):
            yield kernel


def _add_to_bias(model, stored, node, change: np.ndarray) -> None:
    """Changes a node's bias, if it has one; others may read the same constant."""
    if len(node.input) <= _BIAS_INPUT or node.input[_BIAS_INPUT] not in stored:
        return
    bias = numpy_helper.to_array(stored[node.input[_BIAS_INPUT]])
    if bias.size != change.size:
        return
    name = f"{node.input[_BIAS_INPUT]}_of_{node.name}"
    moved = (bias + change.reshape(bias.shape)).astype(np.float32)
    model.graph.initializer.append(numpy_helper.from_array(moved, name))
    node.input[_BIAS_INPUT] = name
