"""Selective float of `.onnx` files: as of `.tflite` ones, by ONNX Runtime's quantizer."""

import keras
import numpy as np
import onnx
import pytest
from exported_files import BGR, CODEC, SKELETON, smooth_crops
from imbalanced_model import BAD_LAYER, READER, imbalanced_model

from keras_pose.contracts.pose import keras_contract, read_contract
from keras_pose.exporting.accuracy.error_report import errors_of
from keras_pose.exporting.accuracy.mixed import MixedExport
from keras_pose.exporting.accuracy.validation import Validation
from keras_pose.exporting.comparison import relative_error
from keras_pose.exporting.formats.onnx_export import OnnxConversion
from keras_pose.runtime.loading import open_model


@pytest.fixture(scope="module")
def conversion():
    model = imbalanced_model()
    contract = keras_contract(model, CODEC, SKELETON, BGR)
    return OnnxConversion(model, contract, smooth_crops(12), equalizes=False)


@pytest.fixture(scope="module")
def errors(conversion):
    return errors_of(conversion, conversion.quantized("int8"), num_images=4)


def quantized_kernels(path):
    """Returns the names of the kernels that a file holds in integers."""
    stored = onnx.load(path).graph.initializer
    return {each.name for each in stored if each.name.endswith("_quantized")}


def test_errors_name_the_layer_and_what_it_loses(errors):
    by_label = {each.label: each for each in errors}
    assert {"first", BAD_LAYER, READER} <= set(by_label)
    # The tensor between the two keeps of its small channels nothing.
    assert by_label[READER].cause == "inputs"
    assert by_label[READER].isolated > 10 * by_label["first"].isolated
    assert by_label[READER].makers == (by_label[BAD_LAYER].tensor,)
    assert by_label[BAD_LAYER].readers == (by_label[READER].tensor,)


def test_operators_alone_are_those_of_the_file(errors):
    """As far as nothing was lost before them: what runs alone must equal the file."""
    rounded = [each for each in errors if not each.is_float]
    for each in rounded[:2]:
        assert each.isolated == pytest.approx(each.cumulative, rel=0.02, abs=1e-6)


def test_only_what_loses_becomes_float_and_the_contract_names_it(conversion, tmp_path):
    expected = np.asarray(conversion.model(BGR(conversion.crops)))

    def measure(path, contract):
        actual = open_model(path, contract).predict(conversion.crops)
        return 1 - relative_error(actual, expected)

    validation = Validation("agreement", "crops", measure)
    path = tmp_path / "mixed.onnx"
    export, _ = MixedExport(conversion, validation, 10.0, say=lambda line: None).write(path)

    contract = read_contract(path)
    assert contract.quantization == "int8"
    assert len(contract.float_operators) == 2
    names = " ".join(contract.float_operators)
    assert BAD_LAYER in names
    assert READER in names
    assert export.error < 0.1
    held = " ".join(quantized_kernels(path))
    assert "first" in held
    assert READER not in held


def test_a_bias_of_one_channel_has_one_scale():
    """As the scores of a detector for people have; they could not be compared."""
    image = keras.Input((*CODEC.input_hw, 3), name="image")
    x = keras.layers.Conv2D(3, 3, strides=4, padding="same", name="first")(image)
    gate = keras.layers.Conv2D(1, 1, bias_initializer="ones", name="gate")(x)
    model = keras.Model(image, keras.layers.Multiply(name="gated")([x, gate]))
    contract = keras_contract(model, CODEC, SKELETON, BGR)
    small = OnnxConversion(model, contract, smooth_crops(8))
    errors = errors_of(small, small.quantized("int8"), num_images=2)
    assert {"first", "gated"} <= {each.label for each in errors}


def test_names_that_are_no_operators_are_refused(conversion):
    with pytest.raises(ValueError, match=r"these are none: \['wide'\]"):
        conversion.quantized("int8", ["wide"])


def test_float_operators_are_of_int8_files(conversion):
    with pytest.raises(ValueError, match=r"int8 file leaves in float, got float16"):
        conversion.quantized("float16", ["wide"])
