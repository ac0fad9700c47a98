"""Networks whose channels are brought to like ranges, and compute what they computed."""

import keras
import numpy as np
import pytest
from imbalanced_model import BAD_LAYER, imbalanced_model
from keras import layers

from keras_pose.models.channel_groups import KEPT, ChannelGroups
from keras_pose.models.equalization import (
    equalize_channels,
    fit_exponents,
    lower_silent_channels,
)
from keras_pose.models.own_layers import ChannelSlice
from keras_pose.weights.creation import create_model


def _images(input_hw, count=2):
    return np.random.default_rng(0).normal(size=(count, *input_hw, 3)).astype(np.float32)


def _unsettle(model):
    """Gives all channels ranges and shifts of their own."""
    rng = np.random.default_rng(1)
    for variable in model.weights:
        if variable.path.endswith(("gamma", "moving_variance")):
            variable.assign(np.exp2(rng.integers(-3, 4, variable.shape)))
        elif variable.path.endswith("kernel"):
            variable.assign(variable * np.exp2(rng.integers(-3, 4, variable.shape[-1])))
        elif variable.path.endswith(("bias", "beta", "moving_mean")):
            variable.assign(rng.normal(size=variable.shape) / 4)


def _outputs(model, images):
    return [np.asarray(x) for x in keras.tree.flatten(model(images, training=False))]


def _norm(x, name):
    return layers.BatchNormalization(name=name)(x)


def _every_kind_of_layer():
    """A network in which factors pass all layers that they can pass."""
    keras.utils.set_random_seed(0)
    image = keras.Input((16, 12, 3), name="image")
    x = layers.Conv2D(8, 3, padding="same", activation="relu", name="stem")(image)
    x = _norm(layers.Conv2D(16, 3, padding="same", groups=4, name="grouped")(x), "bn-0")
    x = layers.PReLU(shared_axes=[1, 2], name="prelu")(x)
    y = layers.ZeroPadding2D(1, name="pad")(x)
    y = layers.DepthwiseConv2D(3, depth_multiplier=2, name="depthwise")(y)
    y = layers.Conv2D(16, 1, name="mixed")(layers.ReLU(name="relu")(y))
    x = layers.Add(name="sum")([x, y, x])
    first = ChannelSlice(0, 8, name="first")(x)
    second = ChannelSlice(8, 16, name="second")(x)
    gate = layers.GlobalAveragePooling2D(keepdims=True, name="mean")(second)
    gate = layers.Conv2D(8, 1, activation="sigmoid", name="gate")(gate)
    second = layers.Multiply(name="weighed")([second, gate])
    x = layers.Concatenate(name="join")([first, second])
    x = layers.Reshape((16 * 12, 2, 8), name="split")(x)
    x = layers.Reshape((16, 12, 16), name="shuffled")(layers.Permute((1, 3, 2))(x))
    x = layers.ReLU(name="before-norm")(_norm(x, "lone-norm"))
    x = layers.AveragePooling2D(2, name="pool")(layers.MaxPooling2D(2, name="max")(x))
    x = layers.Conv2DTranspose(12, 4, strides=2, padding="same", name="up")(x)
    x = layers.UpSampling2D(2, interpolation="bilinear", name="resize")(x)
    heatmaps = layers.Conv2D(3, 1, name="heatmaps")(x)
    x = layers.Dense(6, activation="relu", name="hidden")(layers.Flatten(name="flat")(x))
    return keras.Model(image, [heatmaps, layers.Dense(2, name="numbers")(x)])


def test_factors_pass_every_kind_of_layer_and_leave_the_outputs_bit_for_bit():
    model = _every_kind_of_layer()
    _unsettle(model)
    images = _images((16, 12))
    before = _outputs(model, images)
    kept = {layer.name: layer.get_weights() for layer in model.layers}

    changed = equalize_channels(model, images)

    for old, new in zip(before, _outputs(model, images), strict=True):
        np.testing.assert_array_equal(new, old)
    rescaled = {
        layer.name
        for layer in model.layers
        if any(
            (old != new).any()
            for old, new in zip(kept[layer.name], layer.get_weights(), strict=True)
        )
    }
    assert rescaled == {
        "stem", "grouped", "bn-0", "depthwise", "mixed", "gate", "lone-norm", "up",
        "heatmaps", "hidden", "numbers",
    }  # fmt: skip
    assert changed > 100


@pytest.mark.parametrize(
    "name",
    ["pose_slim", "hourglass_1", "simple_baseline_mobilenet_v2", "deep_pose_resnet18"],
)
def test_networks_of_the_zoo_give_what_they_gave(name):
    model = create_model(name, input_hw=(64, 64))
    images = _images((64, 64))
    before = _outputs(model, images)
    assert equalize_channels(model, images) > 0
    for old, new in zip(before, _outputs(model, images), strict=True):
        np.testing.assert_array_equal(new, old)


def test_channels_reach_as_far_as_each_other():
    model = imbalanced_model()
    images = _images((32, 24), 8)
    probe = keras.Model(model.input, model.get_layer(BAD_LAYER).output)

    def spread():
        peaks = np.asarray(probe(images)).max(axis=(0, 1, 2))
        return peaks.max() / peaks.min()

    assert spread() > 300
    equalize_channels(model, images)
    assert spread() < 2  # no nearer, as factors are powers of two


def test_channels_beyond_half_precision_are_measured_after_a_training_in_it():
    images = np.ones((1, 32, 24, 3), np.float32)
    expected, found = (imbalanced_model(factor=1e6) for _ in range(2))
    equalize_channels(expected, images)
    keras.mixed_precision.set_global_policy("mixed_float16")
    try:
        equalize_channels(found, images)
    finally:
        keras.mixed_precision.set_global_policy("float32")
    for weight, other in zip(found.get_weights(), expected.get_weights(), strict=True):
        np.testing.assert_array_equal(weight, other)


def test_layers_that_do_not_commute_with_factors_keep_what_they_see():
    keras.utils.set_random_seed(0)
    image = keras.Input((8, 8, 3), name="image")
    x = layers.Conv2D(4, 1, activation="silu", name="silu")(image)
    x = layers.Conv2D(4, 1, name="bounded")(x)
    x = layers.ReLU(max_value=6.0, name="relu6")(x)
    shared = layers.Conv2D(4, 1, name="shared")
    x = shared(shared(x))
    model = keras.Model(image, layers.Conv2D(2, 1, name="last")(x))
    weights = model.get_weights()
    assert equalize_channels(model, _images((8, 8))) == 0
    for old, new in zip(weights, model.get_weights(), strict=True):
        np.testing.assert_array_equal(new, old)


def test_channels_that_are_added_up_share_a_factor():
    image = keras.Input((8, 8, 3), name="image")
    first = layers.Conv2D(4, 1, name="first")(image)
    second = layers.Conv2D(4, 1, name="second")(image)
    apart = layers.Conv2D(4, 1, name="apart")(image)
    total = layers.Add(name="sum")([first, second])
    whole = layers.Concatenate(name="whole")([total, apart])
    model = keras.Model(image, layers.Conv2D(2, 1, name="last")(whole))
    groups = ChannelGroups(model)
    np.testing.assert_array_equal(groups.of(first), groups.of(second))
    np.testing.assert_array_equal(groups.of(first), groups.of(total))
    assert not set(groups.of(first)) & set(groups.of(apart))
    assert len(set(groups.of(whole))) == 8
    assert (groups.of(model.output) == KEPT).all()


def test_exponents_even_out_what_they_can():
    groups = [np.array([1, 2, KEPT])]
    assert fit_exponents(groups, [np.array([1.0, 64.0, 1.0])]) == {2: -6}
    assert fit_exponents(groups, [np.array([1 / 8, 1.0, 1.0])]) == {1: 3}
    # A channel that is off, and a tensor that is, have no say.
    assert fit_exponents(groups, [np.array([0.0, 4.0, 1.0])]) == {2: -2}
    assert fit_exponents(groups, [np.zeros(3)]) == {}


def test_exponents_meet_in_the_middle_where_two_tensors_want_different_ones():
    # The channel is four times as strong as its fellow in one tensor, and a quarter in
    # the other: whatever is won in one is lost in the other.
    groups = [np.array([1, KEPT]), np.array([1, KEPT])]
    peaks = [np.array([4.0, 1.0]), np.array([0.25, 1.0])]
    ((group, exponent),) = (fit_exponents(groups, peaks) or {1: 0}).items()
    assert group == 1
    assert -2 <= exponent <= 2


def test_factors_are_such_as_half_precision_can_hold():
    exponents = fit_exponents([np.array([1, KEPT])], [np.array([1e-5, 1.0])])
    assert exponents == {1: 10}


@pytest.mark.parametrize("is_normalised", [True, False])
def test_weights_that_read_nothing_are_lowered(is_normalised):
    """A channel that is 0 on all images, raised a thousand times by what reads it."""
    keras.utils.set_random_seed(0)
    image = keras.Input((16, 12, 3), name="image")
    x = layers.Conv2D(8, 1, activation="relu", name="stem")(image)
    x = layers.ZeroPadding2D(1)(x)
    x = layers.DepthwiseConv2D(3, use_bias=not is_normalised, name="depthwise")(x)
    x = _norm(x, "norm") if is_normalised else x
    network = keras.Model(image, layers.Conv2D(4, 1, name="last")(x))
    stem, depthwise = network.get_layer("stem"), network.get_layer("depthwise")
    kernel, bias = stem.get_weights()
    kernel[..., 3], bias[3] = 0, -1
    stem.set_weights([kernel, bias])
    if is_normalised:
        norm = network.get_layer("norm")
        variance = norm.moving_variance.numpy()
        variance[3] = 1e-9
        norm.moving_variance.assign(variance)
        norm.epsilon = 1e-9
    else:
        raised = depthwise.kernel.numpy()
        raised[:, :, 3] *= 1000
        depthwise.kernel.assign(raised)
    images = _images((16, 12))
    before = _outputs(network, images)
    sizes = np.abs(depthwise.kernel.numpy()).max(axis=(0, 1, 3))

    assert lower_silent_channels(network, images) == 1

    lowered = np.abs(depthwise.kernel.numpy()).max(axis=(0, 1, 3))
    assert 0 < lowered[3] < (1e-3 if is_normalised else 1)
    np.testing.assert_array_equal(lowered[:3], sizes[:3])
    for new, old in zip(_outputs(network, images), before, strict=True):
        np.testing.assert_array_equal(new, old)


def test_channels_that_are_heard_keep_their_weights():
    network = imbalanced_model((16, 16), 3, factor=1.0)
    assert lower_silent_channels(network, _images((16, 16))) == 0
