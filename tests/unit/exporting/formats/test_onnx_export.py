import os

import keras
import numpy as np
import onnx
import pytest
from exported_files import INPUT_HW, SKELETON, export_onnx
from keras import layers
from says import Says

from keras_pose.contracts.pose import read_contract
from keras_pose.exporting.errors import ExportError
from keras_pose.exporting.formats import onnx_export
from keras_pose.exporting.formats.onnx_export import float_onnx_model
from keras_pose.exporting.formats.table import export_format
from keras_pose.runtime import load_model


def test_file_is_valid_and_takes_named_uint8_pixels(exported):
    model = onnx.load(exported.paths["onnx"])
    onnx.checker.check_model(model, full_check=True)

    assert [node.name for node in model.graph.input] == ["image"]
    assert [node.name for node in model.graph.output] == ["heatmaps"]
    contract = read_contract(exported.paths["onnx"])
    assert contract.input.shape == (1, *INPUT_HW, 3)
    assert contract.input.dtype == "uint8"
    assert contract.normalization is None
    assert contract.signature is None


@pytest.mark.parametrize("name", ["onnx_float16", "onnx_int8"])
def test_smaller_files_are_valid_too(exported, tmp_path, name):
    path = tmp_path / "a.onnx"
    export_format(exported.model, exported.contract, path, exported.crops, name)

    onnx.checker.check_model(onnx.load(path), full_check=True)


@pytest.mark.parametrize("opset", [13, 18])
def test_opset_is_what_was_asked_for(exported, tmp_path, opset):
    path = tmp_path / "a.onnx"
    export_onnx(exported.model, exported.contract, path, exported.crops, opset, batch=2)

    assert onnx.load(path).opset_import[0].version == opset
    heatmaps = load_model(path).predict(exported.crops[:3])
    np.testing.assert_allclose(heatmaps, exported.heatmaps(exported.crops[:3]), atol=1e-5)


def test_unknown_opset_is_refused(exported, tmp_path):
    with Says(
        "opset must be 13 to 18, got 9", do="Take one of these, or leave --opset out."
    ).refuses():
        export_onnx(exported.model, exported.contract, tmp_path / "a", exported.crops, 9)


def test_failed_conversion_leaves_nothing(exported, tmp_path, monkeypatch):
    import tf2onnx

    def fail(*args, **kwargs):
        raise RuntimeError("an op that ONNX has not")

    monkeypatch.setattr(tf2onnx.convert, "_convert_common", fail)
    with pytest.raises(ExportError, match="tiny cannot be converted to ONNX: an op"):
        export_onnx(exported.model, exported.contract, tmp_path / "a.onnx", exported.crops)
    assert not list(tmp_path.iterdir())


def test_what_fails_in_place_is_tried_on_copies(exported, monkeypatch):
    from tf2onnx.optimizer import transpose_optimizer

    def fail_in_place(self, graph, iteration):
        if "TF2ONNX_CATCH_ERRORS" in os.environ:
            raise RuntimeError("an optimizer that does not know an op")
        return graph

    name = "TransposeOptimizer"
    monkeypatch.setattr(getattr(transpose_optimizer, name), "optimize", fail_in_place)
    assert float_onnx_model(exported.model, exported.contract).graph.node


@keras.saving.register_keras_serializable("tests_onnx")
class InverseErrorFunction(layers.Layer):
    """Has no counterpart among ONNX's operators."""

    def call(self, x):
        return keras.ops.erfinv(x)


def test_operator_that_onnx_has_not_is_named_with_its_layer(exported, tmp_path):
    image = keras.Input((*INPUT_HW, 3), name="image")
    x = layers.AveragePooling2D(4)(InverseErrorFunction(name="odd_layer")(image))
    model = keras.Model(image, layers.Conv2D(SKELETON.num_keypoints, 1)(x), name="odd")

    with Says(
        "cannot be converted to ONNX: ... Erfinv (layer odd_layer)",
        do="Build the layer of operators that ONNX has.",
    ).refuses():
        export_onnx(model, exported.contract, tmp_path / "a.onnx", exported.crops)
    assert not list(tmp_path.iterdir())


def test_file_without_weights_is_refused(exported, tmp_path, monkeypatch):
    def make_zeros(network, contract, batch, with_decode, opset):
        content = onnx.load(exported.paths["onnx"])
        for tensor in content.graph.initializer:
            if tensor.data_type == onnx.TensorProto.FLOAT:
                tensor.raw_data = bytes(len(tensor.raw_data))
        return content

    monkeypatch.setattr(onnx_export, "float_onnx_model", make_zeros)
    with pytest.raises(ExportError, match="gives other outputs"):
        export_onnx(exported.model, exported.contract, tmp_path / "a.onnx", exported.crops)
    assert not list(tmp_path.iterdir())
