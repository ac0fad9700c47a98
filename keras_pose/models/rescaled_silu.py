"""SiLU whose channels may be multiplied by factors, as those of rectifiers may.

SiLU does not commute with factors. But x * sigmoid(x) does where the second x is divided
by the factor again: (c * x) * sigmoid((c * x) / c) = c * (x * sigmoid(x)). The division is
a convolution of one weight a channel, since a product would have one scale for all of them.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import keras
import numpy as np
from keras import layers, ops

# Layers between a SiLU and a convolution that leave its channels what they are.
_PASSING = (layers.ZeroPadding2D, layers.Add)


class RescaledSilu(layers.Layer):
    """Maps c * x to c * silu(x), with a factor c for each channel.

    Attributes:
        factors: (C,) powers of two; None for 1 throughout, which is plain SiLU.
    """

    def __init__(self, factors: Sequence[float] | None = None, **options: Any):
        super().__init__(**options)
        self.factors = None if factors is None else list(map(float, factors))

    def compute_output_shape(self, input_shape):
        return input_shape

    def call(self, x):
        if self.factors is None:
            return ops.silu(x)
        kernel = 1 / np.reshape(self.factors, (1, 1, -1, 1))
        return x * ops.sigmoid(ops.depthwise_conv(x, ops.cast(kernel, x.dtype)))

    def get_config(self):
        return super().get_config() | {"factors": self.factors}

    def multiply(self, factors: np.ndarray) -> None:
        """Makes the layer take, and give, what it took times some factors."""
        self.factors = list(map(float, np.multiply(self.factors or 1.0, factors)))


def silu_before_depthwise(network) -> list[str]:
    """Returns the SiLU layers of maps that depthwise convolutions read, by name.

    These are where 8 bits lose: a depthwise convolution reads one channel at a time, and
    its batch norm multiplies one that hardly varies until it varies as the others do, the
    rounding of the tensor's one scale included. Other convolutions sum many channels.

    Maps that are added to such a map are among them, since summands share their factors.
    """
    found = {layer.name for layer in network.layers if _is_read(layer)}
    sums = [
        {layer.name, *(tensor._keras_history.operation.name for tensor in layer.input)}
        for layer in network.layers
        if isinstance(layer, layers.Add) and len(layer._inbound_nodes) == 1
    ]
    # Each round takes in the sums that the one before led to.
    for _ in sums:
        found.update(*(names for names in sums if not found.isdisjoint(names)))
    return [
        layer.name
        for layer in network.layers
        if is_silu(layer) and len(layer._inbound_nodes) == 1 and layer.name in found
    ]


def is_silu(layer) -> bool:
    """Returns True for a SiLU that is a layer of its own."""
    is_alone = isinstance(layer, layers.Activation)
    return is_alone and layer.activation is keras.activations.silu


def _is_read(layer) -> bool:
    """Returns True if a depthwise convolution reads a layer's result."""
    readers = [node.operation for node in layer._outbound_nodes]
    return any(
        isinstance(each, layers.DepthwiseConv2D)
        or (isinstance(each, _PASSING) and _is_read(each))
        for each in readers
    )
