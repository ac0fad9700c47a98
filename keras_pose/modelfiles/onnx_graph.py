"""Operators and tensors of an `.onnx` file, read without running it."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from keras_pose.commandline.packages import import_runtime
from keras_pose.modelfiles.graph import Graph, Operator, Tensor


def onnx_graph(path) -> Graph:
    """Reads the graph of an `.onnx` file; shapes inside it are inferred.

    Raises:
        ImportError: without the package onnx.
        ValueError: for a damaged file.
    """
    onnx = import_runtime("onnx", "onnx", ".onnx")
    try:
        model = onnx.load(str(path))
        onnx.checker.check_model(model)
        graph = onnx.shape_inference.infer_shapes(model).graph
        return _graph(onnx, graph)
    except Exception as error:  # onnx and protobuf have no common base of errors
        raise ValueError(
            f"{Path(path)} is not an .onnx file, or is damaged: {_first_line(error)}"
        ) from error


def _first_line(error) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0]


def _graph(onnx, graph) -> Graph:
    constants = {
        initializer.name: Tensor(
            initializer.name,
            tuple(initializer.dims),
            _dtype(onnx, initializer.data_type),
            is_constant=True,
        )
        for initializer in graph.initializer
    }
    tensors = {
        value.name: _tensor(onnx, value)
        for value in (*graph.input, *graph.value_info, *graph.output)
    } | constants
    operators = []
    for node in graph.node:
        used = (*node.input, *node.output)
        for name in used:
            # Tensors that inference did not reach have no known shape.
            tensors.setdefault(name, Tensor(name, (), "unknown"))
        options = {
            attribute.name: onnx.helper.get_attribute_value(attribute)
            for attribute in node.attribute
        }
        is_standard = node.domain in ("", "ai.onnx")
        kind = node.op_type if is_standard else f"custom:{node.domain}:{node.op_type}"
        operators.append(
            Operator(kind, tuple(filter(None, node.input)), tuple(node.output), options)
        )
    inputs = tuple(v.name for v in graph.input if v.name not in constants)
    outputs = tuple(value.name for value in graph.output)
    return Graph(".onnx", tensors, tuple(operators), inputs, outputs)


def _tensor(onnx, value) -> Tensor:
    kind = value.type.tensor_type
    shape = tuple(size.dim_value or 1 for size in kind.shape.dim)
    return Tensor(value.name, shape, _dtype(onnx, kind.elem_type))


def _dtype(onnx, code) -> str:
    try:
        return np.dtype(onnx.helper.tensor_dtype_to_np_dtype(code)).name
    except KeyError:  # undefined
        return "unknown"
