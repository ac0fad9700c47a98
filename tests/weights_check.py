"""A model's weights under the reference's names, and their comparison."""

import numpy as np

from keras_pose.weights.importer import BATCH_NORM_TENSORS


def reference_tensors(model):
    """The model's weights, named and laid out as PyTorch has them."""
    tensors = {}
    for layer in model.layers:
        module = layer.name.replace("-", ".")
        arrays = layer.get_weights()
        names = BATCH_NORM_TENSORS if len(arrays) == 4 else ("weight", "bias")
        for name, array in zip(names, arrays, strict=False):
            is_kernel = array.ndim == 4
            tensors[f"{module}.{name}"] = (
                array.transpose(3, 2, 0, 1) if is_kernel else array
            )
        if len(arrays) == 4:
            tensors[f"{module}.num_batches_tracked"] = np.array(5)
    return tensors


def assert_same_weights(left, right):
    """Both models hold the same numbers, in order."""
    for one, other in zip(left.get_weights(), right.get_weights(), strict=True):
        np.testing.assert_array_equal(one, other)
