"""Keypoint scores as probabilities: reliability, calibration error, temperature.

Source: Guo et al. 2017 (arXiv:1706.04599): expected calibration error in sec. 2, scaling
by a temperature in sec. 4.2, here of the log-odds of single scores. Scores outside [0, 1],
as SimCC networks give, count as 0 or 1.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

NUM_BINS = 10
# Scores nearer to 0 and 1 have log-odds that say no more.
_MARGIN = 1e-6
# Range of log(temperature) that is searched, and steps of the search.
_SEARCHED, _STEPS = (-3.0, 3.0), 60


@dataclass(frozen=True)
class Reliability:
    """Mean scores and shares of right keypoints, by bins of equal width.

    Attributes:
        scores: (bins,) mean score of each bin; NaN for an empty one.
        shares: (bins,) share of keypoints that are right; NaN for an empty bin.
        counts: (bins,) keypoints.
    """

    scores: np.ndarray
    shares: np.ndarray
    counts: np.ndarray

    @property
    def error(self) -> float:
        """Expected calibration error in [0, 1]; NaN without keypoints."""
        if not self.counts.sum():
            return float("nan")
        gaps = np.abs(np.nan_to_num(self.scores - self.shares))
        return float((gaps * self.counts).sum() / self.counts.sum())


def reliability(scores, is_right, num_bins: int = NUM_BINS) -> Reliability:
    """Compares scores with how often keypoints are right.

    Args:
        scores: (M,) of the keypoints that count.
        is_right: (M,) bool.
        num_bins: bins of equal width in [0, 1].

    Raises:
        ValueError: where the shapes do not fit together.
    """
    scores, is_right = _checked(scores, is_right)
    bins = np.minimum((scores * num_bins).astype(int), num_bins - 1)
    counts = np.bincount(bins, minlength=num_bins)
    sums = [np.bincount(bins, each, num_bins) for each in (scores, is_right)]
    means = [np.where(counts, each / np.maximum(counts, 1), np.nan) for each in sums]
    return Reliability(means[0], means[1], counts)


def apply_temperature(scores, temperature: float) -> np.ndarray:
    """Divides the log-odds of scores by a temperature; above 1 scores move towards 0.5."""
    scores = np.clip(np.nan_to_num(np.asarray(scores, float)), _MARGIN, 1 - _MARGIN)
    odds = np.log(scores) - np.log1p(-scores)
    scaled: np.ndarray = 1 / (1 + np.exp(-odds / temperature))
    return scaled


def fit_temperature(scores, is_right) -> float:
    """Finds the temperature of the least negative log-likelihood.

    Args:
        scores: (M,) of the keypoints that count.
        is_right: (M,) bool.

    Returns:
        A number in [e^-3, e^3]; 1 without keypoints.
    """
    scores, is_right = _checked(scores, is_right)
    if not len(scores):
        return 1.0

    def loss(log_temperature):
        scaled = apply_temperature(scores, np.exp(log_temperature))
        scaled = np.clip(scaled, 1e-12, 1 - 1e-12)
        return -np.where(is_right, np.log(scaled), np.log1p(-scaled)).mean()

    # Convex in 1 / temperature, so there is one valley, and thirds of the range lead to it.
    low, high = _SEARCHED
    for _ in range(_STEPS):
        left, right = low + (high - low) / 3, high - (high - low) / 3
        low, high = (low, right) if loss(left) <= loss(right) else (left, high)
    return float(np.exp((low + high) / 2))


def _checked(scores, is_right):
    scores, is_right = np.asarray(scores, float), np.asarray(is_right, bool)
    if scores.ndim != 1 or scores.shape != is_right.shape:
        raise ValueError(
            f"Scores and what is right must be (M,), got {scores.shape} and "
            f"{is_right.shape}."
        )
    return np.clip(np.nan_to_num(scores, posinf=1.0), 0, 1), is_right
