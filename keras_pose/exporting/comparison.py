"""Errors of arrays in one unit for outputs and for layers: RMS difference / the standard
deviation of what is expected.

A tensor that hardly varies is measured by a tenth of its size (RMS) instead. The range of
integers takes in 0, so what hardly varies is rounded in proportion to its size: of
untrained scores near -4.6, with a deviation of 0.01, an 8-bit step is 4.6 / 255 = 0.018,
and no 8-bit file could tell them apart. Trained heatmaps are nearly 0 all over: there the
deviation is the size, and the tenth never counts.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from keras_pose.pictures.boxes import sigmoid

Keypoints = tuple[np.ndarray, np.ndarray]

SHARE_OF_SIZE = 0.1
# Keeps a tensor of zeros from a division by 0; nothing else is as small.
_TINY = 1e-12


def relative_error(actual, expected) -> float:
    """Returns the error of some numbers in the unit of the module; NaN if any is NaN."""
    wanted = np.asarray(expected, np.float64)
    difference = np.asarray(actual, np.float64) - wanted
    unit = unit_of(float(wanted.mean()), float(np.mean(wanted**2)))
    return float(np.sqrt(np.mean(difference**2))) / unit


def boxes_error(actual: Sequence, expected: Sequence) -> float:
    """Returns the error of what a detector's boxes are made of; NaN if any number is NaN.

    Nearly all cells of a detector see no person. Their logits, far below zero, make no
    difference to a confidence, and their distances belong to no box; but by far the most
    of `relative_error` is theirs. So scores are compared as confidences, and a distance
    counts by the square of its cell's confidence.

    Args:
        actual: score maps of all levels, (..., C) logits, then distance maps, (..., 4).
        expected: arrays of the same shapes.

    Returns:
        The larger of the errors of confidences and of distances, in the unit of the module.
    """
    num_levels = len(expected) // 2
    found, wanted = (
        _joined([sigmoid(np.asarray(x, np.float64)) for x in maps[:num_levels]])
        for maps in (actual, expected)
    )
    sides, wanted_sides = (
        _joined([np.asarray(x, np.float64) for x in maps[num_levels:]])
        for maps in (actual, expected)
    )
    # Squared: thousands of cells without a person weigh nothing together, either.
    shares = wanted.max(axis=1, keepdims=True) ** 2
    shares = shares / shares.sum() / sides.shape[1]
    mean, mean_square = (float((shares * wanted_sides**k).sum()) for k in (1, 2))
    difference = float((shares * (sides - wanted_sides) ** 2).sum())
    distances = np.sqrt(difference) / unit_of(mean, mean_square)
    return max(relative_error(found, wanted), float(distances), key=_nan_last)


def keypoints_error(actual: Keypoints, expected: Keypoints) -> float:
    """Returns the error of the keypoints that maps are made for; NaN if any is NaN.

    Rounding may change maps a good deal and their peaks hardly. A keypoint counts by the
    square of its score, since one that is not found may be anywhere. The unit is how far
    each keypoint varies from crop to crop: a file that gives the same person for all has
    an error of 1.

    Args:
        actual: (N, K, 2) keypoints of the file, input pixels, and their (N, K) scores.
        expected: keypoints and scores that are expected.

    Returns:
        The larger of the errors of positions and of scores, these in the unit of the
        module.
    """
    (found, _), (wanted, scores) = (
        [np.asarray(each, np.float64) for each in pair] for pair in (actual, expected)
    )
    shares = scores[..., None] ** 2 + _TINY
    means = (shares * wanted).sum(axis=0) / shares.sum(axis=0)
    total = 2 * shares.sum()
    spread = (shares * (wanted - means) ** 2).sum() / total
    difference = (shares * (found - wanted) ** 2).sum() / total
    positions = float(np.sqrt(difference) / max(np.sqrt(spread), _TINY))
    return max(positions, relative_error(actual[1], scores), key=_nan_last)


def _joined(maps) -> np.ndarray:
    """Puts the cells of all maps below one another, (N, C)."""
    return np.concatenate([x.reshape(-1, x.shape[-1]) for x in maps])


def _nan_last(value: float) -> float:
    return np.inf if np.isnan(value) else value


def unit_of(mean: float, mean_square: float) -> float:
    """Returns what errors are divided by, from the moments of what is expected."""
    deviation = np.sqrt(max(mean_square - mean**2, 0.0))
    return max(float(deviation), SHARE_OF_SIZE * float(np.sqrt(mean_square)), _TINY)
