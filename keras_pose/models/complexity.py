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
    """Counts the multiply-accumulates of all convolutions for one image.

    One multiply-accumulate counts 1, not 2. A transposed convolution is counted at its
    input positions, where it multiplies; many papers' tables count it at its output
    positions, 4 times as many at stride 2.
    """
    return sum(_layer_macs(layer) for layer in model.layers)


def _layer_macs(layer) -> int:
    match layer:
        case layers.Conv2DTranspose():
            positions = layer.input.shape[1:3]
        case layers.Conv2D() | layers.DepthwiseConv2D():
            positions = layer.output.shape[1:3]
        case _:
            return 0
    return math.prod(positions) * math.prod(layer.kernel.shape)
