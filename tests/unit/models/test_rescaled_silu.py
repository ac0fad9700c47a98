"""SiLU with factors, and where networks need it."""

import keras
import numpy as np
from keras import layers, ops

from keras_pose.models.rescaled_silu import RescaledSilu, silu_before_depthwise


def test_factors_pass_to_the_last_bit():
    x = np.random.default_rng(0).normal(size=(2, 3, 4, 5)).astype(np.float32) * 4
    layer = RescaledSilu()
    factors = np.array([1, 2, 0.25, 1024, 2**-10], np.float32)
    expected = ops.convert_to_numpy(layer(x)) * factors
    layer.multiply(factors / 2)
    layer.multiply(np.full(5, 2.0))
    copy = RescaledSilu.from_config(layer.get_config())
    np.testing.assert_array_equal(ops.convert_to_numpy(copy(x * factors)), expected)


def test_those_that_depthwise_convolutions_read_are_found_and_what_is_added_to_them():
    def silu(x, name):
        return layers.Activation("silu", name=name)(layers.Conv2D(4, 1)(x))

    image = keras.Input((8, 8, 4))
    padded = silu(image, "padded")
    x = layers.DepthwiseConv2D(3)(layers.ZeroPadding2D(1)(padded))
    first = layers.Add()([silu(x, "added"), padded])
    second = layers.Add()([silu(first, "added-later"), first])
    x = silu(second, "read-by-others")
    shared = layers.Activation("silu", name="shared")
    x = layers.DepthwiseConv2D(1)(shared(shared(layers.Conv2D(4, 1)(x))))
    x = layers.DepthwiseConv2D(1, name="last")(silu(x, "read"))
    model = keras.Model(image, x)
    assert silu_before_depthwise(model) == ["padded", "added", "added-later", "read"]
