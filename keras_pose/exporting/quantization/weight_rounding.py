"""Error of a network's outputs from the rounding of weights alone.

Kernels of the float file are rounded in NumPy, as a format asks for, and the file is run:
no quantizer is involved. What a format of few weight bits may lose hangs on the network
(random or deep ones make much of any noise), so a fixed bound would be a guess; this is a
measure. Kernels of the float file have their batch norms in them, as those of all files.
"""

from __future__ import annotations

import numpy as np
from ai_edge_litert import schema_py_generated as schema

from keras_pose.commandline.quiet import quiet_stderr
from keras_pose.exporting.comparison import relative_error
from keras_pose.exporting.quantization import tflite_edit as edit
from keras_pose.exporting.quantization.tflite_quantizing import MIN_WEIGHTS, network_of
from keras_pose.modelfiles.flatbuffer import pack

# Operators with a kernel as their second input -> its axis of output channels.
_CHANNEL_AXES = {
    schema.BuiltinOperator.CONV_2D: 0,
    schema.BuiltinOperator.DEPTHWISE_CONV_2D: 3,
    schema.BuiltinOperator.TRANSPOSE_CONV: 0,
    schema.BuiltinOperator.FULLY_CONNECTED: 0,
}
_KERNEL_INPUT = 1
# Formats whose error is mostly that of their weights -> bits, one scale per channel, and
# the fewest numbers of a kernel that is rounded.
WEIGHT_FORMATS = {
    "int8_per_tensor": (8, False, 1),
    "int16x8": (8, True, 1),
    "int4": (4, True, MIN_WEIGHTS),
}


def weight_error(float_bytes: bytes, crops, quantization: str) -> float:
    """Measures what a format's weights lose, on a few crops.

    Args:
        float_bytes: float32 file, from `float_tflite_bytes`.
        crops: (N, H, W, 3) uint8.
        quantization: any; 0 is returned for those that are not `WEIGHT_FORMATS`.

    Returns:
        The largest `relative_error` of an output.
    """
    if quantization not in WEIGHT_FORMATS:
        return 0.0
    network = network_of(float_bytes)
    rounded = with_rounded_weights(network, *WEIGHT_FORMATS[quantization])
    pairs = zip(_run(rounded, crops), _run(network, crops), strict=True)
    return max(relative_error(actual, expected) for actual, expected in pairs)


def with_rounded_weights(
    float_bytes: bytes, num_bits: int, is_per_channel: bool, min_weights: int = 1
) -> bytes:
    """Rounds the kernels of a float file to so many bits; what it returns is floats."""
    model = edit.parse(float_bytes)
    for operator in model.subgraphs[0].operators:
        axis = _CHANNEL_AXES.get(edit.kind_of(model, operator))
        if axis is None:
            continue
        tensor = model.subgraphs[0].tensors[operator.inputs[_KERNEL_INPUT]]
        buffer = model.buffers[tensor.buffer]
        if buffer.data is None or int(np.prod(tensor.shape)) < min_weights:
            continue
        kernel = np.frombuffer(bytes(buffer.data), np.float32).reshape(tensor.shape)
        rounded = _rounded(kernel, num_bits, axis if is_per_channel else None)
        buffer.data = np.frombuffer(rounded.tobytes(), np.uint8)
    return pack(model)


def _rounded(kernel: np.ndarray, num_bits: int, channel_axis: int | None) -> np.ndarray:
    """Rounds to symmetric integers, whose largest is that of the largest weight."""
    axes = tuple(i for i in range(kernel.ndim) if i != channel_axis)
    step = np.abs(kernel).max(axis=axes, keepdims=True) / (2 ** (num_bits - 1) - 1)
    step = np.where(step > 0, step, 1.0)
    return (np.rint(kernel / step) * step).astype(np.float32)


def _run(content: bytes, crops) -> list[np.ndarray]:
    """Returns all outputs for all crops."""
    import ai_edge_litert.interpreter as litert

    with quiet_stderr():
        interpreter = litert.Interpreter(model_content=content)
        interpreter.allocate_tensors()
    (image,) = interpreter.get_input_details()
    keys = [each["index"] for each in interpreter.get_output_details()]
    batch = int(image["shape"][0])
    runs = []
    for start in range(0, len(crops), batch):
        # The last batch is filled up with the first crops.
        indices = np.arange(start, start + batch) % len(crops)
        interpreter.set_tensor(image["index"], np.ascontiguousarray(crops[indices]))
        interpreter.invoke()
        runs.append([interpreter.get_tensor(key) for key in keys])
    return [np.concatenate(values) for values in zip(*runs, strict=True)]
