"""Batch norms into the convolutions before them, in a float32 `.onnx` file.

TensorFlow's own folding, which tf2onnx has done, knows Conv2D only: behind depthwise and
transposed convolutions a product and a sum with constants are left. ONNX Runtime folds
those when it opens a float file, but an int8 file keeps both, each with a rounding.
"""

from __future__ import annotations

from collections import Counter

import numpy as np
import onnx
from onnx import numpy_helper

# Kind of a convolution -> the axis of its kernel that counts output channels (of a group).
_CONVOLUTIONS = {"Conv": 0, "ConvTranspose": 1}
_ARITHMETIC = ("Mul", "Add", "Sub")
_KERNEL, _BIAS = 1, 2
# Images are (batch, channels, height, width).
_RANK, _CHANNELS = 4, 1


def fold_into_convolutions(model: onnx.ModelProto) -> onnx.ModelProto:
    """Makes products and sums with a constant per channel part of the convolution before.

    Only where nothing else reads what the convolution gives. The convolution then gives
    the tensor that the last of them gave, so names that others use stay.

    Args:
        model: float32; changed.

    Returns:
        The same model.
    """
    nodes = model.graph.node
    constants = {each.name: each for each in model.graph.initializer}
    makers = {output: node for node in nodes for output in node.output}
    num_readers = Counter(name for node in nodes for name in node.input)
    num_readers.update(output.name for output in model.graph.output)
    folded = []
    for node in nodes:
        found = _convolution_and_factor(node, constants, makers, num_readers)
        if found is None:
            continue
        convolution, factor = found
        if not _absorb(model, convolution, node.op_type, factor, constants):
            continue
        convolution.output[0] = node.output[0]
        makers[node.output[0]] = convolution
        folded.append(node)
    for node in folded:
        nodes.remove(node)
    _drop_unread(model)
    return model


def _convolution_and_factor(node, constants, makers, num_readers):
    """Returns the convolution that a node could join, and the node's constant; or None."""
    if node.op_type not in _ARITHMETIC:
        return None
    names = list(node.input)
    if node.op_type != "Sub" and names[0] in constants:
        names.reverse()
    source, constant = names
    convolution = makers.get(source)
    if convolution is None or convolution.op_type not in _CONVOLUTIONS:
        return None
    if constant not in constants or num_readers[source] != 1:
        return None
    weights = convolution.input[_KERNEL:]
    if any(name not in constants for name in weights):
        return None
    return convolution, numpy_helper.to_array(constants[constant])


def _absorb(model, convolution, kind: str, factor: np.ndarray, constants) -> bool:
    """Works a constant into kernel and bias; False if it is not one per channel."""
    kernel = numpy_helper.to_array(constants[convolution.input[_KERNEL]])
    axis = _CONVOLUTIONS[convolution.op_type]
    groups = _groups(convolution)
    per_group = kernel.shape[axis]
    if convolution.op_type == "Conv":
        per_group //= groups
    elif groups > 1:
        return False  # a kernel's axis then counts channels of one group only
    values = _per_channel(factor, per_group * groups)
    if values is None or kernel.ndim != _RANK:
        return False
    bias = np.zeros_like(values)
    if len(convolution.input) > _BIAS and convolution.input[_BIAS]:
        bias = numpy_helper.to_array(constants[convolution.input[_BIAS]])
    if kind == "Mul":
        shape = [1] * kernel.ndim
        shape[axis] = -1
        kernel, bias = kernel * values.reshape(shape), bias * values
    else:
        bias = bias + values if kind == "Add" else bias - values
    # Under names of their own: other convolutions may share the old ones.
    stem = convolution.output[0]
    del convolution.input[_KERNEL:]
    for part, value in (("kernel", kernel), ("bias", bias)):
        name = f"{stem}/{part}_{kind}"
        constant = numpy_helper.from_array(value.astype(np.float32), name)
        model.graph.initializer.append(constant)
        constants[name] = constant
        convolution.input.append(name)
    return True


def _groups(convolution) -> int:
    for attribute in convolution.attribute:
        if attribute.name == "group":
            return attribute.i
    return 1


def _per_channel(value: np.ndarray, num_channels: int) -> np.ndarray | None:
    """Returns what is constant over a channel's pixels as (channels,), else None."""
    if value.dtype != np.float32 or value.ndim > _RANK:
        return None
    value = value.reshape((1,) * (_RANK - value.ndim) + value.shape)
    for axis, size in enumerate(value.shape):
        if size != 1 and (axis != _CHANNELS or size != num_channels):
            return None
    return np.broadcast_to(value.reshape(-1), (num_channels,))


def _drop_unread(model) -> None:
    """Leaves out constants that no node reads any more."""
    read = {name for node in model.graph.node for name in node.input}
    read.update(output.name for output in model.graph.output)
    kept = [each for each in model.graph.initializer if each.name in read]
    del model.graph.initializer[:]
    model.graph.initializer.extend(kept)
