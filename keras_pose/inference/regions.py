"""Boxes that follow people: the next box comes from a person's last keypoints.

So a detector need not see every frame. It runs again every N frames, when a pose has
become doubtful, when no person is left, and when frames change their size.
"""

from __future__ import annotations

import time

import numpy as np

from keras_pose.inference.detectors import is_usable
from keras_pose.inference.estimator import PoseEstimator
from keras_pose.inference.pose_nms import different_people
from keras_pose.pictures.images import as_image
from keras_pose.pictures.structures import Poses

# How far a person's box reaches beyond their keypoints (left, top, right, bottom), as
# shares of the longer side of what the keypoints span: hair and shoes are no keypoints.
# Medians over 1460 people of COCO with at least 14 labelled keypoints; left and right,
# 0.060 and 0.069, made one.
MARGINS = (0.065, 0.11, 0.065, 0.09)

# Of the detector's runs, the later is at most so many frames after the earlier.
DETECT_EVERY = 10
# A region shrinks by this much per frame at most: a crop that lost a hand would else
# cut it off for good.
MAX_SHRINKAGE = 0.9


def next_boxes(poses: Poses, threshold: float = 0.2) -> np.ndarray:
    """Returns where people are looked for in the next frame.

    What the keypoints with a score above the threshold span, grown by `MARGINS`, and
    no side shorter than `MAX_SHRINKAGE` of the box before (then grown around the middle).

    Args:
        poses: people of this frame.
        threshold: score of a keypoint that it must exceed to count.

    Returns:
        (N, 4) float64 boxes_xyxy, image pixels; NaN for people without such a keypoint.
    """
    is_sure = (poses.keypoint_scores > threshold) & np.isfinite(poses.keypoints_xy).all(-1)
    xy = poses.keypoints_xy.astype(np.float64)
    low = np.where(is_sure[..., None], xy, np.inf).min(axis=1, initial=np.inf)
    high = np.where(is_sure[..., None], xy, -np.inf).max(axis=1, initial=-np.inf)
    is_there = is_sure.any(axis=1)[:, None]
    low, high = np.where(is_there, low, np.nan), np.where(is_there, high, np.nan)
    span = (high - low).max(axis=1, keepdims=True)
    low, high = low - span * MARGINS[:2], high + span * MARGINS[2:]
    before = poses.boxes_xyxy.astype(np.float64)
    shortest = MAX_SHRINKAGE * (before[:, 2:] - before[:, :2])
    missing = np.maximum(0, shortest - (high - low)) / 2
    return np.concatenate([low - missing, high + missing], axis=1)


class RegionFollower:
    """An estimator for the frames of one video, in order.

        follower = RegionFollower(estimator, detect_every=10)
        for image in frames:
            poses = follower(image)

    Attributes:
        num_detected: frames on which the detector was asked.
        num_followed: frames on which it was not.
        detect_seconds: the time that the detector took.
    """

    def __init__(
        self,
        estimator: PoseEstimator,
        detect_every: int = DETECT_EVERY,
        keypoint_threshold: float = 0.2,
        least_share: float = 0.5,
    ):
        """Starts without regions.

        Args:
            estimator: its detector finds people; where it has none, the whole image is
                one person on every frame. A bottom-up network sees every frame whole.
            detect_every: the detector sees at least every N-th frame.
            keypoint_threshold: keypoints whose score is above make the next region.
            least_share: the detector is asked when somebody's score has fallen below
                this share of what it was when they were detected.

        Raises:
            ValueError: for settings that make no sense.
        """
        if detect_every < 1 or not 0 <= least_share <= 1:
            raise ValueError(
                "Following needs detect_every >= 1 and least_share in [0, 1], got "
                f"{detect_every} and {least_share}."
            )
        self._estimator = estimator
        self._detect_every = detect_every if estimator.detector is not None else 1
        self._keypoint_threshold = keypoint_threshold
        self._least_share = least_share
        self._boxes = np.zeros((0, 4))
        self._box_scores = self._first_scores = np.zeros(0)
        self._age = 0  # frames since the detector was asked
        self._is_doubtful = True
        self._image_hw = (0, 0)
        self.num_detected = self.num_followed = 0
        self.detect_seconds = 0.0

    def __call__(self, image: np.ndarray, image_id=None) -> Poses:
        """Estimates the people of the next frame; arguments as for `PoseEstimator`."""
        image = as_image(image)
        if self._estimator.sees_whole_pictures:  # it sees the whole frame anyway
            self.num_followed += 1
            return self._estimator(image, image_id=image_id)
        # Regions of one picture say nothing of one with another size.
        has_changed, self._image_hw = image.shape[:2] != self._image_hw, image.shape[:2]
        if self._is_doubtful or has_changed or self._age >= self._detect_every:
            return self._detect(image, image_id)
        return self._follow(image)

    def _detect(self, image, image_id):
        self.num_detected += 1
        started = time.perf_counter()
        people = self._estimator.find_people(image, image_id)
        self.detect_seconds += time.perf_counter() - started
        poses = self._estimator.estimate(image, people.boxes_xyxy, people.scores)
        kept = different_people(poses, self._estimator.nms_threshold)
        poses = poses[kept]
        self._age = 0
        self._look_ahead(poses, people.scores[kept], poses.scores, image.shape[:2])
        return poses

    def _follow(self, image):
        self.num_followed += 1
        poses = self._estimator.estimate(image, self._boxes, self._box_scores)
        kept = different_people(
            poses, self._estimator.nms_threshold
        )  # regions may run onto one person
        poses = poses[kept]
        self._look_ahead(
            poses, self._box_scores[kept], self._first_scores[kept], image.shape[:2]
        )
        return poses

    def _look_ahead(self, poses, box_scores, first_scores, image_hw):
        """Decides where to look next, and whether the detector must be asked."""
        boxes = next_boxes(poses, self._keypoint_threshold)
        can_follow = is_usable(boxes, image_hw)
        has_fallen = poses.scores < self._least_share * first_scores
        self._boxes = boxes[can_follow]
        self._box_scores = box_scores[can_follow]
        self._first_scores = first_scores[can_follow]
        self._age += 1
        # People who left the picture, or were never more than a box, are no reason to ask.
        self._is_doubtful = not can_follow.any() or bool(has_fallen[can_follow].any())
