"""Object keypoint similarity (OKS): the IoU of poses, and what follows from it."""

from __future__ import annotations

import numpy as np


def object_keypoint_similarity(poses_xy, others_xy, areas, sigmas, is_counted=None):
    """Compares every pose with every other: mean over keypoints of exp(-e).

    `e = distance^2 / ((2 sigma)^2 * 2 area)`. Source: COCO keypoint evaluation
    (cocodataset.org/#keypoints-eval); equal to `computeOks` of pycocotools where
    `areas` are those of the annotations, and to `oks_iou` of the HRNet code
    where they are the means of both areas.

    Args:
        poses_xy: (N, K, 2) image pixels.
        others_xy: (M, K, 2) image pixels.
        areas: broadcasts to (N, M), pixels^2; (M,) is one per `others_xy`.
        sigmas: (K,) see `Skeleton.oks_sigmas`.
        is_counted: (M, K) bool, the keypoints of `others_xy` that count;
            all by default. A pose of which none counts has similarity 0.

    Returns:
        (N, M) float64 in [0, 1].
    """
    poses_xy, others_xy = np.asarray(poses_xy, float), np.asarray(others_xy, float)
    variances = (2 * np.asarray(sigmas, float)) ** 2
    distance2 = ((poses_xy[:, None] - others_xy[None]) ** 2).sum(axis=-1)  # (N, M, K)
    # spacing(1) as both sources have it: no division by zero for an empty area.
    areas = np.broadcast_to(np.asarray(areas, float), distance2.shape[:2])
    areas = areas + np.spacing(1.0)
    similarity = np.exp(-distance2 / variances / areas[..., None] / 2)
    if is_counted is None:
        return similarity.mean(axis=-1)
    is_counted = np.asarray(is_counted, bool)
    counts = np.maximum(is_counted.sum(axis=-1), 1)
    return (similarity * is_counted).sum(axis=-1) / counts


def oks_nms(keypoints_xy, scores, areas, sigmas, threshold: float = 0.9):
    """Drops poses that are too similar to one of higher score.

    Source: `oks_nms` in `lib/nms/nms.py` of the HRNet code, with all keypoints
    counted and the mean of both areas.

    Args:
        keypoints_xy: (N, K, 2) image pixels, the people of one image.
        scores: (N,).
        areas: (N,) pixels^2.
        sigmas: (K,) see `Skeleton.oks_sigmas`.
        threshold: a pose goes when its OKS with a kept one is above.

    Returns:
        (kept,) int64 indices, best score first.
    """
    areas = np.asarray(areas, float)
    mean_areas = (areas[:, None] + areas[None]) / 2
    similarity = object_keypoint_similarity(keypoints_xy, keypoints_xy, mean_areas, sigmas)
    kept: list[int] = []
    for candidate in np.argsort(-np.asarray(scores, float), kind="stable"):
        if (similarity[kept, candidate] <= threshold).all():
            kept.append(int(candidate))
    return np.array(kept, np.int64)
