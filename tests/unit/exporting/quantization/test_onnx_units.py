"""What stays float in int8 ONNX files is float when ONNX Runtime runs them."""

from types import SimpleNamespace

import keras
import numpy as np
import onnx
import onnxruntime
import pytest
from exported_files import BGR, CODEC, INPUT_HW, SKELETON, smooth_crops

from keras_pose.contracts.pose import keras_contract, read_contract
from keras_pose.exporting.float_graph.serving import network_outputs
from keras_pose.exporting.formats.onnx_export import OnnxConversion
from keras_pose.exporting.quantization.onnx_units import (
    Unit,
    units_of,
    without_lone_products,
)
from keras_pose.runtime.onnx_backend import OnnxBackend


@pytest.fixture(scope="module")
def conversion():
    """A network whose second convolution has channels of very different sizes."""
    keras.utils.set_random_seed(0)
    image = keras.Input((*INPUT_HW, 3), name="image")
    x = keras.layers.Conv2D(8, 3, strides=4, padding="same", name="stem")(image)
    x = keras.layers.Conv2D(8, 1, name="uneven")(keras.layers.ReLU()(x))
    sizes = keras.layers.DepthwiseConv2D(1, use_bias=False, name="sizes")
    outputs = keras.layers.Conv2D(SKELETON.num_keypoints, 1, name="last")(sizes(x))
    model = keras.Model(image, outputs)
    factors = np.geomspace(1, 300, 8)
    kernel, bias = model.get_layer("uneven").get_weights()
    model.get_layer("uneven").set_weights([kernel / factors, bias])
    sizes.set_weights([factors.reshape(1, 1, 8, 1)])
    contract = keras_contract(model, CODEC, SKELETON, BGR)
    return OnnxConversion(model, contract, smooth_crops(24), equalizes=False)


@pytest.fixture(scope="module")
def units(conversion):
    return units_of(conversion.float_model, network_outputs(conversion.contract))


def product(units, number):
    """Returns the tensor of a convolution, counted from the network's end."""
    return [unit.tensor for unit in units if unit.kind == "Conv"][number]


def test_a_product_between_integers_does_not_stay_float(units):
    uneven, sizes, last = (product(units, number) for number in (-3, -2, -1))
    assert without_lone_products(units, [uneven]) == []
    assert without_lone_products(units, [last, uneven]) == []
    assert without_lone_products(units, [sizes, uneven]) == [sizes, uneven]


def test_a_product_whose_result_is_integers_for_one_reader_does_not_stay_float():
    # As SiLU is written: a convolution that a logistic function and a product read.
    units = [
        Unit("conv", (SimpleNamespace(op_type="Conv"),), ("image",)),
        Unit("gate", (SimpleNamespace(op_type="Sigmoid"),), ("conv",)),
        Unit("silu", (SimpleNamespace(op_type="Mul"),), ("conv", "gate")),
        Unit("next", (SimpleNamespace(op_type="Conv"),), ("silu",)),
        Unit("end", (SimpleNamespace(op_type="Add"),), ("next",)),
    ]
    assert without_lone_products(units, ["conv", "gate"]) == ["gate"]
    assert without_lone_products(units, ["conv", "silu"]) == ["silu"]
    both = ["conv", "gate", "silu"]
    assert without_lone_products(units, both) == both
    assert without_lone_products(units, ["silu", "next"]) == ["silu", "next"]
    assert without_lone_products(units, ["conv", "next"]) == []


def test_what_is_no_product_stays_as_asked(units):
    others = [unit.tensor for unit in units if unit.kind not in ("Conv", "Gemm")]
    assert others
    assert without_lone_products(units, others) == others


def test_unknown_names_are_refused(conversion):
    with pytest.raises(ValueError, match=r"these are none: .*nothing"):
        conversion.quantized_model("int8", ["nothing"])


def test_the_contract_says_what_is_float(conversion, units, tmp_path):
    path = tmp_path / "a.onnx"
    uneven, sizes = product(units, -3), product(units, -2)
    conversion.write(path, "int8", [uneven], is_measured=True)
    assert read_contract(path).float_operators == ()
    conversion.write(path, "int8", [uneven, sizes], is_measured=True)
    assert read_contract(path).float_operators == (uneven, sizes)


@pytest.mark.parametrize("numbers", [[], [-3], [-3, -2], [-4, -3], [-4, -2]])
def test_files_compute_what_stands_in_them(conversion, units, tmp_path, numbers):
    path = tmp_path / "a.onnx"
    content = conversion.quantized_model("int8", [product(units, x) for x in numbers])
    onnx.save(content, path)
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    literal = onnxruntime.InferenceSession(
        str(path), options, providers=["CPUExecutionProvider"]
    )
    crops = smooth_crops(4)
    (expected,) = literal.run(None, {"image": crops[:1]})
    (found,) = OnnxBackend(path).run(crops[:1])
    assert np.sqrt(np.mean((found - expected) ** 2)) < 0.03 * expected.std()
