import keras
import numpy as np
import pytest
from ai_edge_litert import schema_py_generated as schema
from exported_files import (
    BGR,
    CODEC,
    INPUT_HW,
    SKELETON,
    num_per_channel_weights,
    tiny_model,
)

from keras_pose.contracts.pose import keras_contract
from keras_pose.exporting.formats.tflite_export import float_tflite_model
from keras_pose.exporting.quantization.forced_ranges import int8_ranges
from keras_pose.exporting.quantization.measured_ranges import RangeRule
from keras_pose.exporting.quantization.tflite_quantizing import (
    QuantizationSettings,
    collect_ranges,
    quantizable_ops,
    quantize,
)
from keras_pose.modelfiles.flatbuffer import float_ops, op_counts
from keras_pose.models.own_layers import ChannelSlice
from keras_pose.runtime.litert_backend import LiteRTBackend

INT8 = QuantizationSettings("int8")


@pytest.fixture(scope="module")
def float_model():
    model = tiny_model()
    contract = keras_contract(model, CODEC, SKELETON, BGR)
    return float_tflite_model(model, contract)


@pytest.fixture(scope="module")
def collector(float_model, exported):
    return collect_ranges(float_model, exported.crops)


def write(converted, folder, name="a.tflite"):
    path = folder / name
    path.write_bytes(converted.to_bytes())
    return path


def test_batch_norm_is_folded_into_the_convolution_before_it(exported):
    # The normalisation, two convolutions and the stack; nothing else multiplies or adds.
    counts = op_counts(exported.paths["float32"])
    assert counts == {"CAST": 1, "CONV_2D": 4}


def test_ops_are_called_by_their_layers_in_order(float_model):
    names = quantizable_ops(float_model)
    assert len(names) == 4
    assert "re_lu" in names[1]
    assert "bn" in names[1]


def test_named_ops_stay_float_and_the_others_do_not(float_model, collector, tmp_path):
    name = quantizable_ops(float_model)[1]

    path = write(quantize(float_model, None, INT8, [name], collector), tmp_path)

    assert float_ops(path)["CONV_2D"] == 1
    assert op_counts(path)["CONV_2D"] == 4


def test_unknown_names_are_refused(float_model, collector):
    with pytest.raises(ValueError, match=r"these are none: \['no_such_op'\]"):
        quantize(float_model, None, INT8, ["no_such_op"], collector)


def test_litert_quantizer_still_leaves_operators_of_the_zoo_in_float():
    # Once it takes them, `make_integer_operators` has less to do: docs/export.md.
    from litert_quantizer.qtyping import TFLOperationName

    known = {operation.value for operation in TFLOperationName}
    assert {"CONV_2D", "SPACE_TO_DEPTH"} <= known
    left = {"PRELU", "LEAKY_RELU", "ELU", "RELU6", "SPLIT_V", "TILE", "DEPTH_TO_SPACE"}
    assert not known & left


def left_in_float(name):
    """Makes a network with an operator that litert-quantizer leaves in float."""
    image = keras.Input((*INPUT_HW, 3), name="image")
    strides = 8 if name == "TILE" else 4
    x = keras.layers.Conv2D(2, 3, strides=strides, padding="same", name="conv")(image)
    both = keras.layers.Conv2D(2, 1, name="other")(x)
    both = keras.layers.Concatenate(name="both")([x, both])
    slopes = keras.initializers.Constant([0.1, -0.3, 0.25, 0.5])
    layer = {
        "PRELU": keras.layers.PReLU(slopes, shared_axes=(1, 2), name="op"),
        "LEAKY_RELU": keras.layers.LeakyReLU(0.2, name="op"),
        "ELU": keras.layers.ELU(name="op"),
        "RELU6": keras.layers.ReLU(6.0, name="op"),
        "TILE": keras.layers.UpSampling2D(2, name="op"),
    }[name]
    x = layer(both)
    # Read twice, at two scales.
    larger = keras.layers.Conv2D(4, 1, name="larger")(x)
    joined = keras.layers.Concatenate(name="joined")([x, larger])
    first = keras.layers.Conv2D(3, 1, name="first")(x)
    last = keras.layers.Conv2D(3, 1, name="last")(joined)
    model = keras.Model(image, keras.layers.Add(name="end")([first, last]))
    return float_tflite_model(model, keras_contract(model, CODEC, SKELETON, BGR))


@pytest.mark.parametrize("name", ["PRELU", "LEAKY_RELU", "ELU", "RELU6", "TILE"])
def test_what_litert_quantizer_leaves_in_float_has_integers(name, exported, tmp_path):
    keras.utils.set_random_seed(0)
    converted = left_in_float(name)
    path = write(quantize(converted, exported.crops, INT8), tmp_path)
    kinds = {"TILE", "DEPTH_TO_SPACE", "CONCATENATION"} if name == "TILE" else {name}
    assert kinds & op_counts(path).keys()
    assert not float_ops(path)
    # The pixels; nothing is brought to another scale.
    assert op_counts(path)["QUANTIZE"] == 1
    assert_close(path, write(converted, tmp_path, "float.tflite"), exported.crops)


def test_two_in_a_row_that_litert_quantizer_leaves_in_float_have_integers(
    exported, tmp_path
):
    keras.utils.set_random_seed(0)
    image = keras.Input((*INPUT_HW, 3), name="image")
    x = keras.layers.Conv2D(4, 3, strides=8, padding="same", name="conv")(image)
    x = keras.layers.UpSampling2D(2, name="up")(x)
    x = keras.layers.LeakyReLU(0.2, name="leaky")(x)
    model = keras.Model(image, keras.layers.Conv2D(3, 1, name="last")(x))
    converted = float_tflite_model(model, keras_contract(model, CODEC, SKELETON, BGR))
    path = write(quantize(converted, exported.crops, INT8), tmp_path)
    assert not float_ops(path)
    assert op_counts(path)["QUANTIZE"] == 1
    assert_close(path, write(converted, tmp_path, "float.tflite"), exported.crops)


def test_what_is_meant_to_be_float_stays_float_beside_integers(exported, tmp_path):
    keras.utils.set_random_seed(0)
    converted = left_in_float("PRELU")
    (name,) = [name for name in quantizable_ops(converted) if "/op" in name]
    path = write(quantize(converted, exported.crops, INT8, [name]), tmp_path)
    assert float_ops(path)["PRELU"] == 1


def test_unknown_quantization_is_refused(float_model):
    with pytest.raises(ValueError, match="Unknown quantization 'int2'"):
        quantize(float_model, None, QuantizationSettings("int2"))


@pytest.mark.parametrize(
    "crops",
    [
        pytest.param(np.zeros((0, *INPUT_HW, 3), np.uint8), id="none"),
        pytest.param(np.zeros((3, 24, 32, 3), np.uint8), id="sides_exchanged"),
        pytest.param(np.zeros((3, *INPUT_HW, 3), np.float32), id="normalised"),
    ],
)
def test_crops_that_do_not_fit_are_refused(float_model, crops):
    with pytest.raises(ValueError, match=r"at least 1 crop, \(N, 32, 24, 3\) uint8, got"):
        quantize(float_model, crops, INT8)


def test_per_tensor_weights_have_one_scale(exported):
    assert num_per_channel_weights(exported.paths["int8_per_tensor"]) == 0
    assert not float_ops(exported.paths["int8_per_tensor"])


def test_int16x8_sums_of_powers_of_two_run(tmp_path):
    """LiteRT has kernels of its own for such steps, which refuse these sums."""
    image = keras.Input((*INPUT_HW, 3), name="image")
    x = keras.layers.Conv2D(4, 3, strides=4, padding="same", name="x")(image)
    y = keras.layers.Conv2D(4, 3, strides=4, padding="same", name="y")(image)
    total = keras.layers.Add(name="total")([x, y])
    model = keras.Model(image, keras.layers.Conv2D(3, 1, name="last")(total))
    content = float_tflite_model(model, keras_contract(model, CODEC, SKELETON, BGR))
    x_name, y_name, total_name, _ = quantizable_ops(content)[-4:]
    known = {
        name: (-32767 * step, 32767 * step)
        for name, step in ((x_name, 2**-10), (y_name, 2**-12), (total_name, 2**-11))
    }
    crops = np.zeros((2, *INPUT_HW, 3), np.uint8)
    int16x8 = QuantizationSettings("int16x8")
    path = write(quantize(content, crops, int16x8, known_ranges=known), tmp_path)
    assert LiteRTBackend(path).run(crops[:1]).shape == (1, *CODEC.heatmap_hw, 3)


def test_int16x8_keeps_activations_in_16_bits_and_convolves_in_integers(exported):
    assert "CONV_2D" not in float_ops(exported.paths["int16x8"])
    assert LiteRTBackend(exported.paths["int16x8"]).output.dtype == "int16"


def test_known_ranges_go_before_measured_ones(float_model, collector):
    name = quantizable_ops(float_model)[1]

    int8 = quantize(
        float_model, None, INT8, (), collector, known_ranges={name: (0.0, 51.0)}
    )

    (index,) = (i for i, each in int8.computed_names().items() if each == name)
    assert int8.graph.tensors[index].quantization.scale == pytest.approx(51 / 255)


def test_heatmaps_use_the_whole_range_of_their_integers(float_model, exported, tmp_path):
    """Whatever the method: peaks that are clipped would become plateaus."""
    settings = QuantizationSettings("int8", RangeRule("percentile", 99.0), keeps_peaks=True)
    path = write(quantize(float_model, exported.crops, settings), tmp_path)

    output = LiteRTBackend(path).output
    heatmaps = exported.heatmaps(exported.crops)
    # Half a step either way, since 0 must be an integer.
    highest, lowest = output.to_real([127, -128])
    assert highest == pytest.approx(heatmaps.max(), abs=output.scale)
    assert np.quantile(heatmaps, 0.001) < lowest < 0


def test_integers_cover_the_outputs_of_all_other_networks_too(float_model, collector):
    (index,) = float_model.outputs.values()
    low, high = collector.extremes[float_model.computed_names()[index]]
    int8 = quantize(float_model, None, QuantizationSettings("int8"), (), collector)
    (index,) = int8.outputs.values()
    quantization = int8.graph.tensors[index].quantization
    assert quantization.scale * 255 == pytest.approx(high - low, rel=1e-5)


def test_slices_and_what_is_repeated_of_them_have_the_range_of_what_they_are_cut_from(
    exported,
):
    # As where Lite-HRNet weighs its resolutions.
    image = keras.Input((*INPUT_HW, 3), name="image")
    weigh = keras.layers.Conv2D(8, 3, strides=8, padding="same", name="weigh")
    both = weigh(image)
    kernel, bias = weigh.get_weights()
    weigh.set_weights([kernel * [2, 2, 2, 2, 1, 1, 1, 1], bias])
    small = keras.layers.UpSampling2D(2, name="up")(ChannelSlice(4, 8, name="cut")(both))
    model = keras.Model(image, keras.layers.Conv2D(3, 1, name="last")(small))
    converted = float_tflite_model(model, keras_contract(model, CODEC, SKELETON, BGR))

    measured = collect_ranges(converted, exported.crops).extremes
    ranges = int8_ranges(converted, measured)

    cut = {name for name in measured if "strided_slice" in name}
    moved = {name for name in measured if "/up" in name}
    (source,) = (name for name in measured if "/weigh" in name)
    assert cut
    assert moved
    assert {ranges[name] for name in moved | cut} == {measured[source]}
    assert measured[source] not in {measured[name] for name in moved}
    others = measured.keys() - (moved | cut)
    assert all(ranges[name] == measured[name] for name in others)


def shuffled_halves():
    """A module of PP-TinyPose: halves joined again and shuffled, and their source padded.

    The half that is worked on reaches three times as far as what it is cut from.
    """
    image = keras.Input((*INPUT_HW, 3), name="image")
    conv = keras.layers.Conv2D(8, 3, strides=2, padding="same", name="conv")
    x = keras.layers.ReLU(name="source")(conv(image))
    first = ChannelSlice(0, 4, name="first")(x)
    second = ChannelSlice(4, 8, name="second")(x)
    worked = keras.layers.Conv2D(4, 1, activation="relu", name="worked")(second)
    joined = keras.layers.Concatenate(name="joined")([first, worked])
    padded = keras.layers.ZeroPadding2D(1, name="padded")(x)
    down = keras.layers.DepthwiseConv2D(3, strides=2, name="down")(padded)
    same = keras.layers.DepthwiseConv2D(3, strides=2, padding="same", name="same")(joined)
    both = keras.layers.Add(name="both")([down, same])
    model = keras.Model(image, keras.layers.Conv2D(3, 1, name="last")(both))
    worked = model.get_layer("worked")
    worked.set_weights([3 * np.eye(4)[None, None], np.zeros(4)])
    return float_tflite_model(model, keras_contract(model, CODEC, SKELETON, BGR))


def test_halves_and_what_they_are_joined_to_share_the_widest_range(exported):
    converted = shuffled_halves()
    measured = collect_ranges(converted, exported.crops).extremes
    ranges = int8_ranges(converted, measured)

    (source,) = (name for name in measured if "/source" in name)
    (joined,) = (name for name in measured if "/joined" in name)
    assert measured[joined][1] > measured[source][1]
    assert ranges[source] == ranges[joined] == measured[joined]


def test_what_is_padded_beside_halves_stays_in_integers(exported, tmp_path):
    converted = shuffled_halves()
    path = write(quantize(converted, exported.crops, INT8), tmp_path)
    counts = op_counts(path)
    assert counts["PAD"] == 1
    assert "DEQUANTIZE" not in counts
    assert_close(path, write(converted, tmp_path, "float.tflite"), exported.crops)


@pytest.fixture(scope="module")
def weighed(exported):
    """Halves that weigh each other, as at Lite-HRNet's lowest resolution: its content."""
    image = keras.Input((*INPUT_HW, 3), name="image")
    x = keras.layers.Conv2D(8, 3, strides=4, padding="same", name="conv")(image)
    first = ChannelSlice(0, 4, name="first")(x)
    second = ChannelSlice(4, 8, name="second")(x)
    both = keras.layers.Concatenate(name="both")([first, second])
    shares = keras.layers.Conv2D(8, 1, activation="sigmoid", name="shares")(both)
    weights = ChannelSlice(4, 8, name="weights")(shares)
    weighed = keras.layers.Multiply(name="weighed")([second, weights])
    joined = keras.layers.Concatenate(name="joined")([first, weighed])
    model = keras.Model(image, keras.layers.Conv2D(3, 1, name="last")(joined))
    return float_tflite_model(model, keras_contract(model, CODEC, SKELETON, BGR))


def test_products_of_what_is_cut_out_are_products_of_integers(weighed, exported, tmp_path):
    path = write(quantize(weighed, exported.crops, INT8), tmp_path)
    counts = op_counts(path)
    assert counts["MUL"] == 1
    # The pixels; nothing is brought to another scale, nor into float and back.
    assert counts["QUANTIZE"] == 1
    assert "DEQUANTIZE" not in counts
    assert_close(path, write(weighed, tmp_path, "float.tflite"), exported.crops)


def test_operators_are_called_as_the_float_ones(exported):
    converted = left_in_float("PRELU")
    (name,) = [name for name in quantizable_ops(converted) if "/op" in name]
    int8 = quantize(converted, exported.crops, INT8)
    (index,) = (i for i, each in int8.computed_names().items() if each == name)
    assert int8.graph.tensors[index].type == schema.TensorType.INT8


def test_products_that_are_meant_to_be_float_stay_float(weighed, exported, tmp_path):
    (name,) = [name for name in quantizable_ops(weighed) if "weighed" in name]
    path = write(quantize(weighed, exported.crops, INT8, [name]), tmp_path)
    assert op_counts(path)["DEQUANTIZE"] == 2
    assert float_ops(path)["MUL"] == 1
    assert_close(path, write(weighed, tmp_path, "float.tflite"), exported.crops)


def assert_close(path, float_path, crops):
    backend = LiteRTBackend(path)
    scale, zero_point = backend.output.scale, backend.output.zero_point
    found = scale * (backend.run(crops[:1]).astype(float) - zero_point)
    expected = LiteRTBackend(float_path).run(crops[:1])
    assert np.abs(found - expected).max() < 0.05 * np.ptp(expected)
