"""Channels whose bias is large beside their weights, in every format with integers."""

import keras
import numpy as np
import pytest
from ai_edge_litert import schema_py_generated as schema
from exported_files import BGR, CODEC, INPUT_HW, SKELETON, smooth_crops

from keras_pose.contracts.pose import keras_contract, read_contract
from keras_pose.exporting.formats.table import export_formats, get_format
from keras_pose.modelfiles.tflite_model import TFLiteModel
from keras_pose.runtime.loading import open_model

# Weights of channels that training switched off, beside living ones.
SIZES = np.array([1.0, 1e-5, 1e-9, 1e-14, 0.0, 1.0, 1e-7, 1e-3])
BIASES = np.array([0.1, 3.0, 3.0, 3.0, 3.0, -0.1, -3.0, 2.0])


@pytest.fixture(scope="module")
def gated():
    """Two heads that share a kernel of living and dead channels."""
    keras.utils.set_random_seed(0)
    image = keras.Input((*INPUT_HW, 3), name="image")
    x = keras.layers.Conv2D(8, 3, strides=4, padding="same", name="stem")(image)
    x = keras.layers.ReLU(name="relu")(x)
    gates = keras.layers.Conv2D(8, 1, name="gates", activation="relu6")
    gates_of_means = keras.layers.GlobalAveragePooling2D(keepdims=True, name="mean")(x)
    x = keras.layers.Multiply(name="gated")([x, gates(gates_of_means)])
    x = keras.layers.Add(name="sum")([x, gates(x)])
    outputs = keras.layers.Conv2D(SKELETON.num_keypoints, 1, name="maps")(x)
    kernel, _ = gates.get_weights()
    gates.set_weights([kernel * SIZES, BIASES])
    model = keras.Model(image, outputs)
    return model, keras_contract(model, CODEC, SKELETON, BGR)


# Of squeeze-and-excite and of ReLU6.
pytestmark = pytest.mark.filterwarnings("ignore:functional.* has :UserWarning")
BOUNDS = {"int8": 0.06, "int16x8": 0.01, "dynamic": 0.03, "onnx_int8": 0.06}


@pytest.mark.parametrize("kind", BOUNDS)
def test_a_large_bias_of_tiny_weights_stays(gated, tmp_path, kind):
    crops = smooth_crops(16)
    paths = {
        "float32": tmp_path / "float32.tflite",
        kind: tmp_path / f"a{get_format(kind).suffix}",
    }
    export_formats(*gated, paths, crops)

    exact, found = (
        open_model(path, read_contract(path)).predict_all(crops)[0]
        for path in paths.values()
    )
    assert np.sqrt(np.mean((found - exact) ** 2)) < BOUNDS[kind] * exact.std()


@pytest.mark.parametrize(
    ("kind", "kept"),
    [("int8", schema.TensorType.INT32), ("int16x8", schema.TensorType.INT64)],
)
def test_biases_leave_room_in_32_bits(gated, tmp_path, kind, kept):
    path = tmp_path / "a.tflite"
    export_formats(*gated, {kind: path}, smooth_crops(16))
    model = TFLiteModel.read(path.read_bytes())
    type_of = {schema.TensorType.INT32: np.int32, schema.TensorType.INT64: np.int64}
    biases = [
        np.frombuffer(bytes(model.tables.buffers[tensor.buffer].data), type_of[kept])
        for operator in model.graph.operators
        if model.name_of_kind(operator) == "CONV_2D"
        and (tensor := model.graph.tensors[operator.inputs[2]]).type == kept
    ]
    # Half a step of rounding may stand above the limit, of 2**29.
    assert biases
    assert max(np.abs(each).max() for each in biases) < 2**30
