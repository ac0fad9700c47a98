"""What comes out of detectors and pose estimators: validated NumPy dataclasses."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass

import numpy as np

from keras_pose.skeleton import Skeleton


@dataclass(frozen=True)
class Poses:
    """The people of one image.

    Attributes:
        boxes_xyxy: (N, 4) float32, image pixels.
        keypoints_xy: (N, K, 2) float32, image pixels (see `keras_pose.geometry`).
        keypoint_scores: (N, K) float32, height of the heatmap at the keypoint.
        scores: (N,) float32, confidence in the person as a whole.
        skeleton: names and limbs of the K keypoints.

    Raises:
        ValueError: where shapes do not fit together.
    """

    boxes_xyxy: np.ndarray
    keypoints_xy: np.ndarray
    keypoint_scores: np.ndarray
    scores: np.ndarray
    skeleton: Skeleton

    def __post_init__(self) -> None:
        num_people = len(self.boxes_xyxy)
        expected = {
            "boxes_xyxy": (num_people, 4),
            "keypoints_xy": (num_people, self.skeleton.num_keypoints, 2),
            "keypoint_scores": (num_people, self.skeleton.num_keypoints),
            "scores": (num_people,),
        }
        for field, shape in expected.items():
            values = np.asarray(getattr(self, field), np.float32)
            if values.shape != shape:
                raise ValueError(f"Poses.{field} must be {shape}, got {values.shape}.")
            object.__setattr__(self, field, values)

    def __len__(self) -> int:
        return len(self.scores)


@dataclass(frozen=True)
class Detections:
    """The boxes that a detector found in one image.

    Attributes:
        boxes_xyxy: (N, 4) float32, image pixels.
        scores: (N,) float32 in [0, 1].
        labels: (N,) int64, number of the class.

    Raises:
        ValueError: where shapes do not fit together, and for numbers that are not
            finite.
    """

    boxes_xyxy: np.ndarray
    scores: np.ndarray
    labels: np.ndarray

    def __post_init__(self) -> None:
        count = len(self.scores)
        expected = {
            "boxes_xyxy": ((count, 4), np.float32),
            "scores": ((count,), np.float32),
            "labels": ((count,), np.int64),
        }
        for field, (shape, dtype) in expected.items():
            values = np.asarray(getattr(self, field), dtype)
            if values.shape != shape:
                raise ValueError(f"Detections.{field} must be {shape}, got {values.shape}.")
            if not np.isfinite(values).all():
                raise ValueError(f"Detections.{field} holds NaN or infinite values.")
            object.__setattr__(self, field, values)

    @classmethod
    def none(cls) -> Detections:
        """Returns those of an image in which nothing was found."""
        return cls(np.zeros((0, 4)), np.zeros(0), np.zeros(0))

    def __len__(self) -> int:
        return len(self.scores)

    def __getitem__(self, chosen) -> Detections:
        """Picks boxes by a mask, a slice or a list of indices."""
        return Detections(self.boxes_xyxy[chosen], self.scores[chosen], self.labels[chosen])

    def replace(self, **values) -> Detections:
        """Returns a copy with other values."""
        return dataclasses.replace(self, **values)
