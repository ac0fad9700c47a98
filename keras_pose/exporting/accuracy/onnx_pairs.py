"""The operators of an int8 `.onnx` file (QDQ) beside those of the float file it was made
from, to be run one by one; what `tflite_pairs` is for `.tflite`.

Pairs of QuantizeLinear and DequantizeLinear say how each tensor is rounded, so an operator
in int8 is the float one, on rounded inputs and weights, with its result rounded. Biases
have 32 bits, whose rounding is left out.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import onnx
from onnx import numpy_helper

from keras_pose.exporting.quantization.onnx_quantizing import open_onnx, session_of_all
from keras_pose.exporting.quantization.onnx_units import Unit, units_of

# Suffix that the quantizer adds to the name of a tensor.
_ROUNDED = "_DequantizeLinear_Output"
_OUTPUT = "_QuantizeLinear_Input"


class OnnxTracer:
    """Runs an `.onnx` file and hands out all its float tensors, rounded ones as such.

    Attributes:
        image_shape: (batch, height, width, 3) of its input.
        outputs: its outputs' names in the contract and in the file, which are one.
    """

    def __init__(self, path):
        model = onnx.load(str(path))
        (image,) = model.graph.input
        self._input = image.name
        sizes = image.type.tensor_type.shape.dim
        self.image_shape = tuple(size.dim_value for size in sizes)
        self.outputs = {value.name: value.name for value in model.graph.output}
        self._session, self._names = session_of_all(model)

    def run(self, images) -> dict[str, np.ndarray]:
        values = self._session.run(self._names, {self._input: images})
        found = dict(zip(self._names, values, strict=True))
        rounded = {
            name.removesuffix(_ROUNDED): value
            for name, value in found.items()
            if name.endswith(_ROUNDED)
        }
        return found | rounded


@dataclass(frozen=True)
class Steps:
    """Scale and zero point of a tensor: value = (integer - zero_point) * scale."""

    scale: float
    zero_point: int
    lowest: int
    highest: int

    def integers(self, values: np.ndarray) -> np.ndarray:
        """Returns the nearest integers, also beyond the range."""
        return np.rint(values / self.scale) + self.zero_point

    def rounded(self, values: np.ndarray) -> np.ndarray:
        kept = np.clip(self.integers(values), self.lowest, self.highest)
        return ((kept - self.zero_point) * self.scale).astype(np.float32)


class OnnxOperatorPairs:
    """The operators of an int8 file; attributes as `tflite_pairs.OperatorPairs`."""

    def __init__(self, float_path, int8_path):
        model = onnx.shape_inference.infer_shapes(onnx.load(str(float_path)))
        rounding = _Rounding(onnx.load(str(int8_path)).graph)
        units = units_of(model, [value.name for value in model.graph.output])
        self.operators = [OnnxOperatorPair(model, unit, rounding) for unit in units]
        computed = {name for node in model.graph.node for name in node.output}
        self.unknown = set(rounding.steps) - computed
        by_name = {pair.name: pair for pair in self.operators}
        for pair in self.operators:
            pair.makers = tuple(name for name in pair.sources if name in by_name)
            for name in pair.makers:
                by_name[name].readers += (pair.name,)


class _Rounding:
    """Scales and zero points in an int8 file.

    Attributes:
        steps: name of a computed tensor in the float file -> how it is rounded.
        constants: name of a constant in the float file -> its rounded values.
    """

    def __init__(self, graph):
        self._stored = {
            each.name: numpy_helper.to_array(each) for each in graph.initializer
        }
        self.steps: dict[str, Steps] = {}
        self.constants: dict[str, np.ndarray] = {}
        for node in graph.node:
            if node.op_type == "QuantizeLinear":
                name = node.input[0].removesuffix(_OUTPUT)
                self.steps[name] = self._steps(node)
            elif node.op_type == "DequantizeLinear" and node.input[0] in self._stored:
                name = node.output[0].removesuffix(_ROUNDED)
                self.constants[name] = self._values(node)

    def _steps(self, node) -> Steps:
        scale, zero_point = (self._stored[name] for name in node.input[1:3])
        limits = np.iinfo(zero_point.dtype)
        return Steps(float(scale), int(zero_point), int(limits.min), int(limits.max))

    def _values(self, node) -> np.ndarray:
        integers, scale = (self._stored[name] for name in node.input[:2])
        zero_point = self._stored[node.input[2]] if len(node.input) > 2 else 0
        if np.size(scale) > 1:  # a bias of one channel has one scale, and no axis
            axis = next((each.i for each in node.attribute if each.name == "axis"), 1)
            shape = [1] * integers.ndim
            shape[axis] = -1
            scale, zero_point = (np.reshape(each, shape) for each in (scale, zero_point))
        return ((integers.astype(np.float64) - zero_point) * scale).astype(np.float32)


class OnnxOperatorPair:
    """One operator, in int8 and in float; methods as `tflite_pairs.OperatorPair`."""

    def __init__(self, model, unit: Unit, rounding: _Rounding):
        self.name, self.kind = unit.tensor, unit.kind
        self.sources = unit.sources
        self.makers: tuple[str, ...] = ()
        self.readers: tuple[str, ...] = ()
        self._steps = rounding.steps
        reads = {name for node in unit.nodes for name in node.input}
        stored = {
            each.name: numpy_helper.to_array(each)
            for each in model.graph.initializer
            if each.name in reads
        }
        is_rounded = [name for name in unit.sources if name in rounding.steps]
        is_rounded += [name for name in stored if name in rounding.constants]
        self.is_integer = self.name in rounding.steps and bool(is_rounded)
        if self.is_integer:
            weights = {
                name: rounding.constants[name]
                for name, values in stored.items()
                if name in rounding.constants and values.ndim > 1
            }
            self._runs = tuple(
                _Piece(model, unit, constants) for constants in (stored, stored | weights)
            )

    def alone(self, exact: Mapping[str, np.ndarray]) -> np.ndarray:
        return self.rounded(self._runs[1].run(self._inputs(exact)))

    def on_rounded_inputs(self, exact: Mapping[str, np.ndarray]) -> np.ndarray:
        return self._runs[0].run(self._inputs(exact))

    def rounded(self, exact: np.ndarray) -> np.ndarray:
        return self._steps[self.name].rounded(exact)

    def clipped(self, exact: np.ndarray) -> int:
        steps = self._steps[self.name]
        integers = steps.integers(exact)
        return int(np.sum((integers < steps.lowest) | (integers > steps.highest)))

    def _inputs(self, exact) -> dict[str, np.ndarray]:
        return {
            name: self._steps[name].rounded(exact[name])
            if name in self._steps
            else exact[name]
            for name in self.sources
        }


class _Piece:
    """A model of one operator."""

    def __init__(self, model, unit: Unit, constants: Mapping[str, np.ndarray]):
        infos = {
            value.name: value
            for value in (
                *model.graph.value_info,
                *model.graph.input,
                *model.graph.output,
            )
        }
        graph = onnx.helper.make_graph(
            unit.nodes,
            "piece",
            [infos[name] for name in dict.fromkeys(unit.sources)],
            [infos[unit.tensor]],
            [numpy_helper.from_array(value, name) for name, value in constants.items()],
        )
        piece = onnx.helper.make_model(graph, opset_imports=model.opset_import)
        piece.ir_version = model.ir_version
        self._session = open_onnx(piece.SerializeToString())

    def run(self, values: Mapping[str, np.ndarray]) -> np.ndarray:
        (result,) = self._session.run(None, dict(values))
        return result
