"""Batch norms in a file: behind a convolution, a norm's factors belong into the kernel and
its offsets into the bias, and no operator is left of it.

One that is left costs a pass over its tensor, and in int8 one rounding more.
"""

from __future__ import annotations

from collections.abc import Collection, Hashable

from keras_pose.modelfiles.graph import Graph
from keras_pose.modelfiles.layer_names import find_layers

# Operators of a norm that is not folded, in TFLite and in ONNX.
_ARITHMETIC = {"MUL", "ADD", "SUB", "DIV", "Mul", "Add", "Sub", "Div"}
_ARITHMETIC |= {"BatchNormalization"}
# A norm as a convolution of its own (`float_graph.layer_rewrites`): one pixel, one channel.
_CARRIER = "DEPTHWISE_CONV_2D"
_CARRIER_KERNEL = (1, 1, 1)
_UNPACKING = ("DEQUANTIZE", "DequantizeLinear")


def batch_norm_names(model) -> list[str]:
    """Returns the names of a Keras model's batch norms, those in nested models included."""
    layers = model._flatten_layers(include_self=False)
    return [each.name for each in layers if type(each).__name__ == "BatchNormalization"]


def unfolded_batch_norms(
    graph: Graph, batch_norms: Collection[str]
) -> dict[str, tuple[str, ...]]:
    """Finds the batch norms that still have operators of their own.

    Args:
        graph: operators and tensors of a file.
        batch_norms: names of layers, as `batch_norm_names` gives them.

    Returns:
        Name of a layer -> kinds of its operators, in the order they run in.
    """
    constants = _constants(graph)
    found: dict[str, tuple[str, ...]] = {}
    for operator in graph.operators:
        given = constants.intersection(operator.inputs)
        is_arithmetic = operator.kind in _ARITHMETIC and given
        is_carrier = operator.kind == _CARRIER and any(
            graph.tensors[key].shape[:3] == _CARRIER_KERNEL for key in given
        )
        if is_arithmetic or is_carrier:
            (output,) = graph.outputs_of(operator)
            for layer in find_layers(output.name, batch_norms):
                found[layer] = (*found.get(layer, ()), operator.kind)
    return found


def _constants(graph: Graph) -> set[Hashable]:
    """Returns the keys of constants, and of what is unpacked of them."""
    constants = {key for key, tensor in graph.tensors.items() if tensor.is_constant}
    for operator in graph.operators:
        if operator.kind in _UNPACKING and constants.issuperset(operator.inputs):
            constants.update(operator.outputs)
    return constants
