"""Files of equalized networks, made of the first file, are what a conversion gives."""

import numpy as np
from exported_files import BGR, CODEC, SKELETON, smooth_crops
from imbalanced_model import imbalanced_model, imbalanced_silu
from onnx import numpy_helper

from keras_pose.contracts.pose import keras_contract
from keras_pose.exporting.float_graph.reweighting import (
    parts_of,
    reweighted,
    tflite_layout,
)
from keras_pose.exporting.formats.onnx_export import OnnxConversion
from keras_pose.exporting.formats.tflite_export import TFLiteConversion
from keras_pose.exporting.quantization.integer_network import equalized

CROPS = smooth_crops(6)


def _conversion(kind, build=imbalanced_model):
    model = build()
    return kind(model, keras_contract(model, CODEC, SKELETON, BGR), CROPS)


def _never(network):
    raise AssertionError("The network was converted a second time.")


def test_tflite_file_is_the_same_to_the_bit(monkeypatch):
    conversion = _conversion(TFLiteConversion)
    once = conversion.float_model.source
    converted = _conversion(TFLiteConversion).calibrated_model
    monkeypatch.setattr(conversion, "_converted", _never)
    made = conversion.calibrated_model
    assert made.to_bytes() == converted.to_bytes() != once
    assert conversion.float_model.source == once
    # What is run for ranges must be what is quantized.
    assert made.source == made.to_bytes()


def test_onnx_file_has_the_same_constants(monkeypatch):
    conversion = _conversion(OnnxConversion)
    before = _constants(conversion.float_model)
    converted = _constants(_conversion(OnnxConversion).calibrated_model)
    monkeypatch.setattr(conversion, "_converted", _never)
    made = _constants(conversion.calibrated_model)
    assert made.keys() == converted.keys() == before.keys()
    for name, values in converted.items():
        np.testing.assert_array_equal(made[name], values)
    assert any(not np.array_equal(made[name], before[name]) for name in made)


def _constants(model):
    return {each.name: numpy_helper.to_array(each) for each in model.graph.initializer}


def test_networks_with_other_layers_are_converted():
    conversion = _conversion(TFLiteConversion, imbalanced_silu)
    assert conversion.calibrated_model.op_counts() != conversion.float_model.op_counts()


def test_a_weight_that_is_not_found_is_said():
    conversion = _conversion(TFLiteConversion)
    network = equalized(conversion.model, conversion.contract, CROPS)
    constants = conversion.float_model.float_constants()
    arguments = [parts_of(each, tflite_layout) for each in (conversion.model, network)]
    lost = next(iter(reweighted(constants, *arguments)))
    constants[lost] = constants[lost] + 1
    assert reweighted(constants, *arguments) is None
