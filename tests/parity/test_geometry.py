"""Crops, affine maps and warps equal those of the HRNet code and of OpenCV."""

from pathlib import Path

import numpy as np
import pytest

from keras_pose.codecs import GaussianHeatmapCodec
from keras_pose.pictures.geometry import (
    box_to_crop,
    crop_matrix,
    invert_matrix,
    transform_points,
    warp_image,
)

GOLDEN = Path(__file__).resolve().parents[1] / "golden"
# The reference code measures crops in units of 200 pixels ("scale").
SCALE_UNIT = 200
# It also holds centres and scales in float32: 2^-24 relative, of up to some
# thousand pixels, a few roundings deep.
FLOAT32_PIXELS = 1e-3


def load(name):
    return np.load(GOLDEN / f"{name}.npz")


@pytest.mark.parametrize("input_hw", [(256, 192), (384, 288), (256, 256)])
def test_boxes_become_the_crops_of_box2cs(input_hw):
    golden, suffix = load("affine_box2cs"), f"s{input_hw[0]}x{input_hw[1]}"

    center_xy, size_wh = box_to_crop(golden["boxes_xywh"], input_hw)

    np.testing.assert_allclose(center_xy, golden[f"center_{suffix}"], rtol=1e-6)
    np.testing.assert_allclose(size_wh / SCALE_UNIT, golden[f"scale_{suffix}"], rtol=1e-6)


def unshifted_cases():
    """Returns the cases that can be compared: nothing here uses the `shift` argument."""
    golden = load("affine_hrnet")
    return [i for i, shift in enumerate(golden["shift"]) if not shift.any()]


def test_most_golden_affine_maps_have_no_shift():
    assert len(unshifted_cases()) >= 12


@pytest.mark.parametrize("case", unshifted_cases())
def test_affine_maps_equal_get_affine_transform(case):
    golden = {name: values[case] for name, values in load("affine_hrnet").items()}
    width, height = golden["output_size"]

    matrix = crop_matrix(
        golden["center"], golden["scale"][0] * SCALE_UNIT, (height, width), golden["rot"]
    )
    if golden["inv"]:
        matrix = invert_matrix(matrix)

    mapped = transform_points(matrix, golden["points"][None])[0]
    np.testing.assert_allclose(mapped, golden["points_out"], rtol=0, atol=FLOAT32_PIXELS)
    np.testing.assert_allclose(matrix, golden["trans"], rtol=1e-4, atol=FLOAT32_PIXELS)


@pytest.mark.parametrize("case", range(4))
def test_heatmap_points_return_to_the_image_as_transform_preds_has_it(case):
    golden = {name: values[case] for name, values in load("affine_transform_preds").items()}
    width, height = golden["output_size"]
    crop_width = golden["scale"][0] * SCALE_UNIT

    to_heatmap = crop_matrix(golden["center"], crop_width, (height, width))

    points = transform_points(invert_matrix(to_heatmap), golden["coords"])
    np.testing.assert_allclose(points, golden["out"], rtol=0, atol=FLOAT32_PIXELS)


def test_decoded_heatmaps_land_where_get_final_preds_puts_them():
    maps = np.moveaxis(load("decode_heatmaps")["heatmaps"], 1, -1)
    golden = load("decode_hrnet")
    codec = GaussianHeatmapCodec((256, 192))
    matrices = crop_matrix(golden["center"], golden["scale"][:, 0] * SCALE_UNIT, (256, 192))

    points = transform_points(invert_matrix(matrices), codec.decode(maps)[0])

    np.testing.assert_allclose(points, golden["final_preds"], rtol=0, atol=FLOAT32_PIXELS)


@pytest.mark.parametrize("case", range(4))
def test_warps_equal_opencv_and_their_matrices_the_reference(case):
    golden = load("affine_warp_image")
    *center, scale, _, angle, width, height = golden["cases"][case]
    output_hw = (int(height), int(width))

    matrix = crop_matrix(center, scale * SCALE_UNIT, output_hw, angle)
    warped = warp_image(golden["image"], golden[f"trans{case}"], output_hw)

    np.testing.assert_allclose(matrix, golden[f"trans{case}"], rtol=1e-4, atol=1e-3)
    np.testing.assert_array_equal(warped, golden[f"warped{case}_cv5"])
