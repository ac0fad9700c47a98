"""Keypoint scores as probabilities: reliability, calibration error, temperature, logistic.

Source: Guo et al. 2017 (arXiv:1706.04599): expected calibration error in sec. 2, scaling
by a temperature in sec. 4.2, of the log-odds of single scores or of the logits of several
classes. Platt 1999 ("Probabilistic outputs for support vector machines"), sec. 2: a
logistic function of the score. Scores outside [0, 1], as SimCC networks give, count as 0
or 1, but for the logistic function, which takes any.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

NUM_BINS = 10
# Scores nearer to 0 and 1 have log-odds that say no more.
_MARGIN = 1e-6
# Steps of Newton's method, and the change of log-odds at which it ends.
_NEWTON_STEPS, _NEWTON_END = 100, 1e-9
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

    return _temperature_of(loss)


def fit_softmax_temperature(logits, classes) -> float:
    """Finds the temperature of logits with the least negative log-likelihood.

    Args:
        logits: (M, C).
        classes: (M,) int, the right ones.

    Returns:
        A number in [e^-3, e^3]; 1 without samples.

    Raises:
        ValueError: where the shapes do not fit together.
    """
    logits, classes = np.asarray(logits, float), np.asarray(classes, int)
    if logits.ndim != 2 or classes.shape != logits.shape[:1]:
        raise ValueError(
            f"Logits must be (M, C) and classes (M,), got {logits.shape} and "
            f"{classes.shape}."
        )
    if not len(logits):
        return 1.0

    def loss(log_temperature):
        scaled = logits / np.exp(log_temperature)
        scaled = scaled - scaled.max(axis=1, keepdims=True)
        right = np.take_along_axis(scaled, classes[:, None], axis=1)[:, 0]
        return (np.log(np.exp(scaled).sum(axis=1)) - right).mean()

    return _temperature_of(loss)


def _temperature_of(loss) -> float:
    """Finds the temperature at which a function of its logarithm is least."""
    # Convex in 1 / temperature, so there is one valley, and thirds of the range lead to it.
    low, high = _SEARCHED
    for _ in range(_STEPS):
        left, right = low + (high - low) / 3, high - (high - low) / 3
        low, high = (low, right) if loss(left) <= loss(right) else (left, high)
    return float(np.exp((low + high) / 2))


def fit_logistic(scores, is_right) -> tuple[float, float]:
    """Fits the logistic function of scores that is likeliest, by Newton's method.

    Right and wrong count as a little less than certain, as Platt has it (sec. 2.2), so
    that scores which tell them apart do not send the slope to infinity.

    Args:
        scores: (M,) of the keypoints that count, any finite numbers.
        is_right: (M,) bool.

    Returns:
        slope: factor on the score.
        intercept: log-odds of a score of 0.

    Raises:
        ValueError: for shapes that do not fit together, and where all keypoints are right
            or all wrong, of which no function could be fitted.
    """
    scores, is_right = np.asarray(scores, float), np.asarray(is_right, bool)
    if scores.ndim != 1 or scores.shape != is_right.shape:
        raise ValueError(
            f"Scores and what is right must be (M,), got {scores.shape} and "
            f"{is_right.shape}."
        )
    num_right, num_wrong = int(is_right.sum()), int((~is_right).sum())
    if not (num_right and num_wrong):
        raise ValueError(
            "A logistic function needs keypoints that are right and others that are "
            f"wrong, got {num_right} and {num_wrong}."
        )
    targets = np.where(is_right, (num_right + 1) / (num_right + 2), 1 / (num_wrong + 2))
    # Of unit spread, so that steps are alike whatever the scores' unit is.
    middle, spread = scores.mean(), scores.std() or 1.0
    columns = np.stack([(scores - middle) / spread, np.ones_like(scores)], axis=1)
    weights = np.array([0.0, np.log(num_right / num_wrong)])
    for _ in range(_NEWTON_STEPS):
        shares = 1 / (1 + np.exp(-np.clip(columns @ weights, -60, 60)))
        slope = columns.T @ (shares - targets)
        curvature = (columns * (shares * (1 - shares))[:, None]).T @ columns
        step = np.linalg.solve(curvature + 1e-9 * np.eye(2), slope)
        weights = weights - np.clip(step, -5, 5)
        if np.abs(step).max() < _NEWTON_END:
            break
    slope = float(weights[0] / spread)
    return slope, float(weights[1] - slope * middle)


def _checked(scores, is_right):
    scores, is_right = np.asarray(scores, float), np.asarray(is_right, bool)
    if scores.ndim != 1 or scores.shape != is_right.shape:
        raise ValueError(
            f"Scores and what is right must be (M,), got {scores.shape} and "
            f"{is_right.shape}."
        )
    return np.clip(np.nan_to_num(scores, posinf=1.0), 0, 1), is_right
