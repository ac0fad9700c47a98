"""The channels of a network that must be multiplied alike, if any are.

Rectifiers, sums, means and maxima commute with a positive factor. So what makes a channel
may multiply it by a factor if all that read it divide by the same: convolutions and batch
norms do both with their weights. Channels that are added up, or passed on, share a factor.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import keras
import numpy as np
from keras import layers, ops

from keras_pose.models.own_layers import ChannelSlice, ResizeAlignedCorners
from keras_pose.models.rescaled_silu import RescaledSilu

# The group of all channels that keep their values.
KEPT = 0

_CONVOLUTIONS = (layers.Conv2D, layers.DepthwiseConv2D, layers.Conv2DTranspose)
WITH_KERNEL = (*_CONVOLUTIONS, layers.Dense)
# Layers that commute with a positive factor per channel: f(c * x) = c * f(x).
_IN_PLACE = (
    layers.MaxPooling2D,
    layers.AveragePooling2D,
    layers.GlobalAveragePooling2D,
    layers.GlobalMaxPooling2D,
    layers.UpSampling2D,
    layers.ZeroPadding2D,
    layers.Cropping2D,
    layers.PReLU,
    layers.LeakyReLU,
    layers.Identity,
    layers.Dropout,
    ResizeAlignedCorners,
)
# Layers that multiply channels by their weights.
_WEIGHTED = (*WITH_KERNEL, layers.BatchNormalization)
# Layers that move numbers, also to other channels.
_MOVES = (layers.Reshape, layers.Permute, layers.Flatten, ChannelSlice, layers.Concatenate)


class ChannelGroups:
    """The channels of a network that must have the same factor.

    While the network is followed, each channel that a layer makes is a group of its own;
    where layers join channels, their groups become one.
    """

    def __init__(self, network):
        self._parents = [KEPT]
        self._groups: dict[int, np.ndarray] = {}  # id of a tensor -> groups, see `_follow`
        self._calls = list(calls_of(network))
        seen: set[int] = set()
        self._repeated: set[int] = set()
        for layer, _, _ in self._calls:
            (self._repeated if id(layer) in seen else seen).add(id(layer))
        for tensor in network.inputs:
            self._groups[id(tensor)] = _kept(tensor)
        for layer, inputs, outputs in self._calls:
            self._follow(layer, inputs, outputs)
        for tensor in network.outputs:
            self._join(self._groups[id(tensor)], KEPT)

    def of(self, tensor) -> np.ndarray:
        """Returns the (C,) groups of a tensor's channels.

        Where a channel's groups differ from place to place, as in the midst of a shuffle,
        they are said to be `KEPT`.
        """
        groups = _by_channel(self._groups[id(tensor)])
        if groups.ndim > 1:
            return _kept(tensor)
        return np.array([self._root(int(group)) for group in groups])

    def measured_tensors(self) -> Iterator[keras.KerasTensor]:
        """Yields the tensors that a file in integers holds, and computes anew."""
        readers: dict[int, list] = {}
        for layer, inputs, _ in self._calls:
            for tensor in inputs:
                readers.setdefault(id(tensor), []).append(layer)
        for layer, _, outputs in self._calls:
            for tensor in outputs:
                reading = readers.get(id(tensor), [])
                is_fused = len(reading) == 1 and _is_fused(layer, reading[0])
                if not is_fused and not isinstance(layer, _MOVES):
                    yield tensor

    def weighted_calls(self) -> Iterator[tuple[Any, np.ndarray, np.ndarray]]:
        """Yields the layers that have to know the factors of channels.

        Yields:
            A layer, and the groups of its input's channels and of its output's.
        """
        for layer, inputs, outputs in self._calls:
            if (
                isinstance(layer, (*_WEIGHTED, RescaledSilu))
                and id(layer) not in self._repeated
            ):
                yield layer, self.of(inputs[0]), self.of(outputs[0])

    def convolutions(self) -> Iterator[tuple[Any, Any, keras.KerasTensor]]:
        """Yields the convolutions that see every channel of their input.

        Grouped ones are left out, and those that are applied several times.

        Yields:
            A convolution, the batch norm after it or None, and its input.
        """
        norms = {
            id(inputs[0]): layer
            for layer, inputs, _ in self._calls
            if isinstance(layer, layers.BatchNormalization)
        }
        for layer, inputs, outputs in self._calls:
            is_one = isinstance(layer, layers.Conv2D | layers.DepthwiseConv2D)
            if not is_one or id(layer) in self._repeated:
                continue
            if layer.kernel.shape[2] == inputs[0].shape[-1]:
                yield layer, norms.get(id(outputs[0])), inputs[0]

    def _follow(self, layer, inputs, outputs) -> None:
        """Finds the groups of a call's outputs, and joins those of its inputs.

        Groups of a tensor are (C,), or in the midst of a shuffle (H, W, C) and the like.
        """
        groups = [self._groups[id(tensor)] for tensor in inputs]
        rule = None if id(layer) in self._repeated else self._rule_of(layer)
        result = rule(layer, inputs, groups, outputs[0]) if rule else None
        if result is None:
            for each in groups:
                self._join(each, KEPT)
            for tensor in outputs:
                self._groups[id(tensor)] = _kept(tensor)
        else:
            self._groups[id(outputs[0])] = result

    def _rule_of(self, layer) -> Callable | None:
        """Returns what is known of layers of a kind; rules give None for exceptions."""
        if isinstance(layer, _WEIGHTED):
            return self._made_anew
        if isinstance(layer, (*_IN_PLACE, RescaledSilu)) or _is_rectifier(layer):
            return self._passed_on
        if isinstance(layer, _MOVES):
            return _moved
        if isinstance(layer, layers.Add):
            return self._added_up
        if isinstance(layer, layers.Multiply):
            return self._weighed
        return None

    def _made_anew(self, layer, inputs, groups, output):
        if groups[0].ndim > 1 or not _can_rescale(layer, inputs[0]):
            return None
        if not _is_linear(getattr(layer, "activation", None)):
            return _kept(output)
        start = len(self._parents)
        self._parents.extend(range(start, start + output.shape[-1]))
        return np.arange(start, len(self._parents))

    def _passed_on(self, layer, inputs, groups, output):
        return groups[0] if groups[0].ndim == 1 else None

    def _added_up(self, layer, inputs, groups, output):
        first, *others = groups
        if any(other.shape != first.shape for other in others):
            return None
        for other in others:
            self._join(first, other)
        return first

    def _weighed(self, layer, inputs, groups, output):
        """A product may scale one operand's channels if the other operand is unscaled."""
        if len(groups) != 2 or any(each.ndim > 1 for each in groups):
            return None
        for x, weights in (groups, groups[::-1]):
            is_kept = all(self._root(int(group)) == KEPT for group in weights)
            if is_kept and len(weights) in (1, len(x)):
                return x
        return None

    def _root(self, group: int) -> int:
        while self._parents[group] != group:
            self._parents[group] = self._parents[self._parents[group]]
            group = self._parents[group]
        return group

    def _join(self, groups, others) -> None:
        pairs = np.stack(np.broadcast_arrays(groups, others), axis=-1).reshape(-1, 2)
        for a, b in np.unique(pairs, axis=0):
            low, high = sorted((self._root(int(a)), self._root(int(b))))
            self._parents[high] = low


def calls_of(network):
    """Yields (layer, input tensors, output tensors) of a network's calls, in order."""
    for depth in sorted(network._nodes_by_depth, reverse=True):
        for node in network._nodes_by_depth[depth]:
            if node.input_tensors:
                yield node.operation, node.input_tensors, node.output_tensors


def _kept(tensor) -> np.ndarray:
    size = tensor.shape[-1] if tensor.shape else None
    return np.full(size or 1, KEPT)


def _moved(layer, inputs, groups, output):
    """Lets a layer that only moves numbers move those of the groups."""
    shapes = [tuple(tensor.shape[1:]) for tensor in inputs]
    if any(size is None for shape in shapes for size in shape):
        return None
    # In doubles whole numbers are exact.
    whole = [
        np.broadcast_to(each, shape)[None].astype(np.float64)
        for each, shape in zip(groups, shapes, strict=True)
    ]
    moved = layer.call(whole if len(whole) > 1 else whole[0])
    return _by_channel(np.asarray(ops.convert_to_numpy(moved))[0].astype(np.int64))


def _by_channel(groups: np.ndarray) -> np.ndarray:
    """Returns the (C,) groups of channels, or all if they differ from place to place."""
    rows = groups.reshape(-1, groups.shape[-1])
    return rows[0] if (rows == rows[0]).all() else groups


def _is_rectifier(layer) -> bool:
    if isinstance(layer, layers.ReLU):
        return layer.max_value is None and not layer.threshold
    return isinstance(layer, layers.Activation) and _is_linear(layer.activation)


def _is_linear(activation) -> bool:
    """Returns True if an activation commutes with positive factors."""
    return activation in (None, keras.activations.linear, keras.activations.relu)


def _is_fused(maker, reader) -> bool:
    """Returns True if a file computes two layers at once, and holds one result only."""
    if isinstance(reader, layers.BatchNormalization):
        return isinstance(maker, _CONVOLUTIONS)
    fusing = (*WITH_KERNEL, layers.BatchNormalization, layers.Add)
    return _is_rectifier(reader) and isinstance(maker, fusing)


def _can_rescale(layer, x) -> bool:
    if isinstance(layer, layers.BatchNormalization):
        return bool(layer.scale) and layer.axis in (-1, len(x.shape) - 1)
    return getattr(layer, "data_format", "channels_last") == "channels_last"
