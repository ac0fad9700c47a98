"""PCP: the share of limbs of which both ends are near their labels."""

from __future__ import annotations

import numpy as np

from keras_pose.metrics.pck import normalized_distances
from keras_pose.skeleton import Skeleton


def pcp(predicted_xy, labelled_xy, is_labelled, skeleton: Skeleton, threshold=0.5):
    """Counts limbs whose ends are both within `threshold` limb lengths of their labels.

    Source: Ferrari et al. 2008 ("strict" PCP, as Pishchulin et al. 2012 call
    it: each end has to be near, not their mean).

    Args:
        predicted_xy: (N, K, 2) image pixels.
        labelled_xy: (N, K, 2) image pixels.
        is_labelled: (N, K) bool.
        skeleton: skeleton with the L limbs; one counts where both its ends are labelled.
        threshold: fraction of the labelled limb's length.

    Returns:
        (L,) float64 shares; NaN for a limb without labels.
    """
    starts, ends = np.array(skeleton.limb_pairs, int).reshape(-1, 2).T
    pixels = normalized_distances(
        predicted_xy, labelled_xy, is_labelled, np.ones(len(labelled_xy))
    )
    labelled_xy = np.asarray(labelled_xy, np.float64)
    lengths = np.linalg.norm(labelled_xy[:, starts] - labelled_xy[:, ends], axis=-1)
    worse = np.maximum(pixels[:, starts], pixels[:, ends])  # NaN if either is
    counts = ~np.isnan(worse)
    hits = (counts & (worse <= threshold * lengths)).sum(axis=0)
    num_limbs = counts.sum(axis=0)
    return np.where(num_limbs > 0, hits / np.maximum(num_limbs, 1), np.nan)
