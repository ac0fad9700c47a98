"""Where mmpose's heatmaps agree with those of HRNet and DarkPose, and where not."""

import numpy as np
import pytest

from keras_pose.codecs import DarkHeatmapCodec, GaussianHeatmapCodec


@pytest.mark.parametrize(
    ("codec_class", "prefix"),
    [(GaussianHeatmapCodec, "msra"), (DarkHeatmapCodec, "msra_unbiased")],
)
def test_targets_are_those_of_mmpose(golden_dir, codec_class, prefix):
    golden = np.load(golden_dir / "mmpose_codecs.npz")
    codec = codec_class((256, 192))
    heatmaps, weights = codec.encode(golden["keypoints"], golden["visible"])
    expected = np.moveaxis(golden[f"{prefix}_target"], 0, -1)
    # One unit in the last place of 1.
    np.testing.assert_allclose(heatmaps[0], expected, rtol=0, atol=1.2e-7)
    np.testing.assert_array_equal(weights, golden[f"{prefix}_weights"])


def decode(golden_dir, codec):
    heatmaps = np.load(golden_dir / "decode_heatmaps.npz")["heatmaps"]
    keypoints_xy, scores = codec.decode(np.moveaxis(heatmaps, 1, -1))
    # Maps that are nowhere positive give -1 in mmpose and 0 here.
    return keypoints_xy[scores > 0], scores > 0


def test_unbiased_maps_are_decoded_as_by_mmpose(golden_dir):
    keypoints_xy, found = decode(golden_dir, DarkHeatmapCodec((256, 192)))
    expected = np.load(golden_dir / "mmpose_codecs.npz")["msra_unbiased_decoded"][found]
    np.testing.assert_allclose(keypoints_xy, expected, rtol=0, atol=1e-4)


def test_the_quarter_pixel_differs_at_the_border_only(golden_dir):
    keypoints_xy, found = decode(golden_dir, GaussianHeatmapCodec((256, 192)))
    expected = np.load(golden_dir / "mmpose_codecs.npz")["msra_decoded"][found]
    differs = keypoints_xy != expected
    # mmpose refines each axis by itself; HRNet needs both away from the border.
    column, row = (keypoints_xy[differs.any(axis=1)] / 4).T
    at_border = (column <= 1) | (column >= 47) | (row <= 1) | (row >= 63)
    assert differs.any()
    assert at_border.all()
    np.testing.assert_array_equal(np.abs(keypoints_xy - expected)[differs], 1.0)
