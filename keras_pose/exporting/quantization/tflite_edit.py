"""Changes to `.tflite` files that no converter makes, in place.

A float file takes uint8 pixels and casts them. Quantizers would keep the cast, and
quantize behind it in float; so it is cut out first, and one QUANTIZE op put in its place
afterwards, which for scale 1 only moves the zero point.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping

import numpy as np
from ai_edge_litert import schema_py_generated as schema

from keras_pose.exporting.quantization.measured_ranges import Range
from keras_pose.modelfiles.tflite_model import TFLiteModel, integers_of

# Zero point of uint8 pixels.
_PIXEL_ZERO_POINT = 0
_OPERATORS = schema.BuiltinOperator


def pixel_cast(model: TFLiteModel):
    """Returns the operator that casts the uint8 pixels of a float file.

    Raises:
        ValueError: for a file that does not begin with one.
    """
    (pixels,) = model.graph.inputs
    readers = model.readers()[int(pixels)]
    if [model.kind_of(each) for each in readers] != [_OPERATORS.CAST]:
        raise ValueError("The file does not begin with one CAST of its uint8 pixels.")
    return readers[0]


def remove_pixel_cast(model: TFLiteModel) -> None:
    """Makes a file take float32 pixels that took uint8 ones and cast them."""
    cast = pixel_cast(model)
    model.graph.operators.remove(cast)
    model.set_input(cast.outputs[0])


def take_uint8_pixels(model: TFLiteModel) -> None:
    """Makes a file take uint8 pixels that took int8 ones of scale 1."""
    (shifted,) = model.graph.inputs
    pixels = model.add_tensor(
        model.graph.tensors[shifted],
        name=b"image_uint8",
        type=schema.TensorType.UINT8,
        quantization=integers_of(1.0, _PIXEL_ZERO_POINT),
    )
    shift = model.operator(_OPERATORS.QUANTIZE, [pixels], [shifted])
    model.graph.operators.insert(0, shift)
    model.set_input(pixels)


def write_ranges(model: TFLiteModel, ranges: Mapping[str, Range]) -> None:
    """Writes ranges into the tensors of a float file, as a calibrator does.

    Args:
        model: the file.
        ranges: name of a tensor -> (low, high). Tensors without one stay float.
    """
    for index, name in model.computed_names().items():
        if name in ranges:
            tensor = model.graph.tensors[index]
            low, high = (np.array([limit], np.float32) for limit in ranges[name])
            tensor.quantization = schema.QuantizationParametersT(min=low, max=high)


def make_integer_products(model: TFLiteModel, float_ops: Collection[str] = ()) -> None:
    """Makes integer products of float ones between integers.

    TensorFlow's quantizer leaves some products in float whose factors it dequantizes and
    whose result it quantizes at once (Lite-HRNet's lowest branch, whose weights are cut
    out of those of all branches). Their integer kernel takes these very integers.

    Args:
        model: an int8 file.
        float_ops: names of ops that are meant to stay float.
    """
    graph = model.graph
    sources, readers = _sources(model), model.readers()
    outputs = set(map(int, graph.outputs))
    for product in list(graph.operators):
        result = int(product.outputs[0])
        name = graph.tensors[result].name.decode()
        if model.kind_of(product) != _OPERATORS.MUL or name in float_ops:
            continue
        factors = [sources.get(int(index)) for index in product.inputs]
        after = readers[result]
        is_between = len(after) == 1 and result not in outputs
        if None in factors or not is_between or not _quantizes(model, after[0]):
            continue
        product.inputs = np.array(factors, np.int32)
        product.outputs = after[0].outputs
        # It is still called as in the float file.
        integers = graph.tensors[product.outputs[0]]
        integers.name, graph.tensors[result].name = name.encode(), integers.name
        graph.operators.remove(after[0])
    _drop_unread(model)


def _sources(model: TFLiteModel) -> dict[int, int]:
    """Returns float tensor -> the int8 tensor that it is dequantized from."""
    return {
        int(op.outputs[0]): int(op.inputs[0])
        for op in model.graph.operators
        if model.kind_of(op) == _OPERATORS.DEQUANTIZE
        and model.graph.tensors[op.inputs[0]].type == schema.TensorType.INT8
    }


def _quantizes(model: TFLiteModel, operator) -> bool:
    is_int8 = model.graph.tensors[operator.outputs[0]].type == schema.TensorType.INT8
    return model.kind_of(operator) == _OPERATORS.QUANTIZE and is_int8


def _drop_unread(model: TFLiteModel) -> None:
    """Takes DEQUANTIZE operators out whose result no operator reads."""
    outputs, readers = set(map(int, model.graph.outputs)), model.readers()
    model.graph.operators = [
        op
        for op in model.graph.operators
        if model.kind_of(op) != _OPERATORS.DEQUANTIZE
        or readers[int(op.outputs[0])]
        or int(op.outputs[0]) in outputs
    ]


def name_outputs_apart(model: TFLiteModel, float_model: TFLiteModel) -> None:
    """Calls each output of an operator of several as in the float file.

    TensorFlow's quantizer calls every one of them by the names of all.
    """
    names_of = {}
    for operator in float_model.graph.operators:
        names = [float_model.graph.tensors[index].name for index in operator.outputs]
        if len(names) > 1:
            names_of[b";".join(names)] = names
    for operator in model.graph.operators:
        outputs = [model.graph.tensors[index] for index in operator.outputs]
        names = names_of.get(outputs[0].name, [each.name for each in outputs])
        for tensor, name in zip(outputs, names, strict=True):
            tensor.name = name
