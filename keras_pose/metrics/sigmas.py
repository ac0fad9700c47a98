"""OKS sigmas of one's own keypoints, from how far repeated labels are apart.

Source: COCO's keypoint evaluation (cocodataset.org/#keypoints-eval, 1.2): sigma**2 is the
mean of d**2 / area over labels of the same picture, d their distance from the true place.
That place is not known; two labels of equal spread are apart by sqrt(2) d, so the mean of
their squared distances is halved. Both sides of a mirror pair share a sigma, as COCO's do.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from keras_pose.skeleton import Skeleton

# Labels further apart than this share of sqrt(area) are of another place, not imprecise:
# over three times the spread of COCO's widest keypoint, the hip.
GROSS = 0.5
_RESAMPLES = 1000
_LEVEL = 95  # percent of the interval


@dataclass(frozen=True)
class SigmaEstimate:
    """Sigmas of K keypoints; NaN where nothing was labelled twice.

    Attributes:
        skeleton: the keypoints.
        sigmas: (K,) shares of sqrt(area).
        low: (K,) lower end of the interval that 95 of 100 resamples of pictures give.
        high: (K,) upper end.
        counts: (K,) pairs of labels that each sigma is from, of both sides.
        num_gross: (K,) pairs that were left out, further apart than `GROSS`.
    """

    skeleton: Skeleton
    sigmas: np.ndarray
    low: np.ndarray
    high: np.ndarray
    counts: np.ndarray
    num_gross: np.ndarray


def estimate_sigmas(
    skeleton: Skeleton, squared: np.ndarray, pictures: np.ndarray, seed: int = 0
) -> SigmaEstimate:
    """Estimates sigmas and their uncertainty from pairs of labels.

    Args:
        skeleton: K keypoints; their mirror pairs share a sigma.
        squared: (N, K) squared distances over areas; NaN where not labelled twice.
        pictures: (N,) number of the picture of each pair. Whole pictures are resampled
            (bootstrap), since errors within one are alike.
        seed: picks the resamples.

    Raises:
        ValueError: where shapes do not fit.
    """
    squared, pictures = np.asarray(squared, float), np.asarray(pictures)
    if squared.shape != (len(pictures), skeleton.num_keypoints):
        raise ValueError(
            f"Squared distances of {len(pictures)} pairs and {skeleton.num_keypoints} "
            f"keypoints are needed, got {squared.shape}."
        )
    told = ~np.isnan(squared)
    is_gross = told & (np.nan_to_num(squared) > GROSS**2)
    used = told & ~is_gross
    _, place = np.unique(pictures, return_inverse=True)
    num_pictures = place.max(initial=-1) + 1
    sums = np.zeros((num_pictures, skeleton.num_keypoints))
    counts = np.zeros_like(sums)
    np.add.at(sums, place, np.where(used, squared, 0))
    np.add.at(counts, place, used)
    sums, counts, gross = (
        _with_mirrored(skeleton, values)
        for values in (sums, counts, is_gross.sum(axis=0)[None])
    )
    rng = np.random.default_rng(seed)
    weights = rng.multinomial(
        num_pictures, np.full(num_pictures, 1 / max(num_pictures, 1)), _RESAMPLES
    )
    resampled = _sigma(weights @ sums, weights @ counts)
    tail = (100 - _LEVEL) / 2
    low, high = (_percentile(resampled, q) for q in (tail, 100 - tail))
    return SigmaEstimate(
        skeleton,
        _sigma(sums.sum(axis=0), counts.sum(axis=0)),
        low,
        high,
        counts.sum(axis=0).astype(int),
        gross[0].astype(int),
    )


def _with_mirrored(skeleton, values) -> np.ndarray:
    """Adds to each keypoint of a pair the values of the other side."""
    other = skeleton.mirror_permutation
    is_paired = other != np.arange(len(other))
    return np.asarray(values + np.where(is_paired, values[:, other], 0))


def _sigma(sums, counts) -> np.ndarray:
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.asarray(np.sqrt(sums / counts / 2))


def _percentile(values, q) -> np.ndarray:
    """Percentiles of columns without their NaN; NaN where a column has nothing else."""
    columns = [column[~np.isnan(column)] for column in values.T]
    return np.array([np.percentile(c, q) if len(c) else np.nan for c in columns])
