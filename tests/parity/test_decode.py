"""Targets, decoding and flip test equal those of the HRNet code."""

from pathlib import Path

import numpy as np
import pytest

from keras_pose.codecs import GaussianHeatmapCodec
from keras_pose.skeleton import COCO_17, MPII_16

GOLDEN = Path(__file__).resolve().parents[1] / "golden"
CODEC = GaussianHeatmapCodec((256, 192))


def load(name):
    """Reads a fixture; its maps are (..., K, H, W), as PyTorch has them."""
    return np.load(GOLDEN / f"{name}.npz")


def channels_last(maps):
    return np.moveaxis(maps, -3, -1)


@pytest.fixture(scope="module")
def decoded():
    return CODEC.decode(channels_last(load("decode_heatmaps")["heatmaps"]))


def test_keypoints_equal_the_quarter_pixel_rule(decoded):
    expected = load("decode_hrnet")["quarter_coords"] * CODEC.stride
    np.testing.assert_array_equal(decoded[0], expected)


def test_scores_are_the_maxima(decoded):
    np.testing.assert_array_equal(decoded[1], load("decode_hrnet")["maxvals"][..., 0])


@pytest.mark.parametrize(
    ("name", "skeleton"), [("decode_flip_coco", COCO_17), ("decode_flip_mpii", MPII_16)]
)
def test_flip_back_and_average(name, skeleton):
    golden = load(name)

    back = CODEC.flip_back(
        channels_last(golden["output_flipped"]), skeleton.mirror_permutation
    )

    np.testing.assert_array_equal(back, channels_last(golden["flipped_back_shifted"]))
    averaged = (channels_last(golden["output"]) + back) * np.float32(0.5)
    np.testing.assert_array_equal(averaged, channels_last(golden["averaged_shifted"]))


@pytest.fixture(params=["target_hrnet_s256x192", "target_hrnet_s384x288"])
def target(request):
    golden = load(request.param)
    codec = GaussianHeatmapCodec(
        tuple(golden["image_size"][::-1].tolist()), sigma=float(golden["sigma"])
    )
    return golden, codec


def encode_numpy(codec, keypoints_xy, visibility):
    return codec.encode(keypoints_xy, visibility)


def encode_tensorflow(codec, keypoints_xy, visibility):
    import tensorflow as tf

    values = (tf.constant(keypoints_xy, tf.float32), tf.constant(visibility))
    return [tensor.numpy() for tensor in codec.encode_tf(*values)]


def encode_in_tf_data(codec, keypoints_xy, visibility):
    import tensorflow as tf

    values = (keypoints_xy.astype(np.float32)[None], visibility[None])
    dataset = tf.data.Dataset.from_tensor_slices(values).map(codec.encode_tf)
    return [tensor.numpy() for tensor in next(iter(dataset))]


@pytest.mark.parametrize("encode", [encode_numpy, encode_tensorflow, encode_in_tf_data])
def test_targets_equal_generate_target(target, encode):
    golden, codec = target

    heatmaps, weights = encode(codec, golden["joints"][:, :2], golden["joints_vis"][:, 0])

    np.testing.assert_array_equal(weights, golden["target_weight"][:, 0])
    expected = channels_last(golden["target"])
    # float32 exp of TensorFlow and NumPy: two units in the last place of 1.
    np.testing.assert_allclose(heatmaps, expected, rtol=0, atol=2.4e-7)
