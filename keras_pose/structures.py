"""What comes out of detectors and pose estimators: validated NumPy dataclasses."""

from __future__ import annotations

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
