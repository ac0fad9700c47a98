"""PCKh: the metric of MPII, PCK in units of the head's size."""

from __future__ import annotations

import numpy as np

from keras_pose.metrics.pck import PckResult, by_part, normalized_distances, pck, pck_auc
from keras_pose.skeleton import Skeleton

HEAD_SIZE_FACTOR = 0.6
NOT_IN_MEAN = ("pelvis", "thorax")


def head_sizes(boxes_xyxy):
    """Returns (N,) head sizes: 0.6 x the diagonal of the head box, pixels.

    Source: `MPIIDataset.evaluate` of the HRNet code (`SC_BIAS`), and poseval.

    Args:
        boxes_xyxy: (N, 4) head boxes.
    """
    boxes = np.asarray(boxes_xyxy, np.float64).reshape(-1, 4)
    return HEAD_SIZE_FACTOR * np.linalg.norm(boxes[:, 2:] - boxes[:, :2], axis=-1)


def pckh_stats(predicted_xy, labelled_xy, is_labelled, head_sizes, skeleton: Skeleton):
    """Computes the PCKh figures of MPII.

    Source: Andriluka et al. 2014, "PCKh"; `MPIIDataset.evaluate` of the HRNet code.
    Means leave pelvis and thorax out, and weigh keypoints by how often they are
    labelled. What the HRNet code prints as "Mean@0.1" is its 12th threshold, 0.11;
    both stand here under their true names. The HRNet code gives percent, this shares.

    Args:
        predicted_xy: (N, K, 2) image pixels.
        labelled_xy: (N, K, 2) image pixels.
        is_labelled: (N, K) bool.
        head_sizes: (N,) pixels.
        skeleton: names the K keypoints.

    Returns:
        stats: "PCKh@0.5", "PCKh@0.1", "PCKh@0.11" and "PCKh_AUC" (thresholds 0 to 0.5).
        per_part: PCKh@0.5 of each part, left and right averaged.
        per_keypoint: PCKh@0.5 by keypoint name.
    """
    distances = normalized_distances(predicted_xy, labelled_xy, is_labelled, head_sizes)
    is_mean = np.array([name not in NOT_IN_MEAN for name in skeleton.names])
    stats = {
        f"PCKh@{threshold:g}": pck(distances[:, is_mean], threshold).mean
        for threshold in (0.5, 0.1, 0.11)
    }
    stats["PCKh_AUC"] = pck_auc(distances, 0.5, is_mean=is_mean)
    result: PckResult = pck(distances, 0.5)
    per_keypoint = dict(zip(skeleton.names, result.per_keypoint.tolist(), strict=True))
    return stats, by_part(result.per_keypoint, skeleton), per_keypoint
