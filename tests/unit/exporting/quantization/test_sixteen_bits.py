"""What NPUs refuse with 16 bits is told of when such a file is made."""

import warnings

import keras
import pytest

from keras_pose.exporting.quantization.sixteen_bits import warn_of_relu6


def network(activation, highest=None):
    image = keras.Input((8, 8, 3))
    x = keras.layers.Conv2D(4, 3, activation=activation)(image)
    return keras.Model(image, keras.layers.ReLU(highest)(x), name="little")


@pytest.mark.parametrize(("activation", "highest"), [("relu6", None), ("linear", 6.0)])
def test_relu6_is_told_of(activation, highest):
    with pytest.warns(UserWarning, match="little has ReLU6 in 1 layers"):
        warn_of_relu6(network(activation, highest))


def test_other_rectifiers_are_not():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        warn_of_relu6(network("relu"))
