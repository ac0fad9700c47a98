"""Channel shuffles of int8 files."""

import keras
import numpy as np
import pytest
from exported_files import BGR, CODEC, INPUT_HW, SKELETON, smooth_crops
from keras import layers

from keras_pose.contracts.pose import keras_contract
from keras_pose.exporting.accuracy.layer_errors import measure_layer_errors
from keras_pose.exporting.formats.tflite_export import float_tflite_model
from keras_pose.exporting.quantization import tflite_quantizing
from keras_pose.exporting.quantization.shuffles import make_shuffles_convolutions
from keras_pose.exporting.quantization.tflite_quantizing import (
    QuantizationSettings,
    quantize,
)
from keras_pose.modelfiles.flatbuffer import op_counts, tflite_graph
from keras_pose.models.own_layers import ChannelSlice
from keras_pose.runtime.litert_backend import LiteRTBackend

HEIGHT, WIDTH = (size // 4 for size in INPUT_HW)
INT8 = QuantizationSettings("int8")


def shuffled(x, groups, name):
    size = x.shape[-1] // groups
    x = layers.Reshape((HEIGHT * WIDTH, groups, size), name=f"{name}-split")(x)
    x = layers.Permute((1, 3, 2), name=f"{name}-permute")(x)
    return layers.Reshape((HEIGHT, WIDTH, groups * size), name=name)(x)


def network(make, channels=24):
    """A map of some channels, what `make` makes of it, and heatmaps."""
    keras.utils.set_random_seed(0)
    image = keras.Input((*INPUT_HW, 3), name="image")
    x = layers.Conv2D(channels, 3, strides=4, padding="same", name="conv")(image)
    x = layers.Conv2D(SKELETON.num_keypoints, 1, name="last")(make(x))
    return keras.Model(image, x)


def float_content(model):
    return float_tflite_model(model, keras_contract(model, CODEC, SKELETON, BGR))


def both(content, tmp_path, monkeypatch):
    """Returns int8 files with shuffles as convolutions, and as they were."""
    paths = tmp_path / "convolutions.tflite", tmp_path / "transposes.tflite"
    paths[0].write_bytes(quantize(content, smooth_crops(8), INT8).to_bytes())
    with monkeypatch.context() as patch:
        patch.setattr(tflite_quantizing, "make_shuffles_convolutions", lambda model: None)
        paths[1].write_bytes(quantize(content, smooth_crops(8), INT8).to_bytes())
    return paths


def outputs(path, crops):
    backend = LiteRTBackend(path)
    return [np.array(backend.run(crop[None])[0]) for crop in crops]


@pytest.mark.parametrize("groups", [2, 3])
def test_a_shuffle_becomes_a_convolution_that_gives_the_same_integers(
    groups, tmp_path, monkeypatch
):
    def make(x):
        x = layers.ReLU(6.0, name="relu")(shuffled(x, groups, "shuffle"))
        return layers.Concatenate()([ChannelSlice(12, 24, name="b")(x), x])

    new, old = both(float_content(network(make)), tmp_path, monkeypatch)

    assert op_counts(old)["TRANSPOSE"] == 1
    assert not {"TRANSPOSE", "RESHAPE"} & set(op_counts(new))
    assert op_counts(new)["CONV_2D"] == op_counts(old)["CONV_2D"] + 1
    crops = smooth_crops(4, seed=9)
    np.testing.assert_array_equal(outputs(new, crops), outputs(old, crops))


def test_shuffles_of_a_kind_share_their_kernel(tmp_path, monkeypatch):
    def make(x):
        x = layers.Conv2D(24, 3, padding="same", name="between")(shuffled(x, 2, "first"))
        return shuffled(x, 2, "second")

    new, old = both(float_content(network(make)), tmp_path, monkeypatch)
    kernels = [
        operator.inputs[1]
        for operator in tflite_graph(new).operators
        if operator.kind == "CONV_2D"
    ]
    assert len(kernels) == 6  # of the normalisation, three layers and two shuffles
    assert len(set(kernels)) == 5
    crops = smooth_crops(4, seed=9)
    np.testing.assert_array_equal(outputs(new, crops), outputs(old, crops))


def test_a_sum_in_front_of_the_last_reshape_stays(tmp_path, monkeypatch):
    # Converters move a sum with itself there, which fusions of Lite-HRNet have.
    def make(x):
        x = shuffled(x, 2, "shuffle")
        return layers.Add(name="twice")([x, x])

    new, old = both(float_content(network(make)), tmp_path, monkeypatch)
    kinds = [operator.kind for operator in tflite_graph(old).operators]
    assert kinds.index("ADD") == kinds.index("TRANSPOSE") + 1
    assert "TRANSPOSE" not in op_counts(new)
    crops = smooth_crops(4, seed=9)
    np.testing.assert_array_equal(outputs(new, crops), outputs(old, crops))


@pytest.mark.parametrize(("order", "channels"), [((1, 3, 2), 260), ((2, 1, 3), 24)])
def test_what_would_not_pay_and_what_is_no_shuffle_stay(
    order, channels, tmp_path, monkeypatch
):
    def make(x):
        x = layers.Reshape((HEIGHT * WIDTH, 2, channels // 2), name="split")(x)
        x = layers.Permute(order, name="permute")(x)
        return layers.Reshape((HEIGHT, WIDTH, channels), name="join")(x)

    new, old = both(float_content(network(make, channels)), tmp_path, monkeypatch)
    assert op_counts(new) == op_counts(old)
    assert op_counts(new)["TRANSPOSE"] == 1


def test_float_files_stay_as_they_are(tmp_path):
    content = float_content(network(lambda x: shuffled(x, 2, "shuffle")))
    make_shuffles_convolutions(content)
    (tmp_path / "float.tflite").write_bytes(content.to_bytes())
    assert op_counts(tmp_path / "float.tflite")["TRANSPOSE"] == 1


def test_errors_of_the_other_operators_are_still_told(tmp_path, monkeypatch):
    content = float_content(network(lambda x: shuffled(x, 2, "shuffle")))
    (tmp_path / "float.tflite").write_bytes(content.to_bytes())
    new, _ = both(content, tmp_path, monkeypatch)
    errors = measure_layer_errors(tmp_path / "float.tflite", new, smooth_crops(2))
    # The normalisation and the two layers.
    assert [error.operator for error in errors] == ["CONV_2D"] * 3
    assert all(0 < error.isolated < 0.1 for error in errors)
