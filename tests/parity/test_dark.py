"""The DARK codec against the stored outputs of the DarkPose code."""

import numpy as np
import pytest
import tensorflow as tf

from keras_pose.codecs import DarkHeatmapCodec, codec_from_dict

CODEC = DarkHeatmapCodec((256, 192))


def test_targets_are_those_of_darkpose(golden_dir):
    golden = np.load(golden_dir / "dark_target.npz")
    points = golden["joints_heatmap_coords"][:, :2] * 4
    visibility = golden["joints_vis"][:, 0]
    codec = DarkHeatmapCodec((256, 192), sigma=float(golden["sigma"]))

    heatmaps, weights = codec.encode(points, visibility)

    # The reference draws in float32.
    np.testing.assert_allclose(heatmaps.transpose(2, 0, 1), golden["target"], atol=1e-5)
    np.testing.assert_array_equal(weights, golden["target_weight"].ravel())


@pytest.mark.parametrize("kernel", [11, 7, 3])
def test_decoding_is_that_of_darkpose(golden_dir, kernel):
    golden = np.load(golden_dir / "dark_decode.npz")
    heatmaps = np.load(golden_dir / "decode_heatmaps.npz")["heatmaps"]
    codec = DarkHeatmapCodec((256, 192), blur_kernel=kernel)

    xy, scores = codec.decode(heatmaps.transpose(0, 2, 3, 1))

    finite = golden[f"blur_finite_k{kernel}"]
    expected = golden[f"refined_k{kernel}"]
    # Ours is double precision; theirs float32 of logarithms, divided by curvature.
    np.testing.assert_allclose(xy[finite] / 4, expected[finite], atol=2e-3)
    np.testing.assert_array_equal(scores, golden["maxvals"][..., 0])


def test_decode_inverts_encode():
    expected = np.random.default_rng(0).uniform([16, 16], [170, 236], (40, 17, 2))
    heatmaps, _ = CODEC.encode(expected, np.full((40, 17), 2))
    decoded, _ = CODEC.decode(heatmaps)
    # A smoothed Gaussian is a Gaussian; what is left is the kernel's cut-off.
    np.testing.assert_allclose(decoded, expected, atol=0.05)


def test_the_tensorflow_twin_is_equal():
    points = np.random.default_rng(1).uniform(-30, 290, (20, 17, 2)).astype("float32")
    visibility = np.random.default_rng(2).integers(0, 3, (20, 17))
    expected, expected_weights = CODEC.encode(points, visibility)
    heatmaps, weights = tf.function(CODEC.encode_tf)(points, visibility)
    np.testing.assert_allclose(heatmaps, expected, atol=1e-5)
    np.testing.assert_array_equal(weights, expected_weights)


def test_maps_without_a_peak_decode_to_zero():
    xy, scores = CODEC.decode(np.zeros((1, 64, 48, 2), np.float32))
    assert not xy.any()
    assert not scores.any()


def test_it_survives_the_contract():
    assert codec_from_dict(CODEC.to_dict()) == CODEC


def test_an_even_kernel_is_refused():
    with pytest.raises(ValueError, match="blur_kernel must be odd, got 4"):
        DarkHeatmapCodec((64, 64), blur_kernel=4)
