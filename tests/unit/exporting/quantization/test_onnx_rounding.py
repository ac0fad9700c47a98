"""Kernels of int8 ONNX files are rounded so that their layer gives what it gave."""

import keras
import numpy as np
import pytest
from exported_files import BGR, CODEC, INPUT_HW, SKELETON, smooth_crops
from onnx import TensorProto, helper, numpy_helper

from keras_pose.contracts.pose import keras_contract
from keras_pose.exporting.formats.onnx_export import OnnxConversion
from keras_pose.exporting.quantization import adaptive_rounding, onnx_rounding
from keras_pose.exporting.quantization.onnx_quantizing import open_onnx
from keras_pose.exporting.quantization.onnx_sums import summed_kernels, sums_fit


def alike_model():
    """Returns a network of kernels that read what is far from 0 and alike.

    One of them stands in two places, a depthwise one nearly cancels out what it reads.
    """
    rng = np.random.default_rng(1)
    image = keras.Input((*INPUT_HW, 3), name="image")
    x = keras.layers.Conv2D(8, 3, strides=2, padding="same", name="conv")(image)
    x = keras.layers.ReLU(name="relu")(x)
    x = keras.layers.DepthwiseConv2D(3, padding="same", name="depthwise")(x)
    shared = keras.layers.Conv2D(8, 3, strides=2, padding="same", name="shared")
    x = keras.layers.Add(name="both")([shared(x), shared(keras.layers.ReLU()(x))])
    x = keras.layers.Dense(8, activation="relu", name="dense")(x)
    model = keras.Model(image, keras.layers.Conv2D(SKELETON.num_keypoints, 1)(x))
    kernel, bias = model.get_layer("conv").get_weights()
    model.get_layer("conv").set_weights([kernel, bias + 30])
    kernel, bias = model.get_layer("depthwise").get_weights()
    kernel = rng.normal(size=kernel.shape)
    kernel -= kernel.mean(axis=(0, 1), keepdims=True) * 0.98
    model.get_layer("depthwise").set_weights([kernel, bias])
    return model, keras_contract(model, CODEC, SKELETON, BGR)


@pytest.fixture(scope="module")
def conversion():
    keras.utils.set_random_seed(0)
    return OnnxConversion(*alike_model(), smooth_crops(24), equalizes=False)


@pytest.fixture(scope="module")
def rounded(conversion):
    """The float file with rounded kernels."""
    model = type(conversion.float_model)()
    model.CopyFrom(conversion.float_model)
    onnx_rounding.round_adaptively(model, conversion.moments, limits_of(model))
    return model


def limits_of(model):
    return {kernel.name: kernel.limits() for kernel in summed_kernels(model)}


def run(model, crops):
    session = open_onnx(model.SerializeToString())
    return np.concatenate([session.run(None, {"image": crop[None]})[0] for crop in crops])


def loss(model, conversion):
    others = smooth_crops(40)[24:]
    expected = run(conversion.float_model, others)
    return np.sqrt(np.mean((run(model, others) - expected) ** 2)) / expected.std()


def nearest_of(conversion):
    model = type(conversion.float_model)()
    model.CopyFrom(conversion.float_model)
    limits = limits_of(model)
    for each in model.graph.initializer:
        values = numpy_helper.to_array(each)
        if values.ndim >= 2 and values.dtype == np.float32:
            largest = limits.get(each.name, np.abs(values).reshape(len(values), -1).max(1))
            shape = np.ones(values.ndim, int)
            axis = values.shape.index(len(largest))
            shape[axis] = -1
            steps = (largest / 127).reshape(shape)
            near = (np.rint(values / steps) * steps).astype(np.float32)
            each.CopyFrom(numpy_helper.from_array(near, each.name))
    return model


def test_outputs_lose_less_than_by_the_nearest_steps(conversion, rounded):
    plain = loss(nearest_of(conversion), conversion)
    assert plain > 0.01
    assert loss(rounded, conversion) < 0.7 * plain


def test_all_kernels_are_rounded_and_a_shared_one_once(conversion, rounded):
    assert len(conversion.moments) == 7  # with the normalisation's
    stored = {each.name: each for each in conversion.float_model.graph.initializer}
    kernels = [node.input[1] for node in rounded.graph.node if node.op_type == "Conv"]
    assert len(kernels) - len(set(kernels)) == 1
    changed = [
        each.name
        for each in rounded.graph.initializer
        if each.name in stored and each.raw_data != stored[each.name].raw_data
    ]
    # The normalisation's weights are steps already.
    assert len(changed) == 5


def test_int8_files_hold_these_integers_and_sum_alike_everywhere(conversion, rounded):
    model = conversion.quantized_model("int8")
    assert sums_fit(model)
    stored = {each.name: numpy_helper.to_array(each) for each in model.graph.initializer}
    makers = {node.output[0]: node for node in model.graph.node}
    wanted = {
        node.output[0]: numpy_helper.to_array(each)
        for node in rounded.graph.node
        for each in rounded.graph.initializer
        if node.op_type == "Conv" and each.name == node.input[1]
    }
    checked = 0
    for node in model.graph.node:
        if node.op_type != "Conv" or node.output[0] not in wanted:
            continue
        integers, scales, _ = (stored[x] for x in makers[node.input[1]].input)
        values = integers * scales.reshape(-1, *[1] * (integers.ndim - 1))
        expected = wanted[node.output[0]]
        np.testing.assert_allclose(values, expected, atol=1e-3 * scales.max())
        checked += 1
    assert checked == 5


def test_what_stays_float_stays_as_it_is(conversion):
    model = type(conversion.float_model)()
    model.CopyFrom(conversion.float_model)
    names = [node.name for node in model.graph.node]
    onnx_rounding.round_adaptively(model, conversion.moments, limits_of(model), names)
    assert model.SerializeToString() == conversion.float_model.SerializeToString()


def test_a_shared_kernel_is_rounded_for_those_that_are_not_left_out(conversion):
    model = type(conversion.float_model)()
    model.CopyFrom(conversion.float_model)
    read = [node.input[1] for node in model.graph.node if node.op_type == "Conv"]
    first, second = (
        node
        for node in model.graph.node
        if node.op_type == "Conv" and read.count(node.input[1]) == 2
    )
    before = stored_of(model)[first.input[1]]
    limits = limits_of(model)
    onnx_rounding.round_adaptively(model, conversion.moments, limits, [first.name])
    after = stored_of(model)
    np.testing.assert_array_equal(after[first.input[1]], before)
    steps = limits[second.input[1]].reshape(-1, 1, 1, 1) / 127
    integers = after[second.input[1]] / steps
    assert not np.array_equal(after[second.input[1]], before)
    np.testing.assert_allclose(integers, np.rint(integers), atol=1e-3)


def stored_of(model):
    return {each.name: numpy_helper.to_array(each) for each in model.graph.initializer}


def test_networks_that_were_trained_with_rounding_keep_the_nearest_steps(conversion):
    from keras_pose.contracts.activation_ranges import set_ranges

    trained = OnnxConversion(
        keras.models.clone_model(conversion.model), conversion.contract, conversion.crops
    )
    set_ranges(trained.model, {"conv": (0.0, 1.0)})
    assert trained.moments == {}


@pytest.mark.parametrize("pads", [[1, 1, 1, 1], [0, 1, 2, 0], None])
@pytest.mark.parametrize("groups", [1, 4])
def test_what_a_kernel_meets_gives_the_mean_of_what_it_gives(pads, groups, monkeypatch):
    monkeypatch.setattr(adaptive_rounding, "_PLACES", 10**6)
    rng = np.random.default_rng(0)
    shape = (4, 4 // groups, 3, 3)
    weights = numpy_helper.from_array(rng.normal(size=shape).astype(np.float32), "w")
    options = {"auto_pad": "SAME_UPPER"} if pads is None else {"pads": pads}
    node = helper.make_node(
        "Conv", ["image", "w"], ["y"], "conv", group=groups, strides=[2, 1], **options
    )
    image = helper.make_tensor_value_info("image", TensorProto.FLOAT, [2, 4, 9, 8])
    result = helper.make_tensor_value_info("y", TensorProto.FLOAT, None)
    graph = helper.make_graph([node], "one", [image], [result], [weights])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)])
    model.ir_version = 8
    values = rng.normal(1, 1, (2, 4, 9, 8)).astype(np.float32)
    noted = adaptive_rounding.MomentCollector(onnx_rounding.kernels_met(model))
    noted.add({"image": values}, len(values))
    (met,) = noted.moments.values()
    (kernel,) = onnx_rounding._kernels(model)
    (expected,) = open_onnx(model.SerializeToString()).run(None, {"image": values})
    mean = (kernel.rows @ met.mean[..., None]).ravel()
    np.testing.assert_allclose(mean, expected.mean(axis=(0, 2, 3)), rtol=1e-4, atol=1e-5)
    assert met.count == 2 * expected.shape[2] * expected.shape[3]


def test_neighbours_add_up_to_no_more_than_they_may():
    rows = np.random.default_rng(0).uniform(0.9, 1, (1, 50, 40))
    pairs = np.abs(rows[:, :, 1:] + rows[:, :, :-1]).max(axis=2, keepdims=True)
    steps = np.broadcast_to(pairs / 127, rows.shape)
    # A strong input beside a weak one that goes with it and makes up for its errors.
    products = np.kron(np.eye(20), [[100.0, 10.0], [10.0, 1.1]])[None]
    for max_sum in (128, None):
        found = adaptive_rounding._round_rows(rows, steps, products, 127, max_sum) / steps
        np.testing.assert_allclose(found, np.rint(found), atol=1e-6)
        highest = np.abs(found[:, :, 1:] + found[:, :, :-1]).max()
        assert (highest <= 128 + 1e-6) == (max_sum is not None)
