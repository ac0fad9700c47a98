"""Changes to `.tflite` files that no converter makes, in place.

A float file takes uint8 pixels and casts them. Quantizers would keep the cast, and
quantize behind it in float; so it is cut out first, and one QUANTIZE op put in its place
afterwards, which for scale 1 only moves the zero point.
"""

from __future__ import annotations

from collections.abc import Collection

import numpy as np
from ai_edge_litert import schema_py_generated as schema

from keras_pose.modelfiles.tflite_model import TFLiteModel, integers_of

# Zero point of uint8 pixels.
_PIXEL_ZERO_POINT = 0
_OPERATORS = schema.BuiltinOperator
# Operators that litert-quantizer 0.11 does not know, or not everywhere, but that have
# kernels of int8 -> how many of their first inputs are values (None: all), and the version
# of the operator that takes int8.
_INTEGER_KERNELS = {
    _OPERATORS.DEPTH_TO_SPACE: (1, 2),
    _OPERATORS.ELU: (1, 1),
    _OPERATORS.LEAKY_RELU: (1, 2),
    _OPERATORS.MUL: (None, 2),
    _OPERATORS.PRELU: (1, 1),
    _OPERATORS.RELU6: (1, 2),
    _OPERATORS.SPLIT_V: (1, 2),
    _OPERATORS.TILE: (1, 2),
}


# Of these, the ones that only move numbers: what they give has the scale of what they read.
_MOVERS = (_OPERATORS.DEPTH_TO_SPACE, _OPERATORS.SPLIT_V, _OPERATORS.TILE)


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


def make_integer_operators(model: TFLiteModel, float_ops: Collection[str] = ()) -> None:
    """Makes integer operators of float ones between integers.

    litert-quantizer leaves in float what it does not know: it dequantizes what they read,
    and quantizes what they give. Their integer kernels take these very integers.

    Args:
        model: an int8 file.
        float_ops: names of ops that are meant to stay float.
    """
    sources, readers = _sources(model), model.readers()
    outputs = set(map(int, model.graph.outputs))
    for operator in list(model.graph.operators):
        values, version = _INTEGER_KERNELS.get(model.kind_of(operator), (None, 0))
        read = list(map(int, operator.inputs))
        results = list(map(int, operator.outputs))
        names = {model.graph.tensors[index].name.decode() for index in results}
        moves = model.kind_of(operator) in _MOVERS
        is_between = all(index in sources for index in read[:values]) and all(
            moves or (index not in outputs and _all_quantize(model, readers[index]))
            for index in results
        )
        if not version or not is_between or names & set(float_ops):
            continue
        if model.kind_of(operator) == _OPERATORS.PRELU:
            read[1] = _integer_slopes(model, read[1])
        operator.opcodeIndex = model.opcode(model.kind_of(operator), version)
        operator.inputs = np.array([sources.get(x, x) for x in read], np.int32)
        written = [
            _moved_integers(model, operator, x, readers[x])
            if moves
            else _integers_at_once(model, x, readers[x])
            for x in results
        ]
        operator.outputs = np.array(written, np.int32)
        if moves:
            sources.update(zip(results, written, strict=True))
    _drop_idle(model)
    _drop_unread(model)
    model.drop_unread_tensors()


def _moved_integers(model: TFLiteModel, operator, result: int, readers) -> int:
    """Returns a tensor for the integers that an operator moves, of the scale they had.

    What quantizes the result reads them; others read floats that are made of them.
    """
    tensors = model.graph.tensors
    integers = model.add_tensor(
        tensors[result],
        type=schema.TensorType.INT8,
        quantization=tensors[operator.inputs[0]].quantization,
    )
    tensors[result].name += b"_float"
    for reader in readers:
        if model.kind_of(reader) == _OPERATORS.QUANTIZE:
            reader.inputs = np.array([integers], np.int32)
    back = model.operator(_OPERATORS.DEQUANTIZE, [integers], [result], version=2)
    model.graph.operators.insert(model.graph.operators.index(operator) + 1, back)
    return integers


def _integers_at_once(model: TFLiteModel, result: int, quantizing) -> int:
    """Takes out what quantizes a result; returns the tensor of integers in its place.

    Where others want other scales of it, they are made of these integers.
    """
    tensors, (first, *others) = model.graph.tensors, quantizing
    integers = int(first.outputs[0])
    model.graph.operators.remove(first)
    for other in others:
        other.inputs = np.array([integers], np.int32)
    # They are called as in the float file.
    names = tensors[result].name, tensors[integers].name
    tensors[integers].name, tensors[result].name = names
    return integers


def _drop_idle(model: TFLiteModel) -> None:
    """Takes QUANTIZE operators out that give the integers that they read."""
    tensors, outputs = model.graph.tensors, set(map(int, model.graph.outputs))
    for operator in list(model.graph.operators):
        if model.kind_of(operator) != _OPERATORS.QUANTIZE:
            continue
        read, result = int(operator.inputs[0]), int(operator.outputs[0])
        if result not in outputs and _are_alike(tensors[read], tensors[result]):
            model.replace(result, read)
            model.graph.operators.remove(operator)


def _are_alike(first, second) -> bool:
    """Returns True for tensors of one type, scale and zero point."""
    found = first.quantization, second.quantization
    return first.type == second.type and all(
        np.array_equal(*(getattr(each, field) for each in found))
        for field in ("scale", "zeroPoint")
    )


def _integer_slopes(model: TFLiteModel, index: int) -> int:
    """Returns a tensor of the slopes of a PRELU in 8 bits, with one scale."""
    slopes = model.graph.tensors[index]
    values = model.float_constants()[slopes.buffer]
    scale = float(np.abs(values).max()) / 127 or 1.0
    integers = np.rint(values / scale).astype(np.int8)
    return model.add_tensor(
        slopes,
        name=slopes.name + b"_int8",
        type=schema.TensorType.INT8,
        buffer=model.add_buffer(integers.ravel().view(np.uint8)),
        quantization=integers_of(scale),
    )


def _sources(model: TFLiteModel) -> dict[int, int]:
    """Returns float tensor -> the int8 tensor that it is dequantized from."""
    return {
        int(op.outputs[0]): int(op.inputs[0])
        for op in model.graph.operators
        if model.kind_of(op) == _OPERATORS.DEQUANTIZE
        and model.graph.tensors[op.inputs[0]].type == schema.TensorType.INT8
    }


def _all_quantize(model: TFLiteModel, operators) -> bool:
    """Returns True if there are operators, and all of them make int8."""
    types = [model.graph.tensors[op.outputs[0]].type for op in operators]
    kinds = {model.kind_of(op) for op in operators}
    return kinds == {_OPERATORS.QUANTIZE} and set(types) == {schema.TensorType.INT8}


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
