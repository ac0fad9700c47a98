import keras
import numpy as np
import pytest
import tensorflow as tf
from exported_files import BGR, SKELETON, smooth_crops
from keras import layers

from keras_pose.exporting.float_graph.serving import (
    in_float32,
    normalization_kernel,
    serving_function,
    with_constants,
)
from keras_pose.pictures.normalization import IMAGENET


@pytest.mark.parametrize("normalization", [IMAGENET, BGR], ids=["rgb", "bgr"])
def test_normalization_is_a_convolution(normalization):
    images = smooth_crops(2)
    kernel, bias = normalization_kernel(normalization)

    convolved = tf.nn.conv2d(images.astype("float32"), kernel, 1, "VALID") + bias

    np.testing.assert_allclose(convolved, normalization(images), atol=1e-5)
    # One weight per channel: per-channel int8 then represents it exactly.
    assert np.count_nonzero(kernel) == 3


def test_serving_function_returns_the_last_stack_by_name(exported):
    serve = serving_function(exported.model, exported.contract, batch=2)

    outputs = serve(exported.crops[:2])

    assert list(outputs) == ["heatmaps"]
    assert outputs["heatmaps"].shape == (2, 8, 6, SKELETON.num_keypoints)
    expected = exported.heatmaps(exported.crops[:2])
    np.testing.assert_allclose(outputs["heatmaps"], expected, atol=1e-5)


def test_serving_function_has_one_static_input_named_image(exported):
    (spec,) = serving_function(exported.model, exported.contract).input_signature
    assert (spec.name, spec.shape, spec.dtype) == ("image", (1, 32, 24, 3), tf.uint8)


def test_contract_without_a_normalization_is_refused(exported):
    import dataclasses

    contract = dataclasses.replace(exported.contract, normalization=None)
    with pytest.raises(ValueError, match="'tiny' lacks a normalization"):
        serving_function(exported.model, contract)


def test_mixed_precision_networks_are_exported_in_float32():
    image = keras.Input((8, 8, 3), name="image")
    x = layers.Conv2D(4, 3, dtype="mixed_float16")(image)
    x = layers.BatchNormalization(dtype="mixed_float16")(x)
    model = keras.Model(image, layers.Conv2D(2, 1, dtype="float32")(x))
    images = np.random.default_rng(seed=0).normal(size=(2, 8, 8, 3)).astype("float32")

    copy = in_float32(model)

    assert {layer.compute_dtype for layer in copy.layers} == {"float32"}
    # float16 keeps 11 bits: the two agree to about one part in a thousand.
    np.testing.assert_allclose(copy(images), model(images), atol=1e-2)


def test_a_copy_in_float32_is_one_while_keras_policy_is_another():
    keras.mixed_precision.set_global_policy("mixed_float16")
    try:
        image = keras.Input((8, 8, 3), name="image")
        body = keras.Model(image, layers.Conv2D(4, 3)(image))
        outer = keras.Input((8, 8, 3), name="outer")
        model = keras.Model(outer, layers.Conv2D(2, 1)(body(outer)))
        copy = in_float32(model)
        assert in_float32(copy) is copy
        images = np.random.default_rng(seed=0).normal(size=(2, 8, 8, 3)).astype("float32")
        outputs, rounded = copy(images), model(images)
    finally:
        keras.mixed_precision.set_global_policy("float32")
    assert outputs.dtype == "float32"
    np.testing.assert_allclose(outputs, rounded, atol=1e-2)


def test_float32_networks_are_exported_as_they_are(exported):
    assert in_float32(exported.model) is exported.model


@pytest.mark.parametrize(
    "add_layer",
    [
        pytest.param(lambda x: layers.Dropout(0.9)(x, training=True), id="dropout"),
        pytest.param(layers.RandomBrightness(0.5, (-3, 3)), id="augmentation"),
    ],
)
def test_layers_that_train_by_themselves_do_not_in_files(add_layer):
    image = keras.Input((8, 8, 3), name="image")
    model = keras.Model(image, layers.Conv2D(2, 1)(add_layer(image)))
    images = np.random.default_rng(seed=0).normal(size=(2, 8, 8, 3)).astype("float32")
    expected = model(images, training=False)
    np.testing.assert_array_equal(with_constants(model)(images), expected)
