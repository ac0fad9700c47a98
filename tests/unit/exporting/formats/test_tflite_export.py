from collections import Counter

import keras
import numpy as np
import pytest
from ai_edge_litert import schema_py_generated as schema
from exported_files import (
    INPUT_HW,
    SKELETON,
    export_tflite,
    num_per_channel_weights,
    smooth_crops,
    tiny_model,
)
from keras import layers
from says import Says

from keras_pose.codecs import GaussianHeatmapCodec
from keras_pose.contracts.entries import CONTRACT_NAME
from keras_pose.contracts.pose import keras_contract, read_contract
from keras_pose.exporting.errors import ExportError
from keras_pose.exporting.formats import tflite_export, writing
from keras_pose.exporting.formats.tflite_export import QUANTIZATIONS
from keras_pose.exporting.quantization import tflite_quantizing
from keras_pose.modelfiles.flatbuffer import custom_ops, float_ops, op_counts
from keras_pose.modelfiles.tflite_model import TFLiteModel
from keras_pose.pictures.normalization import IMAGENET
from keras_pose.runtime.litert_backend import LiteRTBackend
from keras_pose.skeleton import COCO_17
from keras_pose.weights.creation import create_model


@pytest.mark.parametrize("quantization", QUANTIZATIONS)
def test_files_take_named_uint8_pixels_and_hold_builtin_ops_only(exported, quantization):
    path = exported.paths[quantization]
    backend = LiteRTBackend(path)

    assert backend.signatures == {"serve": {"inputs": ["image"], "outputs": ["heatmaps"]}}
    assert (backend.input.dtype, backend.input.shape) == ("uint8", (1, *INPUT_HW, 3))
    assert custom_ops(path) == []
    contract = read_contract(path)
    assert (contract.quantization, contract.signature) == (quantization, "serve")
    assert contract.normalization is None


def test_int8_input_is_the_pixel_itself(exported):
    image = LiteRTBackend(exported.paths["int8"]).input
    assert (image.scale, image.zero_point) == (1.0, 0)


def test_int8_output_is_int8_and_its_step_is_in_the_contract(exported):
    backend = LiteRTBackend(exported.paths["int8"])
    output = read_contract(exported.paths["int8"]).output

    assert output.dtype == backend.output.dtype == "int8"
    assert (output.scale, output.zero_point) == pytest.approx(
        (backend.output.scale, backend.output.zero_point)
    )


def test_int8_file_computes_in_integers_with_a_scale_per_channel(exported):
    assert not float_ops(exported.paths["int8"])
    # The normalisation, two convolutions, and the second stack; the first is not needed.
    assert num_per_channel_weights(exported.paths["int8"]) == 4


@pytest.mark.slow
def test_slim_network_is_int8_throughout_and_a_quarter_of_the_size(tmp_path):
    model = create_model("pose_slim", input_hw=(64, 64))
    codec = GaussianHeatmapCodec.for_input((64, 64))
    contract = keras_contract(model, codec, COCO_17, IMAGENET)
    path = tmp_path / "slim.tflite"

    export_tflite(model, contract, path, smooth_crops(4, (64, 64)), "int8")

    assert not float_ops(path)
    assert set(op_counts(path)) == {"QUANTIZE", "CONV_2D", "ADD", "RESIZE_BILINEAR"}
    assert path.stat().st_size < 0.3 * 4 * model.count_params()


@keras.saving.register_keras_serializable("tests")
class InverseErrorFunction(layers.Layer):
    """Has no counterpart among TFLite's builtin ops."""

    def call(self, x):
        return keras.ops.erfinv(x)


def test_network_that_needs_other_ops_is_refused_and_leaves_nothing(exported, tmp_path):
    image = keras.Input((*INPUT_HW, 3), name="image")
    x = layers.AveragePooling2D(4)(InverseErrorFunction(name="odd_layer")(image))
    model = keras.Model(image, layers.Conv2D(SKELETON.num_keypoints, 1)(x), name="odd")

    with Says(
        "builtin ops alone: it needs tf.Erfinv (layer odd_layer)",
        do="Build the layer of operators that TensorFlow Lite has.",
    ).refuses():
        export_tflite(model, exported.contract, tmp_path / "a.tflite", exported.crops)
    assert not list(tmp_path.iterdir())


def test_file_that_disagrees_with_keras_is_refused_and_the_old_one_stays(
    exported, tmp_path, monkeypatch
):
    path = tmp_path / "a.tflite"
    path.write_bytes(b"an older export")
    other = TFLiteModel.read(exported.paths["float32"].read_bytes())
    monkeypatch.setattr(tflite_export, "float_tflite_model", lambda *_: other)

    with Says(
        "gives other outputs than the Keras model: the relative RMS error must be at most",
        do="Of int8: train longer, --range percentile, --max-drop 0.5. Else report it.",
    ).refuses():
        export_tflite(tiny_model(seed=1), exported.contract, path, exported.crops)
    assert path.read_bytes() == b"an older export"
    assert [file.name for file in tmp_path.iterdir()] == ["a.tflite"]


def test_damaged_file_is_refused(exported, tmp_path, monkeypatch):
    damaged = TFLiteModel.read(exported.paths["float32"].read_bytes())
    damaged.tables.buffers = damaged.tables.buffers[:1]
    monkeypatch.setattr(tflite_export, "float_tflite_model", lambda *_: damaged)

    with pytest.raises(ValueError, match="is damaged"):
        export_tflite(
            exported.model, exported.contract, tmp_path / "a.tflite", exported.crops
        )
    assert not list(tmp_path.iterdir())


def test_file_that_answers_nan_is_refused(exported, monkeypatch):
    class Broken:
        def predict(self, crops):
            return np.full((len(crops), 8, 6, SKELETON.num_keypoints), np.nan)

    monkeypatch.setattr(writing, "open_model", lambda *_: Broken())
    reference = writing.Reference(exported.model, exported.contract, exported.crops)
    draft = writing.Draft(exported.contract, is_measured=True)
    with pytest.raises(ExportError, match="got nan"):
        writing.check_written("a.tflite", draft, reference)


def test_int8_input_that_is_not_plain_pixels_is_refused(exported, monkeypatch, tmp_path):
    # As the quantizer leaves it: int8, zero point -128.
    monkeypatch.setattr(tflite_quantizing.edit, "take_uint8_pixels", lambda model: None)
    with pytest.raises(ExportError, match=r"scale 1\.0, zero point 0"):
        export_tflite(
            exported.model,
            exported.contract,
            tmp_path / "a.tflite",
            exported.crops,
            "int8",
        )
    assert not list(tmp_path.iterdir())


def test_unknown_quantization_is_refused(exported, tmp_path):
    with Says(
        "quantization must be one of ... got 'int3'", do="Take one that it lists."
    ).refuses():
        export_tflite(
            exported.model, exported.contract, tmp_path / "a", exported.crops, "int3"
        )


def test_broken_contract_in_the_folder_is_found_before_the_conversion(
    exported, tmp_path, monkeypatch
):
    (tmp_path / CONTRACT_NAME).write_text("{")
    monkeypatch.setattr(
        tflite_export, "float_tflite_model", lambda *_: pytest.fail("it was converted")
    )
    with Says(
        "is not valid JSON",
        do="Delete the folder's pose_model.json, or export into another folder.",
    ).refuses():
        export_tflite(
            exported.model, exported.contract, tmp_path / "a.tflite", exported.crops
        )


@pytest.mark.parametrize("with_decode", [False, True])
def test_an_int8_export_reads_and_packs_two_files(
    exported, tmp_path, monkeypatch, with_decode
):
    """Those of the converter and of the quantizer; a decoded file has one beside it.

    The finished file is read once more, for the audit in its contract. One time more of
    each is the quantizer's own.
    """
    counts = Counter()

    def count(kind, name):
        function = getattr(kind, name)

        def counted(*args):
            counts[name] += 1
            return function(*args)

        monkeypatch.setattr(kind, name, counted)

    count(schema.ModelT, "InitFromObj")
    count(schema.ModelT, "Pack")
    options = {"with_decode": with_decode}
    path = tmp_path / "a.tflite"
    export_tflite(
        exported.model, exported.contract, path, exported.crops, "int8", **options
    )
    assert counts == {"InitFromObj": 2 + 1 + 1, "Pack": 2 + 1 + with_decode}
