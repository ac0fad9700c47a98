"""Operators and tensors of a `.tflite` file, read from its flatbuffer, not run."""

from __future__ import annotations

import copy
from collections import Counter
from collections.abc import Hashable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from ai_edge_litert import schema_py_generated as schema

from keras_pose.modelfiles.graph import Graph, Operator, Tensor
from keras_pose.modelfiles.tflite_model import TFLiteModel

_TYPE_NAMES = {
    code: name.lower() for name, code in vars(schema.TensorType).items() if name.isupper()
}


def op_counts(path) -> Counter:
    """Counts the ops of a file by name; those that are not builtin as "custom:NAME"."""
    return _read(path).op_counts()


def custom_ops(path) -> list[str]:
    """Returns the names of the ops that are not builtin, such as Select-TF's "Flex..."."""
    return _read(path).custom_ops()


def float_ops(path) -> Counter:
    """Counts the ops that read or write a floating point tensor."""
    return _read(path).float_ops()


def _read(path) -> TFLiteModel:
    content = Path(path).read_bytes()
    try:
        return TFLiteModel.read(content)
    except Exception as error:  # flatbuffers trusts its input, and fails anyhow
        raise ValueError(f"{path} is not a .tflite file, or is damaged: {error}") from error


def tflite_graph(path) -> Graph:
    """Reads the graph that runs first, which in files of ours is the only one.

    Raises:
        ValueError: for a file that is damaged; tensors or operators that refer to what
            is not there count as damage.
    """
    model = _read(path)
    try:
        return graph_of(model)
    except (IndexError, TypeError, AttributeError, UnicodeDecodeError) as error:
        raise ValueError(f"{path} is a damaged .tflite file: {error}") from error


def graph_of(model: TFLiteModel) -> Graph:
    """Returns the graph of a file that was read."""
    graph = model.graph
    tensors: dict[Hashable, Tensor] = {
        i: _tensor(model, tensor) for i, tensor in enumerate(graph.tensors)
    }
    operators = tuple(_operator(model, each, len(tensors)) for each in graph.operators)
    ends = [_keys(side, len(tensors)) for side in (graph.inputs, graph.outputs)]
    return Graph(".tflite", tensors, operators, *ends)


def signature_names(path) -> dict[str, str]:
    """Returns the names of inputs and outputs in a file's signature, by their tensors'.

    {} for a file without a signature.

    Raises:
        ValueError: for a damaged file.
    """
    model = _read(path)
    return {
        model.graph.tensors[end.tensorIndex].name.decode(): end.name.decode()
        for signature in (model.tables.signatureDefs or [])[:1]
        for end in (*signature.inputs, *signature.outputs)
    }


def _tensor(model: TFLiteModel, tensor) -> Tensor:
    quantization = tensor.quantization
    scales = [] if quantization is None else _list(quantization.scale)
    zero_points = [] if quantization is None else _list(quantization.zeroPoint)
    data = model.tables.buffers[tensor.buffer].data
    return Tensor(
        name=(tensor.name or b"").decode(),
        shape=tuple(int(size) for size in _list(tensor.shape)),
        dtype=_TYPE_NAMES.get(tensor.type, str(tensor.type)),
        is_constant=data is not None and len(data) > 0,
        scale=float(scales[0]) if scales else None,
        zero_point=int(zero_points[0]) if zero_points else None,
        num_scales=len(scales),
    )


def _operator(model: TFLiteModel, operator, num_tensors) -> Operator:
    code = model.tables.operatorCodes[operator.opcodeIndex]
    options = vars(operator.builtinOptions) if operator.builtinOptions else {}
    inputs = _keys([i for i in _list(operator.inputs) if i >= 0], num_tensors)
    outputs = _keys(operator.outputs, num_tensors)
    kind = model.name_of_kind(operator)
    return Operator(kind, inputs, outputs, dict(options), int(code.version))


def _list(values) -> list:
    """Flatbuffers gives None for what is empty."""
    return [] if values is None else list(values)


def _keys(indices, num_tensors) -> tuple[int, ...]:
    keys = tuple(int(index) for index in _list(indices))
    if any(not 0 <= key < num_tensors for key in keys):
        raise IndexError(f"tensors {keys} of {num_tensors}")
    return keys


def cut_out(path, groups: Sequence[Sequence[int]]) -> list[bytes]:
    """Makes a `.tflite` file of its own out of each group of operators.

    What the group does not compute itself goes in, what it computes comes out: each can
    be timed by itself.

    Args:
        path: the file.
        groups: indices of operators.

    Raises:
        ValueError: for a damaged file.
    """
    model = _read(path)
    return [_cut(model.tables, list(group)) for group in groups]


def _cut(tables, group: list[int]) -> bytes:
    graph = tables.subgraphs[0]
    operators = [graph.operators[index] for index in group]
    made = {int(i) for each in operators for i in each.outputs}
    read = {int(i) for each in operators for i in each.inputs if i >= 0}
    tensors = sorted(made | read)
    new_index = {old: new for new, old in enumerate(tensors)}
    # Buffer 0 is empty, by the schema's rule; nothing shares a buffer afterwards.
    buffers = [schema.BufferT()]
    part = schema.SubGraphT()
    part.tensors = [_moved_tensor(tables, graph.tensors[i], buffers) for i in tensors]
    part.operators = [_moved_operator(each, new_index) for each in operators]
    outside = [
        i for i in tensors if i not in made and not part.tensors[new_index[i]].buffer
    ]
    part.inputs = np.array([new_index[i] for i in outside], np.int32)
    inner = {int(i) for each in operators for i in each.inputs if i in made}
    results = [i for i in tensors if i in made and i not in inner]
    part.outputs = np.array([new_index[i] for i in results], np.int32)
    piece = schema.ModelT()
    piece.version = tables.version
    piece.operatorCodes = tables.operatorCodes
    piece.subgraphs, piece.buffers = [part], buffers
    return TFLiteModel(piece).to_bytes()


def _moved_tensor(tables, tensor, buffers) -> Any:
    moved = copy.copy(tensor)
    data = tables.buffers[tensor.buffer].data
    moved.buffer = 0
    if data is not None and len(data):
        moved.buffer = len(buffers)
        buffers.append(schema.BufferT(data))
    return moved


def _moved_operator(operator, new_index) -> Any:
    moved = copy.copy(operator)
    moved.inputs = np.array([new_index.get(int(i), -1) for i in operator.inputs], np.int32)
    moved.outputs = np.array([new_index[int(i)] for i in operator.outputs], np.int32)
    moved.intermediates = None
    return moved
