"""Kernels of a float `.tflite` file rounded by what they meet, see `adaptive_rounding`."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from functools import partial
from typing import Any

import numpy as np
from ai_edge_litert import schema_py_generated as schema

from keras_pose.exporting.quantization.adaptive_rounding import (
    InputMoments,
    Kernel,
    rounded_rows,
    some_places,
    taps,
)
from keras_pose.exporting.quantization.kernels import (
    CHANNEL_AXES,
    KERNEL_INPUT,
    kernel_of,
    kernel_steps,
    same_margins,
    set_kernel,
)
from keras_pose.modelfiles.tflite_model import TFLiteModel

_OPERATORS = schema.BuiltinOperator
_BIAS_INPUT = 2
# What is rounded here; a transposed convolution's outputs read different taps.
_KINDS = (_OPERATORS.CONV_2D, _OPERATORS.DEPTHWISE_CONV_2D, _OPERATORS.FULLY_CONNECTED)


def kernels_met(model: TFLiteModel) -> Iterator[Kernel]:
    """Yields the kernels of a file for `adaptive_rounding.collect_both`."""
    names = model.computed_names()
    for name, operator in _rounded_operators(model):
        read = names.get(int(operator.inputs[0]), "")
        yield name, read, partial(_inputs, model, operator)


def round_adaptively(
    model: TFLiteModel,
    moments: Mapping[str, InputMoments],
    num_bits: int = 8,
    is_per_channel: bool = True,
    float_ops: Collection[str] = (),
    min_weights: int = 1,
) -> None:
    """Rounds the kernels of a float file, in place; they stay floats.

    A kernel that several operators read (heads shared by scales) is rounded once, for all
    that they meet; each has a bias of its own. Those that stay as they are keep the kernel.

    Args:
        model: float file.
        moments: what a `MomentCollector` noted of this file.
        num_bits: bits of a weight.
        is_per_channel: True for a scale for each output channel, False for one.
        float_ops: names of operators that stay as they are.
        min_weights: fewest numbers of a kernel that is rounded.
    """
    for sharing in _sharing_kernels(model):
        kernel = kernel_of(model, sharing[0][1])
        operators = [
            (name, operator)
            for name, operator in sharing
            if name in moments and name not in float_ops
        ]
        if kernel is None or kernel.size < min_weights or not operators:
            continue
        if len(operators) < len(sharing):
            _copy_kernel(model, sharing, operators)
        kind = model.kind_of(operators[0][1])
        met = [moments[name] for name, _ in operators]
        steps = kernel_steps(
            kernel, num_bits, CHANNEL_AXES[kind] if is_per_channel else None
        )
        rows = _rows(kernel, kind, met[0])
        row_steps = _rows(np.broadcast_to(steps, kernel.shape), kind, met[0])
        rounded = rounded_rows(rows, row_steps, met, num_bits)
        set_kernel(model, operators[0][1], _kernel(rounded, kind, kernel.shape))
        for (_, operator), each in zip(operators, met, strict=True):
            mean = each.mean[..., None]
            _add_to_bias(model, operator, ((rows - rounded) @ mean).ravel())


def _copy_kernel(model: TFLiteModel, sharing, rounded) -> None:
    """Gives the operators whose kernel is not rounded a tensor of their own for it."""
    index = int(sharing[0][1].inputs[KERNEL_INPUT])
    tensor = model.graph.tensors[index]
    name = tensor.name + b"#%d" % len(model.graph.tensors)
    copied = model.add_tensor(tensor, name=name)
    names = {name for name, _ in rounded}
    for name, operator in sharing:
        if name not in names:
            operator.inputs = np.array(operator.inputs, np.int32)
            operator.inputs[KERNEL_INPUT] = copied


def _sharing_kernels(model: TFLiteModel) -> list[list[tuple[str, Any]]]:
    """Returns the operators to round, by name, those together that read one kernel."""
    readers: dict[int, list[tuple[str, Any]]] = {}
    for name, operator in _rounded_operators(model):
        readers.setdefault(int(operator.inputs[KERNEL_INPUT]), []).append((name, operator))
    return list(readers.values())


def _rounded_operators(model: TFLiteModel) -> Iterator[tuple[str, Any]]:
    """Yields the operators with a kernel to round, by the name of their output."""
    for operator in model.graph.operators:
        if model.kind_of(operator) in _KINDS and kernel_of(model, operator) is not None:
            yield model.graph.tensors[operator.outputs[0]].name.decode(), operator


def _inputs(
    model: TFLiteModel, operator, values: np.ndarray, rng: np.random.Generator
) -> np.ndarray | None:
    """Returns (G, P, n) inputs of an operator's outputs at P places; None if unknown."""
    kernel = kernel_of(model, operator)
    kind = model.kind_of(operator)
    if kernel is None:
        return None
    if kind == _OPERATORS.FULLY_CONNECTED:
        rows = values.reshape(1, -1, kernel.shape[1])
        return rows[:, some_places(rows.shape[1], rng)]
    if kernel.shape[3] != values.shape[3]:
        return None  # groups, or several outputs of a channel
    options = operator.builtinOptions
    strides = (options.strideH, options.strideW)
    dilations = (options.dilationHFactor, options.dilationWFactor)
    window_hw = kernel.shape[1:3]
    margins = [(0, 0), (0, 0)]
    if options.padding == schema.Padding.SAME:
        margins = same_margins(values.shape[1:3], strides, dilations, window_hw)
    seen = taps(values, window_hw, strides, dilations, margins, rng)
    if kind == _OPERATORS.DEPTHWISE_CONV_2D:
        return seen.transpose(1, 0, 2)
    return seen.transpose(0, 2, 1).reshape(1, len(seen), -1)


def _rows(kernel: np.ndarray, kind: int, met: InputMoments) -> np.ndarray:
    """Returns (G, R, n) float64: the weights of each output in a row."""
    if kind == _OPERATORS.DEPTHWISE_CONV_2D:
        return kernel.reshape(-1, kernel.shape[3]).T[:, None].astype(np.float64)
    return kernel.reshape(1, len(kernel), met.total.shape[1]).astype(np.float64)


def _kernel(rows: np.ndarray, kind: int, shape) -> np.ndarray:
    """Puts rows back into a kernel."""
    if kind == _OPERATORS.DEPTHWISE_CONV_2D:
        rows = rows[:, 0].T
    return rows.reshape(shape).astype(np.float32)


def _add_to_bias(model: TFLiteModel, operator, change: np.ndarray) -> None:
    """Changes an operator's bias, if it has one; others may read the same tensor."""
    inputs = operator.inputs
    if len(inputs) <= _BIAS_INPUT or inputs[_BIAS_INPUT] < 0:
        return
    tensor = model.graph.tensors[inputs[_BIAS_INPUT]]
    data = model.tables.buffers[tensor.buffer].data
    if data is None:
        return
    bias = np.frombuffer(bytes(data), np.float32) + change.astype(np.float32)
    name = tensor.name + b"#%d" % len(model.graph.tensors)
    buffer = model.add_buffer(np.frombuffer(bias.tobytes(), np.uint8))
    operator.inputs = np.array(inputs, np.int32)
    operator.inputs[_BIAS_INPUT] = model.add_tensor(tensor, name=name, buffer=buffer)
