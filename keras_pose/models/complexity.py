"""Size and work of a network, counted as the papers' tables do."""

from __future__ import annotations

import math

import keras
from keras import layers


def count_params(model: keras.Model) -> int:
    """Counts weights and biases; running statistics of batch norm are neither."""
    return sum(
        math.prod(variable.shape)
        for layer in model.layers
        for variable in layer.weights
        if not variable.path.endswith(("moving_mean", "moving_variance"))
    )


def count_macs(model: keras.Model) -> int:
    """Counts the multiply-accumulates of all convolutions and dense layers for one image.

    One multiply-accumulate counts 1, not 2. A transposed convolution is counted at its
    input positions, where it multiplies; many papers' tables count it at its output
    positions, 4 times as many at stride 2. A layer that is applied several times counts
    each time. A layer of our own says itself what it costs, by a method `macs()`.
    """
    return sum(_layer_macs(layer) for layer in model.layers)


def _layer_macs(layer) -> int:
    match layer:
        case layers.Conv2DTranspose():
            return _over_calls(layer, "input_tensors", math.prod(layer.kernel.shape))
        case layers.Conv2D() | layers.DepthwiseConv2D() | layers.Dense():
            return _over_calls(layer, "output_tensors", math.prod(layer.kernel.shape))
        case _:
            return layer.macs() if hasattr(layer, "macs") else 0


def _over_calls(layer, side, macs_per_position) -> int:
    """Adds up the work at every position of every tensor that a layer was applied to."""
    calls = [getattr(node, side)[0] for node in layer._inbound_nodes]
    return sum(math.prod(tensor.shape[1:-1]) * macs_per_position for tensor in calls)
