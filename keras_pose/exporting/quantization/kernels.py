"""Kernels of a float `.tflite` file, the steps of their integers, and their windows."""

from __future__ import annotations

import numpy as np
from ai_edge_litert import schema_py_generated as schema

from keras_pose.modelfiles.tflite_model import TFLiteModel

# Operators with a kernel as their second input -> its axis of output channels.
CHANNEL_AXES = {
    schema.BuiltinOperator.CONV_2D: 0,
    schema.BuiltinOperator.DEPTHWISE_CONV_2D: 3,
    schema.BuiltinOperator.TRANSPOSE_CONV: 0,
    schema.BuiltinOperator.FULLY_CONNECTED: 0,
}
KERNEL_INPUT = 1


def kernel_of(model: TFLiteModel, operator) -> np.ndarray | None:
    """Returns an operator's kernel, see `CHANNEL_AXES`; None for one that is computed."""
    tensor = model.graph.tensors[operator.inputs[KERNEL_INPUT]]
    data = model.tables.buffers[tensor.buffer].data
    if data is None or len(data) == 0 or tensor.type != schema.TensorType.FLOAT32:
        return None
    return np.frombuffer(memoryview(data), np.float32).reshape(tensor.shape)


def set_kernel(model: TFLiteModel, operator, kernel: np.ndarray) -> None:
    """Replaces the kernel of an operator, and of all that read the same."""
    tensor = model.graph.tensors[operator.inputs[KERNEL_INPUT]]
    content = np.frombuffer(kernel.astype(np.float32).tobytes(), np.uint8)
    # A buffer of its own: other tensors may hold the same numbers.
    tensor.buffer = model.add_buffer(content)


def kernel_steps(kernel: np.ndarray, num_bits: int, channel_axis: int | None) -> np.ndarray:
    """Returns the steps of symmetric integers, the largest of which is the largest weight.

    Args:
        kernel: weights, of any shape.
        num_bits: bits of a weight.
        channel_axis: axis along which each has a step of its own; None for one for all.

    Returns:
        float32, of size 1 in the other axes; 1 where all weights are 0.
    """
    axes = tuple(i for i in range(kernel.ndim) if i != channel_axis)
    step = np.abs(kernel).max(axis=axes, keepdims=True) / (2 ** (num_bits - 1) - 1)
    return np.where(step > 0, step, 1.0)


def nearest(kernel: np.ndarray, steps: np.ndarray) -> np.ndarray:
    """Rounds weights to the nearest multiples of their steps."""
    return np.rint(kernel / steps) * steps


def same_margins(size_hw, strides, dilations, window_hw):
    """Returns ((top, bottom), (left, right)) margins of padding "same".

    Args:
        size_hw: height and width of the input.
        strides: steps of the window, rows and columns.
        dilations: distances of its taps, rows and columns.
        window_hw: height and width of the kernel.
    """
    margins = []
    sizes = zip(size_hw, strides, dilations, window_hw, strict=True)
    for size, step, gap, taps_of_side in sizes:
        reach = (taps_of_side - 1) * gap + 1
        missing = max((-(-size // step) - 1) * step + reach - size, 0)
        margins.append((missing // 2, missing - missing // 2))
    return margins
