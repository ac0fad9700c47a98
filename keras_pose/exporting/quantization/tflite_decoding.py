"""Taking the decoding off a `.tflite` file before it is quantized, and putting it back.

Decoding is done in float32 in every format: an 8-bit column number would be wrong by whole
pixels. Quantizers cannot be kept out of it by the names of ops, since they carry a scale on
through every op that only moves numbers (arg-max, gather). So they never see it.
"""

from __future__ import annotations

import copy

import numpy as np
from ai_edge_litert import schema_py_generated as schema

from keras_pose.contracts.one_stage import FIELDS, PREFIX
from keras_pose.exporting.float_graph.serving import DECODED_NAME
from keras_pose.modelfiles.tflite_model import TFLiteModel, builtin_of

# Outputs that are made in float, of what a network gives.
_DECODED = frozenset([DECODED_NAME, *(PREFIX + name for name in FIELDS)])


def decodes(model: TFLiteModel) -> bool:
    """Returns True if a file gives decoded keypoints, or people."""
    return not _DECODED.isdisjoint(model.outputs)


def network_of(float_model: TFLiteModel) -> TFLiteModel:
    """Returns a float file without what decodes in its graph; another one to be changed."""
    network = float_model.copy()
    if decodes(network):
        behind = _behind(network)
        network.graph.operators = [
            op for op in network.graph.operators if int(op.outputs[0]) not in behind
        ]
        network.drop_outputs(_DECODED.intersection(network.outputs))
        _drop_unused_tensors(network)
    return network


def append_decoding(model: TFLiteModel, float_model: TFLiteModel) -> None:
    """Puts the decoding of a float file behind a network, quantized or not.

    Args:
        model: the file to add to.
        float_model: the float file, which gives the same outputs and decoded ones.
    """
    (signature,) = model.tables.signatureDefs
    outputs, source_outputs = list(signature.outputs), float_model.outputs
    copier = _Copier(model, float_model)
    behind = _behind(float_model)
    is_read = {
        int(i)
        for operator in float_model.graph.operators
        if int(operator.outputs[0]) in behind
        for i in operator.inputs
    }
    for output in outputs:
        source_output = source_outputs[output.name.decode()]
        if source_output in is_read:
            copier.index[source_output] = _in_float(model, output.tensorIndex)
    for operator in float_model.graph.operators:
        if int(operator.outputs[0]) in behind:
            model.graph.operators.append(copier.operator(operator))
    for name, index in source_outputs.items():
        if name in _DECODED:
            decoded = schema.TensorMapT()
            decoded.name = name.encode()
            decoded.tensorIndex = copier.index[index]
            outputs.append(decoded)
    signature.outputs = outputs
    indices = [each.tensorIndex for each in signature.outputs]
    model.graph.outputs = np.array(indices, np.int32)


def _behind(model: TFLiteModel) -> set[int]:
    """Returns the tensors that are computed, but not needed for the network's outputs."""
    needed = {index for name, index in model.outputs.items() if name not in _DECODED}
    computed: set[int] = set()
    # Operators stand in the order they run in.
    for operator in reversed(model.graph.operators):
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

    def __init__(self, target: TFLiteModel, source: TFLiteModel):
        self.index: dict[int, int] = {-1: -1}  # an input that was left out
        self._target, self._source = target, source

    def operator(self, operator):
        code = self._source.tables.operatorCodes[operator.opcodeIndex]
        moved = copy.copy(operator)
        moved.opcodeIndex = self._target.opcode(builtin_of(code), code.version)
        moved.inputs = np.array([self._tensor(int(i)) for i in operator.inputs], np.int32)
        moved.outputs = np.array([self._tensor(int(i)) for i in operator.outputs], np.int32)
        return moved

    def _tensor(self, index: int) -> int:
        if index not in self.index:
            tensor = self._source.graph.tensors[index]
            data = self._source.tables.buffers[tensor.buffer].data
            self.index[index] = self._target.add_tensor(
                tensor,
                name=b"decoding/" + tensor.name,
                buffer=self._target.add_buffer(data),
            )
        return self.index[index]


def _in_float(model: TFLiteModel, index: int) -> int:
    """Returns a float32 form of a tensor; adds the op that makes it, if need be."""
    tensor = model.graph.tensors[index]
    if tensor.type == schema.TensorType.FLOAT32:
        return index
    real = model.add_tensor(
        tensor,
        name=tensor.name + b"_dequantized",
        type=schema.TensorType.FLOAT32,
        quantization=None,
    )
    dequantize = schema.BuiltinOperator.DEQUANTIZE
    model.graph.operators.append(model.operator(dequantize, [index], [real], version=2))
    return real


def _drop_unused_tensors(model: TFLiteModel) -> None:
    graph = model.graph
    used = {int(i) for op in graph.operators for i in (*op.inputs, *op.outputs)}
    kept = sorted(used - {-1} | {int(i) for i in (*graph.inputs, *graph.outputs)})
    index = {old: new for new, old in enumerate(kept)} | {-1: -1}
    graph.tensors = [graph.tensors[old] for old in kept]
    for holder in (graph, *graph.operators):
        holder.inputs = np.array([index[int(i)] for i in holder.inputs], np.int32)
        holder.outputs = np.array([index[int(i)] for i in holder.outputs], np.int32)
    for signature in model.tables.signatureDefs:
        for entry in (*signature.inputs, *signature.outputs):
            entry.tensorIndex = index[entry.tensorIndex]
