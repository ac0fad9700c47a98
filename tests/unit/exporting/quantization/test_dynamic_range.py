"""Who chooses dynamic range for a network that it rounds badly is told so."""

import warnings

import keras
import pytest
from exported_files import BGR, CODEC, INPUT_HW, SKELETON, smooth_crops
from keras import layers
from says import Says

from keras_pose.contracts.pose import keras_contract
from keras_pose.exporting.formats.tflite_export import TFLiteConversion
from keras_pose.exporting.quantization.dynamic_range import warn_of_coarse_layers


def network(activation="relu", is_gated=False):
    """Builds a small network, with a gate of squeeze-and-excite if asked for."""
    image = keras.Input((*INPUT_HW, 3), name="image")
    x = layers.Conv2D(8, 3, strides=2, padding="same", name="first")(image)
    x = layers.Activation(activation, name="bend")(x)
    if is_gated:
        gate = layers.GlobalAveragePooling2D(keepdims=True)(x)
        gate = layers.Conv2D(8, 1, activation="sigmoid")(gate)
        x = layers.Multiply(name="excite")([x, gate])
    x = layers.Conv2D(8, 3, strides=2, padding="same", activation=activation)(x)
    heads = layers.Conv2D(SKELETON.num_keypoints, 1, name="head")(x)
    return keras.Model(image, heads, name="small")


def write(model, folder, quantization):
    contract = keras_contract(model, CODEC, SKELETON, BGR)
    path = folder / f"{quantization}.tflite"
    return TFLiteConversion(model, contract, smooth_crops(4)).write(path, quantization)


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({"activation": "silu"}, "small has SiLU (2: bend, conv2d"),
        ({"is_gated": True}, "small has squeeze-and-excite (1: excite): what these give"),
        (
            {"activation": "swish", "is_gated": True},
            " and squeeze-and-excite (1: excite):",
        ),
    ],
)
def test_layers_are_named(options, expected):
    with pytest.warns(UserWarning, match="dynamic range") as caught:
        warn_of_coarse_layers(network(**options))
    assert expected in str(caught[0].message)


def test_of_many_layers_a_few_are_named():
    x = image = keras.Input((*INPUT_HW, 3), name="image")
    for index in range(5):
        x = layers.Activation("silu", name=f"bend{index}")(x)
    with pytest.warns(UserWarning, match=r"SiLU \(5: bend0, bend1, bend2, \.\.\.\)"):
        warn_of_coarse_layers(keras.Model(image, x))


def test_writing_such_a_file_warns(tmp_path):
    with Says(
        "has SiLU ... dynamic range rounds all of them by one 8-bit scale",
        do="Take float16, or int16x8 where integers are wanted, or measure the file: "
        "docs/export.md says what was lost.",
    ).warns():
        write(network("silu"), tmp_path, "dynamic")


@pytest.mark.parametrize(
    ("activation", "quantization"), [("relu", "dynamic"), ("silu", "float16")]
)
def test_other_networks_and_formats_are_not_warned_of(tmp_path, activation, quantization):
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        write(network(activation), tmp_path, quantization)
    assert not [each for each in caught if "dynamic range" in str(each.message)]
