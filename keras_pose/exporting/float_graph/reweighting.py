"""A converted float32 file with the weights of an equalized network.

Equalizing multiplies channels of weights, and leaves the graph as it is. So the file of the
equalized network is the first file with multiplied constants; to convert the network again
would take as long as the first time. A constant is recognized by its values: the layer's
kernel or bias, with the batch norm behind it worked in. Factors are powers of two, so they
give what a conversion gives, to the bit; but for weights of channels that integers hold as
0, which differ in the last digit.

Where any changed weight is not found again, `reweighted` says so, and the network has to be
converted.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np
from keras import layers, ops

from keras_pose.models.channel_groups import calls_of

# Of the largest value of a constant: converters work batch norms in with float32.
_TOLERANCE = 1e-5
# Numbers that are compared before all are.
_NUM_FIRST = 16

# Maps a layer and its kernel, as Keras has it, to the kernel as a file has it.
Layout = Callable[[Any, np.ndarray], np.ndarray]


def reweighted(
    constants: Mapping[Any, np.ndarray],
    before: Sequence[Part],
    after: Sequence[Part],
) -> dict[Any, np.ndarray] | None:
    """Finds the constants of a file that an equalized network changes.

    Args:
        constants: float32 constants of the file of `before`, by any key.
        before: `parts_of` the network that the file was made of.
        after: `parts_of` the same with other weights.

    Returns:
        The changed constants by key; None where a weight that changed is in none of them.
    """
    same: list[tuple[Part, Part]] = []
    others: list[tuple[Part, Part]] = []
    for old, new in zip(before, after, strict=True):
        is_same = np.array_equal(old.values, new.values)
        (same if is_same else others).append((old, new))
    stored = _Arrays(constants)
    kept = _Arrays(dict(enumerate(old.values for old, _ in same)))
    changed: dict[Any, np.ndarray] = {}
    for old, new in others:
        keys = stored.like(old.values)
        if not old.is_stored or not keys or kept.like(old.values):
            return None
        factors = np.ones_like(old.values)
        np.divide(new.values, old.values, out=factors, where=old.values != 0)
        for key in keys:
            values = (constants[key] * factors).astype(np.float32)
            if key in changed and not np.array_equal(changed[key], values):
                return None  # two layers that shared it do not any more
            changed[key] = values
    return changed


def tflite_layout(layer, kernel: np.ndarray) -> np.ndarray:
    """Returns a kernel as `.tflite` files have it: outputs first, channels last."""
    if isinstance(layer, layers.DepthwiseConv2D):
        return kernel.reshape(1, *kernel.shape[:2], -1)
    if isinstance(layer, layers.Conv2DTranspose):
        return kernel.transpose(2, 0, 1, 3)
    return np.moveaxis(kernel, -1, 0)


def onnx_layout(layer, kernel: np.ndarray) -> np.ndarray:
    """Returns a kernel as `.onnx` files have it: channels before rows and columns."""
    if isinstance(layer, layers.DepthwiseConv2D):
        return kernel.reshape(*kernel.shape[:2], 1, -1).transpose(3, 2, 0, 1)
    return kernel.transpose(3, 2, 0, 1) if kernel.ndim == 4 else kernel


@dataclass(frozen=True)
class Part:
    """Numbers that come of a layer's weights.

    Attributes:
        values: float64.
        is_stored: True if they are a constant of a file, kernel or bias; False for weights
            of other layers, which converters make something else of.
    """

    values: np.ndarray
    is_stored: bool = True


def parts_of(network, layout: Layout) -> list[Part]:
    """Returns what comes of the weights of all layers, each once, in order.

    Args:
        network: functional `keras.Model`.
        layout: order of a kernel's numbers in the file.
    """
    return list(_parts(network, layout))


def _parts(network, layout: Layout) -> Iterator[Part]:
    calls = list(calls_of(network))
    readers: Counter[int] = Counter()
    norms: dict[int, Any] = {}
    for layer, inputs, _ in calls:
        readers.update(id(tensor) for tensor in inputs)
        if isinstance(layer, layers.BatchNormalization):
            norms[id(inputs[0])] = layer
    seen: set[str] = set()
    for layer, _, outputs in calls:
        if layer.name in seen or not layer.weights:
            continue
        seen.add(layer.name)
        if getattr(layer, "kernel", None) is None:
            yield from (Part(_array(weight), is_stored=False) for weight in layer.weights)
            continue
        norm = norms.get(id(outputs[0])) if readers[id(outputs[0])] == 1 else None
        if layer.activation is not keras.activations.linear:
            norm = None  # which is not folded, then
        if norm is not None:
            seen.add(norm.name)
        yield from _folded(layer, norm, layout)


def _folded(layer, norm, layout: Layout) -> Iterator[Part]:
    """Yields kernel and bias of a layer, with the batch norm behind it worked in."""
    kernel = _array(layer.kernel)
    bias = _array(layer.bias) if layer.use_bias else None
    if norm is not None:
        scale = 1 / np.sqrt(_array(norm.moving_variance) + norm.epsilon)
        if norm.scale:
            scale = scale * _array(norm.gamma)
        bias = scale * ((0 if bias is None else bias) - _array(norm.moving_mean))
        if norm.center:
            bias = bias + _array(norm.beta)
        if isinstance(layer, layers.DepthwiseConv2D):
            kernel = kernel * scale.reshape(kernel.shape[2:])
        elif isinstance(layer, layers.Conv2DTranspose):
            kernel = kernel * scale[:, None]
        else:
            kernel = kernel * scale
    yield Part(layout(layer, kernel))
    if bias is not None:
        yield Part(bias)


class _Arrays:
    """Arrays by any key, to be found by their values.

    Args:
        arrays: key -> array.
    """

    def __init__(self, arrays: Mapping[Any, np.ndarray]):
        # Those of one shape, of which most differ in their first numbers.
        self._by_shape: dict[tuple[int, ...], list[tuple[Any, np.ndarray]]] = {}
        for key, array in arrays.items():
            self._by_shape.setdefault(array.shape, []).append((key, array))

    def like(self, values: np.ndarray) -> list[Any]:
        """Returns the keys of arrays that are `values` but for rounding."""
        found = self._by_shape.get(values.shape, [])
        limit = _TOLERANCE * float(np.abs(values).max(initial=0)) if found else 0.0
        first = values.ravel()[:_NUM_FIRST]
        return [
            key
            for key, array in found
            if (np.abs(array.ravel()[:_NUM_FIRST] - first) <= limit).all()
            and (np.abs(array - values) <= limit).all()
        ]


def _array(variable) -> np.ndarray:
    return ops.convert_to_numpy(variable).astype(np.float64)
