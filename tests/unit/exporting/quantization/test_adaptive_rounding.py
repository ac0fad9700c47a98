"""Kernels are rounded so that their layer gives what it gave."""

import keras
import numpy as np
import pytest
from exported_files import BGR, CODEC, INPUT_HW, SKELETON, smooth_crops

from keras_pose.contracts.pose import keras_contract
from keras_pose.exporting.formats.tflite_export import TFLiteConversion, float_tflite_model
from keras_pose.exporting.quantization import adaptive_rounding, tflite_rounding
from keras_pose.exporting.quantization.kernels import (
    CHANNEL_AXES,
    kernel_of,
    kernel_steps,
)
from keras_pose.exporting.quantization.tflite_quantizing import collect_both
from keras_pose.exporting.quantization.tflite_rounding import round_adaptively
from keras_pose.exporting.quantization.weight_rounding import round_weights, weight_error
from keras_pose.modelfiles.tflite_model import TFLiteModel

INT8_LARGEST = 127


def cancelling_model():
    """Returns a network whose depthwise kernels nearly cancel out what they read.

    Inputs are far from 0 and alike, as behind a ReLU, so that errors of rounding add up.
    """
    rng = np.random.default_rng(1)
    image = keras.Input((*INPUT_HW, 3), name="image")
    x = keras.layers.Conv2D(8, 3, strides=3, name="conv")(image)
    x = keras.layers.ReLU(name="relu")(x)
    x = keras.layers.DepthwiseConv2D(3, name="depthwise")(x)
    x = keras.layers.Conv2D(8, 1, activation="relu", name="point")(x)
    model = keras.Model(image, keras.layers.Conv2D(3, 1, name="last")(x))
    kernel, bias = model.get_layer("conv").get_weights()
    model.get_layer("conv").set_weights([kernel, bias + 30])
    kernel, bias = model.get_layer("depthwise").get_weights()
    kernel = rng.normal(size=kernel.shape)
    kernel -= kernel.mean(axis=(0, 1), keepdims=True) * 0.98
    model.get_layer("depthwise").set_weights([kernel, bias])
    return model


@pytest.fixture(scope="module")
def conversion():
    model = cancelling_model()
    contract = keras_contract(model, CODEC, SKELETON, BGR)
    return TFLiteConversion(model, contract, smooth_crops(24), equalizes=False)


@pytest.fixture(scope="module")
def moments(conversion):
    return collect_both(conversion.float_model, conversion.crops)[1]


def kernels(model):
    """Returns name -> (kernel, axis of its output channels) of a file."""
    found = {}
    for operator in model.graph.operators:
        axis = CHANNEL_AXES.get(model.kind_of(operator))
        if axis is not None:
            name = model.graph.tensors[operator.outputs[0]].name.decode()
            found[name] = (kernel_of(model, operator), axis)
    return found


@pytest.mark.parametrize("is_per_channel", [True, False])
def test_weights_are_steps_of_the_scale_that_quantizers_choose(
    conversion, moments, is_per_channel
):
    rounded = conversion.float_model.copy()
    round_adaptively(rounded, moments, is_per_channel=is_per_channel)
    before, after = kernels(conversion.float_model), kernels(rounded)
    assert len(after) == 5  # with the normalisation, whose weights are steps already
    for name, (kernel, axis) in after.items():
        channel = axis if is_per_channel else None
        steps = kernel_steps(before[name][0], 8, channel)
        np.testing.assert_allclose(kernel_steps(kernel, 8, channel), steps, rtol=1e-6)
        integers = kernel / steps
        np.testing.assert_allclose(integers, np.rint(integers), atol=1e-3)
        assert np.abs(integers).max() == pytest.approx(INT8_LARGEST)


def test_outputs_lose_less_than_by_the_nearest_steps(conversion, moments):
    file, others = conversion.float_model, smooth_crops(40)[24:]
    nearest = weight_error(file, others, "int16x8")
    adaptive = weight_error(file, others, "int16x8", moments)
    assert nearest > 0.02
    assert adaptive < nearest / 3


def test_without_what_kernels_meet_nothing_changes(conversion):
    rounded = conversion.float_model.copy()
    round_adaptively(rounded, {})
    assert rounded.to_bytes() == conversion.float_model.copy().to_bytes()


def test_named_operators_stay_as_they_are(conversion, moments):
    before = kernels(conversion.float_model)
    (name,) = [name for name in before if "depthwise" in name]
    rounded = conversion.float_model.copy()
    round_adaptively(rounded, moments, float_ops=[name])
    after = kernels(rounded)
    np.testing.assert_array_equal(after[name][0], before[name][0])
    changed = [x for x in after if not np.array_equal(after[x][0], before[x][0])]
    assert len(changed) == 3


def test_many_inputs_leave_weights_at_the_nearest_steps_and_mend_the_mean(
    conversion, monkeypatch
):
    monkeypatch.setattr(adaptive_rounding, "MAX_INPUTS", 0)
    _, moments = collect_both(conversion.float_model, conversion.crops)
    assert all(each.products is None for each in moments.values())
    rounded, nearest = conversion.float_model.copy(), conversion.float_model.copy()
    round_adaptively(rounded, moments)
    round_weights(nearest, 8, True)
    for name, (kernel, _) in kernels(rounded).items():
        np.testing.assert_array_equal(kernel, kernels(nearest)[name][0])
    others = smooth_crops(40)[24:]
    plain = weight_error(conversion.float_model, others, "int16x8")
    assert weight_error(conversion.float_model, others, "int16x8", moments) < plain / 2


@pytest.mark.parametrize(
    ("size", "strides", "padding"),
    [(3, 1, "same"), (3, 2, "same"), (3, 2, "valid"), (1, 1, "same"), (5, 3, "same")],
)  # fmt: skip
def test_what_a_kernel_meets_gives_the_mean_of_what_it_gives(
    size, strides, padding, monkeypatch
):
    monkeypatch.setattr(adaptive_rounding, "_PLACES", 10**6)
    image = keras.Input((12, 14, 3), name="image")
    layer = keras.layers.Conv2D(4, size, strides, padding, name="conv")
    model = keras.Model(image, layer(image))
    converted = tflite_of(model)
    values = np.random.default_rng(0).normal(1, 1, (2, 12, 14, 3)).astype(np.float32)
    names = converted.computed_names()
    given = {names[int(converted.graph.inputs[0])]: values}
    noted = adaptive_rounding.MomentCollector(tflite_rounding.kernels_met(converted))
    noted.add(given, count=2)
    (met,) = noted.moments.values()
    (kernel, _), = kernels(converted).values()  # fmt: skip
    mean = kernel.reshape(4, -1) @ (met.total[0] / met.count)
    expected = np.asarray(model(values)).mean(axis=(0, 1, 2))
    np.testing.assert_allclose(mean, expected, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(np.diag(met.products[0]) > 0, True)


def tflite_of(model):
    import tensorflow as tf

    converter = tf.lite.TFLiteConverter.from_keras_model(model)
    return TFLiteModel.read(converter.convert())


def test_a_kernel_that_several_operators_read_is_rounded_once():
    shared = keras.layers.Conv2D(4, 1, name="shared")
    image = keras.Input((*INPUT_HW, 3), name="image")
    half = keras.layers.Conv2D(3, 3, strides=4, padding="same", name="half")(image)
    quarter = keras.layers.Conv2D(3, 3, strides=2, padding="same", name="quarter")(half)
    up = keras.layers.UpSampling2D(2, name="up")(shared(quarter))
    both = keras.layers.Add(name="both")([shared(half), up])
    model = keras.Model(image, keras.layers.Conv2D(3, 1, name="last")(both))
    file = float_tflite_model(model, keras_contract(model, CODEC, SKELETON, BGR))
    _, moments = collect_both(file, smooth_crops(8))
    sharing = [len(x) for x in tflite_rounding._sharing_kernels(file)]
    assert sorted(sharing) == [1, 1, 1, 1, 2]
    rounded = file.copy()
    round_adaptively(rounded, moments)
    assert sorted(len(x) for x in tflite_rounding._sharing_kernels(rounded)) == sorted(
        sharing
    )
    (before,), (after,) = (
        [x for x in tflite_rounding._sharing_kernels(each) if len(x) == 2]
        for each in (file, rounded)
    )
    old = {int(operator.inputs[2]) for _, operator in before}
    new = {int(operator.inputs[2]) for _, operator in after}
    assert len(old) == 1
    assert len(new) == 2  # each meets something else, and has a bias for it

    # One of the two in float: it keeps the kernel, which is rounded for the other.
    partly = file.copy()
    (first, _), (second, _) = before
    round_adaptively(partly, moments, float_ops=[first])
    exact, found = kernels(file), kernels(partly)
    np.testing.assert_array_equal(found[first][0], exact[first][0])
    integers = found[second][0] / kernel_steps(exact[second][0], 8, 0)
    assert not np.array_equal(found[second][0], exact[second][0])
    np.testing.assert_allclose(integers, np.rint(integers), atol=1e-3)


def test_inputs_that_are_always_0_and_kernels_of_0_are_no_trouble():
    rows, steps = np.zeros((1, 2, 3)), np.ones((1, 2, 3))
    products = np.zeros((1, 3, 3))
    rounded = adaptive_rounding._round_rows(rows, steps, products, INT8_LARGEST)
    np.testing.assert_array_equal(rounded, rows)


def test_errors_go_where_the_same_inputs_make_up_for_them():
    # Two inputs that are always equal: the errors of both weights must cancel out.
    inputs = np.array([[1.0, 1.0, 0.1]] * 8)
    rows = np.array([[[0.4, 0.4, INT8_LARGEST]]])
    steps = np.ones_like(rows)
    rounded = adaptive_rounding._round_rows(
        rows, steps, (inputs.T @ inputs)[None], INT8_LARGEST
    )
    assert rounded[0, 0, :2].sum() == 1
    assert rounded[0, 0, 2] == INT8_LARGEST
