"""One person, one skeleton: of poses that lie on each other the best stays."""

from __future__ import annotations

import numpy as np

from keras_pose.pictures.oks import oks_nms, sigmas_of
from keras_pose.pictures.structures import Poses

# Several of a detector's boxes may hold one person. training/shown_people.py counted, with
# the models of the package, COCO pictures and boxes from score 0.36: 614 people found; at
# 0.5 6 of them twice, at 0.4 1 of as many. (Of models before, from 0.3: 256 of 432 found
# without a limit, 189 at 0.9, which ranked lists use, 71 at 0.7, 9 at 0.5.)
NMS_THRESHOLD = 0.4


def different_people(poses: Poses, threshold: float = NMS_THRESHOLD) -> np.ndarray:
    """Returns the indices of the people that pose NMS keeps.

    Args:
        poses: the people of one image.
        threshold: OKS (all keypoints counted, over the mean area of the two boxes) above
            which only the person with the better score stays.

    Returns:
        (kept,) int64 indices, rising.
    """
    sides = poses.boxes_xyxy[:, 2:] - poses.boxes_xyxy[:, :2]
    people = (np.nan_to_num(poses.keypoints_xy), poses.scores, sides.prod(axis=1))
    return np.sort(oks_nms(*people, sigmas_of(poses.skeleton), threshold))
