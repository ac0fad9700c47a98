"""A check that a network's batch norms have settled, before it is converted.

A norm's statistics are averages over some hundred steps of training. After fewer, tensors
are of other sizes than the norms take them for, by another factor at every layer: float
computes on, and integers of such tensors keep nothing. Conversion and calibration take
minutes before the file is refused.
"""

from __future__ import annotations

import numpy as np

from keras_pose.models.one_by_one import outputs_one_by_one

# Crops to look at: a variance is over all pixels of a crop, and the limit below is wide.
NUM_CROPS = 2
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
    moments = [
        [_moments(values) for values in found]
        for found in outputs_one_by_one(keras.Model(model.inputs[0], inputs), images)
    ]
    factors = [
        float(np.median((_spread(parts) + norm.epsilon) / (_variance(norm))))
        for parts, norm in zip(zip(*moments, strict=True), norms, strict=True)
    ]
    off = [not 1 / LARGEST_FACTOR <= factor <= LARGEST_FACTOR for factor in factors]
    return sum(off), len(norms)


def _moments(values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Returns (C,) mean and (C,) variance of the channels of an image."""
    values = values.astype(np.float64)
    axes = tuple(range(values.ndim - 1))
    return values.mean(axis=axes), values.var(axis=axes)


def _spread(parts) -> np.ndarray:
    """Returns (C,) the variance over all images, of mean and variance of each."""
    means, variances = map(np.array, zip(*parts, strict=True))
    spread: np.ndarray = variances.mean(axis=0) + means.var(axis=0)
    return spread


def _variance(norm) -> np.ndarray:
    return np.asarray(norm.moving_variance) + norm.epsilon
