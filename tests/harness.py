"""What every model of the zoo must do; a new row of the table passes this and is in."""

import keras
import numpy as np
import tensorflow as tf

from keras_pose.models.complexity import count_macs, count_params
from keras_pose.weights.creation import create_model
from keras_pose.zoo import get_spec


def small_input_hw(spec):
    """The smallest input that is not square, so that swapped sizes show."""
    return (2 * spec.input_multiple, spec.input_multiple)


def random_images(model, batch_size, seed):
    shape = (batch_size, *model.inputs[0].shape[1:])
    return np.random.default_rng(seed).standard_normal(shape).astype("float32")


def check_pose_model(name, folder):
    """Runs all checks below at a small input; `folder` takes a weights file."""
    model = check_table_row(name)
    check_gradients(model)
    check_round_trip(model, get_spec(name), folder)


def check_table_row(name):
    """Runs the checks that only need the model built, and returns it."""
    spec = get_spec(name)
    model = create_model(name, input_hw=small_input_hw(spec))
    check_interface(model, spec)
    check_complexity(model, spec)
    return model


def check_interface(model, spec):
    """Names, shapes and types are what the rest of the package counts on."""
    height, width = small_input_hw(spec)
    assert model.name == spec.name
    assert model.inputs[0].name == "image"
    assert model.inputs[0].dtype == "float32"
    for heatmaps in model.outputs:
        assert heatmaps.shape == (None, height // spec.stride, width // spec.stride, 17)
        assert heatmaps.dtype == "float32"


def check_complexity(model, spec):
    """The table tells the truth. Work grows with the area: all layers convolve."""
    assert count_params(model) == spec.params
    areas = [height * width for height, width in (spec.input_hw, small_input_hw(spec))]
    assert count_macs(model) * areas[0] == spec.macs * areas[1]


def check_gradients(model):
    """Every kernel moves the output; every other weight is at least connected."""
    with tf.GradientTape() as tape:
        outputs = model(random_images(model, 2, seed=0), training=True)
        outputs = outputs if isinstance(outputs, list) else [outputs]
        loss = sum(keras.ops.mean((heatmaps - 1) ** 2) for heatmaps in outputs)
    weights = model.trainable_variables
    for weight, gradient in zip(weights, tape.gradient(loss, weights), strict=True):
        assert gradient is not None, weight.path
        # A bias before a batch norm is taken out again; a kernel is not.
        is_kernel = len(weight.shape) == 4
        assert not is_kernel or np.any(gradient.numpy() != 0), weight.path


def check_round_trip(model, spec, folder):
    """A weights file brings the same function back."""
    path = folder / f"{spec.name}.weights.h5"
    model.save_weights(path)
    loaded = create_model(spec.name, input_hw=small_input_hw(spec), weights=path)
    images = random_images(model, 1, seed=1)
    expected = keras.tree.flatten(model(images, training=False))
    actual = keras.tree.flatten(loaded(images, training=False))
    for left, right in zip(expected, actual, strict=True):
        np.testing.assert_array_equal(left, right)
