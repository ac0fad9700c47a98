"""Letterbox and box decoding against mmdet's (tests/golden/README.md says how made)."""

import json

import numpy as np
import pytest

from keras_pose.pictures.boxes import (
    BoxSettings,
    detect,
    letterbox,
    propose,
    rescale,
    with_area,
)
from keras_pose.pictures.normalization import Normalization

STRIDES = (8, 16, 32)
INPUT_HW = (320, 320)


@pytest.fixture(scope="module")
def facts(golden_dir):
    return json.loads((golden_dir / "rtmdet_prepost.json").read_text())


@pytest.fixture(scope="module")
def arrays(golden_dir):
    return np.load(golden_dir / "rtmdet_prepost.npz")


def _image(seed, height, width):
    """The rule of the golden file, BGR."""
    blocks = (height // 8 + 2, width // 8 + 2, 3)
    grid = np.random.default_rng(seed).integers(0, 256, blocks, np.uint8)
    return np.repeat(np.repeat(grid, 8, 0), 8, 1)[:height, :width]


@pytest.mark.parametrize("number", range(7))
def test_letterboxed_pixels_are_those_of_mmdet(facts, arrays, number):
    case = facts["preprocess"]["cases"][number]
    image = _image(case["seed"], case["h"], case["w"])

    boxed, scale_xy = letterbox(image, INPUT_HW)

    planes = boxed.transpose(2, 0, 1)
    np.testing.assert_array_equal(planes.ravel()[::37], arrays[f"u8_{number}"])
    assert planes.sum() == case["u8_sum"]
    np.testing.assert_allclose(scale_xy, case["scale_factor"], rtol=1e-12)


@pytest.mark.parametrize("number", range(7))
def test_the_normalised_input_is_that_of_mmdet(facts, arrays, number):
    case = facts["preprocess"]["cases"][number]
    rgb = _image(case["seed"], case["h"], case["w"])[..., ::-1]
    normalization = Normalization(
        mean=tuple(value / 255 for value in (103.53, 116.28, 123.675)),
        std=tuple(value / 255 for value in (57.375, 57.12, 58.395)),
        channel_order="bgr",
    )

    boxed, _ = letterbox(rgb, INPUT_HW)
    planes = normalization(boxed.astype(np.float32)).transpose(2, 0, 1)

    # One float32 rounding more or less: ours multiplies where theirs divides.
    np.testing.assert_allclose(planes.ravel()[::1009], arrays[f"x_{number}"], atol=1e-6)


def _outputs(arrays):
    scores = [arrays[f"cls_{stride}"][0].transpose(1, 2, 0) for stride in STRIDES]
    return scores, [arrays[f"dist_{stride}"][0].transpose(1, 2, 0) for stride in STRIDES]


def _settings(case):
    config = case["test_cfg"]
    return BoxSettings(
        score_threshold=config["score_thr"],
        iou_threshold=config["nms"]["iou_threshold"],
        max_per_level=config["nms_pre"],
        max_detections=config["max_per_img"],
    )


@pytest.mark.parametrize("number", range(5))
def test_proposed_boxes_are_those_of_mmdet(facts, arrays, number):
    case = facts["post"]["cases"][number]
    scale_xy = case["scale_factor"] if case["rescale"] else (1.0, 1.0)

    proposed = propose(*_outputs(arrays), STRIDES, INPUT_HW, _settings(case))
    proposed = with_area(rescale(proposed, scale_xy))

    assert len(proposed) == case["n_pre_nms"]
    np.testing.assert_allclose(
        proposed.boxes_xyxy, arrays[f"pre{number}_boxes"], rtol=0, atol=1e-4
    )
    np.testing.assert_allclose(proposed.scores, arrays[f"pre{number}_scores"], atol=1e-6)


@pytest.mark.parametrize("number", range(5))
def test_detections_are_those_of_mmdet(facts, arrays, number):
    case = facts["post"]["cases"][number]
    scale_xy = case["scale_factor"] if case["rescale"] else (1.0, 1.0)

    found = detect(*_outputs(arrays), STRIDES, INPUT_HW, scale_xy, _settings(case))

    assert len(found) == case["n_det"]
    np.testing.assert_allclose(
        found.boxes_xyxy, arrays[f"det{number}_boxes"], rtol=0, atol=1e-4
    )
    np.testing.assert_allclose(found.scores, arrays[f"det{number}_scores"], atol=1e-6)
    assert not found.labels.any()
