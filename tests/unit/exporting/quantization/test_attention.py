import keras
import pytest
from exported_files import BGR, CODEC, INPUT_HW, SKELETON, smooth_crops

from keras_pose.contracts.pose import keras_contract, read_contract
from keras_pose.exporting.formats.table import export_formats
from keras_pose.exporting.formats.tflite_export import float_tflite_model
from keras_pose.exporting.quantization.attention import attention_ops
from keras_pose.modelfiles.flatbuffer import float_ops, op_counts
from keras_pose.modelfiles.tflite_model import TFLiteModel
from keras_pose.models.own_layers import GatedAttention, SelfAttention

HEIGHT, WIDTH = (size // 8 for size in INPUT_HW)


def network(attend, channels):
    """Two blocks of attention over all places of a map."""
    image = keras.Input((*INPUT_HW, 3), name="image")
    x = keras.layers.Conv2D(8, 3, strides=8, padding="same", name="conv")(image)
    x = keras.layers.Reshape((HEIGHT * WIDTH, 8), name="tokens")(x)
    for block in range(2):
        y = keras.layers.Dense(channels, name=f"qkv{block}")(x)
        y = keras.layers.Dense(8, name=f"project{block}")(attend(f"attention{block}")(y))
        x = keras.layers.Add(name=f"add{block}")([x, y])
    x = keras.layers.Reshape((HEIGHT, WIDTH, 8), name="map")(x)
    x = keras.layers.UpSampling2D(2, name="up")(x)
    return keras.Model(image, keras.layers.Conv2D(SKELETON.num_keypoints, 1)(x))


@pytest.fixture(scope="module")
def transformer():
    keras.utils.set_random_seed(0)
    model = network(lambda name: SelfAttention(2, name=name), 24)
    return model, keras_contract(model, CODEC, SKELETON, BGR)


def test_attention_is_the_products_and_what_lies_between_them(transformer):
    names = attention_ops(float_tflite_model(*transformer))
    assert [name.rpartition("/")[2] for name in names] == 2 * [
        "MatMul",
        "mul",
        "Softmax",
        "MatMul_1",
    ]
    assert [f"attention{i // 4}" in name for i, name in enumerate(names)] == 8 * [True]


def test_gated_attention_is_attention_too():
    keras.utils.set_random_seed(0)
    model = network(lambda name: GatedAttention(8, 4, name=name), 20)
    contract = keras_contract(model, CODEC, SKELETON, BGR)
    names = attention_ops(float_tflite_model(model, contract))
    assert sum("MatMul" in name for name in names) == 4
    assert not any("qkv" in name or "project" in name for name in names)


def test_products_with_weights_are_no_attention(exported):
    assert attention_ops(TFLiteModel.read(exported.paths["float32"].read_bytes())) == []


@pytest.mark.parametrize("integers_only", [False, True])
def test_int8_files_compute_attention_in_float_unless_told(
    transformer, integers_only, tmp_path
):
    paths = {name: tmp_path / f"{name}.tflite" for name in ("int8", "int8_per_tensor")}
    export_formats(*transformer, paths, smooth_crops(12), integers_only=integers_only)

    counted = float_ops(paths["int8"])
    named = read_contract(paths["int8"]).float_operators
    if integers_only:
        assert (dict(counted), named) == ({}, ())
    else:
        assert (counted["BATCH_MATMUL"], counted["SOFTMAX"], len(named)) == (4, 2, 8)
        # All that has weights of its own is integer.
        assert not {"CONV_2D", "FULLY_CONNECTED", "ADD"} & set(counted)
    # For processors that know no floats.
    assert not float_ops(paths["int8_per_tensor"])
    assert read_contract(paths["int8_per_tensor"]).float_operators == ()
    assert op_counts(paths["int8"])["BATCH_MATMUL"] == 4
