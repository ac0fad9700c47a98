"""The operators and numbers of `.onnx` files."""

from __future__ import annotations

from pathlib import Path

from keras_pose.weights.operators import NetworkFile, Operator

# ONNX's words for operators, where other formats have longer ones.
_KINDS = {"conv": "convolution", "batchnormalization": "batchnorm"}


def read_onnx(path) -> NetworkFile:
    """Reads an `.onnx` file.

    Raises:
        ImportError: without the package onnx.
        ValueError: for a damaged file.
    """
    import onnx

    path = Path(path)
    try:
        model = onnx.load(str(path))
        onnx.checker.check_model(model)
        return _network(onnx, model.graph)
    except Exception as error:  # onnx and protobuf have no common base of errors
        message = (str(error).strip().splitlines() or [type(error).__name__])[0]
        raise ValueError(
            f"{path} is not an .onnx file, or it is damaged: {message}"
        ) from error


def _network(onnx, graph) -> NetworkFile:
    constants = {t.name: onnx.numpy_helper.to_array(t) for t in graph.initializer}
    operators = []
    for node in graph.node:
        options = {a.name: onnx.helper.get_attribute_value(a) for a in node.attribute}
        if node.op_type == "Constant":
            if "value" in options:
                constants[node.output[0]] = onnx.numpy_helper.to_array(options["value"])
            continue
        kind = node.op_type.lower()
        operators.append(
            Operator(
                _KINDS.get(kind, kind),
                node.name or node.output[0],
                tuple(node.input),
                tuple(node.output),
                strides=tuple(options.get("strides", (1, 1))),
                epsilon=float(options.get("epsilon", 1e-5)),
            )
        )
    inputs = {
        value.name: _shape(value) for value in graph.input if value.name not in constants
    }
    return NetworkFile(operators, constants, inputs, [value.name for value in graph.output])


def _shape(value) -> tuple[int | None, ...]:
    dims = value.type.tensor_type.shape.dim
    return tuple(d.dim_value if d.HasField("dim_value") else None for d in dims)
