"""Products and sums with constants become part of the convolution before them."""

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from keras_pose.exporting.float_graph.onnx_folding import fold_into_convolutions
from keras_pose.exporting.quantization.onnx_quantizing import open_onnx

CHANNELS = 6
CONVOLUTIONS = {
    # kind -> (operator, shape of the kernel, groups)
    "plain": ("Conv", (CHANNELS, 4, 3, 3), 1),
    "depthwise": ("Conv", (CHANNELS, 1, 3, 3), CHANNELS),
    "grouped": ("Conv", (CHANNELS, 2, 3, 3), 2),
    "transposed": ("ConvTranspose", (4, CHANNELS, 3, 3), 1),
    "transposed_in_groups": ("ConvTranspose", (4, CHANNELS // 2, 3, 3), 2),
}
NORM = (("Mul", (1, CHANNELS, 1, 1)), ("Add", (1, CHANNELS, 1, 1)))


def images(name, batch, *sizes):
    shape = (batch, *(sizes or (None, None, None)))
    return helper.make_tensor_value_info(name, TensorProto.FLOAT, shape)


def network(kind="plain", steps=NORM, has_bias=False, constant_first=False, shown=()):
    """Builds a convolution and what follows it; each step is (operator, its shape)."""
    rng = np.random.default_rng(0)
    operator, shape, groups = CONVOLUTIONS[kind]
    in_channels = shape[0] if operator == "ConvTranspose" else shape[1] * groups
    constants = {"kernel": rng.normal(size=shape)}
    if has_bias:
        constants["bias"] = rng.normal(size=CHANNELS)
    nodes = [
        helper.make_node(operator, ["x", *constants], ["t0"], name="conv", group=groups)
    ]
    for count, (step, step_shape) in enumerate(steps):
        constants[f"c{count}"] = rng.uniform(0.5, 2, step_shape)
        names = [f"t{count}", f"c{count}"]
        if constant_first:
            names.reverse()
        nodes.append(helper.make_node(step, names, [f"t{count + 1}"], name=f"n{count}"))
    outputs = [f"t{len(steps)}", *shown]
    graph = helper.make_graph(
        nodes,
        "graph",
        [images("x", 1, in_channels, 7, 6)],
        [images(name, None) for name in outputs],
        [
            numpy_helper.from_array(value.astype(np.float32), name)
            for name, value in constants.items()
        ],
    )
    imports = [helper.make_opsetid("", 17)]
    return helper.make_model(graph, opset_imports=imports, ir_version=8)


def run(model):
    session = open_onnx(model.SerializeToString())
    (image,) = session.get_inputs()
    values = np.random.default_rng(1).normal(size=image.shape).astype(np.float32)
    return session.run(None, {"x": values})


def folded(model):
    """Folds a copy, checks that it is valid and computes the same; returns its kinds."""
    copy = onnx.ModelProto()
    copy.CopyFrom(model)
    assert fold_into_convolutions(copy) is copy
    onnx.checker.check_model(copy, full_check=True)
    for before, after in zip(run(model), run(copy), strict=True):
        np.testing.assert_allclose(after, before, rtol=1e-4, atol=1e-4)
    return [node.op_type for node in copy.graph.node]


@pytest.mark.parametrize("has_bias", [False, True])
@pytest.mark.parametrize("kind", ["plain", "depthwise", "grouped", "transposed"])
def test_a_norm_is_folded(kind, has_bias):
    assert folded(network(kind, has_bias=has_bias)) == [CONVOLUTIONS[kind][0]]


@pytest.mark.parametrize(
    "shape",
    [(), (1,), (CHANNELS, 1, 1), (1, 1, 1, 1)],
    ids=["scalar", "one", "without_batch", "one_of_each"],
)
def test_shapes_that_say_the_same_of_all_pixels(shape):
    assert folded(network(steps=[("Mul", shape), ("Sub", shape)])) == ["Conv"]


@pytest.mark.parametrize(
    ("options", "left"),
    [
        pytest.param({"kind": "transposed_in_groups"}, ["Mul", "Add"], id="groups"),
        pytest.param(
            {"steps": [("Add", (7 - 2, 6 - 2))]}, ["Add"], id="a_constant_of_pixels"
        ),
        pytest.param(
            {"steps": [("Sub", (1,))], "constant_first": True}, ["Sub"], id="minus_the_map"
        ),
        pytest.param({"steps": [("Div", (1,))]}, ["Div"], id="division"),
        pytest.param({"shown": ("t0",)}, ["Mul", "Add"], id="others_see_what_is_before"),
        pytest.param({"shown": ("t1",)}, ["Add"], id="others_see_the_product"),
    ],
)
def test_what_is_left_alone(options, left):
    assert folded(network(**options))[1:] == left


def test_constants_on_the_left_are_folded_and_unread_ones_dropped():
    model = network(constant_first=True)
    assert fold_into_convolutions(model).graph.node[0].output == ["t2"]
    names = [each.name for each in model.graph.initializer]
    assert names == list(model.graph.node[0].input[1:])


def test_a_shared_kernel_stays_for_the_other_convolution():
    model = network(steps=[("Mul", (CHANNELS, 1, 1))])
    other = helper.make_node("Conv", ["x", "kernel"], ["other"], name="other")
    model.graph.node.append(other)
    model.graph.output.append(images("other", None))
    assert folded(model) == ["Conv", "Conv"]
