"""UDP's crops, targets and decoding against mmpose and the authors' code."""

import numpy as np
import pytest

from keras_pose.codecs import UdpHeatmapCodec, UdpOffsetCodec
from keras_pose.pictures.geometry import crop_matrix, invert_matrix, transform_points
from keras_pose.skeleton import COCO_17

CODEC = UdpHeatmapCodec((256, 192))
AUTHORS_CODEC = UdpHeatmapCodec((256, 192), blur_kernel=7, stretches=True)
OFFSET_CODEC = UdpOffsetCodec((256, 192))
# mmpose's "combined" type: 0.0546875 of 64, and offsets as they are.
COMBINED_CODEC = UdpOffsetCodec(
    (256, 192), radius=3.5, blur_kernel=23, offset_blur_kernel=1
)
# mmpose decodes to x / (W - 1) * w where we have x / (W - 1) * (w - 1).
FROM_MMPOSE = np.array([191 / 192, 255 / 256])
SCALE_UNIT = 200
# The reference computes in float32, up to some hundred pixels.
FLOAT32_PIXELS = 1e-4


@pytest.fixture
def load(golden_dir):
    return lambda name: np.load(golden_dir / f"{name}.npz")


def channels_last(maps):
    return np.moveaxis(maps, -3, -1)


def check_unbiased(matrix, center, size_wh, output_wh, angle):
    """Compares a matrix row by row: the fixtures' crops have any aspect, ours do not."""
    width, height = output_wh
    by_width, by_height = (
        crop_matrix(center, crop_width, (height, width), -angle, is_unbiased=True)
        for crop_width in (size_wh[0], size_wh[1] * width / height)
    )
    # float32 matrices; shifts of some hundred pixels.
    np.testing.assert_allclose(by_width[0], matrix[0], rtol=1e-5, atol=1e-3)
    np.testing.assert_allclose(by_height[1], matrix[1], rtol=1e-5, atol=1e-3)


def test_crops_are_cut_as_by_mmpose(load):
    golden = load("affine_mmpose")
    cases = zip(
        *(golden[k] for k in ("center", "scale_pixels", "output_size", "rot")), strict=True
    )
    for matrix, (center, size_wh, output_wh, angle) in zip(
        golden["udp_warp"], cases, strict=True
    ):
        check_unbiased(matrix, center, size_wh, output_wh, angle)


def test_crops_are_cut_as_by_the_authors(load):
    golden = load("udp_warp")
    for i, inverse in enumerate(golden["inverse_matrix"]):
        # They take twice the centre for the image's size, and the size less one.
        check_unbiased(
            invert_matrix(inverse.astype(np.float64)),
            golden["center"][i],
            golden["scale"][i] * SCALE_UNIT,
            golden["image_size"][i],
            golden["rot"][i],
        )


def test_crops_of_the_right_aspect_equal_mmpose_altogether(load):
    golden = load("rtmpose_codec")
    for matrix, center, size_wh in zip(
        golden["warp_udp"], golden["centers"], golden["scales"], strict=True
    ):
        ours = crop_matrix(center, size_wh[0], (256, 192), is_unbiased=True)
        np.testing.assert_allclose(ours, matrix, rtol=1e-5, atol=1e-3)


def test_heatmap_pixels_go_back_to_the_image_as_transform_preds_has_it(load):
    golden = load("udp_warp")
    for coords, center, scale, expected in zip(
        *(golden[f"tp_{name}"] for name in ("coords", "center", "scale", "out")),
        strict=True,
    ):
        matrix = crop_matrix(center, scale[0] * SCALE_UNIT, (256, 192), is_unbiased=True)
        points = transform_points(invert_matrix(matrix), coords * CODEC.pixel_xy)
        np.testing.assert_allclose(points, expected, rtol=0, atol=1e-3)


def test_gaussians_are_those_of_mmpose(load):
    golden = load("mmpose_codecs")
    heatmaps, weights = CODEC.encode(golden["keypoints"], golden["visible"])
    expected = channels_last(golden["udp_target"])
    np.testing.assert_allclose(heatmaps[0], expected, rtol=0, atol=1e-6)
    np.testing.assert_array_equal(weights, golden["udp_weights"])


def test_gaussians_are_those_of_the_authors(load):
    golden = load("udp_target")
    labels = golden["joints"][:, :2], golden["joints_vis"][:, 0]
    heatmaps, weights = CODEC.encode(*labels)
    expected = channels_last(golden["target_gaussian"])
    np.testing.assert_allclose(heatmaps, expected, rtol=0, atol=1e-6)
    np.testing.assert_array_equal(weights, golden["weight_gaussian"][:, 0])


def test_gaussians_are_decoded_as_by_mmpose(load):
    golden = load("mmpose_codecs")
    heatmaps = channels_last(load("decode_heatmaps")["heatmaps"])

    keypoints_xy, scores = CODEC.decode(heatmaps)

    np.testing.assert_array_equal(scores, golden["udp_scores"])
    # Maps that are nowhere positive give no coordinates in mmpose, and 0 here.
    found = scores > 0
    expected = (golden["udp_decoded"] * FROM_MMPOSE)[found]
    np.testing.assert_allclose(keypoints_xy[found], expected, rtol=0, atol=FLOAT32_PIXELS)
    assert not keypoints_xy[~found].any()


def test_gaussians_are_decoded_as_by_the_authors(load):
    golden = load("udp_decode_gaussian")
    heatmaps = channels_last(load("decode_heatmaps")["heatmaps"])

    keypoints_xy, scores = AUTHORS_CODEC.decode(heatmaps)

    np.testing.assert_array_equal(scores, golden["maxvals"][..., 0])
    found = scores > 0
    expected = golden["preds_in_input_space"][found]
    np.testing.assert_allclose(keypoints_xy[found], expected, rtol=0, atol=FLOAT32_PIXELS)


def test_offsets_are_those_of_the_authors(load):
    golden = load("udp_target")
    labels = golden["joints"][:, :2], golden["joints_vis"][:, 0]
    maps, weights = OFFSET_CODEC.encode(*labels)
    expected = channels_last(golden["target_offset"])
    np.testing.assert_allclose(maps, expected, rtol=0, atol=1e-6)
    np.testing.assert_array_equal(weights, golden["weight_offset"][:, 0])


def test_offsets_are_decoded_as_by_the_authors(load):
    golden = load("udp_decode_offset")
    keypoints_xy, scores = OFFSET_CODEC.decode(channels_last(golden["output"]))
    expected = golden["coords"] * OFFSET_CODEC.pixel_xy
    np.testing.assert_allclose(keypoints_xy, expected, rtol=0, atol=FLOAT32_PIXELS)
    np.testing.assert_array_equal(scores, golden["maxvals"][..., 0])


def test_offsets_are_those_of_mmpose_within_the_discs(load):
    golden = load("udp_mmpose_combined")
    maps, weights = COMBINED_CODEC.encode(golden["keypoints"], golden["visible"])
    discs, *offsets = np.moveaxis(maps[0, ..., :9].reshape(64, 48, 3, 3), -1, 0)
    expected = channels_last(golden["target_sample"]).reshape(64, 48, 3, 3)
    np.testing.assert_array_equal(discs, expected[..., 0])
    for axis, offset in enumerate(offsets, start=1):
        # Beyond the discs, where no loss looks, mmpose does not set offsets to 0.
        inside = expected[..., axis] * discs
        np.testing.assert_allclose(offset, inside, rtol=0, atol=1e-6)
    np.testing.assert_array_equal(weights, golden["weights"])


def test_offsets_are_decoded_as_by_mmpose(load):
    golden = load("udp_mmpose_combined")
    keypoints_xy, scores = COMBINED_CODEC.decode(channels_last(golden["noisy_output"]))
    expected = golden["decoded"][0] * FROM_MMPOSE
    np.testing.assert_allclose(keypoints_xy, expected, rtol=0, atol=FLOAT32_PIXELS)
    np.testing.assert_array_equal(scores, golden["scores"][0])


def test_offsets_are_mirrored_as_by_the_authors(load):
    golden = load("udp_flip_offset")
    back = OFFSET_CODEC.flip_back(
        channels_last(golden["output_flipped"]), COCO_17.mirror_permutation
    )
    np.testing.assert_array_equal(back, channels_last(golden["flipped_back"]))
