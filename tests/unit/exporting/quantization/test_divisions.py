import keras
import numpy as np
import pytest
from ai_edge_litert import schema_py_generated as schema
from exported_files import BGR, CODEC, INPUT_HW, SKELETON, smooth_crops

from keras_pose.contracts.pose import keras_contract, read_contract
from keras_pose.exporting.formats.table import export_formats
from keras_pose.exporting.formats.tflite_export import float_tflite_model
from keras_pose.exporting.quantization.divisions import division_ops
from keras_pose.modelfiles.flatbuffer import float_ops
from keras_pose.modelfiles.tflite_model import TFLiteModel
from keras_pose.models.own_layers import ScaleNorm
from keras_pose.runtime.loading import open_model

HEIGHT, WIDTH = (size // 8 for size in INPUT_HW)


@pytest.fixture(scope="module")
def normed():
    """A network whose norm divides by next to nothing where a crop is dark."""
    keras.utils.set_random_seed(0)
    image = keras.Input((*INPUT_HW, 3), name="image")
    x = keras.layers.Conv2D(8, 3, strides=8, padding="same", name="conv")(image)
    x = keras.layers.ReLU(name="relu")(x)
    x = keras.layers.Reshape((HEIGHT * WIDTH, 8), name="tokens")(x)
    x = keras.layers.Dense(8, name="dense")(ScaleNorm(name="norm")(x))
    x = keras.layers.Reshape((HEIGHT, WIDTH, 8), name="map")(x)
    x = keras.layers.UpSampling2D(2, name="up")(x)
    model = keras.Model(image, keras.layers.Conv2D(SKELETON.num_keypoints, 1)(x))
    kernel = np.full((3, 3, 3, 8), 0.05, np.float32)
    model.get_layer("conv").set_weights([kernel, np.linspace(-0.5, 0.2, 8)])
    return model, keras_contract(model, CODEC, SKELETON, BGR)


def test_a_norm_is_a_division_and_what_makes_its_divisor(normed):
    model = float_tflite_model(*normed)
    names = model.computed_names()
    makers = {names[int(each.outputs[0])]: each for each in model.graph.operators}
    found = [model.kind_of(makers[name]) for name in division_ops(model)]
    kinds = schema.BuiltinOperator
    assert found == [kinds.MUL, kinds.MEAN, kinds.SQRT, kinds.MAXIMUM, kinds.DIV]


def test_networks_without_divisions_have_none(exported):
    assert division_ops(TFLiteModel.read(exported.paths["float32"].read_bytes())) == []


@pytest.mark.parametrize("kind", ["int8", "int8_per_tensor"])
def test_int8_runs_where_a_norm_is_nothing(normed, tmp_path, kind):
    path = tmp_path / "a.tflite"
    export_formats(*normed, {kind: path}, smooth_crops(8))

    dark = np.zeros((*INPUT_HW, 3), np.uint8)
    found = open_model(path, read_contract(path)).predict_all(dark[None])[0]
    assert np.isfinite(found).all()
    assert set(float_ops(path)) >= {"DIV", "SQRT"}
