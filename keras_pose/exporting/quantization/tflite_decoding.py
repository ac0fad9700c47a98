"""Taking the decoding off a `.tflite` file before it is quantized, and putting it back.

Decoding is done in float32 in every format: an 8-bit column number would be wrong by whole
pixels. Quantizers cannot be kept out of it by the names of ops, since they carry a scale on
through every op that only moves numbers (arg-max, gather). So they never see it.
"""

from __future__ import annotations

import numpy as np
from ai_edge_litert import schema_py_generated as schema

from keras_pose.exporting.float_graph.serving import DECODED_NAME
from keras_pose.exporting.quantization.tflite_edit import add_opcode, output_indices, parse
from keras_pose.modelfiles.flatbuffer import builtin_of, pack


def decodes(content: bytes) -> bool:
    """Returns True if a file gives decoded keypoints."""
    return DECODED_NAME in output_indices(content)


def without_decoding(content: bytes) -> bytes:
    """Leaves the network of a file that gives its outputs and decoded keypoints."""
    model = parse(content)
    graph = model.subgraphs[0]
    behind = _behind(content)
    graph.operators = [op for op in graph.operators if int(op.outputs[0]) not in behind]
    (signature,) = model.signatureDefs
    kept = [out for out in signature.outputs if out.name.decode() != DECODED_NAME]
    signature.outputs = kept
    graph.outputs = np.array([out.tensorIndex for out in kept], np.int32)
    _drop_unused_tensors(model)
    return pack(model)


def with_decoding(network: bytes, content: bytes) -> bytes:
    """Puts the decoding of a float file behind a network, quantized or not.

    Args:
        network: the file to add to.
        content: the float file, which gives the same outputs and decoded keypoints.
    """
    model, source = parse(network), parse(content)
    graph, source_graph = model.subgraphs[0], source.subgraphs[0]
    (signature,) = model.signatureDefs
    outputs, source_outputs = list(signature.outputs), output_indices(content)
    copier = _Copier(model, source)
    behind = _behind(content)
    is_read = {
        int(i)
        for operator in source_graph.operators
        if int(operator.outputs[0]) in behind
        for i in operator.inputs
    }
    for output in outputs:
        source_output = source_outputs[output.name.decode()]
        if source_output in is_read:
            copier.index[source_output] = _in_float(model, output.tensorIndex)
    for operator in source_graph.operators:
        if int(operator.outputs[0]) in behind:
            graph.operators.append(copier.operator(operator))
    decoded = schema.TensorMapT()
    decoded.name = DECODED_NAME.encode()
    decoded.tensorIndex = copier.index[output_indices(content)[DECODED_NAME]]
    signature.outputs = [*outputs, decoded]
    graph.outputs = np.array([each.tensorIndex for each in signature.outputs], np.int32)
    return pack(model)


def _behind(content: bytes) -> set[int]:
    """Returns the tensors that are computed, but not needed for the network's outputs."""
    outputs = output_indices(content)
    needed = {index for name, index in outputs.items() if name != DECODED_NAME}
    computed: set[int] = set()
    # Operators stand in the order they run in.
    for operator in reversed(parse(content).subgraphs[0].operators):
        made = {int(i) for i in operator.outputs}
        computed |= made
        if made & needed:
            needed |= {int(i) for i in operator.inputs}
    return computed - needed


class _Copier:
    """Copies operators of one model into another, with their tensors and constants.

    Attributes:
        index: tensors of the source -> tensors of the target.
    """

    def __init__(self, target, source):
        self.index: dict[int, int] = {-1: -1}  # an input that was left out
        self._target, self._source = target, source

    def operator(self, operator):
        code = self._source.operatorCodes[operator.opcodeIndex]
        copy = schema.OperatorT()
        vars(copy).update(vars(operator))
        copy.opcodeIndex = add_opcode(self._target, builtin_of(code), code.version)
        copy.inputs = np.array([self._tensor(int(i)) for i in operator.inputs], np.int32)
        copy.outputs = np.array([self._tensor(int(i)) for i in operator.outputs], np.int32)
        return copy

    def _tensor(self, index: int) -> int:
        if index not in self.index:
            tensor = self._source.subgraphs[0].tensors[index]
            copy = schema.TensorT()
            vars(copy).update(vars(tensor))
            copy.name = b"decoding/" + tensor.name
            copy.buffer = len(self._target.buffers)
            buffer = schema.BufferT()
            buffer.data = self._source.buffers[tensor.buffer].data
            self._target.buffers.append(buffer)
            self.index[index] = len(self._target.subgraphs[0].tensors)
            self._target.subgraphs[0].tensors.append(copy)
        return self.index[index]


def _in_float(model, index: int) -> int:
    """Returns a float32 form of a tensor; adds the op that makes it, if need be."""
    graph = model.subgraphs[0]
    tensor = graph.tensors[index]
    if tensor.type == schema.TensorType.FLOAT32:
        return index
    real = schema.TensorT()
    vars(real).update(vars(tensor))
    real.name, real.type = tensor.name + b"_dequantized", schema.TensorType.FLOAT32
    real.quantization = None
    graph.tensors.append(real)
    operator = schema.OperatorT()
    operator.opcodeIndex = add_opcode(model, schema.BuiltinOperator.DEQUANTIZE, 2)
    operator.inputs = np.array([index], np.int32)
    operator.outputs = np.array([len(graph.tensors) - 1], np.int32)
    graph.operators.append(operator)
    return len(graph.tensors) - 1


def _drop_unused_tensors(model) -> None:
    graph = model.subgraphs[0]
    used = {int(i) for op in graph.operators for i in (*op.inputs, *op.outputs)}
    kept = sorted(used - {-1} | {int(i) for i in (*graph.inputs, *graph.outputs)})
    index = {old: new for new, old in enumerate(kept)} | {-1: -1}
    graph.tensors = [graph.tensors[old] for old in kept]
    for holder in (graph, *graph.operators):
        holder.inputs = np.array([index[int(i)] for i in holder.inputs], np.int32)
        holder.outputs = np.array([index[int(i)] for i in holder.outputs], np.int32)
    for signature in model.signatureDefs:
        for entry in (*signature.inputs, *signature.outputs):
            entry.tensorIndex = index[entry.tensorIndex]
