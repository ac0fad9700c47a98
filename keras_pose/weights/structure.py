"""Weights of networks as files of operators, placed by the network's structure.

Exporters rename tensors and fold batch norms into convolutions. But a convolution has
its place: the shape of its kernel, its strides, what rectifies it, and which convolutions
come before and behind it. That tells all of them apart in both networks, as in the test of
Weisfeiler and Leman (1968) for equal graphs. Splits, shuffles, sums and resizes only say
which reads which, so it does not matter how a format writes them.
"""

from __future__ import annotations

import hashlib
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from graphlib import CycleError, TopologicalSorter

import keras
import numpy as np
from keras import layers

from keras_pose.weights.layouts import module_name
from keras_pose.weights.operators import NetworkFile, Operator

# Stands for the picture among what a convolution reads.
IMAGE = "image"
# Operators that read sizes of tensors only, not what is in them.
_SHAPES = ("shape", "shapeof", "size")
# Operators that may lie between the picture and the first convolution.
_MOVES = (
    "convert",
    "cast",
    "transpose",
    "reshape",
    "pad",
    "identity",
    "squeeze",
    "unsqueeze",
)
_ADDS, _SCALES = ("add",), ("mul", "multiply")
_ARITHMETIC = (*_ADDS, *_SCALES, "sub", "subtract", "div", "divide", "pow", "power")
_ACTIVATIONS = {
    "relu": "relu",
    "sigmoid": "sigmoid",
    "swish": "silu",
    "silu": "silu",
}


@dataclass
class Convolution:
    """A convolution, with what follows it at once.

    Attributes:
        name: name of its layer or operator.
        shape: shape of the kernel, (out, in, H, W).
        strides: (vertical, horizontal).
        activation: activation behind it; "" for none.
        kernel: (out, in, H, W) float32; empty in a Keras model.
        bias: (out,) float32; empty in a Keras model.
        norm: layer that normalises it; None for a bias, and in files.
        before: names of the convolutions whose results it reads, `IMAGE` among them.
        gives_output: True if its results reach an output through no other convolution.
    """

    name: str
    shape: tuple[int, ...]
    strides: tuple[int, ...]
    activation: str = ""
    kernel: np.ndarray = field(default_factory=lambda: np.zeros(0, np.float32))
    bias: np.ndarray = field(default_factory=lambda: np.zeros(0, np.float32))
    norm: keras.layers.Layer | None = None
    before: frozenset[str] = field(default_factory=frozenset)
    gives_output: bool = False

    @property
    def look(self) -> tuple:
        """Shape, strides, activation and ends of it, without its place among others."""
        is_first = IMAGE in self.before
        return self.shape, self.strides, self.activation, is_first, self.gives_output


def tensors_by_structure(model, network: NetworkFile, source) -> dict[str, np.ndarray]:
    """Names the numbers of a file as the reference names its tensors.

    Args:
        model: model of the zoo, whose only weights are convolutions and batch norms behind
            them.
        network: convolutions of the file, see `operators`.
        source: file, for messages.

    Returns:
        Name -> array for `importer.fill`: kernels with their batch norms in them, and
        batch norms that add what was folded, and change nothing else.

    Raises:
        ValueError: if the two are not the same network.
    """
    ours, theirs = of_model(model), of_file(network, source)
    tensors = {}
    for conv, other in match(ours, theirs, model.name, source):
        module = module_name(conv.name)
        tensors[f"{module}.weight"] = other.kernel
        if conv.norm is None:
            tensors[f"{module}.bias"] = other.bias
        else:
            tensors |= _neutral_norm(conv.norm, other.bias)
    return tensors


def _neutral_norm(norm, bias: np.ndarray) -> dict[str, np.ndarray]:
    module, ones = module_name(norm.name), np.ones_like(bias)
    return {
        f"{module}.weight": ones * np.float32(np.sqrt(1 + norm.epsilon)),
        f"{module}.bias": bias,
        f"{module}.running_mean": np.zeros_like(bias),
        f"{module}.running_var": ones,
    }


def num_outputs(network: NetworkFile, source) -> int:
    """Returns the channels of the convolution that predicts.

    Raises:
        ValueError: if there are several such, or none.
    """
    last = [conv.shape[0] for conv in of_file(network, source) if conv.gives_output]
    if len(last) != 1:
        raise ValueError(f"{source} must end in one convolution, it ends in {len(last)}.")
    return last[0]


def match(
    ours: Sequence[Convolution], theirs: Sequence[Convolution], name: str, source
) -> list[tuple[Convolution, Convolution]]:
    """Pairs the convolutions of two networks that have the same structure.

    Raises:
        ValueError: if they have not; or if two of a network look the same.
    """
    _check_looks(ours, theirs, name, source)
    marks = _refined(ours, theirs)
    places = {mark: conv for mark, conv in zip(marks[0], ours, strict=True)}
    if len(places) < len(ours):
        raise ValueError(f"{name} has convolutions that nothing but names tells apart.")
    for mark, conv in zip(marks[1], theirs, strict=True):
        if mark not in places:
            raise ValueError(
                f"{source} is another network than {name}: its convolutions are the same, "
                f"but they are joined otherwise, that of {conv.name} for one."
            )
    return [(places[mark], conv) for mark, conv in zip(marks[1], theirs, strict=True)]


def _check_looks(ours, theirs, name: str, source) -> None:
    wanted, found = (Counter(conv.look for conv in each) for each in (ours, theirs))
    missing, unused = wanted - found, found - wanted
    if missing or unused:
        raise ValueError(
            f"{source} is another network than {name}: {missing.total()} convolutions are "
            f"missing ({_some(missing)}), {unused.total()} would not be used "
            f"({_some(unused)})."
        )


def _some(looks: Iterable[tuple]) -> str:
    """Describes the first of some convolutions."""
    for shape, strides, activation, is_first, gives_output in looks:
        words = [f"{'x'.join(map(str, shape))}, strides {strides[0]}", activation]
        words += ["first"] * is_first + ["last"] * gives_output
        return "the first is " + ", ".join(filter(None, words))
    return "none"


def _refined(*networks: Sequence[Convolution]) -> list[list[str]]:
    """Marks every convolution by its look and by the marks around it, again and again.

    Returns:
        A mark for each convolution of each network; equal ones stand in equal places.
    """
    marks = [[_digest(conv.look) for conv in network] for network in networks]
    neighbours = [_neighbours(network) for network in networks]
    num_marks = 0
    while num_marks < (num_marks := len({mark for each in marks for mark in each})):
        marks = [
            [
                _digest(
                    each[i],
                    sorted(each[j] for j in before),
                    sorted(each[j] for j in behind),
                )
                for i, (before, behind) in enumerate(around)
            ]
            for each, around in zip(marks, neighbours, strict=True)
        ]
    return marks


def _neighbours(network: Sequence[Convolution]) -> list[tuple[list[int], list[int]]]:
    index = {conv.name: i for i, conv in enumerate(network)}
    around: list[tuple[list[int], list[int]]] = [([], []) for _ in network]
    for i, conv in enumerate(network):
        for name in conv.before - {IMAGE}:
            around[i][0].append(index[name])
            around[index[name]][1].append(i)
    return around


def _digest(*parts) -> str:
    return hashlib.sha256(repr(parts).encode()).hexdigest()


def of_model(model) -> list[Convolution]:
    """Lists the convolutions of a Keras model.

    Raises:
        ValueError: if other layers have weights.
    """
    calls = [
        (node.operation, node.input_tensors, node.output_tensors)
        for depth in sorted(model._nodes_by_depth, reverse=True)
        for node in model._nodes_by_depth[depth]
        if node.input_tensors
    ]
    readers = defaultdict(list)
    for layer, inputs, outputs in calls:
        for tensor in inputs:
            readers[id(tensor)].append((layer, outputs[0]))
    sources = {id(tensor): frozenset([IMAGE]) for tensor in model.inputs}
    found, norms = {}, set()
    for layer, inputs, outputs in calls:
        before = frozenset().union(*(sources[id(tensor)] for tensor in inputs))
        if isinstance(layer, layers.Conv2D | layers.DepthwiseConv2D):
            conv = _of_layer(layer, outputs[0], readers)
            conv.before = before
            found[conv.name], before = conv, frozenset([conv.name])
            norms.add(conv.norm)
        elif layer.weights and layer not in norms:
            raise ValueError(
                f"{model.name} cannot be filled from a file of operators: the weights of "
                f"its layer {layer.name} are not those of a convolution."
            )
        sources |= {id(tensor): before for tensor in outputs}
    for tensor in model.outputs:
        for name in sources[id(tensor)] - {IMAGE}:
            found[name].gives_output = True
    return list(found.values())


def _of_layer(layer, output, readers) -> Convolution:
    """Describes a convolution, the batch norm behind it and what rectifies them."""
    if isinstance(layer, layers.DepthwiseConv2D):
        shape = tuple(layer.kernel.shape[i] for i in (2, 3, 0, 1))
    else:
        shape = tuple(layer.kernel.shape[i] for i in (3, 2, 0, 1))
    norm, following = None, readers[id(output)]
    if len(following) == 1 and isinstance(following[0][0], layers.BatchNormalization):
        norm, output = following[0]
        following = readers[id(output)]
    activation = keras.activations.serialize(layer.activation)
    if activation == "linear":
        activation = next(
            (_activation_of(x) for x, _ in following if _activation_of(x)), ""
        )
    return Convolution(layer.name, shape, tuple(layer.strides), activation, norm=norm)


def _activation_of(layer) -> str:
    match layer:
        case layers.ReLU():
            return "relu6" if layer.max_value == 6 else "relu"
        case layers.Activation():
            return str(keras.activations.serialize(layer.activation))
        case _:
            return ""


def of_file(network: NetworkFile, source) -> list[Convolution]:
    """Lists the convolutions of a file of operators, with what is folded into them.

    Raises:
        ValueError: if the operators form a circle, or a picture is not taken as it is.
    """
    try:
        return _FileWalk(network).convolutions()
    except ValueError as error:
        raise ValueError(f"{source}: {error}") from error


class _FileWalk:
    """Follows a file's operators from the picture to the outputs."""

    def __init__(self, network: NetworkFile):
        self.network = network
        self.makers = {name: op for op in network.operators for name in op.outputs}
        self.readers = defaultdict(list)
        self.folded: set[str] = set()
        for op in network.operators:
            for name in op.inputs:
                self.readers[name].append(op)

    def convolutions(self) -> list[Convolution]:
        sources: dict[str, frozenset[str]] = dict.fromkeys(
            self.network.inputs, frozenset([IMAGE])
        )
        found: dict[str, Convolution] = {}
        for op in self._in_order():
            before = frozenset().union(*(sources.get(x, frozenset()) for x in op.inputs))
            if op.kind in _SHAPES:
                before = frozenset()
            if op.kind == "convolution":
                conv = self._convolution(op)
                conv.before = before
                found[conv.name], before = conv, frozenset([conv.name])
            elif before == {IMAGE} and op.kind not in _MOVES:
                raise ValueError(
                    f"{op.kind} {op.name!r} changes the picture before any convolution "
                    "reads it. Files that normalize it themselves are not read."
                )
            elif before and self._holds_numbers(op):
                raise ValueError(
                    f"{op.kind} {op.name!r} computes with numbers that no layer of ours "
                    "holds: it does not follow a convolution."
                )
            sources |= dict.fromkeys(op.outputs, before)
        for name in self.network.outputs:
            for reached in sources.get(name, frozenset()) - {IMAGE}:
                found[reached].gives_output = True
        return list(found.values())

    def _holds_numbers(self, op: Operator) -> bool:
        """Returns True for arithmetic with constants that no convolution takes in."""
        is_left = op.kind in _ARITHMETIC and op.outputs[0] not in self.folded
        return is_left and any(name in self.network.constants for name in op.inputs)

    def _in_order(self) -> list[Operator]:
        sorter: TopologicalSorter = TopologicalSorter()
        index = {id(op): i for i, op in enumerate(self.network.operators)}
        for i, op in enumerate(self.network.operators):
            makers = (self.makers[x] for x in op.inputs if x in self.makers)
            sorter.add(i, *(index[id(maker)] for maker in makers))
        try:
            return [self.network.operators[i] for i in sorter.static_order()]
        except CycleError as error:
            raise ValueError("its operators form a circle.") from error

    def _convolution(self, op: Operator) -> Convolution:
        """Reads a convolution, under the name of its result: operators may have none."""
        constants = self.network.constants
        kernel = constants.get(op.inputs[1]) if len(op.inputs) > 1 else None
        if kernel is None or kernel.ndim != 4:
            raise ValueError(
                f"convolution {op.name!r} has no constant kernel (O, I, H, W)."
            )
        kernel = kernel.astype(np.float32)
        bias = np.zeros(len(kernel), np.float32)
        if len(op.inputs) > 2:
            bias = bias + constants[op.inputs[2]].astype(np.float32).reshape(-1)
        output = op.outputs[0]
        while (step := self._folded(output, len(kernel))) is not None:
            scale, shift, output = step
            kernel, bias = kernel * scale[:, None, None, None], bias * scale + shift
        return Convolution(
            op.outputs[0], kernel.shape, op.strides, self._activation(output), kernel, bias
        )

    def _folded(self, tensor: str, num_channels: int):
        """Returns factors, summands and result of a step that only scales channels."""
        if len(self.readers[tensor]) != 1 or tensor in self.network.outputs:
            return None
        (op,) = self.readers[tensor]
        numbers = [
            self.network.constants[name].astype(np.float32).reshape(-1)
            for name in op.inputs
            if name in self.network.constants
        ]
        if any(len(each) != num_channels for each in numbers) or not numbers:
            return None
        ones, zeros = np.ones(num_channels, "f4"), np.zeros(num_channels, "f4")
        if op.kind in _ADDS:
            scale, shift = ones, numbers[0]
        elif op.kind in _SCALES:
            scale, shift = numbers[0], zeros
        elif op.kind == "batchnorm" and len(numbers) == 4:
            gamma, beta, mean, variance = numbers
            scale = gamma / np.sqrt(variance + np.float32(op.epsilon))
            shift = beta - mean * scale
        else:
            return None
        self.folded.add(op.outputs[0])
        return scale, shift, op.outputs[0]

    def _activation(self, tensor: str) -> str:
        """Names what rectifies a tensor; x * sigmoid(x) is written as two operators."""
        kinds = [_ACTIVATIONS.get(op.kind, "") for op in self.readers[tensor]]
        scaled = [op for op in self.readers[tensor] if op.kind in _SCALES]
        if "sigmoid" in kinds and scaled:
            return "silu"
        return next(filter(None, kinds), "")
