"""Hundreds of odd images and boxes: a clear error or a sane result, never a crash."""

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from light_model import make_model

from keras_pose.inference import PoseEstimator
from keras_pose.inference.regions import RegionFollower
from keras_pose.inference.smoothing import OneEuroSmoother
from keras_pose.inference.tracking import MATCHES, OksTracker
from keras_pose.pictures.drawing import draw_poses
from keras_pose.pictures.structures import Detections

pytestmark = pytest.mark.slow
# How many: see tests/conftest.py.
ODD_ONES = settings(
    derandomize=True,
    suppress_health_check=[HealthCheck.too_slow],
)
MODEL = make_model()

sides = st.one_of(st.integers(1, 40), st.sampled_from([1, 2, 500, 20_000]))
sizes = st.tuples(sides, sides).filter(lambda hw: hw[0] * hw[1] < 200_000)
# Mostly near the image; sometimes at the ends of what a float can be.
near = st.floats(-60, 60, width=32)
numbers = st.one_of(near, near, near, st.floats(width=32), st.floats(-1e7, 1e7, width=32))
boxes = st.lists(st.tuples(numbers, numbers, numbers, numbers), max_size=4)
good_boxes = st.lists(
    st.tuples(near, near, st.floats(0, 50, width=32), st.floats(0, 50, width=32)).map(
        lambda b: (b[0], b[1], b[0] + b[2], b[1] + b[3])
    ),
    max_size=4,
)


def image_of(size_hw):
    return np.full((*size_hw, 3), 100, np.uint8)


def tried(estimator, *arguments):
    """Returns poses, or None and what the error says; other errors are crashes."""
    try:
        return estimator(*arguments), ""
    except ValueError as error:
        return None, str(error)


def check(poses, image):
    assert np.isfinite(poses.keypoints_xy).all()
    assert np.isfinite(poses.scores).all()
    drawn = draw_poses(image, poses, draw_boxes=True)
    assert drawn.shape == image.shape
    for person in poses.to_dicts():
        assert None not in person["box_xywh"]


@ODD_ONES
@given(sizes, st.one_of(boxes, good_boxes))
def test_a_users_boxes_are_estimated_or_refused(size_hw, boxes):
    image = image_of(size_hw)
    poses, refusal = tried(PoseEstimator(MODEL), image, np.array(boxes).reshape(-1, 4))
    if poses is None:
        assert "person box" in refusal
        return
    assert len(poses) == len(boxes)
    check(poses, image)


@ODD_ONES
@given(sizes, st.one_of(boxes, good_boxes))
def test_of_a_detectors_boxes_those_are_estimated_that_can_be(size_hw, boxes):
    image, rows = image_of(size_hw), np.array(boxes, np.float32).reshape(-1, 4)

    def detect(_):
        return Detections(rows, np.ones(len(rows)), np.zeros(len(rows)))

    poses, refusal = tried(PoseEstimator(MODEL, detect), image)
    if poses is None:
        assert "NaN or infinite" in refusal
        assert not np.isfinite(rows).all()
        return
    assert len(poses) <= len(boxes)
    check(poses, image)


@ODD_ONES
@given(
    st.lists(st.tuples(sizes, good_boxes), min_size=1, max_size=4),
    st.sampled_from(list(MATCHES.values())),
)
def test_videos_of_anything_are_followed(frames, match):
    found: list = []
    estimator = PoseEstimator(MODEL, lambda _: found[-1])
    follower, tracker = RegionFollower(estimator, detect_every=2), OksTracker(match)
    smoother = OneEuroSmoother()
    for t, (size_hw, boxes) in enumerate(frames):
        rows = np.array(boxes, np.float32).reshape(-1, 4)
        found.append(Detections(rows, np.ones(len(rows)), np.zeros(len(rows))))
        image = image_of(size_hw)
        poses = smoother(tracker.update(follower(image)), t / 25)
        check(poses, image)
        tracked = poses.track_ids[poses.track_ids >= 0]
        assert len(set(tracked.tolist())) == len(tracked)
