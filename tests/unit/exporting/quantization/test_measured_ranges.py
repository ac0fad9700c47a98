import numpy as np
import pytest

from keras_pose.exporting.quantization.measured_ranges import (
    RangeCollector,
    RangeRule,
    bin_edges,
    least_error_range,
    percentile_range,
    quantization_error,
)


def collector_of(*batches):
    return RangeCollector(lambda: ({"x": np.float32(batch)} for batch in batches))


def test_minmax_is_all_that_was_met_and_holds_zero():
    collector = collector_of([[1.0, 2.0]], [[5.0, 3.0]])
    assert collector.extremes == {"x": (1.0, 5.0)}
    assert collector.ranges() == {"x": (0.0, 5.0)}


def test_percentile_leaves_out_an_outlier():
    values = np.append(np.linspace(0, 1, 100_000), 100.0)
    low, high = collector_of(values).ranges(RangeRule("percentile", 99.9))["x"]
    assert low == 0
    assert high == pytest.approx(1, rel=0.02)


def test_usual_values_are_told_apart_beside_some_a_thousand_times_as_large():
    usual = np.random.default_rng(0).normal(size=200_000)
    collector = collector_of(usual, 1000 * usual[:1000])
    low, high = collector.ranges(RangeRule("percentile", 99))["x"]
    # Of the rarer ones, too, half are beyond either limit: 0.25 percent of all values.
    expected = np.quantile(usual, [0.01 - 0.0025, 0.99 + 0.0025])
    np.testing.assert_allclose((low, high), expected, rtol=0.05)


@pytest.mark.parametrize("limits", [(0.0, 6.0), (-3.0, 5000.0), (-2.0, -1.0), (1.0, 1.0)])
def test_bins_rise_from_the_lowest_value_to_the_highest_and_are_finest_at_zero(limits):
    edges = bin_edges(*limits)
    np.testing.assert_allclose(edges[[0, -1]], limits, rtol=1e-12)
    widths = np.diff(edges)
    assert (widths >= 0).all()
    centers = np.abs(edges[:-1] + edges[1:])
    assert (np.diff(widths[np.argsort(centers)]) >= -1e-9).all()


def test_least_error_cuts_an_outlier_and_keeps_what_is_evenly_spread():
    even = np.linspace(-1, 3, 100_000)
    assert collector_of(even).ranges(RangeRule("mse"))["x"] == pytest.approx(
        (-1, 3), rel=0.05
    )

    counts, edges = normal_counts(-5, 60)
    counts[-1] = 1  # of a million
    low, high = least_error_range(counts, edges)
    assert high < 20
    assert low >= -5


def normal_counts(low, high):
    """A million numbers, as in a histogram; returns it, and its limits."""
    edges = np.linspace(low, high, 2049)
    centers = (edges[:-1] + edges[1:]) / 2
    density = np.exp(-(centers**2) / 2)
    return 1e6 * density / density.sum(), edges


def test_least_error_of_a_normal_distribution_is_at_four_sigma():
    """Banner et al. 2019 (arXiv:1810.05723), table of optimal clipping: 3.94 at 8 bits."""
    counts, edges = normal_counts(-10, 10)

    low, high = least_error_range(counts, edges)

    assert (low, high) == pytest.approx((-3.94, 3.94), abs=0.4)
    centers = (edges[:-1] + edges[1:]) / 2
    full = quantization_error(counts, centers, -10, 10)
    assert quantization_error(counts, centers, low, high) < 0.2 * full


def test_error_of_rounding_is_a_twelfth_of_the_squared_step():
    centers = np.linspace(0, 255, 25_501)
    error = quantization_error(np.ones(len(centers)), centers, 0, 255) / len(centers)
    assert error == pytest.approx(1 / 12, rel=1e-3)


def test_percentile_of_a_constant_is_that_constant():
    edges = np.linspace(0, 2, 9)
    assert percentile_range(np.eye(1, 8, 7)[0], edges) == pytest.approx((0.0, 2.0))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["median"], "range method must be one of"),
        (["percentile", 40.0], r"within \(50, 100\], got 40"),
    ],
)
def test_unknown_settings_are_refused(arguments, message):
    with pytest.raises(ValueError, match=message):
        RangeRule(*arguments)


def test_constants_that_are_rounded_otherwise_the_second_time_keep_their_range():
    # Sums in another order: seen of ONNX Runtime with several threads.
    runs = iter([2.0, np.float32(2.0) + np.float32(1e-6)])

    def activations():
        yield {"constant": np.full((1, 4), next(runs), np.float32)}

    collector = RangeCollector(activations)
    low, high = collector.ranges(RangeRule("percentile", 99.9))["constant"]
    assert low == 0
    assert high == pytest.approx(2.0)
