"""Ranges that quantization-aware training found, told to the quantizer.

Training knows layers, files know tensors: `ranges_by_tensor` leads from one to the other.
"""

from __future__ import annotations

from keras_pose.activation_ranges import Ranges
from keras_pose.exporting.graphs.layer_names import find_layers
from keras_pose.exporting.quantization.ranges import Range
from keras_pose.exporting.quantization.tflite_quantizing import quantizable_ops


def ranges_by_tensor(float_bytes: bytes, ranges: Ranges) -> dict[str, Range]:
    """Finds the tensors whose ranges are known.

    Args:
        float_bytes: what `float_tflite_bytes` returned.
        ranges: by layer, see `activation_ranges`; may be empty.

    Returns:
        Name of a tensor -> (low, high). A layer that became several operators, such as
        SiLU, gives the tensor of the last one; the others are calibrated.
    """
    makers: dict[str, str] = {}
    for tensor in quantizable_ops(float_bytes):
        layers = find_layers(tensor, ranges)
        if layers:
            makers[layers[-1]] = tensor
    return {tensor: ranges[layer] for layer, tensor in makers.items()}
