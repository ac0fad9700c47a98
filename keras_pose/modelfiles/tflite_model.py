"""A `.tflite` file as an object: read once, changed in place, packed once.

Quantizers and runtimes take and give bytes. Between them a file is an object, since reading
and packing cost time and the file's size in memory. Every file goes through `read` and
`to_bytes`, so that a test can count them.
"""

from __future__ import annotations

import copy
from collections import Counter
from collections.abc import Collection, Mapping
from typing import Any

import flatbuffers
import numpy as np
from ai_edge_litert import schema_py_generated as schema

_OP_NAMES = {
    code: name for name, code in vars(schema.BuiltinOperator).items() if name.isupper()
}
_FILE_IDENTIFIER = b"TFL3"
_FLOATS = (schema.TensorType.FLOAT16, schema.TensorType.FLOAT32)
# Room for all that is not weights, so that the packer need not grow its buffer.
_ROOM = 1 << 20


class TFLiteModel:
    """Tables of a `.tflite` file.

    Attributes:
        tables: `schema.ModelT`, to be read or changed.
        source: bytes that were read; b"" for a model that was not read.
    """

    def __init__(self, tables: Any, source: bytes = b""):
        self.tables = tables
        self.source = source

    @classmethod
    def read(cls, content: bytes) -> TFLiteModel:
        """Reads a file. Weights are not copied: they are views of `content`.

        litert-quantizer lays weights behind the flatbuffer, where readers of before 2023
        do not look; here they come back into it.

        Raises:
            Exception: of any kind for a damaged file: flatbuffers trusts its input.
        """
        tables = schema.ModelT.InitFromObj(schema.Model.GetRootAs(content))
        for buffer in tables.buffers:
            if buffer.offset > 1:  # 0 and 1 mean that there is nothing outside
                buffer.data = np.frombuffer(content, np.uint8, buffer.size, buffer.offset)
                buffer.offset = buffer.size = 0
        return cls(tables, content)

    def to_bytes(self) -> bytes:
        """Packs the file, without the content of buffers that nothing reads any more."""
        self._empty_unread_buffers()
        sizes = (0 if each.data is None else len(each.data) for each in self.tables.buffers)
        builder = flatbuffers.Builder(sum(sizes) + _ROOM)
        builder.Finish(self.tables.Pack(builder), _FILE_IDENTIFIER)
        # `Output` would copy the file once more.
        return bytes(memoryview(builder.Bytes)[builder.Head() :])

    def _empty_unread_buffers(self) -> None:
        graphs, notes = self.tables.subgraphs, self.tables.metadata or ()
        read = {tensor.buffer for graph in graphs for tensor in graph.tensors}
        read |= {note.buffer for note in notes}
        for index, buffer in enumerate(self.tables.buffers):
            if index not in read:
                buffer.data = None

    def copy(self) -> TFLiteModel:
        """Returns a model to change; the two share weights."""
        tables = copy.copy(self.tables)
        for name in ("operatorCodes", "buffers", "subgraphs", "signatureDefs"):
            setattr(tables, name, _copies(getattr(tables, name)))
        for graph in tables.subgraphs:
            graph.tensors = _copies(graph.tensors)
            graph.operators = _copies(graph.operators)
        for signature in tables.signatureDefs or ():
            signature.inputs = _copies(signature.inputs)
            signature.outputs = _copies(signature.outputs)
        return TFLiteModel(tables, self.source)

    def float_constants(self) -> dict[int, np.ndarray]:
        """Returns what float32 constants hold, by the index of their buffer."""
        buffers = self.tables.buffers
        return {
            tensor.buffer: np.frombuffer(memoryview(data), np.float32).reshape(tensor.shape)
            for tensor in self.graph.tensors
            if tensor.type == schema.TensorType.FLOAT32
            and (data := buffers[tensor.buffer].data) is not None
            and len(data)
        }

    def with_buffers(self, content: Mapping[int, np.ndarray]) -> TFLiteModel:
        """Returns a model, packed and read, with other numbers in some buffers."""
        model = self.copy()
        for index, values in content.items():
            model.tables.buffers[index].data = values.ravel().view(np.uint8)
        return TFLiteModel.read(model.to_bytes())

    @property
    def graph(self) -> Any:
        """The graph that runs first, a `schema.SubGraphT`; in our files the only one."""
        return self.tables.subgraphs[0]

    @property
    def outputs(self) -> dict[str, int]:
        """Tensors that are outputs, by their names in the signature."""
        (signature,) = self.tables.signatureDefs
        return {out.name.decode(): int(out.tensorIndex) for out in signature.outputs}

    def kind_of(self, operator) -> int:
        """Returns what an operator is, a `schema.BuiltinOperator`."""
        return builtin_of(self.tables.operatorCodes[operator.opcodeIndex])

    def name_of_kind(self, operator) -> str:
        """Returns what an operator is; "custom:NAME" for one that is not builtin."""
        code = self.tables.operatorCodes[operator.opcodeIndex]
        if code.customCode:
            return f"custom:{code.customCode.decode()}"
        return _OP_NAMES.get(builtin_of(code), str(builtin_of(code)))

    def computed_names(self) -> dict[int, str]:
        """Returns the names of what operators compute, and of the input, by index."""
        graph = self.graph
        computed = [*graph.inputs, *(i for op in graph.operators for i in op.outputs)]
        return {int(i): graph.tensors[i].name.decode() for i in computed}

    def float_names(self) -> dict[int, str]:
        """Returns those of `computed_names` that are float32."""
        return {
            index: name
            for index, name in self.computed_names().items()
            if self.graph.tensors[index].type == schema.TensorType.FLOAT32
        }

    def readers(self) -> dict[int, list]:
        """Returns the operators that read each tensor, by its index."""
        readers: dict[int, list] = {index: [] for index in range(len(self.graph.tensors))}
        for operator in self.graph.operators:
            for index in set(map(int, operator.inputs)) - {-1}:
                readers[index].append(operator)
        return readers

    def op_counts(self) -> Counter:
        """Counts operators by name."""
        return Counter(name for name, _ in self._named_operators())

    def custom_ops(self) -> list[str]:
        """Returns names of ops that are not builtin, such as Select-TF's "Flex..."."""
        names = {name for name in self.op_counts() if name.startswith("custom:")}
        return sorted(name.removeprefix("custom:") for name in names)

    def float_ops(self) -> Counter:
        """Counts the operators that read or write a floating point tensor."""
        return Counter(
            name
            for name, types in self._named_operators()
            if any(kind in _FLOATS for kind in types)
        )

    def _named_operators(self):
        """Yields (name, types of inputs and outputs) of every operator."""
        for graph in self.tables.subgraphs:
            for operator in graph.operators:
                tensors = [*operator.inputs, *operator.outputs]
                # -1 stands for an input that was left out.
                types = [graph.tensors[index].type for index in tensors if index >= 0]
                yield self.name_of_kind(operator), types

    def set_input(self, index: int) -> None:
        """Makes another tensor the only input."""
        self.graph.inputs = np.array([index], np.int32)
        for signature in self.tables.signatureDefs:
            signature.inputs[0].tensorIndex = int(index)

    def drop_outputs(self, names: Collection[str]) -> None:
        """Leaves out outputs by their names in the signature; their operators stay."""
        (signature,) = self.tables.signatureDefs
        signature.outputs = [
            out for out in signature.outputs if out.name.decode() not in names
        ]
        indices = [out.tensorIndex for out in signature.outputs]
        self.graph.outputs = np.array(indices, np.int32)

    def number_doubles(self) -> None:
        """Numbers the constants that are called like another tensor.

        Converters call a bias like the op that adds it.
        """
        tensors, computed = self.graph.tensors, set(self.computed_names())
        taken = {tensors[index].name for index in computed}
        for index, tensor in enumerate(tensors):
            if index not in computed:
                if tensor.name in taken:
                    tensor.name += b"#%d" % index
                taken.add(tensor.name)

    def opcode(self, builtin: int, version: int = 1) -> int:
        """Returns the index of an operator's code, which is added if need be."""
        for index, code in enumerate(self.tables.operatorCodes):
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
        self.tables.operatorCodes.append(code)
        return len(self.tables.operatorCodes) - 1

    def operator(self, builtin: int, inputs, outputs, version: int = 1) -> Any:
        """Makes an operator; the caller puts it among the graph's."""
        operator = schema.OperatorT()
        operator.opcodeIndex = self.opcode(builtin, version)
        operator.inputs = np.array(inputs, np.int32)
        operator.outputs = np.array(outputs, np.int32)
        return operator

    def add_tensor(self, like, **changes) -> int:
        """Adds a tensor that is as another but for some fields; returns its index."""
        tensor = copy.copy(like)
        vars(tensor).update(changes)
        self.graph.tensors.append(tensor)
        return len(self.graph.tensors) - 1

    def replace(self, old: int, new: int) -> None:
        """Makes operators read another tensor in the place of one."""
        for operator in self.graph.operators:
            operator.inputs = np.where(operator.inputs == old, new, operator.inputs)

    def drop_unread_tensors(self) -> None:
        """Leaves out tensors that no operator reads or writes, and numbers the others."""
        graph = self.graph
        ends = [graph.inputs, graph.outputs]
        lists = [x for op in graph.operators for x in (op.inputs, op.outputs)]
        used = np.unique(np.concatenate([*lists, *ends]))
        # -1 stands for an input that was left out, the last one here, and stays.
        numbers = np.full(len(graph.tensors) + 1, -1, np.int32)
        used = used[used >= 0]
        numbers[used] = np.arange(len(used))
        graph.tensors = [graph.tensors[index] for index in used]
        for operator in graph.operators:
            operator.inputs = numbers[operator.inputs]
            operator.outputs = numbers[operator.outputs]
        graph.inputs, graph.outputs = (numbers[each] for each in ends)
        for signature in self.tables.signatureDefs or ():
            for each in (*signature.inputs, *signature.outputs):
                each.tensorIndex = int(numbers[each.tensorIndex])

    def add_buffer(self, data: np.ndarray | None) -> int:
        """Adds a buffer of uint8; returns its index."""
        buffer = schema.BufferT()
        buffer.data = data
        self.tables.buffers.append(buffer)
        return len(self.tables.buffers) - 1


def builtin_of(code) -> int:
    """Returns what an operator code stands for, a `schema.BuiltinOperator`."""
    # Files written before 2020 have it in the old one-byte field.
    return max(code.builtinCode, code.deprecatedBuiltinCode)


def integers_of(scale: float, zero_point: int = 0) -> Any:
    """Returns the quantization of a tensor with one scale."""
    quantization = schema.QuantizationParametersT()
    quantization.scale = np.array([scale], np.float32)
    quantization.zeroPoint = np.array([zero_point], np.int64)
    return quantization


def _copies(tables):
    return None if tables is None else [copy.copy(table) for table in tables]
