"""Networks run on one image after the other, for the sake of memory."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

import keras
import numpy as np
from keras import ops


def outputs_one_by_one(network, images) -> Iterator[list[np.ndarray]]:
    """Yields what a network gives for each image.

    A call that is not traced holds all tensors of all images until it ends, and
    TensorFlow's allocator for oneDNN keeps that memory ever after (2.21): four crops of an
    HRNet-W32 are 1.2 GB.

    Args:
        network: functional `keras.Model` of one input, or a function of one image.
        images: (N, H, W, 3) float32, normalised.

    Yields:
        An array (1, ...) for each output tensor.
    """
    run = network
    if isinstance(network, keras.Model):
        run = partial(network, training=False)
    for start in range(len(images)):
        outputs = run(images[start : start + 1])
        yield [ops.convert_to_numpy(output) for output in keras.tree.flatten(outputs)]


def outputs_of_all(network, images) -> list[np.ndarray]:
    """Returns the same for all images together: an array (N, ...) for each output."""
    found = zip(*outputs_one_by_one(network, images), strict=True)
    return [np.concatenate(parts) for parts in found]
