"""Ranges of activations: which real values the integers of a quantized tensor span.

The caller runs a float network and feeds the values of its tensors to a `RangeCollector`,
twice: once for the extremes, then, for methods that look at how values are spread, for
histograms between them. The same code serves TFLite and ONNX.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Mapping
from dataclasses import asdict, dataclass
from functools import cached_property
from typing import Any

import numpy as np

RANGE_METHODS = ("minmax", "percentile", "mse")
DEFAULT_PERCENTILE = 99.99
NUM_BINS = 2048
# Shares of the full range that the search for the least squared error tries.
_SHRINKS = np.linspace(0.1, 1.0, 46)
INT8_STEPS = 255
# 1 / (1 + exp(-8)) is a tenth of a step of 1/256 below 1.
LOGISTIC_END = 8.0

# One tensor's smallest and largest value.
Range = tuple[float, float]
# Runs the float network on one batch after the other; yields all tensors by key.
Activations = Callable[[], Iterable[Mapping[Any, np.ndarray]]]


@dataclass(frozen=True)
class RangeRule:
    """Rule from the values of a tensor to its range.

    Attributes:
        method: "minmax": all that was met. "percentile": without the outermost values on
            either side. "mse": what gives the least mean squared error after rounding to
            8 bits and clipping.
        percentile: share of the values, in percent, that is on one side of a limit, for the
            method "percentile".

    Raises:
        ValueError: for another method, or a percentile not within (50, 100].
    """

    method: str = "minmax"
    percentile: float = DEFAULT_PERCENTILE

    def __post_init__(self) -> None:
        if self.method not in RANGE_METHODS:
            raise ValueError(
                f"range method must be one of {RANGE_METHODS}, got {self.method!r}."
            )
        if not 50 < self.percentile <= 100:
            raise ValueError(f"percentile must be within (50, 100], got {self.percentile}.")

    def __str__(self) -> str:
        is_percentile = self.method == "percentile"
        return f"percentile {self.percentile:g}" if is_percentile else self.method

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)


EXTREMES = RangeRule()
# Rules that a search tries, in order; 99 lost more of an HRNet (docs/results.md).
_PERCENTILES = (99.999, DEFAULT_PERCENTILE, 99.9, 99.5)
RULES = (EXTREMES, *(RangeRule("percentile", share) for share in _PERCENTILES))


class RangeCollector:
    """Value ranges of a network's tensors, measured on calibration crops.

    Attributes:
        extremes: key of a tensor -> smallest and largest value met.
    """

    def __init__(self, activations: Activations):
        self._activations = activations
        self.extremes = self._find_extremes()

    def ranges(self, rule: RangeRule = EXTREMES) -> dict[Hashable, Range]:
        """Estimates the range of every tensor.

        Returns:
            Key -> (low, high), with 0 between them: zero must be an integer exactly,
            since it pads convolutions.
        """
        if rule.method == "minmax":
            return {key: _with_zero(*limits) for key, limits in self.extremes.items()}
        is_percentile = rule.method == "percentile"
        estimate = percentile_range if is_percentile else least_error_range
        extra = {"percentile": rule.percentile} if is_percentile else {}
        return {
            key: estimate(counts, bin_edges(*self.extremes[key]), **extra)
            for key, counts in self._histograms.items()
        }

    def _find_extremes(self) -> dict[Hashable, Range]:
        found: dict[Hashable, Range] = {}
        for tensors in self._activations():
            for key, values in tensors.items():
                low, high = found.get(key, (np.inf, -np.inf))
                found[key] = min(low, float(values.min())), max(high, float(values.max()))
        return found

    @cached_property
    def _histograms(self) -> dict[Hashable, np.ndarray]:
        """Counts values in the bins of `bin_edges` between the extremes."""
        counts = {key: np.zeros(NUM_BINS, np.int64) for key in self.extremes}
        for tensors in self._activations():
            for key, values in tensors.items():
                low, high = map(_signed_root, self.extremes[key])
                scale = NUM_BINS / max(high - low, 1e-30)
                places = (_signed_root(values.ravel()) - low) * scale
                # The highest value lies beyond; and a runtime that rounds otherwise the
                # second time gives a constant tensor values far beyond its one.
                bins = np.clip(places, 0, NUM_BINS - 1).astype(np.int32)
                counts[key] += np.bincount(bins, minlength=NUM_BINS)
        return counts


def bin_edges(low: float, high: float) -> np.ndarray:
    """Returns the (NUM_BINS + 1,) limits of bins between two values.

    They are equal on the scale of the square root, and so the finer the nearer to zero:
    of values that reach 15,000 on a few crops, and 20 on all others (measured on an HRNet),
    equal bins would hold the others in three.
    """
    roots = np.linspace(_signed_root(low), _signed_root(high), NUM_BINS + 1)
    return roots * np.abs(roots)


def _signed_root(values):
    return np.sign(values) * np.sqrt(np.abs(values))


def percentile_range(counts, edges, percentile: float = DEFAULT_PERCENTILE) -> Range:
    """Leaves out the same share of values at either end of a histogram.

    Args:
        counts: (N,) values in each bin.
        edges: (N + 1,) limits of the bins, in rising order.
        percentile: share of the values, in percent, that is on one side of a limit.
    """
    shares = np.cumsum(counts) / max(np.sum(counts), 1)
    tail = 1 - percentile / 100
    first = int(np.searchsorted(shares, tail, side="right"))
    last = int(np.searchsorted(shares, 1 - tail, side="left"))
    return _with_zero(
        float(edges[min(first, len(counts) - 1)]),
        float(edges[min(last, len(counts) - 1) + 1]),
    )


def least_error_range(counts, edges) -> Range:
    """Finds the range whose 8-bit rounding and clipping costs least, squared and summed.

    Either end is drawn in alone and both together, since most tensors come out of a ReLU
    and have one end only.

    Args:
        counts: (N,) values in each bin.
        edges: (N + 1,) limits of the bins, in rising order.
    """
    centers = (edges[:-1] + edges[1:]) / 2
    low, high = _with_zero(float(edges[0]), float(edges[-1]))
    candidates = {
        (low * a, high * b)
        for share in _SHRINKS
        for a, b in ((share, 1.0), (1.0, share), (share, share))
    }
    return min(
        sorted(candidates, reverse=True),
        key=lambda limits: quantization_error(counts, centers, *limits),
    )


def quantization_error(counts, centers, low: float, high: float) -> float:
    """Sums the squared error of values that are rounded to 8 bits between two limits."""
    step = max(high - low, 1e-30) / INT8_STEPS
    zero_point = round(-low / step)
    integers = np.clip(np.rint(centers / step) + zero_point, 0, INT8_STEPS)
    error = (integers - zero_point) * step - centers
    # Within a bin, values are spread: rounding costs step^2 / 12 where it is wider.
    return float(np.sum(counts * error**2))


def logistic_range(limits: Range) -> Range:
    """Leaves out where a logistic function gives its first or last step of 8 bits."""
    return max(limits[0], -LOGISTIC_END), min(limits[1], LOGISTIC_END)


def _with_zero(low: float, high: float) -> Range:
    return min(low, 0.0), max(high, 0.0)
