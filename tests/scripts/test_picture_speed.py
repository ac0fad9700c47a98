"""The program that times boxes and drawing beside plain code: both must agree."""

import importlib.util
from pathlib import Path

import cv2
import numpy as np
import pytest

from keras_pose.pictures import boxes, drawing
from keras_pose.pictures.boxes import BoxSettings
from keras_pose.pictures.structures import Detections, Poses
from keras_pose.skeleton import COCO_17

SCRIPT = Path(__file__).resolve().parents[2] / "training" / "picture_speed.py"
STRIDES, INPUT_HW = (8, 16, 32), (128, 128)


@pytest.fixture(scope="module")
def script():
    spec = importlib.util.spec_from_file_location("picture_speed_script", SCRIPT)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def _maps(rng, num_classes, spread):
    """Scores and distances; many logits are alike, so that ties are among them."""
    shapes = [(INPUT_HW[0] // stride, INPUT_HW[1] // stride) for stride in STRIDES]
    scores = [rng.normal(-2, spread, (*hw, num_classes)).round(1) for hw in shapes]
    return scores, [rng.uniform(-2, 40, (*hw, 4)).astype(np.float32) for hw in shapes]


@pytest.mark.parametrize("iou_threshold", [0.0, 0.6, 1.0])
@pytest.mark.parametrize("score_threshold", [0.0, 0.05, 0.5, 0.9, 1.0])
def test_boxes_are_those_of_plain_code_to_the_bit(script, score_threshold, iou_threshold):
    rng = np.random.default_rng(seed=0)
    for num_classes, most in ((1, 100), (3, 7), (3, 300)):
        settings = BoxSettings(score_threshold, iou_threshold, 150, most)
        scores, distances = _maps(rng, num_classes, 3.0)
        given = (scores, distances, STRIDES, INPUT_HW, (0.5, 0.7), settings)

        plain, ours = script.plain_detect(*given), boxes.detect(*given)

        np.testing.assert_array_equal(ours.boxes_xyxy, plain.boxes_xyxy)
        np.testing.assert_array_equal(ours.scores, plain.scores)
        np.testing.assert_array_equal(ours.labels, plain.labels)


def test_a_score_of_the_threshold_itself_is_not_above_it():
    logits = np.nextafter(np.float32(0), np.float32([-1, 0, 1]))
    logits[2] = 1e-6
    scores = [logits.reshape(1, 3, 1)]

    found = boxes.propose(
        scores, [np.ones((1, 3, 4))], (8,), (64, 64), BoxSettings(score_threshold=0.5)
    )

    np.testing.assert_array_equal(found.scores, boxes.sigmoid(logits[2:]))


def test_a_higher_threshold_before_nms_leaves_the_boxes_above_it(script):
    settings = BoxSettings(0.05, 0.3)
    given = (*_maps(np.random.default_rng(seed=1), 1, 2.0), STRIDES, INPUT_HW, (1, 1))

    everything = boxes.detect(*given, settings)
    some = boxes.detect(*given, settings.above(0.4))

    assert 0 < len(some) < len(everything)
    expected = everything[everything.scores > np.float32(0.4)]
    np.testing.assert_array_equal(some.boxes_xyxy, expected.boxes_xyxy)
    assert settings.above(0.01) is settings
    assert settings.above(7).score_threshold == 1


# Poses by their size in pixels, where they lie, and their lowest score.
@pytest.mark.parametrize(
    ("size", "corner", "least_score"),
    [
        pytest.param(60, 20, 0.3, id="small"),
        pytest.param(350, 20, 0.9, id="opaque"),
        pytest.param(600, -150, 0.0, id="over_all_edges_with_hidden_points"),
    ],
)
def test_pictures_are_those_of_plain_code_to_a_grey_level(
    script, size, corner, least_score
):
    rng = np.random.default_rng(seed=0)
    image = rng.integers(0, 256, (400, 410, 3)).astype(np.uint8)
    points_xy = corner + rng.uniform(0, size, (2, 17, 2))
    scores = rng.uniform(least_score, 1, (2, 17))
    poses = Poses(np.zeros((2, 4)), points_xy, scores, np.ones(2), COCO_17)

    plain, ours = script.plain_draw(image, poses), drawing.draw_poses(image, poses)

    assert np.abs(plain.astype(int) - image).max() > 100
    assert np.abs(plain.astype(int) - ours).max() <= 1


def test_times_are_of_both_in_turn(script):
    order = []
    samples = script.interleaved_milliseconds(
        (lambda: order.append("plain"), lambda: order.append("ours")), runs=2
    )
    assert order == ["plain", "ours"] * 3
    assert samples.shape == (2, 2)


def test_other_pixels_are_an_error_not_a_ratio(script, monkeypatch):
    image = np.zeros((50, 50, 3), np.uint8)
    poses = Poses.none(COCO_17)
    monkeypatch.setattr(script, "plain_draw", lambda image, poses: image + np.uint8(2))
    with pytest.raises(ValueError, match="differ by 2"):
        script.measure_drawing(image, poses, 1)


def test_other_boxes_are_an_error_not_a_ratio(script, monkeypatch):
    class Contract:
        input_hw, strides, settings = (32, 32), (32,), BoxSettings()

    class Detector:
        contract = Contract

        def predict(self, boxed):
            return [np.full((1, 1, 1), 3.0), np.full((1, 1, 4), 5.0)]

    none = Detections(np.zeros((0, 4)), np.zeros(0), np.zeros(0))
    monkeypatch.setattr(script, "plain_detect", lambda *_: none)
    with pytest.raises(ValueError, match="boxes_xyxy differ"):
        script.measure_boxes(np.zeros((32, 32, 3), np.uint8), Detector(), 0.3, 1)


def test_the_ratio_is_printed(script, capsys):
    script.report("boxes", np.array([[4.0, 2.0], [1.0, 1.0]]))
    assert "plain 2.00 ms, now 1.00 ms, 0.50 of it (0.33" in capsys.readouterr().out


def test_far_ends_of_lines_stay_within_what_opencv_counts():
    assert drawing._fixed(np.array([1e12, -1e12, 1.5])).tolist() == [2**30, -(2**30), 24]
    cv2.circle(np.zeros((4, 4, 3), np.uint8), (2**30, 2**30), 16, (9, 9, 9), -1, 16, 4)
