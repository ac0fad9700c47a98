"""What each operator of an int8 file loses against its float file, and where it goes.

Both files are made from one another, so their tensors have the same names. Errors are RMS
differences / the standard deviation of what the float operator gives:

- cumulative: between the two files as they run. What came in was wrong already.
- isolated: of the int8 operator alone, on what the float file feeds its float twin. It is
  made of three parts, whose squares add up nearly:
  - inputs: of the float operator, fed with numbers as the integers of its inputs hold
    them. A tensor has one scale for all channels; of small channels little may be left.
  - weights: what is not one of the others.
  - result: of the float result, as the integers of its own tensor hold it.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from keras_pose.detector_contract import ModelContract
from keras_pose.exporting.flatbuffer import cut_out, tflite_graph
from keras_pose.exporting.graph import Graph, Operator, Tensor
from keras_pose.quiet import quiet_stderr

# Operators that convert between numbers, and compute nothing.
_CONVERSIONS = ("QUANTIZE", "DEQUANTIZE", "CAST")
_LOWEST, _HIGHEST = -128, 127
PARTS = ("inputs", "weights", "result")
_ISOLATED = ("isolated", "inputs", "result")
_SEPARATORS = re.compile("[;/]")
# Scopes that are entered again get a number, as in "stem-relu_1".
_REPEATED = re.compile(r"_\d+$")


@dataclass(frozen=True)
class LayerError:
    """What one operator loses; errors as the module says.

    Attributes:
        tensor: name of what the operator gives; what `quantize(float_ops=...)` calls it.
        operator: kind of operator, such as "CONV_2D".
        layers: names of the Keras layers it computes; empty where they cannot be told.
        isolated: NaN for an operator that runs in float.
        cumulative: see the module.
        inputs: NaN for an operator that runs in float.
        result: likewise.
        clipped: share of the float values beyond the range of the integers.
        makers: tensors of the operators that it reads.
        readers: tensors of the operators that read it.
    """

    tensor: str
    operator: str
    layers: tuple[str, ...]
    isolated: float
    cumulative: float
    inputs: float
    result: float
    clipped: float
    makers: tuple[str, ...] = ()
    readers: tuple[str, ...] = ()

    @property
    def is_float(self) -> bool:
        return bool(np.isnan(self.isolated))

    @property
    def sqnr_db(self) -> float:
        """Signal to quantization noise of the operator alone, decibels."""
        return -20 * float(np.log10(max(self.isolated, 1e-9)))

    @property
    def weights(self) -> float:
        """What the rounding of weights and sums adds to the isolated error."""
        rest = self.isolated**2 - self.inputs**2 - self.result**2
        return float("nan") if self.is_float else float(np.sqrt(max(rest, 0.0)))

    @property
    def cause(self) -> str:
        """The largest part of the isolated error: "inputs", "weights" or "result"."""
        if self.is_float:
            return ""
        return max(PARTS, key=lambda name: getattr(self, name))

    @property
    def label(self) -> str:
        """The last of the Keras layers, or else the tensor's name."""
        return self.layers[-1] if self.layers else self.tensor


@dataclass(frozen=True)
class LayerNames:
    """The names of a Keras model's layers, to be found in a file.

    Attributes:
        known: all of them.
        of_outputs: the file's name of an output -> the layer that gives it. Converters
            call such tensors by no layer's name.
    """

    known: frozenset[str] = frozenset()
    of_outputs: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def of(cls, model, contract: ModelContract) -> LayerNames:
        """Reads them off the model that files were made of."""
        makers = [output._keras_history.operation.name for output in model.outputs]
        specs = contract.outputs
        # Of several stacks the last one is exported.
        pairs = zip(specs, makers[-len(specs) :], strict=True)
        known = frozenset(layer.name for layer in model.layers)
        return cls(known, {spec.name: maker for spec, maker in pairs})


def measure_layer_errors(
    float_path, int8_path, crops, names: LayerNames | None = None
) -> list[LayerError]:
    """Runs a float file and an int8 file of it side by side, operator by operator.

    Args:
        float_path: `.tflite` of uint8 pixels.
        int8_path: made from it by `quantizing.quantize`; some of it may be float.
        crops: (N, H, W, 3) uint8; as many as the files take at a time, or a multiple.
        names: of the Keras model's layers, where they are known.

    Returns:
        One entry for each operator that computes, in the order they run in.

    Raises:
        ValueError: if the int8 file was not made from the float file, or for crops of
            another size.
    """
    files = _Tracer(float_path), _Tracer(int8_path)
    twins = _Twins(files[0].graph, files[1].graph, float_path, int8_path)
    strange = twins.unknown
    if strange or not twins.operators:
        raise ValueError(
            f"{int8_path} must be made from {float_path}, which lacks its tensors "
            f"{sorted(strange)[:3]}."
        )
    sums = [_Sums() for _ in twins.operators]
    for images in _batches(crops, files[0].image["shape"]):
        exact, actual = (each.run(images) for each in files)
        for twin, sum_ in zip(twins.operators, sums, strict=True):
            sum_.add(twin, exact, actual)
    find = _LayerFinder(names or LayerNames(), files[0].outputs)
    return [
        sum_.result(twin, find(twin.name))
        for twin, sum_ in zip(twins.operators, sums, strict=True)
    ]


class _LayerFinder:
    """Finds the layers that a tensor comes from."""

    def __init__(self, names: LayerNames, outputs: Mapping[str, str]):
        self._known = names.known
        self._of_outputs = {
            outputs[name]: (layer,)
            for name, layer in names.of_outputs.items()
            if name in outputs
        }

    def __call__(self, tensor: str) -> tuple[str, ...]:
        return find_layers(tensor, self._known) or self._of_outputs.get(tensor, ())


def find_layers(tensor: str, layer_names: Collection[str]) -> tuple[str, ...]:
    """Finds the names of Keras layers in the name of a tensor, in the order they compute.

    TensorFlow joins the names of fused operators by semicolons, the last one first; each
    is a path of scopes, of which one is the layer.
    """
    known = set(layer_names)
    found = []
    for part in _SEPARATORS.split(tensor):
        for name in (part, _REPEATED.sub("", part)):
            if name in known:
                found.append(name)
                break
    return tuple(dict.fromkeys(reversed(found)))


class _Tracer:
    """Runs a `.tflite` file and hands out all its tensors, as real values."""

    def __init__(self, path):
        self.graph = tflite_graph(path)
        self._interpreter = _interpreter(Path(path).read_bytes(), keeps_all=True)
        (self.image,) = self._interpreter.get_input_details()
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
        self._interpreter.set_tensor(self.image["index"], images)
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


class _Twins:
    """The operators of an int8 file, each with the one of the float file it was.

    Attributes:
        operators: in the order they run in.
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
        names = [name for name in chosen if name in float_ops]
        pieces = cut_out(path, [[chosen[name]] for name in names])
        float_pieces = cut_out(float_path, [[float_ops[name]] for name in names])
        self.operators = [
            _Twin(graph, graph.operators[chosen[name]], self._source, *both)
            for name, *both in zip(names, pieces, float_pieces, strict=True)
        ]
        made = {name for twin in self.operators for name in twin.sources.values()}
        self.unknown = made - self._float_names
        by_name = {twin.name: twin for twin in self.operators}
        for twin in self.operators:
            twin.makers = tuple(name for name in twin.sources.values() if name in by_name)
            for name in twin.makers:
                by_name[name].readers += (twin.name,)

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


class _Twin:
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
        # What the float operator reads -> the int8 tensor in its place.
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


class _Sums:
    """Running sums over crops, of which errors are made."""

    def __init__(self):
        self._sums = dict.fromkeys(
            ("number", "total", "squares", "clipped", "cumulative", *_ISOLATED), 0.0
        )

    def add(self, twin: _Twin, exact, actual) -> None:
        """Adds one run; takes the tensors of the float file and of the int8 file."""
        sums = self._sums
        values = np.asarray(exact[twin.name], np.float64)
        sums["number"] += values.size
        sums["total"] += values.sum()
        sums["squares"] += np.square(values).sum()
        found = {"cumulative": actual[twin.name]}
        if twin.is_integer:
            sums["clipped"] += twin.clipped(values)
            found["isolated"] = twin.alone(exact)
            found["inputs"] = twin.on_rounded_inputs(exact)
            found["result"] = twin.rounded(values)
        for name, each in found.items():
            sums[name] += np.square(each - values).sum()

    def result(self, twin: _Twin, layers) -> LayerError:
        sums = self._sums
        mean_square = sums["squares"] / sums["number"]
        variance = max(mean_square - (sums["total"] / sums["number"]) ** 2, 0)
        # A tensor that is nearly constant is measured by a tenth of its size, as in
        # `writing.relative_error`.
        scale = max(np.sqrt(variance), 0.1 * np.sqrt(mean_square), 1e-12)
        errors = {
            name: float(np.sqrt(sums[name] / sums["number"]) / scale)
            for name in ("cumulative", *_ISOLATED)
        }
        if not twin.is_integer:
            errors |= dict.fromkeys(_ISOLATED, float("nan"))
        return LayerError(
            tensor=twin.name,
            operator=twin.kind,
            layers=layers,
            clipped=sums["clipped"] / sums["number"],
            makers=twin.makers,
            readers=twin.readers,
            **errors,
        )


def _interpreter(content: bytes, keeps_all=False):
    import ai_edge_litert.interpreter as litert

    with quiet_stderr():
        interpreter = litert.Interpreter(
            model_content=content, experimental_preserve_all_tensors=keeps_all
        )
        interpreter.allocate_tensors()
    return interpreter


def _batches(crops, shape) -> Iterable[np.ndarray]:
    batch, *size = (int(each) for each in shape)
    if list(crops.shape[1:]) != size:
        raise ValueError(f"Crops must be {tuple(size)}, got {crops.shape[1:]}.")
    if not len(crops):
        raise ValueError("Layer errors are measured on at least one crop, got none.")
    for start in range(0, len(crops), batch):
        # The last batch is filled up with the first crops.
        yield crops[np.arange(start, start + batch) % len(crops)]


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


def worst_first(errors: Sequence[LayerError]) -> list[LayerError]:
    """Sorts by isolated error; operators in float come last."""
    return sorted(errors, key=lambda each: -np.nan_to_num(each.isolated, nan=-1.0))
