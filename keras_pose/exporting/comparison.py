"""How far numbers are from what they should be, in one unit for outputs and for layers: RMS
difference / the standard deviation of what is expected.

A tensor that hardly varies is measured by a tenth of its size (RMS) instead. The range of
integers takes in 0, so what hardly varies is rounded in proportion to its size: of
untrained scores near -4.6, with a deviation of 0.01, an 8-bit step is 4.6 / 255 = 0.018,
and no 8-bit file could tell them apart. Trained heatmaps are nearly 0 all over: there the
deviation is the size, and the tenth never counts.
"""

from __future__ import annotations

import numpy as np

SHARE_OF_SIZE = 0.1
# Keeps a tensor of zeros from a division by 0; nothing else is as small.
_TINY = 1e-12


def relative_error(actual, expected) -> float:
    """Returns the error of some numbers in the unit of the module; NaN if any is NaN."""
    wanted = np.asarray(expected, np.float64)
    difference = np.asarray(actual, np.float64) - wanted
    unit = unit_of(float(wanted.mean()), float(np.mean(wanted**2)))
    return float(np.sqrt(np.mean(difference**2))) / unit


def unit_of(mean: float, mean_square: float) -> float:
    """Returns what errors are divided by, from the moments of what is expected."""
    deviation = np.sqrt(max(mean_square - mean**2, 0.0))
    return max(float(deviation), SHARE_OF_SIZE * float(np.sqrt(mean_square)), _TINY)
