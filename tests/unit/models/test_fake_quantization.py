"""Networks that round as int8 does."""

import keras
import numpy as np
import pytest
from keras import layers, ops

from keras_pose.models.fake_quantization import (
    FakeQuantizedKernel,
    FakeQuantizedTensor,
    fake_quantized,
    fake_quantized_tensor,
    trained_ranges,
)


@pytest.fixture(scope="module")
def network():
    keras.utils.set_random_seed(0)
    image = keras.Input((16, 12, 3), name="image")
    x = layers.Conv2D(8, 3, padding="same", use_bias=False, name="stem-conv")(image)
    x = layers.BatchNormalization(momentum=0.9, name="stem-bn")(x)
    x = layers.ReLU(name="stem-relu")(x)
    y = layers.DepthwiseConv2D(3, padding="same", use_bias=False, name="block-conv")(x)
    y = layers.BatchNormalization(momentum=0.9, name="block-bn")(y)
    x = layers.ReLU(name="block-relu")(layers.Add(name="block-add")([x, y]))
    x = layers.MaxPooling2D(name="pool")(x)
    return keras.Model(image, layers.Conv2D(2, 1, name="final")(x), name="small")


@pytest.mark.parametrize(
    ("low", "high"), [(0.0, 6.0), (-1.0, 1.0), (-0.3, 2.5), (-4.0, 0.0)]
)
def test_tensors_are_rounded_to_256_values_of_which_one_is_zero(low, high):
    x = np.linspace(low - 1, high + 1, 5001).astype(np.float32)
    rounded = np.asarray(fake_quantized_tensor(x, low, high))
    assert len(np.unique(rounded)) == 256
    assert 0.0 in rounded
    inside = (x > low) & (x < high)
    # Half a step from rounding, and half from moving the range until zero is a step.
    assert np.abs(rounded - x)[inside].max() <= (high - low) / 255 + 1e-5


def test_gradients_pass_the_rounding_but_not_the_ends_of_the_range():
    tf = pytest.importorskip("tensorflow")
    x = tf.constant([-2.0, 0.3, 0.7, 9.0])
    with tf.GradientTape() as tape:
        tape.watch(x)
        y = fake_quantized_tensor(x, -1.0, 1.0)
    np.testing.assert_array_equal(tape.gradient(y, x), [0, 1, 1, 0])


@pytest.mark.parametrize(
    "layer",
    [
        layers.Conv2D(4, 3),
        layers.DepthwiseConv2D(3),
        layers.Conv2DTranspose(4, 3, strides=2),
        layers.Dense(4),
    ],
    ids=lambda layer: type(layer).__name__,
)
def test_kernels_are_rounded_with_a_scale_for_each_output_channel(layer):
    x = np.random.default_rng(0).normal(size=(1, 8, 8, 5)).astype(np.float32)
    layer(x)
    shape = layer.kernel.shape
    axis = {"DepthwiseConv2D": 2, "Conv2DTranspose": 2}.get(
        type(layer).__name__, len(shape) - 1
    )
    # Channels of very different size: one scale for all would round the small ones off.
    sizes = np.geomspace(1e-3, 10, shape[axis])
    sizes = np.expand_dims(sizes, [i for i in range(len(shape)) if i != axis])
    layer.kernel.assign(np.random.default_rng(1).normal(size=shape) * sizes)
    exact, rounded = layer(x), FakeQuantizedKernel(layer)(x)
    channel_errors = np.std(rounded - exact, axis=(0, 1, 2)) / np.std(exact, axis=(0, 1, 2))
    assert (channel_errors > 0).all()
    assert channel_errors.max() < 0.02  # 127 steps to each side


def test_a_range_is_met_first_and_follows_slowly():
    layer = FakeQuantizedTensor()
    x = np.array([-1.0, 3.0], np.float32)
    np.testing.assert_array_equal(layer(x), x)  # nothing is known yet
    layer(x, training=True)
    assert (float(layer.low), float(layer.high)) == (-1.0, 3.0)
    layer(10 * x, training=True)
    np.testing.assert_allclose([layer.low, layer.high], [-1.09, 3.27], rtol=1e-5)


def test_rounding_stands_where_an_int8_file_rounds(network):
    model = fake_quantized(network)
    names = {layer.name for layer in model.layers}
    # Convolution, batch norm and rectifier are one operator.
    assert {"image-range", "stem-relu-range"} <= names
    assert not {"stem-conv-range", "stem-bn-range"} & names
    # What the addition takes is a tensor of its own; its rectifier is part of it.
    assert {"block-bn-range", "block-relu-range", "final-range"} <= names
    assert not {"block-add-range", "pool-range"} & names


def test_the_network_is_trained_along_and_stays_as_it_was(network):
    model = fake_quantized(network)
    assert {id(w) for w in model.trainable_variables} == {
        id(w) for w in network.trainable_variables
    }
    x = np.random.default_rng(0).normal(size=(2, 16, 12, 3)).astype(np.float32)
    for _ in range(60):  # the ranges settle
        model(x, training=True)
    exact, rounded = ops.convert_to_numpy(network(x)), ops.convert_to_numpy(model(x))
    error = np.std(rounded - exact) / np.std(exact)
    assert 0 < error < 0.1
    ranges = trained_ranges(model)
    assert ranges["stem-relu"][0] == 0 < ranges["stem-relu"][1]
    # An int8 file may call the tensor after any of the layers in its operator.
    assert ranges["stem-conv"] == ranges["stem-bn"] == ranges["stem-relu"]
    assert ranges["block-add"] == ranges["block-relu"] != ranges["block-bn"]
    assert "pool" not in ranges


def test_batch_norms_go_by_their_moving_statistics_and_learn_on(network):
    model = fake_quantized(network)
    norm = network.get_layer("stem-bn")
    before = [np.array(norm.moving_mean), np.array(norm.moving_variance)]
    # Far from what the statistics tell of.
    x = 5 + 3 * np.random.default_rng(1).normal(size=(2, 16, 12, 3)).astype(np.float32)
    for _ in range(2):
        training = model(x, training=True)
    np.testing.assert_array_equal(norm.moving_mean, before[0])
    np.testing.assert_array_equal(norm.moving_variance, before[1])
    np.testing.assert_allclose(training, model(x), rtol=1e-5, atol=1e-5)
    assert {id(norm.gamma), id(norm.beta)} <= {id(w) for w in model.trainable_variables}


def test_it_comes_back_from_a_file(network, tmp_path):
    model = fake_quantized(network)
    x = np.random.default_rng(0).normal(size=(1, 16, 12, 3)).astype(np.float32)
    model(x, training=True)
    model.save(tmp_path / "last.keras")
    again = keras.saving.load_model(tmp_path / "last.keras")
    np.testing.assert_array_equal(again(x), model(x))


def test_a_network_without_kernels_is_refused():
    image = keras.Input((8, 8, 3))
    pooled = keras.Model(image, layers.MaxPooling2D()(image), name="pooled")
    with pytest.raises(ValueError, match="'pooled' has none"):
        fake_quantized(pooled)
