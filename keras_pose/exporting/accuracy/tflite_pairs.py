"""The operators of an int8 file beside those of the float file it was made from, to be run
one by one. Both files have the same names of tensors.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np

from keras_pose.commandline.quiet import quiet_stderr
from keras_pose.modelfiles.flatbuffer import cut_out, tflite_graph
from keras_pose.modelfiles.graph import Graph, Operator, Tensor

# Operators that convert between numbers, and compute nothing.
_CONVERSIONS = ("QUANTIZE", "DEQUANTIZE", "CAST")
_LOWEST, _HIGHEST = -128, 127


class Tracer:
    """Runs a `.tflite` file and hands out all its tensors, as real values.

    Attributes:
        graph: operators and tensors of the file.
        image_shape: (batch, height, width, 3) of its input.
        names: names of its computed tensors.
        outputs: its outputs' names in the signature -> their tensors'.
    """

    def __init__(self, path):
        self.graph = tflite_graph(path)
        self._interpreter = _interpreter(Path(path).read_bytes(), keeps_all=True)
        (self._image,) = self._interpreter.get_input_details()
        self.image_shape = tuple(int(size) for size in self._image["shape"])
        details = {each["index"]: each for each in self._interpreter.get_tensor_details()}
        computed = {key for each in self.graph.operators for key in each.outputs}
        computed |= set(self.graph.inputs)
        self._details = {details[key]["name"]: details[key] for key in computed}
        self.names = set(self._details)
        self.outputs = self._output_names()

    def _output_names(self) -> dict[str, str]:
        """Returns the names of outputs in the signature, with those of their tensors."""
        signatures = self._interpreter.get_signature_list()
        if not signatures:
            return {}
        runner = self._interpreter.get_signature_runner(next(iter(signatures)))
        details = runner.get_output_details()
        return {name: each["name"] for name, each in details.items()}

    def run(self, images) -> dict[str, np.ndarray]:
        self._interpreter.set_tensor(self._image["index"], images)
        with quiet_stderr():
            self._interpreter.invoke()
        return _Values(self._interpreter, self._details)


class _Values(dict):
    """Tensors of a run by name, each read when it is asked for."""

    def __init__(self, interpreter, details):
        super().__init__()
        self._interpreter, self._details = interpreter, details

    def __missing__(self, name):
        details = self._details[name]
        self[name] = _real(self._interpreter.get_tensor(details["index"]), details)
        return self[name]


class OperatorPairs:
    """The operators of an int8 file, each with the one of the float file it was.

    Left out are those of another kind than in the float file: channel shuffles, which lose
    nothing, see `quantization.shuffles`.

    Attributes:
        operators: operators in the order they run in.
        unknown: names of tensors that the float file ought to have, and has not.
    """

    def __init__(self, float_graph: Graph, graph: Graph, float_path, path):
        self._graph = graph
        self._float_names = _computed_names(float_graph)
        self._makers = {key: each for each in graph.operators for key in each.outputs}
        float_ops = {
            float_graph.tensors[each.outputs[0]].name: index
            for index, each in enumerate(float_graph.operators)
        }
        chosen = {
            graph.tensors[each.outputs[0]].name: index
            for index, each in enumerate(graph.operators)
            if each.kind not in _CONVERSIONS
        }
        names = [
            name
            for name, index in chosen.items()
            if name in float_ops
            and graph.operators[index].kind == float_graph.operators[float_ops[name]].kind
        ]
        pieces = cut_out(path, [[chosen[name]] for name in names])
        float_pieces = cut_out(float_path, [[float_ops[name]] for name in names])
        self.operators = [
            OperatorPair(graph, graph.operators[chosen[name]], self._source, *both)
            for name, *both in zip(names, pieces, float_pieces, strict=True)
        ]
        made = {name for pair in self.operators for name in pair.sources.values()}
        self.unknown = made - self._float_names
        by_name = {pair.name: pair for pair in self.operators}
        for pair in self.operators:
            pair.makers = tuple(name for name in pair.sources.values() if name in by_name)
            for name in pair.makers:
                by_name[name].readers += (pair.name,)

    def _source(self, key) -> str | None:
        """Returns the float file's name of what a tensor is a conversion of.

        None for constants, which are part of the operator.
        """
        while self._graph.tensors[key].name not in self._float_names:
            maker = self._makers.get(key)
            if maker is None or maker.kind not in _CONVERSIONS:
                break
            key = maker.inputs[0]
        tensor = self._graph.tensors[key]
        return None if tensor.is_constant else tensor.name


def _computed_names(graph: Graph) -> set[str]:
    keys = {key for each in graph.operators for key in each.outputs} | set(graph.inputs)
    return {graph.tensors[key].name for key in keys}


class OperatorPair:
    """One operator, in int8 and in float, to be run by itself."""

    def __init__(self, graph: Graph, operator: Operator, source, piece, float_piece):
        output = graph.tensors[operator.outputs[0]]
        inputs = [graph.tensors[key] for key in operator.inputs]
        self.name = output.name
        self.kind = operator.kind
        self.makers: tuple[str, ...] = ()
        self.readers: tuple[str, ...] = ()
        self.is_integer = output.dtype == "int8"
        pairs = zip(operator.inputs, inputs, strict=True)
        found = {tensor.name: source(key) for key, tensor in pairs}
        self.sources = {own: name for own, name in found.items() if name is not None}
        self._output = output
        # Tensor that the float operator reads -> the int8 tensor in its place.
        self._rounded = {
            self.sources[each.name]: each for each in inputs if each.name in self.sources
        }
        if self.is_integer:
            self._runs = _Piece(piece), _Piece(float_piece)

    def alone(self, exact: Mapping[str, np.ndarray]) -> np.ndarray:
        """Runs the int8 operator on the float file's tensors."""
        return self._runs[0].run({own: exact[name] for own, name in self.sources.items()})

    def on_rounded_inputs(self, exact: Mapping[str, np.ndarray]) -> np.ndarray:
        """Runs the float operator on what is left of its inputs in integers."""
        return self._runs[1].run(
            {name: _rounded(exact[name], each) for name, each in self._rounded.items()}
        )

    def rounded(self, exact: np.ndarray) -> np.ndarray:
        """Returns the float result as the integers of the tensor hold it."""
        return _rounded(exact, self._output)

    def clipped(self, exact: np.ndarray) -> int:
        """Counts values more than half a step beyond the range."""
        steps = np.rint(exact / self._output.scale) + self._output.zero_point
        return int(np.sum((steps < _LOWEST) | (steps > _HIGHEST)))


class _Piece:
    """A file of one operator."""

    def __init__(self, content: bytes):
        self._interpreter = _interpreter(content)

    def run(self, values: Mapping[str, np.ndarray]) -> np.ndarray:
        """Takes and gives real values, whatever the operator computes with."""
        for details in self._interpreter.get_input_details():
            integers = _integers(values[details["name"]], details)
            self._interpreter.set_tensor(details["index"], integers)
        with quiet_stderr():
            self._interpreter.invoke()
        (output, *_) = self._interpreter.get_output_details()
        return _real(self._interpreter.get_tensor(output["index"]), output)


def _rounded(values, tensor: Tensor) -> np.ndarray:
    """Returns real values as the integers of a tensor hold them."""
    if not tensor.scale:
        return values
    steps = np.rint(values / tensor.scale) + tensor.zero_point
    rounded = (np.clip(steps, _LOWEST, _HIGHEST) - tensor.zero_point) * tensor.scale
    return rounded.astype(np.float32)


def _interpreter(content: bytes, keeps_all=False):
    import ai_edge_litert.interpreter as litert

    with quiet_stderr():
        interpreter = litert.Interpreter(
            model_content=content, experimental_preserve_all_tensors=keeps_all
        )
        interpreter.allocate_tensors()
    return interpreter


def _real(values, details) -> np.ndarray:
    scale, zero_point = details["quantization"]
    if not scale:
        return values.astype(np.float32)
    return (values.astype(np.float32) - zero_point) * np.float32(scale)


def _integers(values, details) -> np.ndarray:
    """Returns real values as the tensor of an operator takes them."""
    scale, zero_point = details["quantization"]
    dtype = details["dtype"]
    if not scale:
        return values.astype(dtype)
    limits = np.iinfo(dtype)
    return np.clip(np.rint(values / scale) + zero_point, limits.min, limits.max).astype(
        dtype
    )
