import numpy as np
import pytest
import tensorflow as tf
from exported_files import BGR, CODEC, INPUT_HW, SKELETON, smooth_crops, tiny_model

from keras_pose.codecs import (
    DarkHeatmapCodec,
    DecodedCodec,
    GaussianHeatmapCodec,
    RegressionCodec,
    SimccCodec,
    UdpHeatmapCodec,
    UdpOffsetCodec,
    codec_from_dict,
)
from keras_pose.contracts.pose import keras_contract, read_contract
from keras_pose.exporting.float_graph.decoding import decode_in_graph
from keras_pose.exporting.formats.table import FORMATS, export_formats
from keras_pose.exporting.formats.writing import MAX_DECODING_SHIFT
from keras_pose.modelfiles.flatbuffer import custom_ops
from keras_pose.runtime import load_model
from keras_pose.runtime.top_down_steps import predict_outputs

HW = (64, 48)
CODECS = [
    pytest.param(GaussianHeatmapCodec(HW), id="gaussian"),
    pytest.param(DarkHeatmapCodec(HW), id="dark"),
    pytest.param(DarkHeatmapCodec(HW, blur_kernel=5), id="dark_small_kernel"),
    pytest.param(UdpHeatmapCodec(HW), id="udp"),
    pytest.param(UdpHeatmapCodec(HW, blur_kernel=7, stretches=True), id="udp_stretches"),
    pytest.param(UdpOffsetCodec(HW), id="udp_offset"),
    pytest.param(SimccCodec(HW), id="simcc"),
    pytest.param(RegressionCodec(HW), id="regression"),
]


def outputs_for(codec, num_people=40, num_keypoints=5, noise=0.02):
    """What a good network gives: targets, also of people at the border, and noise."""
    rng = np.random.default_rng(0)
    points_xy = rng.uniform([-4, -4], [52, 68], size=(num_people, num_keypoints, 2))
    targets, _ = codec.encode(points_xy, np.full((num_people, num_keypoints), 2))
    return np.float32(targets + noise * rng.random(targets.shape))


@pytest.mark.parametrize("codec", CODECS)
def test_graph_decodes_as_numpy(codec):
    outputs = outputs_for(codec)

    decoded = decode_in_graph(codec, tf.constant(outputs)).numpy()

    expected_xy, expected_scores = codec.decode(outputs)
    np.testing.assert_allclose(decoded[..., :2], expected_xy, atol=MAX_DECODING_SHIFT)
    np.testing.assert_allclose(decoded[..., 2], expected_scores, atol=1e-5)


@pytest.mark.parametrize("codec", CODECS)
def test_outputs_without_a_peak_are_decoded_as_numpy_does(codec):
    outputs = np.full_like(outputs_for(codec, num_people=2), -0.5)

    decoded = decode_in_graph(codec, tf.constant(outputs)).numpy()

    expected_xy, expected_scores = codec.decode(outputs)
    np.testing.assert_allclose(decoded[..., :2], expected_xy)
    np.testing.assert_allclose(decoded[..., 2], expected_scores, rtol=1e-6)


def test_first_of_equal_maxima_wins():
    maps = np.zeros((1, 16, 12, 1), np.float32)
    maps[0, 3, 7] = maps[0, 9, 2] = 1.0  # row 3 comes first, though column 2 does too

    (((x, y, _),),) = decode_in_graph(GaussianHeatmapCodec(HW), tf.constant(maps)).numpy()
    assert (x, y) == (28, 12)


def test_codec_that_is_not_known_is_refused():
    with pytest.raises(ValueError, match="cannot be decoded in the graph"):
        decode_in_graph(DecodedCodec(HW), tf.zeros((1, 3, 3)))


@pytest.fixture(scope="module")
def decoding_files(tmp_path_factory):
    """The tiny network in some formats, each with its decoding inside, two at a time."""
    folder = tmp_path_factory.mktemp("decoding")
    names = ("float32", "int8", "int16x8", "onnx_float16", "onnx_int8")
    paths = {name: folder / f"{name}{FORMATS[name].suffix}" for name in names}
    model = tiny_model()
    contract = keras_contract(model, CODEC, SKELETON, BGR)
    export_formats(model, contract, paths, smooth_crops(12), batch=2, with_decode=True)
    return paths


@pytest.mark.parametrize(
    "name", ["float32", "int8", "int16x8", "onnx_float16", "onnx_int8"]
)
def test_file_gives_keypoints_and_runs_as_any_other(decoding_files, exported, name):
    model = load_model(decoding_files[name])
    crops = exported.crops[:3]

    keypoints = model.predict(crops)

    assert keypoints.shape == (3, SKELETON.num_keypoints, 3)
    assert model.contract.codec == DecodedCodec(INPUT_HW, decoded_by="gaussian")
    assert model.contract.output.dtype == "float32"
    if name == "float32":  # in the others an arg-max may fall to a neighbour
        expected_xy, _ = CODEC.decode(exported.heatmaps(crops))
        np.testing.assert_allclose(keypoints[..., :2], expected_xy, atol=1e-3)


def test_int8_file_computes_its_keypoints_of_its_int8_heatmaps(decoding_files, exported):
    heatmaps = load_model(exported.paths["int8"]).predict(exported.crops[:3])
    expected_xy, expected_scores = CODEC.decode(heatmaps)

    keypoints = load_model(decoding_files["int8"]).predict(exported.crops[:3])

    np.testing.assert_allclose(keypoints[..., :2], expected_xy, atol=1e-3)
    np.testing.assert_allclose(keypoints[..., 2], expected_scores, atol=1e-6)


def test_decoding_needs_builtin_ops_only(decoding_files):
    assert custom_ops(decoding_files["float32"]) == []
    assert custom_ops(decoding_files["int8"]) == []


def test_flip_test_averages_mirrored_coordinates(decoding_files, exported):
    model = load_model(decoding_files["float32"])
    crops = exported.crops[:2]

    averaged = predict_outputs(model.predict, crops, model.contract, flip_test=True)

    plain, mirrored = model.predict(crops), model.predict(crops[:, :, ::-1].copy())
    hip = plain[:, 1], mirrored[:, 2]  # left hip, and what is one in the mirror
    expected_x = (hip[0][:, 0] + INPUT_HW[1] - 1 - hip[1][:, 0]) / 2
    np.testing.assert_allclose(averaged[:, 1, 0], expected_x, rtol=1e-6)


def test_codec_travels_in_the_contract(decoding_files):
    codec = read_contract(decoding_files["int8"]).codec
    assert codec_from_dict(codec.to_dict()) == codec
    with pytest.raises(ValueError, match="networks are trained"):
        codec.encode(np.zeros((1, 2)), np.ones(1))
