"""Layers that a file in dynamic range computes badly.

Such a file rounds what a convolution reads to 8 bits, with one scale for all channels, that
of the picture at hand. Nothing is calibrated, and no channels are brought to like ranges.
SiLU lets large values grow and keeps all negative ones between -0.28 and 0; a gate of
squeeze-and-excite makes some channels many times as large as others. Of the small ones,
little is left.
"""

from __future__ import annotations

import warnings

import keras
from keras import layers

from keras_pose.commandline import some_of

# Layers that are named; a network has dozens.
MOST_NAMES = 3


def warn_of_coarse_layers(model) -> None:
    """Warns of a network that loses more in dynamic range than other networks do.

    Args:
        model: Keras model that is to be written.
    """
    silu = [layer.name for layer in model.layers if _is_silu(layer)]
    gates = [layer.name for layer in model.layers if _is_gate(layer)]
    found = [
        f"{kind} ({len(names)}: {some_of(names, MOST_NAMES)})"
        for kind, names in (("SiLU", silu), ("squeeze-and-excite", gates))
        if names
    ]
    if not found:
        return
    warnings.warn(
        f"{model.name} has {' and '.join(found)}: what these give has channels of very "
        "different sizes, and dynamic range rounds all of them by one 8-bit scale. "
        "RTMDet-nano, which has both, loses 35 times as much as in float16. Take float16, "
        "or int16x8 where integers are wanted, or measure this file (export/ledger.py).",
        stacklevel=2,
    )


def _is_silu(layer) -> bool:
    return getattr(layer, "activation", None) is keras.activations.silu


def _is_gate(layer) -> bool:
    """Returns True for a product with one number per channel."""
    if not isinstance(layer, layers.Multiply):
        return False
    sizes = {tuple(tensor.shape[1:3]) for tensor in layer.input if len(tensor.shape) == 4}
    return (1, 1) in sizes and len(sizes) > 1
