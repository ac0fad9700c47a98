"""HRNet's other forms: HRNetV2p, the options of the trunk, UDP-Pose's maps."""

import keras
import numpy as np
import pytest
from harness import random_images

from keras_pose.models.complexity import count_params
from keras_pose.models.hrnet import build_hrnet, hrnet_trunk
from keras_pose.models.hrnet_v2 import concatenate_upsampled, pool_to_pyramid
from keras_pose.models.layers import image_input
from keras_pose.weights.creation import create_model
from keras_pose.zoo import build_model


def random_features(*shape):
    return np.random.default_rng(0).standard_normal((2, *shape)).astype("float32")


def interpolate(x, factor, axis):
    """Samples between pixel centres, of which the first lies at half a pixel."""
    size = x.shape[axis]
    place = (np.arange(size * factor) + 0.5) / factor - 0.5
    place = np.clip(place, 0, size - 1)
    low = np.minimum(place.astype(int), size - 2)
    share = (place - low).reshape([-1 if i == axis else 1 for i in range(x.ndim)])
    return x.take(low, axis) * (1 - share) + x.take(low + 1, axis) * share


def test_resolutions_are_concatenated_at_the_highest():
    high, middle, low = (
        random_features(8, 16, 3),
        *(random_features(8 // f, 16 // f, c) for f, c in ((2, 4), (4, 5))),
    )

    stacked = concatenate_upsampled(
        [keras.ops.convert_to_tensor(x) for x in (high, middle, low)]
    )

    enlarged = [
        interpolate(interpolate(x, factor, axis=1), factor, axis=2)
        for x, factor in ((middle, 2), (low, 4))
    ]
    expected = np.concatenate([high, *enlarged], axis=-1)
    np.testing.assert_allclose(stacked, expected, atol=1e-5)


def test_pyramid_levels_are_means_of_the_highest_resolution():
    channels = 256
    features = keras.Input((32, 16, channels))
    model = keras.Model(features, pool_to_pyramid(features))
    # A convolution that passes its centre pixel on, and adds the level's number.
    for level in range(5):
        layer = model.get_layer(f"fpn_convs-{level}-conv")
        kernel = np.zeros(layer.kernel.shape, "float32")
        kernel[1, 1] = np.eye(channels)
        layer.set_weights([kernel, np.full(channels, level, "float32")])
    x = random_features(32, 16, channels)

    levels = model(x)

    assert len(levels) == 5
    for level, pooled in enumerate(levels):
        factor = 2**level
        blocks = x.reshape(2, 32 // factor, factor, 16 // factor, factor, channels)
        np.testing.assert_allclose(pooled, blocks.mean(axis=(2, 4)) + level, atol=1e-5)


@pytest.mark.very_slow
def test_v2p_gives_five_levels_and_takes_no_keypoints(tmp_path):
    model = build_model("hrnet_v2p_w18", input_hw=(128, 64))
    shapes = [output.shape[1:] for output in model.outputs]
    assert shapes == [(32 // 2**i, 16 // 2**i, 256) for i in range(5)]

    path = tmp_path / "pyramid.weights.h5"
    model.save_weights(path)
    loaded = create_model("hrnet_v2p_w18", input_hw=(128, 64), weights=path)

    images = random_images(model, 1, seed=0)
    np.testing.assert_array_equal(loaded(images)[-1], model(images)[-1])
    with pytest.raises(ValueError, match="hrnet_v2p_w18 gives features, not keypoints"):
        build_model("hrnet_v2p_w18", num_keypoints=17)


def bottleneck_params(channels):
    """1x1, 3x3 and 1x1 convolutions without bias, and a batch norm after each."""
    narrow = channels // 4
    return (
        channels * narrow + 9 * narrow**2 + narrow * channels + 2 * (2 * narrow + channels)
    )


def basic_params(channels):
    return 2 * (9 * channels**2 + 2 * channels)


@pytest.mark.very_slow
def test_bottleneck_units_replace_basic_ones():
    # Width 4 of bottlenecks and width 16 of basic blocks have the same channels, so the
    # networks differ in nothing but the units: 4 a branch, in 1 + 4 + 3 modules.
    basic, bottleneck = (
        build_hrnet(3, (64, 32), width, block)
        for width, block in ((16, "basic"), (4, "bottleneck"))
    )

    modules = [(16, 8), (32, 8), (64, 7), (128, 3)]
    expected = sum(
        4 * count * (bottleneck_params(channels) - basic_params(channels))
        for channels, count in modules
    )
    assert count_params(bottleneck) - count_params(basic) == expected
    assert bottleneck.output.shape == (None, 16, 8, 3)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"block": "bottelneck"}, r"block must be one of \['basic', 'bottleneck'\]"),
        ({"upsampling": "cubic"}, r"upsampling must be one of .*'cubic'"),
    ],
)
def test_unknown_options_are_refused(options, message):
    with pytest.raises(ValueError, match=message):
        hrnet_trunk(image_input((64, 32)), 8, **options)
