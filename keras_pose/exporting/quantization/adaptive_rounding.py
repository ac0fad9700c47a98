"""Kernels rounded so that their layer gives what it gave, not each weight by itself.

Rounded to the nearest step, each weight is off by a quarter of a step on average, and what
a layer gives is off by the sum. Where inputs are alike (taps of a depthwise kernel, maps
behind a ReLU, whose mean is not 0) errors add up, and what is left of a layer whose
weights nearly cancel out is mostly that: PP-TinyPose loses a quarter of its outputs'
deviation in this way, before a single activation is rounded.

So the weights of an output are rounded one after the other, and the error of each is made
up for by those that are still to come, as far as their inputs go together on the pictures
that files are calibrated on. Of what remains, the mean goes into the bias.

All that is done to the float file: its kernels then hold nothing but steps of the scale
that quantizers choose (the largest weight of a channel is the largest integer, and stays),
so that every quantizer writes just these integers.

Sources: Frantar et al. 2022 (arXiv:2210.17323), sec. 3, with the order of Frantar and
Alistarh 2022; for the bias Nagel et al. 2019 (arXiv:1906.04721), sec. 4.2.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from ai_edge_litert import schema_py_generated as schema

from keras_pose.exporting.quantization.kernels import (
    CHANNEL_AXES,
    KERNEL_INPUT,
    kernel_of,
    kernel_steps,
    nearest,
    set_kernel,
)
from keras_pose.modelfiles.tflite_model import TFLiteModel

_OPERATORS = schema.BuiltinOperator
_BIAS_INPUT = 2
# What is rounded here; a transposed convolution's outputs read different taps.
_KINDS = (_OPERATORS.CONV_2D, _OPERATORS.DEPTHWISE_CONV_2D, _OPERATORS.FULLY_CONNECTED)
# Pictures to look at, and places of a picture for each layer.
NUM_CROPS = 32
_PLACES = 128
# Inputs of an output from which on only the bias is changed: the errors of so many weights
# average out, and the time grows with the cube.
MAX_INPUTS = 640
# Of the mean square of the inputs, added to each: what 4,096 places leave open.
_DAMPING = 0.01


@dataclass
class InputMoments:
    """What an operator's kernel meets: sums over places of a layer's input.

    Attributes:
        count: number of places.
        total: (G, n) sum of the n inputs of an output; G is the number of channels of a
            depthwise convolution, and 1 of others.
        products: (G, n, n) sum of products of two inputs; None for more than `MAX_INPUTS`.
    """

    count: int
    total: np.ndarray
    products: np.ndarray | None

    def add(self, inputs: np.ndarray) -> None:
        """Adds places: (G, P, n)."""
        self.count += inputs.shape[1]
        self.total += inputs.sum(axis=1, dtype=np.float64)
        if self.products is not None:
            inputs = np.ascontiguousarray(inputs)  # or NumPy multiplies without BLAS
            self.products += inputs.transpose(0, 2, 1) @ inputs


def collect_moments(model: TFLiteModel, activations) -> dict[str, InputMoments]:
    """Notes what the kernels of a float file meet.

    Args:
        model: the float file.
        activations: dicts of what a run computes, name -> (B, ...) float32, run after run.

    Returns:
        Name of an operator's output -> what its kernel meets.
    """
    moments: dict[str, InputMoments] = {}
    names = model.computed_names()
    # Each draws its own places: the same ones, however many pictures run at a time.
    rounded = [
        (name, operator, np.random.default_rng(0))
        for name, operator in _rounded_operators(model)
    ]
    for values in activations:
        for name, operator, rng in rounded:
            read = values.get(names.get(int(operator.inputs[0]), ""))
            for picture in () if read is None else read:
                inputs = _inputs(model, operator, picture[None], rng)
                if inputs is None:
                    continue
                if name not in moments:
                    moments[name] = _nothing_met(*inputs.shape[::2])
                moments[name].add(inputs)
    return moments


def _nothing_met(groups: int, count: int) -> InputMoments:
    products = np.zeros((groups, count, count), np.float32)
    has_room = count <= MAX_INPUTS
    return InputMoments(0, np.zeros((groups, count)), products if has_room else None)


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
    that they meet; each has a bias of its own.

    Args:
        model: float file.
        moments: what `collect_moments` found in this file.
        num_bits: bits of a weight.
        is_per_channel: True for a scale for each output channel, False for one.
        float_ops: names of operators that stay as they are.
        min_weights: fewest numbers of a kernel that is rounded.
    """
    for operators in _sharing_kernels(model):
        names = {name for name, _ in operators}
        kernel = kernel_of(model, operators[0][1])
        is_known = names <= moments.keys() and not names & set(float_ops)
        if kernel is None or kernel.size < min_weights or not is_known:
            continue
        kind = model.kind_of(operators[0][1])
        met = [moments[name] for name, _ in operators]
        steps = kernel_steps(
            kernel, num_bits, CHANNEL_AXES[kind] if is_per_channel else None
        )
        rows = _rows(kernel, kind, met[0])
        row_steps = _rows(np.broadcast_to(steps, kernel.shape), kind, met[0])
        products = [each.products for each in met if each.products is not None]
        if products:
            largest = 2 ** (num_bits - 1) - 1
            rounded = _round_rows(rows, row_steps, np.sum(products, axis=0), largest)
        else:
            rounded = nearest(rows, row_steps)
        set_kernel(model, operators[0][1], _kernel(rounded, kind, kernel.shape))
        for (_, operator), each in zip(operators, met, strict=True):
            mean = each.total / each.count
            _add_to_bias(model, operator, ((rows - rounded) @ mean[..., None]).ravel())


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
        return rows[:, _some(rows.shape[1], rng)]
    if kernel.shape[3] != values.shape[3]:
        return None  # groups, or several outputs of a channel
    taps = _taps(values, kernel.shape[1:3], operator.builtinOptions, rng)
    if kind == _OPERATORS.DEPTHWISE_CONV_2D:
        return taps.transpose(1, 0, 2)
    return taps.transpose(0, 2, 1).reshape(1, len(taps), -1)


def _some(count: int, rng: np.random.Generator) -> np.ndarray:
    return np.sort(rng.choice(count, min(_PLACES, count), replace=False))


def _taps(values: np.ndarray, window_hw, options, rng: np.random.Generator) -> np.ndarray:
    """Returns (P, C, h * w) float32: what a window sees at some of its places."""
    strides = (options.strideH, options.strideW)
    dilations = (options.dilationHFactor, options.dilationWFactor)
    reach = [(size - 1) * gap + 1 for size, gap in zip(window_hw, dilations, strict=True)]
    if options.padding == schema.Padding.SAME:
        margins = []
        for size, step, span in zip(values.shape[1:3], strides, reach, strict=True):
            missing = max((-(-size // step) - 1) * step + span - size, 0)
            margins.append((missing // 2, missing - missing // 2))
        values = np.pad(values, ((0, 0), *margins, (0, 0)))
    windows = np.lib.stride_tricks.sliding_window_view(values, reach, axis=(1, 2))
    windows = windows[:, :: strides[0], :: strides[1], :, :: dilations[0], :: dilations[1]]
    num_places = int(np.prod(windows.shape[:3]))
    # Only now anything is copied.
    seen = windows[np.unravel_index(_some(num_places, rng), windows.shape[:3])]
    return seen.reshape(*seen.shape[:2], -1).astype(np.float32)


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


def _round_rows(
    rows: np.ndarray, steps: np.ndarray, products: np.ndarray, largest: int
) -> np.ndarray:
    """Rounds weights, those first whose inputs are strongest.

    Args:
        rows: (G, R, n) weights; a group's rows meet the same inputs.
        steps: (G, R, n) step of each.
        products: (G, n, n) sums of products of two inputs.
        largest: largest integer of a weight.

    Returns:
        (G, R, n) multiples of `steps`. The largest weight of each row stays.
    """
    count = rows.shape[2]
    products = products.astype(np.float64)
    order = np.argsort(-np.einsum("gii->gi", products), axis=1, kind="stable")
    products = np.take_along_axis(products, order[:, :, None], 1)
    products = np.take_along_axis(products, order[:, None, :], 2)
    rows = np.take_along_axis(rows, order[:, None, :], 2)
    steps = np.take_along_axis(steps, order[:, None, :], 2)
    mean = np.einsum("gii->g", products)[:, None, None] / count
    mean[mean == 0] = 1.0  # inputs that were always 0
    inverse = np.linalg.inv(products + _DAMPING * mean * np.eye(count))
    upper = np.linalg.cholesky((inverse + inverse.transpose(0, 2, 1)) / 2)
    upper = upper.transpose(0, 2, 1)
    # These the scale was made for, so they must be met.
    is_largest = np.abs(rows) >= steps * (largest - 1e-4)
    still, rounded = rows.copy(), np.empty_like(rows)
    for i in range(count):
        step = steps[:, :, i]
        integers = np.clip(np.rint(still[:, :, i] / step), -largest, largest)
        rounded[:, :, i] = np.where(is_largest[:, :, i], rows[:, :, i], integers * step)
        error = (still[:, :, i] - rounded[:, :, i]) / upper[:, None, i, i]
        still[:, :, i + 1 :] -= error[:, :, None] * upper[:, None, i, i + 1 :]
    back = np.argsort(order, axis=1)
    return np.take_along_axis(rounded, back[:, None, :], 2)


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
