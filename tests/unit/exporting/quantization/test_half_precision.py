"""Values beyond half precision are told of when a float16 file is made."""

import warnings

import keras
import pytest
from exported_files import BGR, CODEC, INPUT_HW, SKELETON, smooth_crops

from keras_pose.contracts.pose import keras_contract
from keras_pose.exporting.formats.tflite_export import TFLiteConversion
from keras_pose.exporting.quantization.half_precision import largest_value


def conversion(factor):
    """Makes a network whose middle reaches a multiple of what its first layer gives."""
    keras.utils.set_random_seed(0)
    image = keras.Input((*INPUT_HW, 3), name="image")
    x = keras.layers.Conv2D(8, 3, strides=4, padding="same", name="first")(image)
    x = keras.layers.Conv2D(8, 1, activation="relu", name="middle")(x)
    model = keras.Model(image, keras.layers.Conv2D(3, 1, name="last")(x))
    for name, by in (("middle", factor), ("last", 1 / factor)):
        kernel, bias = model.get_layer(name).get_weights()
        model.get_layer(name).set_weights([kernel * by, bias])
    contract = keras_contract(model, CODEC, SKELETON, BGR)
    return TFLiteConversion(model, contract, smooth_crops(6))


def test_a_network_that_half_precision_does_not_hold_is_told_of():
    with pytest.warns(UserWarning, match=r"middle\S* reaches .* ends at 65504: a phone's"):
        conversion(1e5).quantized_model("float16")


def test_other_networks_and_formats_are_not():
    usual, large = conversion(1.0), conversion(1e5)
    value, name = largest_value(large.float_model, large.crops)
    assert value > 65504
    assert "middle" in name
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        usual.quantized_model("float16")
        large.quantized_model("float32")
