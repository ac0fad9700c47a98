"""A check that a network's batch norms have settled, before it is converted.

A norm's statistics are averages over some hundred steps of training. After fewer, tensors
are of other sizes than the norms take them for, by another factor at every layer: float
computes on, and integers of such tensors keep nothing. Conversion and calibration take
minutes before the file is refused.
"""

from __future__ import annotations

import numpy as np

NUM_CROPS = 4
# Crops that differ from the training data move a variance by a small factor only.
LARGEST_FACTOR = 30.0


def unsettled_norms(model, images) -> tuple[int, int]:
    """Counts the batch norms whose variances are not those of their inputs.

    Args:
        model: Keras model of normalised images.
        images: (N, H, W, 3) float32, normalised; few will do.

    Returns:
        How many are off by more than `LARGEST_FACTOR` in most of their channels, and how
        many there are.
    """
    import keras

    norms = [x for x in model.layers if isinstance(x, keras.layers.BatchNormalization)]
    if not norms:
        return 0, 0
    # Layers added to the model's own would count as readers of its tensors ever after.
    inputs = [norm.input for norm in norms]
    found = keras.Model(model.inputs[0], inputs)(images, training=False)
    factors = [
        float(np.median((_spread(values) + norm.epsilon) / (_variance(norm))))
        for values, norm in zip(found, norms, strict=True)
    ]
    off = [not 1 / LARGEST_FACTOR <= factor <= LARGEST_FACTOR for factor in factors]
    return sum(off), len(norms)


def _spread(values) -> np.ndarray:
    from keras import ops

    axes = tuple(range(len(values.shape) - 1))
    return np.asarray(ops.var(ops.cast(values, "float32"), axis=axes))


def _variance(norm) -> np.ndarray:
    return np.asarray(norm.moving_variance) + norm.epsilon
