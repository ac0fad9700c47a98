"""Metrics of faces and hands: normalized mean error, and the area under PCK.

Sources: `keypoint_nme` and `keypoint_auc` of mmpose
(`mmpose/evaluation/functional/keypoint_eval.py`), by whose rules the tables of 300-W, WFLW,
OneHand10K, FreiHAND and COCO-WholeBody's hands and faces are made. A person whose unit is
not labelled, or 0, does not count.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from keras_pose.metrics.pck import normalized_distances, weighted_mean
from keras_pose.skeleton import Skeleton

# The outer corners of the eyes: mmpose's `NME.DEFAULT_KEYPOINT_INDICES`.
OUTER_EYES = {"face_68": ("face_36", "face_45"), "wflw_98": ("wflw_60", "wflw_72")}
# The first bone of the middle finger, by which FreiHAND measures hands (Zimmermann et al.
# 2019, arXiv:1909.04349).
MIDDLE_BONE = {"hand_21": ("middle_finger1", "middle_finger2")}
# Pixels that count as 1, and thresholds: 0, 0.05, ... 0.95 of that.
AUC_PIXELS, AUC_THRESHOLDS = 30.0, np.arange(20) / 20


def check_unit(units: Mapping[str, tuple[str, str]], skeleton: Skeleton) -> tuple[str, str]:
    """Returns the two keypoints whose distance is the unit.

    Args:
        units: `OUTER_EYES` or `MIDDLE_BONE`, by name of the skeleton.
        skeleton: keypoints of the labels.

    Raises:
        ValueError: for a skeleton without such a unit.
    """
    if skeleton.name not in units or not set(units[skeleton.name]) <= set(skeleton.names):
        raise ValueError(
            f"This normalized mean error is for the skeletons {', '.join(units)}, got "
            f"{skeleton.name!r}. Measure nme_box."
        )
    return units[skeleton.name]


def unit_sizes(labelled_xy, is_labelled, skeleton: Skeleton, unit) -> np.ndarray:
    """Returns the distance of two labelled keypoints, pixels; NaN where one is absent.

    Args:
        labelled_xy: (N, K, 2) image pixels.
        is_labelled: (N, K) bool.
        skeleton: names of the K keypoints.
        unit: names of the two keypoints.

    Returns:
        (N,) float64.
    """
    first, second = (skeleton.index(name) for name in unit)
    labelled_xy = np.asarray(labelled_xy, float)
    sizes = np.linalg.norm(labelled_xy[:, first] - labelled_xy[:, second], axis=-1)
    is_known = np.asarray(is_labelled)[:, [first, second]].all(axis=1)
    return np.where(is_known, sizes, np.nan)


def normalized_mean_error(predicted_xy, labelled_xy, is_labelled, sizes):
    """Averages the distances of labelled keypoints from their labels, in units of `sizes`.

    Arguments are those of `pck.normalized_distances`.

    Returns:
        per_keypoint: (K,) float64; NaN for a keypoint without labels.
        mean: over all labelled keypoints; NaN without any, infinite where a prediction is
            not a number.
    """
    distances = normalized_distances(predicted_xy, labelled_xy, is_labelled, sizes)
    counts = ~np.isnan(distances)
    num_labelled = counts.sum(axis=0)
    sums = np.where(counts, distances, 0).sum(axis=0)
    means = np.where(num_labelled > 0, sums / np.maximum(num_labelled, 1), np.nan)
    if np.isinf(distances).any():
        return means, float("inf")
    return means, weighted_mean(means, num_labelled)


def area_under_pck(predicted_xy, labelled_xy, is_labelled) -> float:
    """Averages PCK over the thresholds of 0 to 28.5 pixels, in steps of 1.5.

    A keypoint is right where its distance is below the threshold, so none is at 0. Each
    keypoint of the skeleton counts alike.

    Args:
        predicted_xy: (N, K, 2) image pixels.
        labelled_xy: (N, K, 2) image pixels.
        is_labelled: (N, K) bool.

    Returns:
        The area in [0, 0.95]; NaN where nothing is labelled.
    """
    sizes = np.full(len(labelled_xy), AUC_PIXELS)
    distances = normalized_distances(predicted_xy, labelled_xy, is_labelled, sizes)
    counts = (~np.isnan(distances)).sum(axis=0)
    is_right = distances[None] < AUC_THRESHOLDS[:, None, None]  # NaN is never below
    shares = is_right.sum(axis=1) / np.maximum(counts, 1)
    return weighted_mean(shares.mean(axis=0), counts > 0)
