import inspect
import re
from pathlib import Path

import numpy as np
import pytest

from keras_pose.__main__ import parse_args
from keras_pose.inference.regions import (
    DETECT_EVERY,
    MARGINS,
    RegionFollower,
    next_boxes,
)
from keras_pose.inference.video import VideoSettings
from keras_pose.pictures.structures import Detections, Poses
from keras_pose.skeleton import COCO_17, Skeleton

TWO = Skeleton("two", ("head", "foot"))
UP = np.array([0, 50])
IMAGE = np.zeros((480, 640, 3), np.uint8)


def test_how_often_is_detected_is_the_same_wherever_it_is_not_said():
    follower = inspect.signature(RegionFollower).parameters
    assert follower["detect_every"].default == DETECT_EVERY
    assert VideoSettings().detect_every == DETECT_EVERY
    assert parse_args(["clip.mp4"]).detect_every == DETECT_EVERY
    spec = Path(__file__).resolve().parents[3] / "mobile_demo" / "SPEC.md"
    (of_the_apps,) = re.findall(r"Settings: `detect_every` (\d+)", spec.read_text())
    assert int(of_the_apps) == DETECT_EVERY


def pose(head_xy, foot_xy, box, scores=(1.0, 1.0)):
    return Poses([box], [[head_xy, foot_xy]], [scores], [1.0], TWO)


def test_the_next_box_is_what_the_keypoints_span_and_margins():
    box = next_boxes(pose((100, 50), (140, 250), (110, 60, 111, 61)))[0]
    left, top, right, bottom = MARGINS
    expected = [100 - 200 * left, 50 - 200 * top, 140 + 200 * right, 250 + 200 * bottom]
    np.testing.assert_allclose(box, expected)


def test_a_region_shrinks_slowly_around_its_middle():
    # The keypoints span a point: nine tenths of the box before, around that point.
    box = next_boxes(pose((100, 100), (100, 100), (0, 0, 100, 200)))[0]
    np.testing.assert_allclose(box, [55, 10, 145, 190])


@pytest.mark.parametrize("scores", [(0.1, 0.1), (np.nan, 0)])
def test_without_keypoints_there_is_no_next_box(scores):
    assert np.isnan(next_boxes(pose((0, 0), (9, 9), (0, 0, 9, 9), scores))).all()
    assert next_boxes(Poses.none(COCO_17)).shape == (0, 4)


class FakeEstimator:
    """Sees people where they are: in every box that holds somebody's middle."""

    skeleton = TWO
    nms_threshold = 0.5
    sees_whole_pictures = False

    def __init__(self, *people_xy, score=0.9):
        self.people_xy = np.reshape(people_xy, (-1, 2)).astype(float)
        self.score = score
        self.asked = 0
        self.detector = object()

    def find_people(self, image, image_id=None):
        self.asked += 1
        xy, reach = self.people_xy, np.array([25, 60])
        boxes = np.concatenate([xy - reach, xy + reach], axis=1)
        return Detections(boxes, np.full(len(xy), 0.8), np.zeros(len(xy)))

    def estimate(self, image, boxes, box_scores):
        if not len(boxes):
            return Poses.none(TWO)
        middle = (boxes[:, :2] + boxes[:, 2:]) / 2
        offsets = middle[:, None] - self.people_xy[None]
        nearest = np.abs(offsets).sum(-1).argmin(axis=1)
        center = self.people_xy[nearest]
        xy = np.stack([center - UP, center + UP], axis=1)
        scores = np.full((len(boxes), 2), self.score)
        return Poses(boxes, xy, scores, np.asarray(box_scores) * self.score, TWO)


def test_the_detector_is_asked_on_every_nth_frame_and_people_are_followed_between():
    estimator = FakeEstimator((100, 200), (400, 200))
    follower = RegionFollower(estimator, detect_every=4)
    asked = []
    for _ in range(9):
        poses = follower(IMAGE)
        asked.append(estimator.asked)
        estimator.people_xy += [5, 0]
        assert len(poses) == 2
        np.testing.assert_allclose(
            poses.keypoints_xy[:, 0, 0], estimator.people_xy[:, 0] - 5
        )
    assert asked == [1, 1, 1, 1, 2, 2, 2, 2, 3]
    assert (follower.num_detected, follower.num_followed) == (3, 6)


def test_the_detector_is_asked_when_confidence_falls():
    estimator = FakeEstimator((100, 200))
    follower = RegionFollower(estimator, detect_every=100)
    follower(IMAGE)
    estimator.score = 0.5
    follower(IMAGE)  # 0.56 of what it was: still sure enough
    estimator.score = 0.4
    follower(IMAGE)  # 0.44: doubtful, so ask on the next frame
    assert estimator.asked == 1
    follower(IMAGE)
    assert estimator.asked == 2
    # What is doubtful from the beginning is not asked for again and again.
    follower(IMAGE)
    assert estimator.asked == 2


def test_the_detector_is_asked_as_long_as_nobody_is_there():
    estimator = FakeEstimator()
    follower = RegionFollower(estimator, detect_every=100)
    for _ in range(3):
        assert len(follower(IMAGE)) == 0
    assert estimator.asked == 3


def test_who_leaves_the_picture_is_followed_no_longer():
    estimator = FakeEstimator((600, 200))
    follower = RegionFollower(estimator, detect_every=100)
    for _ in range(20):
        poses = follower(IMAGE)
        estimator.people_xy += [20, 0]
        if not len(poses):
            break
    assert estimator.asked > 1
    # Box and margins are outside.
    assert estimator.people_xy[0, 0] > 640


def test_two_regions_on_one_person_become_one():
    estimator = FakeEstimator((100, 200), (150, 200))
    follower = RegionFollower(estimator, detect_every=100)
    assert len(follower(IMAGE)) == 2
    estimator.people_xy = estimator.people_xy[:1]
    assert len(follower(IMAGE)) == 1


def test_without_a_detector_every_frame_is_whole():
    estimator = FakeEstimator((100, 200))
    estimator.detector = None
    follower = RegionFollower(estimator, detect_every=100)
    for _ in range(3):
        follower(IMAGE)
    assert (follower.num_detected, follower.num_followed) == (3, 0)


def test_settings_without_sense_are_refused():
    with pytest.raises(ValueError, match="detect_every >= 1"):
        RegionFollower(FakeEstimator(), detect_every=0)


def test_frames_of_another_size_are_detected_anew():
    estimator = FakeEstimator((100, 200))
    follower = RegionFollower(estimator, detect_every=100)
    for image, asked in ((IMAGE, 1), (IMAGE, 1), (IMAGE[:400], 2), (IMAGE[:400], 2)):
        follower(image)
        assert estimator.asked == asked
