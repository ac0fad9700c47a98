"""Ranges that quantization-aware training found, by the tensors of a file.

Training names layers, files name tensors: `ranges_by_tensor` leads from one to the other.
"""

from __future__ import annotations

from keras_pose.contracts.activation_ranges import Ranges
from keras_pose.exporting.quantization.measured_ranges import Range
from keras_pose.exporting.quantization.tflite_quantizing import quantizable_ops
from keras_pose.modelfiles.layer_names import find_layers
from keras_pose.modelfiles.tflite_model import TFLiteModel


def ranges_by_tensor(float_model: TFLiteModel, ranges: Ranges) -> dict[str, Range]:
    """Finds the tensors whose ranges are known.

    Args:
        float_model: float32 file, from `tflite_export.float_tflite_model`.
        ranges: ranges by layer, see `activation_ranges`; may be empty.

    Returns:
        Name of a tensor -> (low, high). A layer that became several operators, such as
        SiLU or a sum of three, gives the tensor of the last one, unless another layer was
        fused behind it there; the others are calibrated.
    """
    layers_of = {
        tensor: find_layers(tensor, ranges) for tensor in quantizable_ops(float_model)
    }
    last = {layer: tensor for tensor, layers in layers_of.items() for layer in layers}
    return {
        tensor: ranges[layer]
        for layer, tensor in last.items()
        if layers_of[tensor][-1] == layer
    }
