"""Weights find their places in files whose names say nothing."""

import keras
import numpy as np
import onnx
import onnxruntime
import pytest
from ir_files import write_ir
from keras import layers
from onnx import TensorProto, helper, numpy_helper

from keras_pose.models.layers import batch_norm, conv, depthwise_conv, image_input
from keras_pose.models.own_layers import ChannelSlice
from keras_pose.weights.importer import fill
from keras_pose.weights.network_files import read_network
from keras_pose.weights.structure import num_outputs, tensors_by_structure

HW = (16, 12)


@pytest.fixture(scope="module")
def model():
    """A network with a shuffle's parts, and with two kernels of one shape."""
    image = image_input(HW)
    x = conv(image, 8, 3, "stem-conv", strides=2)
    x = layers.ReLU(name="stem-relu")(batch_norm(x, "stem-bn"))
    left = ChannelSlice(0, 4, name="left")(x)
    right = ChannelSlice(4, 8, name="right")(x)
    right = batch_norm(depthwise_conv(right, 3, "middle-conv"), "middle-bn")
    right = conv(right, 4, 1, "mix-conv", use_bias=True, activation="relu")
    x = layers.Add(name="sum")([x, layers.Concatenate(name="join")([right, left])])
    x = batch_norm(conv(x, 8, 1, "first-conv"), "first-bn")
    x = layers.Activation("relu", name="first-relu")(x)
    x = batch_norm(conv(x, 8, 1, "second-conv"), "second-bn")
    x = layers.ReLU(name="second-relu")(x)
    x = conv(x, 5, 1, "final", use_bias=True)
    return keras.Model(image, x, name="little")


# Name, inputs, kernel, stride, groups: the convolutions of `model`, in another order.
KERNELS = {
    "k1": (8, 3, 3, 3),
    "k2": (4, 1, 3, 3),
    "k3": (4, 4, 1, 1),
    "k4": (8, 8, 1, 1),
    "k5": (8, 8, 1, 1),
    "k6": (5, 8, 1, 1),
}


@pytest.fixture(scope="module")
def numbers():
    rng = np.random.default_rng(0)
    drawn = {}
    for name, shape in KERNELS.items():
        drawn[name] = rng.standard_normal(shape).astype("float32")
        drawn[name.replace("k", "b")] = rng.standard_normal(shape[0]).astype("float32")
    return drawn


def nodes():
    """The same network as operators, batch norms folded; the last comes first."""

    def conv(x, i, y, stride=1, groups=1):
        side = KERNELS[f"k{i}"][-1]
        return helper.make_node(
            "Conv", [x, f"k{i}", f"b{i}"], [y], strides=[stride, stride], group=groups,
            kernel_shape=[side, side], pads=[side // 2] * 4,
        )  # fmt: skip

    return [
        conv("image", 1, "a", stride=2),
        helper.make_node("Relu", ["a"], ["c"]),
        helper.make_node("Split", ["c"], ["left", "right"], axis=1, num_outputs=2),
        conv("right", 2, "d", groups=4),
        conv("d", 3, "e"),
        helper.make_node("Relu", ["e"], ["f"]),
        helper.make_node("Concat", ["f", "left"], ["g"], axis=1),
        helper.make_node("Add", ["c", "g"], ["h"]),
        conv("h", 4, "i"),
        helper.make_node("Relu", ["i"], ["j"]),
        conv("j", 5, "k"),
        helper.make_node("Relu", ["k"], ["l"]),
        conv("l", 6, "maps"),
    ]


def write_onnx(path, steps, numbers):
    graph = helper.make_graph(
        steps,
        "net",
        [helper.make_tensor_value_info("image", TensorProto.FLOAT, (1, 3, *HW))],
        [helper.make_tensor_value_info("maps", TensorProto.FLOAT, (1, 5, 8, 6))],
        [numpy_helper.from_array(array, name) for name, array in numbers.items()],
    )
    opset = [helper.make_opsetid("", 18)]
    onnx.save(helper.make_model(graph, opset_imports=opset, ir_version=10), path)
    return path


def run_onnx(path, image):
    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    (maps,) = session.run(None, {"image": image.transpose(0, 3, 1, 2)})
    return maps.transpose(0, 2, 3, 1)


def imported(model, path):
    copy = keras.models.clone_model(model)
    fill(copy, tensors_by_structure(copy, read_network(path), path), path)
    return copy


def assert_computes_the_same(model, path):
    image = np.random.default_rng(1).standard_normal((1, *HW, 3)).astype("float32")
    expected = run_onnx(path, image)
    actual = np.asarray(imported(model, path)(image, training=False))
    np.testing.assert_allclose(actual, expected, atol=1e-5 * expected.std())


def test_folded_onnx_computes_the_same_in_keras(model, numbers, tmp_path):
    path = write_onnx(tmp_path / "x.onnx", nodes(), numbers)

    assert_computes_the_same(model, path)

    network = read_network(path)
    assert (network.input_hw, num_outputs(network, path)) == (HW, 5)


def test_norms_sums_and_factors_behind_a_convolution_are_folded(model, numbers, tmp_path):
    rng = np.random.default_rng(2)
    extra = {name: rng.random(8).astype("float32") + 0.5 for name in "pqrs"}
    extra |= {
        "t": rng.random((1, 8, 1, 1)).astype("float32"),
        "u": extra["p"][:, None, None],
    }
    steps = nodes()
    first = next(i for i, step in enumerate(steps) if step.output[0] == "i")
    steps[first].output[0] = "i0"
    steps[first + 1 : first + 1] = [
        helper.make_node("BatchNormalization", ["i0", *"pqrs"], ["i1"], epsilon=1e-3),
        helper.make_node("Mul", ["t", "i1"], ["i2"]),
        helper.make_node("Add", ["i2", "u"], ["i"]),
    ]
    assert_computes_the_same(model, write_onnx(tmp_path / "x.onnx", steps, numbers | extra))


def test_ir_has_the_numbers_of_the_onnx(model, numbers, tmp_path):
    half = {name: array.astype("float16") for name, array in numbers.items()}
    widened = {name: array.astype("float32") for name, array in half.items()}
    onnx_path = write_onnx(tmp_path / "x.onnx", nodes(), widened)
    ir_path = write_ir(tmp_path / "x.xml", nodes(), half, (1, 3, *HW))

    expected = tensors_by_structure(model, read_network(onnx_path), onnx_path)
    actual = tensors_by_structure(model, read_network(ir_path), ir_path)

    assert read_network(ir_path).input_hw == HW
    np.testing.assert_equal(actual, expected)


def without_rectifier(steps):
    """The second of two equal convolutions is no longer rectified."""
    steps[-1].input[0] = "k"
    del steps[-2]


def joined_otherwise(steps):
    """The picture's features go into the sum where the halves' went."""
    next(step for step in steps if step.op_type == "Concat").input[1] = "right"
    steps[3].input[0] = "left"
    next(step for step in steps if step.output[0] == "j").output[0] = "j0"
    steps.insert(10, helper.make_node("Add", ["j0", "c"], ["j"]))


def normalized(steps):
    steps[0].input[0] = "scaled"
    steps.insert(0, helper.make_node("Mul", ["image", "b1"], ["scaled"]))


def scaled_later(steps):
    steps[8].input[0] = "h0"
    steps.insert(8, helper.make_node("Mul", ["h", "b1"], ["h0"]))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        pytest.param(
            without_rectifier,
            r"another network than little: 1 convolutions are missing "
            r"\(the first is 8x8x1x1, strides 1, relu\), 1 would not be used "
            r"\(the first is 8x8x1x1, strides 1\)",
            id="rectifier",
        ),
        pytest.param(joined_otherwise, "they are joined otherwise", id="joined"),
        pytest.param(normalized, "changes the picture before any convolution", id="image"),
        pytest.param(scaled_later, "computes with numbers that no layer", id="numbers"),
    ],
)
def test_other_networks_are_refused(change, message, model, numbers, tmp_path):
    steps = nodes()
    change(steps)
    path = write_onnx(tmp_path / "x.onnx", steps, numbers)
    with pytest.raises(ValueError, match=rf"x.onnx.*{message}"):
        tensors_by_structure(model, read_network(path), path)


def test_network_with_other_weights_than_convolutions_is_refused(tmp_path, numbers):
    image = image_input((4, 4))
    dense = keras.Model(image, layers.Dense(2, name="fc")(image), name="other")
    path = write_onnx(tmp_path / "x.onnx", nodes(), numbers)
    with pytest.raises(ValueError, match="weights of its layer fc are not those of a conv"):
        tensors_by_structure(dense, read_network(path), path)
