"""What the parity test leaves open: odd sizes, classes, nothing to find."""

import numpy as np
import pytest

from keras_pose.pictures.boxes import (
    BoxSettings,
    box_iou,
    clip_to_image,
    detect,
    letterbox,
    letterbox_hw,
    sigmoid,
    suppress,
)
from keras_pose.pictures.structures import Detections

LOOSE = BoxSettings(score_threshold=0.1, iou_threshold=0.5)


def _detections(boxes, scores, labels=None):
    labels = np.zeros(len(scores)) if labels is None else labels
    return Detections(np.array(boxes), np.array(scores), np.array(labels))


@pytest.mark.parametrize(
    ("image_hw", "expected"),
    [
        pytest.param((1, 1), (320, 320), id="one_pixel"),
        pytest.param((1, 5000), (1, 320), id="a_line_keeps_a_pixel"),
        pytest.param((427, 640), (214, 320), id="half_rounds_up"),
    ],
)
def test_letterbox_fits_any_image(image_hw, expected):
    boxed, scale_xy = letterbox(np.full((*image_hw, 3), 7, np.uint8), (320, 320))

    assert letterbox_hw(image_hw, (320, 320)) == expected
    assert (boxed[: expected[0], : expected[1]] == 7).all()
    assert boxed.sum() == 7 * 3 * np.prod(expected) + 114 * 3 * (
        320 * 320 - np.prod(expected)
    )
    np.testing.assert_allclose(scale_xy, np.array(expected[::-1]) / image_hw[::-1])


def test_an_oblong_input_is_not_overfilled():
    assert letterbox_hw((400, 300), (160, 320)) == (160, 120)


@pytest.mark.parametrize(
    "image",
    [
        pytest.param(np.zeros((8, 8), np.uint8), id="grey"),
        pytest.param(np.zeros((8, 8, 3), np.float32), id="float"),
        pytest.param(np.zeros((0, 8, 3), np.uint8), id="no_pixels"),
    ],
)
def test_letterbox_refuses_what_is_no_image(image):
    with pytest.raises(ValueError, match="image"):
        letterbox(image, (320, 320))


def test_iou_by_arithmetic():
    iou = box_iou([[0, 0, 2, 2], [1, 1, 1, 1]], [[1, 0, 3, 2], [5, 5, 6, 6], [1, 1, 1, 1]])

    np.testing.assert_allclose(iou, [[2 / 6, 0, 0], [0, 0, 0]])


def test_suppression_keeps_the_best_of_each_class():
    boxes = [[0, 0, 10, 10], [0, 0, 10, 9], [0, 0, 9, 10], [20, 20, 30, 30]]
    found = suppress(_detections(boxes, [0.5, 0.9, 0.8, 0.3], [0, 0, 1, 0]), LOOSE)

    np.testing.assert_allclose(found.scores, [0.9, 0.8, 0.3])
    assert found.labels.tolist() == [0, 1, 0]


def test_a_box_that_was_suppressed_suppresses_no_other():
    # Neighbours overlap by 0.6, the outer two by 1/3.
    boxes = [[0, 0, 8, 1], [2, 0, 10, 1], [4, 0, 12, 1]]
    found = suppress(_detections(boxes, [0.9, 0.8, 0.7]), LOOSE)

    np.testing.assert_allclose(found.scores, [0.9, 0.7])


def test_no_more_than_the_maximum():
    boxes = [[20 * i, 0, 20 * i + 10, 10] for i in range(9)]
    found = suppress(
        _detections(boxes, np.linspace(0.1, 0.9, 9)), BoxSettings(max_detections=4)
    )

    np.testing.assert_allclose(found.scores, [0.9, 0.8, 0.7, 0.6])


def test_nothing_over_the_threshold_is_an_empty_result():
    scores, distances = [np.full((2, 2, 1), -9.0)], [np.ones((2, 2, 4))]

    found = detect(scores, distances, (32,), (64, 64), (1.0, 1.0), LOOSE)

    assert len(found) == 0
    assert found.boxes_xyxy.shape == (0, 4)


def test_one_cell_may_propose_several_classes():
    logits = np.full((2, 2, 3), -9.0)
    logits[1, 0, [0, 2]] = 2.0, 1.0
    distances = np.tile([1.0, 2.0, 3.0, 4.0], (2, 2, 1))

    found = detect([logits], [distances], (32,), (64, 64), (0.5, 2.0), LOOSE)

    assert found.labels.tolist() == [0, 2]
    np.testing.assert_allclose(found.scores, sigmoid(np.array([2.0, 1.0])), atol=1e-6)
    # From (0, 32) to the left by 1, which the input's edge cuts off; then per axis.
    np.testing.assert_allclose(found.boxes_xyxy, [[0, 15, 6, 18]] * 2)


def test_boxes_turned_inside_out_go():
    logits, distances = np.full((1, 1, 1), 3.0), np.full((1, 1, 4), -5.0)

    assert len(detect([logits], [distances], (32,), (32, 32), (1, 1), LOOSE)) == 0


def test_clipping_drops_boxes_outside_the_image():
    boxes = [[-5, -5, 5, 5], [30, 0, 40, 10]]
    found = clip_to_image(_detections(boxes, [0.9, 0.8]), (20, 20))

    np.testing.assert_allclose(found.boxes_xyxy, [[0, 0, 5, 5]])


def test_sigmoid_does_not_overflow():
    np.testing.assert_allclose(sigmoid(np.array([-1e4, 0, 1e4])), [0, 0.5, 1])


@pytest.mark.parametrize(
    ("field", "value"),
    [("score_threshold", 1.5), ("iou_threshold", -0.1), ("max_detections", 0)],
)
def test_settings_out_of_range_are_refused(field, value):
    with pytest.raises(ValueError, match=field):
        BoxSettings(**{field: value})


@pytest.mark.parametrize(
    "values",
    [
        pytest.param((np.zeros((2, 4)), np.zeros(1), np.zeros(1)), id="lengths_differ"),
        pytest.param((np.full((1, 4), np.nan), np.zeros(1), np.zeros(1)), id="nan"),
    ],
)
def test_detections_are_checked(values):
    with pytest.raises(ValueError, match=r"Detections\.boxes_xyxy"):
        Detections(*values)


def test_no_detections_are_detections():
    assert len(Detections.none()) == 0
