"""Layers that compilers for NPUs refuse with activations of 16 bits."""

from __future__ import annotations

import warnings

import keras
from keras import layers


def warn_of_relu6(model) -> None:
    """Warns of a network whose int16x8 file Qualcomm's compiler leaves half to the CPU.

    Args:
        model: Keras model that is to be written.
    """
    count = sum(map(_is_relu6, model.layers))
    if count:
        warnings.warn(
            f"{model.name} has ReLU6 in {count} layers, which Qualcomm's compiler (of "
            "ai-edge-litert 2.3.0) refuses on 16-bit numbers: their convolutions stay on "
            "the CPU. For its NPUs take int8, or float16 (docs/export.md).",
            stacklevel=2,
        )


def _is_relu6(layer) -> bool:
    is_limited = isinstance(layer, layers.ReLU) and layer.max_value == 6
    return is_limited or getattr(layer, "activation", None) is keras.activations.relu6
