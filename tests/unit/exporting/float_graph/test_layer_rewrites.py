import keras
import numpy as np
import pytest
from exported_files import BGR, CODEC, INPUT_HW, SKELETON, smooth_crops
from keras import layers

from keras_pose.contracts.pose import keras_contract
from keras_pose.exporting.float_graph.layer_rewrites import (
    BlockMean,
    BlockUpsampling,
    ConvolvedNorm,
    ConvolvedReLU,
    onnx_replacement,
    tflite_replacement,
)
from keras_pose.exporting.float_graph.serving import in_float32
from keras_pose.exporting.formats.table import export_formats
from keras_pose.exporting.inspection.audit import audit_file
from keras_pose.models.own_layers import ResizeAlignedCorners


@pytest.mark.parametrize("replacement_of", [tflite_replacement, onnx_replacement])
@pytest.mark.parametrize("factor", [1, 2, 4, 8])
def test_upsampling_is_the_same_to_the_last_bit(replacement_of, factor):
    layer = layers.UpSampling2D(factor, interpolation="nearest", name="up")
    image = np.random.default_rng(0).standard_normal((2, 3, 5, 7)).astype("float32")
    replacement = replacement_of(layer)
    np.testing.assert_array_equal(replacement(image), layer(image))
    assert replacement.name == "up"
    expected = (None, 3 * factor, 5 * factor, 7)
    assert replacement.compute_output_shape((None, 3, 5, 7)) == expected


@pytest.mark.parametrize(
    "layer",
    [
        pytest.param(layers.UpSampling2D(interpolation="bilinear"), id="bilinear"),
        pytest.param(layers.UpSampling2D(3), id="thrice"),
        pytest.param(layers.UpSampling2D((2, 4)), id="not_square"),
        pytest.param(layers.AveragePooling2D(3, strides=2), id="overlapping"),
        pytest.param(layers.AveragePooling2D(2, padding="same"), id="padded"),
        pytest.param(layers.AveragePooling2D((2, 4)), id="oblong"),
        pytest.param(layers.Conv2D(2, 1), id="another_layer"),
    ],
)
def test_other_layers_are_left_alone(layer):
    assert tflite_replacement(layer) is None


def test_a_network_is_exported_with_lean_layers_and_its_weights():
    image = keras.Input((4, 6, 3), name="image")
    x = layers.Conv2D(5, 3, padding="same", name="conv")(image)
    x = layers.UpSampling2D(2, name="up")(x)
    model = keras.Model(image, layers.Conv2D(2, 1, name="head")(x), name="toy")
    images = np.random.default_rng(0).standard_normal((2, 4, 6, 3)).astype("float32")

    changed = in_float32(model, tflite_replacement)

    assert isinstance(changed.get_layer("up"), BlockUpsampling)
    # Training goes on with what it began with.
    assert isinstance(model.get_layer("up"), layers.UpSampling2D)
    np.testing.assert_array_equal(changed(images), model(images))


@pytest.mark.parametrize("size_hw", [(6, 10), (12, 9)])
def test_a_resize_between_pixel_centres_is_one_operator(size_hw):
    layer = ResizeAlignedCorners(size_hw, name="up")
    image = np.random.default_rng(0).uniform(size=(2, 3, 5, 7)).astype("float32")
    replacement = tflite_replacement(layer)
    # Means of four pixels, in another order.
    np.testing.assert_allclose(replacement(image), layer(image), atol=1e-6)
    assert replacement.compute_output_shape((None, 3, 5, 7)) == (None, *size_hw, 7)


def test_a_gelu_for_onnx_is_the_same():
    layer = layers.Activation("gelu", name="gelu")
    x = np.linspace(-9, 9, 1001, dtype="float32")
    replacement = onnx_replacement(layer)
    np.testing.assert_allclose(replacement(x), layer(x), atol=1e-6)
    assert replacement.name == "gelu"
    assert replacement.compute_output_shape((None, 7)) == (None, 7)
    assert onnx_replacement(layers.Activation("relu")) is None


@pytest.mark.parametrize("size", [2, 4, 8])
def test_a_mean_of_blocks_is_a_convolution(size):
    layer = layers.AveragePooling2D(size, name="pool")
    image = np.random.default_rng(0).uniform(size=(2, 17, 24, 5)).astype("float32")
    replacement = tflite_replacement(layer)
    assert isinstance(replacement, BlockMean)
    # The same sums, in another order.
    np.testing.assert_allclose(replacement(image), layer(image), atol=1e-6)
    expected = layer.compute_output_shape((None, 17, 24, 5))
    assert replacement.compute_output_shape((None, 17, 24, 5)) == expected


def rectified(is_shared):
    """A sum that is rectified, and read as it is by another layer or not."""
    image = keras.Input((4, 6, 3), name="image")
    x = layers.Conv2D(5, 3, padding="same", name="conv")(image)
    total = layers.Add(name="add")([x, x])
    outputs = [layers.ReLU(name="relu")(total)]
    if is_shared:
        outputs.append(layers.Conv2D(5, 1, name="other")(total))
    return keras.Model(image, layers.Concatenate(name="all")([*outputs, x]), name="toy")


def test_a_rectifier_of_what_others_read_is_carried_by_a_convolution():
    model = rectified(is_shared=True)
    images = np.random.default_rng(0).standard_normal((2, 4, 6, 3)).astype("float32")

    changed = in_float32(model, tflite_replacement)

    assert isinstance(changed.get_layer("relu"), ConvolvedReLU)
    np.testing.assert_array_equal(changed(images), model(images))
    # Alone, it becomes part of the sum by itself.
    alone = rectified(is_shared=False)
    assert in_float32(alone, tflite_replacement) is alone


def normalised(before_norm):
    """A batch norm with statistics of its own, behind what is asked for."""
    image = keras.Input((4, 6, 3), name="image")
    x = layers.Conv2D(5, 3, padding="same", name="conv")(image)
    x = layers.BatchNormalization(name="norm")(before_norm(x))
    model = keras.Model(image, layers.Conv2D(2, 1, name="head")(x), name="toy")
    rng = np.random.default_rng(1)
    norm = model.get_layer("norm")
    norm.set_weights([rng.uniform(0.5, 2, weight.shape) for weight in norm.weights])
    return model


def test_a_norm_that_no_convolution_takes_in_is_one_itself():
    model = normalised(lambda x: layers.Add(name="sum")([x, layers.ReLU()(x)]))
    images = np.random.default_rng(0).standard_normal((2, 4, 6, 3)).astype("float32")

    changed = in_float32(model, tflite_replacement)

    assert isinstance(changed.get_layer("norm"), ConvolvedNorm)
    np.testing.assert_allclose(changed(images), model(images), rtol=1e-5, atol=1e-5)


def test_a_norm_behind_a_convolution_is_left_to_it():
    for model in (normalised(lambda x: x), normalised(layers.DepthwiseConv2D(3))):
        assert in_float32(model, tflite_replacement) is model


@pytest.mark.parametrize("kind", ["norm", "relu"])
def test_other_models_of_the_same_layers_change_nothing(kind):
    model = normalised(lambda x: x) if kind == "norm" else rectified(is_shared=False)
    # Others read what only this model's own layers should, and call all of them again.
    tensors = [layer.output for layer in model.layers]
    keras.Model(model.inputs, [keras.ops.mean(x) for x in tensors])
    assert in_float32(model, tflite_replacement) is model
    shared = rectified(is_shared=True)
    shared(keras.Input((4, 6, 3)))
    changed = in_float32(shared, tflite_replacement)
    assert isinstance(changed.get_layer("relu"), ConvolvedReLU)


@pytest.mark.slow
def test_sums_of_single_pixels_are_sums_in_files(tmp_path):
    image = keras.Input((*INPUT_HW, 3), name="image")
    start = {"bias_initializer": "random_normal"}
    x = layers.Conv2D(4, 3, strides=4, padding="same", **start)(image)
    pixel = layers.MaxPooling2D(x.shape[1:3])(x)
    first, second = (layers.Conv2D(4, 1, **start)(pixel) for _ in range(2))
    pixel = layers.Add(name="sum")([first, second])
    up = layers.UpSampling2D(x.shape[1:3])(pixel)
    x = layers.Conv2D(SKELETON.num_keypoints, 1)(layers.Concatenate()([x, up]))
    model = keras.Model(image, x, name="narrow")
    contract = keras_contract(model, CODEC, SKELETON, BGR)
    paths = {"float32": tmp_path / "a.tflite", "onnx_float32": tmp_path / "a.onnx"}

    # Writing compares with the Keras model, to a ten-thousandth.
    export_formats(model, contract, paths, smooth_crops(4))

    assert audit_file(paths["onnx_float32"]).operators["Add"] == 1
    assert audit_file(paths["float32"]).operators["ADD"] == 1
    assert "SQUEEZE" not in audit_file(paths["float32"]).operators


@pytest.mark.slow
def test_files_hold_the_lean_operators(tmp_path):
    image = keras.Input((*INPUT_HW, 3), name="image")
    x = layers.Conv2D(8, 3, strides=8, padding="same")(image)
    x = layers.UpSampling2D(2, name="up")(x)
    total = layers.Add()([x, x])
    x = layers.Concatenate()([layers.ReLU()(total), total])
    x = layers.MaxPooling2D(2)(x)
    x = ResizeAlignedCorners([2 * size for size in x.shape[1:3]])(x)
    model = keras.Model(image, layers.Conv2D(SKELETON.num_keypoints, 1)(x), name="toy")
    contract = keras_contract(model, CODEC, SKELETON, BGR)
    paths = {name: tmp_path / f"{name}.tflite" for name in ("float32", "int8")}
    paths["onnx_float32"] = tmp_path / "toy.onnx"

    # Writing compares with the Keras model, to a ten-thousandth.
    export_formats(model, contract, paths, smooth_crops(4))

    tflite = audit_file(paths["float32"])
    assert tflite.operators["DEPTH_TO_SPACE"] == 1
    assert tflite.operators["RESIZE_BILINEAR"] == 1
    assert not {"TILE", "RESHAPE", "BATCH_MATMUL"} & set(tflite.operators)
    assert tflite.delegate("XNNPACK").num_partitions == 1
    assert tflite.delegate("GPU").fallen == {"CAST: casts uint8 to float32": 1}
    int8 = audit_file(paths["int8"])
    assert int8.delegate("XNNPACK").fallen == {"QUANTIZE: on uint8 to int8": 1}
    onnx = audit_file(paths["onnx_float32"])
    assert onnx.operators["Resize"] == 1
    assert "Tile" not in onnx.operators
