"""What a `.tflite` file is made of, read from its flatbuffer without running it."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

from ai_edge_litert import schema_py_generated as schema

_OP_NAMES = {
    code: name for name, code in vars(schema.BuiltinOperator).items() if name.isupper()
}
_FLOATS = (schema.TensorType.FLOAT16, schema.TensorType.FLOAT32)


def op_counts(path) -> Counter:
    """Counts the ops of a file by name; those that are not builtin as "custom:NAME"."""
    model = _read(path)
    return Counter(name for name, _ in _operators(model))


def custom_ops(path) -> list[str]:
    """Returns the names of the ops that are not builtin, such as Select-TF's "Flex..."."""
    names = {name for name in op_counts(path) if name.startswith("custom:")}
    return sorted(name.removeprefix("custom:") for name in names)


def float_ops(path) -> Counter:
    """Counts the ops that read or write a floating point tensor."""
    model = _read(path)
    return Counter(
        name for name, types in _operators(model) if any(kind in _FLOATS for kind in types)
    )


def _read(path):
    content = Path(path).read_bytes()
    try:
        return schema.ModelT.InitFromObj(schema.Model.GetRootAs(content))
    except Exception as error:  # flatbuffers trusts its input, and fails anyhow
        raise ValueError(f"{path} is not a .tflite file, or is damaged: {error}") from error


def _operators(model):
    """Yields (name, types of inputs and outputs) of every op."""
    for graph in model.subgraphs:
        for operator in graph.operators:
            tensors = [*operator.inputs, *operator.outputs]
            # -1 stands for an input that was left out.
            types = [graph.tensors[index].type for index in tensors if index >= 0]
            yield _name(model.operatorCodes[operator.opcodeIndex]), types


def _name(code) -> str:
    if code.customCode:
        return f"custom:{code.customCode.decode()}"
    # Files written before 2020 have the code in the old one-byte field.
    number = max(code.builtinCode, code.deprecatedBuiltinCode)
    return _OP_NAMES.get(number, str(number))


def num_per_channel_weights(path) -> int:
    """Counts the weight tensors that have one scale per output channel."""
    return sum(
        tensor.quantization is not None
        and tensor.quantization.scale is not None
        and len(tensor.quantization.scale) > 1
        and tensor.type == schema.TensorType.INT8
        for graph in _read(path).subgraphs
        for tensor in graph.tensors
    )
