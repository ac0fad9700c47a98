"""One unit for all errors, whose borders are told in `exporting.comparison`."""

import numpy as np
import pytest

from keras_pose.exporting.comparison import relative_error, unit_of


def test_error_is_told_in_deviations_of_what_is_expected():
    # Deviation 2, size 2; a shift of 1 everywhere is half of that.
    expected = np.array([-2.0, 2.0])
    assert relative_error(expected + 1, expected) == pytest.approx(0.5)


def test_what_hardly_varies_is_measured_by_a_tenth_of_its_size():
    expected = np.array([-5.001, -4.999])
    assert relative_error(expected + 0.5, expected) == pytest.approx(1.0, rel=1e-6)


def test_file_of_zeros_is_not_taken_for_small_outputs():
    """However small what is expected is, nothing in its place is an error of 1."""
    expected = np.array([-1e-8, 1e-8])
    assert relative_error(np.zeros(2), expected) == pytest.approx(1.0)


def test_nan_stays_nan_and_zeros_are_met():
    assert np.isnan(relative_error([np.nan, 1.0], [0.0, 1.0]))
    assert relative_error([0.0, 0.0], [0.0, 0.0]) == 0.0


def test_moments_and_numbers_agree():
    values = np.random.default_rng(0).normal(3, 2, 1000)
    expected = max(values.std(), 0.1 * np.sqrt(np.mean(values**2)))
    assert unit_of(values.mean(), np.mean(values**2)) == pytest.approx(expected)
