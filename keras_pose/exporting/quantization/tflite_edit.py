"""Changes to `.tflite` files that no converter makes. Bytes in, bytes out.

A float file takes uint8 pixels and casts them. Quantizers would keep the cast, and
quantize behind it in float; so it is cut out first, and one QUANTIZE op put in its place
afterwards, which for scale 1 only moves the zero point.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping

import numpy as np
from ai_edge_litert import schema_py_generated as schema

from keras_pose.exporting.quantization.measured_ranges import Range
from keras_pose.modelfiles.flatbuffer import builtin_of, pack

# Of uint8 pixels, of int8 pixels.
_PIXEL_ZERO_POINTS = (0, -128)


def without_pixel_cast(content: bytes) -> bytes:
    """Makes a file take float32 pixels that took uint8 ones and cast them.

    Indices of tensors stay what they were.
    """
    model = parse(content)
    graph = model.subgraphs[0]
    (pixels,) = graph.inputs
    readers = [op for op in graph.operators if pixels in op.inputs]
    casts = add_opcode(model, schema.BuiltinOperator.CAST)
    if [op.opcodeIndex for op in readers] != [casts]:
        raise ValueError("The file does not begin with one CAST of its uint8 pixels.")
    (cast,) = readers
    graph.operators.remove(cast)
    _set_input(model, cast.outputs[0])
    return pack(model)


def with_uint8_pixels(content: bytes) -> bytes:
    """Makes a file take uint8 pixels that took int8 ones of scale 1."""
    model = parse(content)
    graph = model.subgraphs[0]
    (shifted,) = graph.inputs
    pixels = schema.TensorT()
    vars(pixels).update(vars(graph.tensors[shifted]))
    pixels.name = b"image_uint8"
    pixels.type = schema.TensorType.UINT8
    pixels.quantization = integers_of(1.0, _PIXEL_ZERO_POINTS[0])
    graph.tensors.append(pixels)
    operator = schema.OperatorT()
    operator.opcodeIndex = add_opcode(model, schema.BuiltinOperator.QUANTIZE)
    operator.inputs = np.array([len(graph.tensors) - 1], np.int32)
    operator.outputs = np.array([shifted], np.int32)
    graph.operators.insert(0, operator)
    _set_input(model, len(graph.tensors) - 1)
    return pack(model)


def with_ranges(content: bytes, ranges: Mapping[int, Range]) -> bytes:
    """Writes ranges into the tensors of a float file, as a calibrator does.

    Args:
        content: the file.
        ranges: index of a tensor -> (low, high). Tensors without one stay float.
    """
    model = parse(content)
    for index, (low, high) in ranges.items():
        tensor = model.subgraphs[0].tensors[index]
        tensor.quantization = schema.QuantizationParametersT()
        tensor.quantization.min = np.array([low], np.float32)
        tensor.quantization.max = np.array([high], np.float32)
    return pack(model)


def with_integer_products(content: bytes, float_ops: Collection[str] = ()) -> bytes:
    """Makes integer products of float ones between integers.

    TensorFlow's quantizer leaves some products in float whose factors it dequantizes and
    whose result it quantizes at once (Lite-HRNet's lowest branch, whose weights are cut
    out of those of all branches). Their integer kernel takes these very integers.

    Args:
        content: an int8 file.
        float_ops: names of ops that are meant to stay float.
    """
    model = parse(content)
    graph = model.subgraphs[0]
    sources, readers = _sources(model), readers_of(graph)
    outputs = set(map(int, graph.outputs))
    for product in list(graph.operators):
        result = int(product.outputs[0])
        name = graph.tensors[result].name.decode()
        if kind_of(model, product) != schema.BuiltinOperator.MUL or name in float_ops:
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
    return pack(model)


def _sources(model) -> dict[int, int]:
    """Returns float tensor -> the int8 tensor that it is dequantized from."""
    tensors = model.subgraphs[0].tensors
    return {
        int(op.outputs[0]): int(op.inputs[0])
        for op in model.subgraphs[0].operators
        if kind_of(model, op) == schema.BuiltinOperator.DEQUANTIZE
        and tensors[op.inputs[0]].type == schema.TensorType.INT8
    }


def readers_of(graph) -> dict[int, list]:
    """Returns the operators that read each tensor, by its index."""
    readers: dict[int, list] = {index: [] for index in range(len(graph.tensors))}
    for operator in graph.operators:
        for index in set(map(int, operator.inputs)) - {-1}:
            readers[index].append(operator)
    return readers


def _quantizes(model, operator) -> bool:
    is_int8 = model.subgraphs[0].tensors[operator.outputs[0]].type == schema.TensorType.INT8
    return kind_of(model, operator) == schema.BuiltinOperator.QUANTIZE and is_int8


def _drop_unread(model) -> None:
    """Takes DEQUANTIZE operators out whose result no operator reads."""
    graph = model.subgraphs[0]
    outputs, readers = set(map(int, graph.outputs)), readers_of(graph)
    graph.operators = [
        op
        for op in graph.operators
        if kind_of(model, op) != schema.BuiltinOperator.DEQUANTIZE
        or readers[int(op.outputs[0])]
        or int(op.outputs[0]) in outputs
    ]


def without_outputs(content: bytes, names: Collection[str]) -> bytes:
    """Leaves out outputs by their names in the signature; their ops stay as they are."""
    model = parse(content)
    (signature,) = model.signatureDefs
    kept = [out for out in signature.outputs if out.name.decode() not in names]
    signature.outputs = kept
    model.subgraphs[0].outputs = np.array([out.tensorIndex for out in kept], np.int32)
    return pack(model)


def with_unique_names(content: bytes) -> bytes:
    """Numbers the constants that are called like another tensor.

    Converters call a bias like the op that adds it.
    """
    model = parse(content)
    graph = model.subgraphs[0]
    computed = set(tensor_names(content))
    taken = {graph.tensors[index].name for index in computed}
    for index, tensor in enumerate(graph.tensors):
        if index not in computed:
            if tensor.name in taken:
                tensor.name += b"#%d" % index
            taken.add(tensor.name)
    return pack(model)


def with_names_by_output(content: bytes, float_bytes: bytes) -> bytes:
    """Calls each output of an operator of several as in the float file.

    TensorFlow's quantizer calls every one of them by the names of all.
    """
    graph = parse(float_bytes).subgraphs[0]
    names_of = {}
    for operator in graph.operators:
        names = [graph.tensors[index].name for index in operator.outputs]
        if len(names) > 1:
            names_of[b";".join(names)] = names
    model = parse(content)
    graph = model.subgraphs[0]
    for operator in graph.operators:
        outputs = [graph.tensors[index] for index in operator.outputs]
        names = names_of.get(outputs[0].name, [each.name for each in outputs])
        for tensor, name in zip(outputs, names, strict=True):
            tensor.name = name
    return pack(model)


def output_indices(content: bytes) -> dict[str, int]:
    """Returns the tensors that are outputs, by their names in the signature."""
    (signature,) = parse(content).signatureDefs
    return {out.name.decode(): int(out.tensorIndex) for out in signature.outputs}


def tensor_names(content: bytes) -> dict[int, str]:
    """Returns the names of what operators compute, and of the input, by tensor index."""
    graph = parse(content).subgraphs[0]
    computed = [*graph.inputs, *(i for op in graph.operators for i in op.outputs)]
    return {int(i): graph.tensors[i].name.decode() for i in computed}


def float_tensors(content: bytes) -> list[int]:
    """Returns the float32 tensors among what `tensor_names` names."""
    graph = parse(content).subgraphs[0]
    return [
        index
        for index in tensor_names(content)
        if graph.tensors[index].type == schema.TensorType.FLOAT32
    ]


def parse(content: bytes):
    """Returns the model in a file's bytes, to be read or changed.

    ai-edge-quantizer lays weights behind the flatbuffer, where readers of before 2023 do
    not look; here they come back into it.
    """
    model = schema.ModelT.InitFromObj(schema.Model.GetRootAs(content))
    for buffer in model.buffers:
        if buffer.offset > 1:  # 0 and 1 mean that there is nothing outside
            data = content[buffer.offset : buffer.offset + buffer.size]
            buffer.data = np.frombuffer(data, np.uint8)
            buffer.offset = buffer.size = 0
    return model


def kind_of(model, operator) -> int:
    """Returns what an operator of a parsed model is, a `schema.BuiltinOperator`."""
    return builtin_of(model.operatorCodes[operator.opcodeIndex])


def _set_input(model, index: int) -> None:
    model.subgraphs[0].inputs = np.array([index], np.int32)
    for signature in model.signatureDefs:
        signature.inputs[0].tensorIndex = int(index)


def integers_of(scale: float, zero_point: int = 0):
    """Returns the quantization of a tensor with one scale."""
    quantization = schema.QuantizationParametersT()
    quantization.scale = np.array([scale], np.float32)
    quantization.zeroPoint = np.array([zero_point], np.int64)
    return quantization


def add_opcode(model, builtin: int, version: int = 1) -> int:
    """Returns the index of an operator's code, which is added if need be."""
    for index, code in enumerate(model.operatorCodes):
        if builtin_of(code) == builtin:
            code.version = max(code.version, version)
            return index
    code = schema.OperatorCodeT()
    code.builtinCode = builtin
    # One byte, in which newer operators have no room.
    code.deprecatedBuiltinCode = min(
        builtin, schema.BuiltinOperator.PLACEHOLDER_FOR_GREATER_OP_CODES
    )
    code.version = version
    model.operatorCodes.append(code)
    return len(model.operatorCodes) - 1
