"""Mean distance from the labels in pixels: the 2D metric of Human3.6M."""

from __future__ import annotations

import numpy as np

from keras_pose.metrics.pck import normalized_distances, weighted_mean


def pixel_errors(predicted_xy, labelled_xy, is_labelled):
    """Averages the distances of labelled keypoints from their labels.

    The 2D form of MPJPE (Ionescu et al. 2014), in image pixels. One
    prediction that is not a number makes its mean infinite: nothing is left out
    in silence.

    Args:
        predicted_xy: (N, K, 2) image pixels.
        labelled_xy: (N, K, 2) image pixels.
        is_labelled: (N, K) bool.

    Returns:
        per_keypoint: (K,) float64 pixels; NaN for a keypoint without labels.
        mean: over all labelled keypoints; NaN without any.
    """
    distances = normalized_distances(
        predicted_xy, labelled_xy, is_labelled, np.ones(len(labelled_xy))
    )
    counts = ~np.isnan(distances)
    num_labelled = counts.sum(axis=0)
    sums = np.where(counts, distances, 0).sum(axis=0)
    means = np.where(num_labelled > 0, sums / np.maximum(num_labelled, 1), np.nan)
    if np.isinf(distances).any():
        return means, float("inf")
    return means, weighted_mean(means, num_labelled)
