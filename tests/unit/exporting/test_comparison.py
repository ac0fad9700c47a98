"""One unit for all errors, whose borders `exporting.comparison` explains."""

import numpy as np
import pytest

from keras_pose.exporting.comparison import boxes_error, relative_error, unit_of


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


def detector_maps(seed=0):
    """Two levels; in each, one person on a background that is sure of nobody."""
    rng = np.random.default_rng(seed)
    scores = [rng.normal(-9, 1, (2, size, size, 1)) for size in (8, 4)]
    distances = [rng.uniform(1, 200, (2, size, size, 4)) for size in (8, 4)]
    for score in scores:
        score[:, 1:3, 1:3] = 1.0
    return [*scores, *distances]


def test_background_of_a_detector_may_differ_and_its_people_may_not():
    expected = detector_maps()
    background, people = detector_maps(), detector_maps()
    for level in (0, 1):
        empty = np.ones_like(background[level], bool)
        empty[:, 1:3, 1:3] = False
        background[level][empty] -= 3
        background[2 + level][empty[..., 0]] *= 1.5
        people[2 + level][~empty[..., 0]] *= 1.5

    assert max(map(relative_error, background, expected)) > 0.4
    assert boxes_error(background, expected) < 1e-2
    # A distance of 100 +- 57 that is half as large again is off by 50 +- 29.
    assert boxes_error(people, expected) == pytest.approx(1.0, abs=0.3)


def test_scores_of_a_detector_are_compared_as_confidences():
    expected = detector_maps()
    shy = [x - 1.0 if x.shape[-1] == 1 else x for x in expected]
    confidences = np.concatenate([1 / (1 + np.exp(-x)).ravel() for x in expected[:2]])
    lower = np.concatenate([1 / (1 + np.exp(-x)).ravel() for x in shy[:2]])
    assert boxes_error(shy, expected) == relative_error(lower, confidences)


def test_detector_that_sees_the_same_everywhere_has_an_error_of_one():
    expected = detector_maps()
    blind = [np.full_like(x, x.mean()) for x in expected]
    assert boxes_error(blind, expected) > 0.9


@pytest.mark.parametrize("kind", [0, 1, 2, 3])
def test_nan_anywhere_is_an_error_of_nan(kind):
    broken = detector_maps()
    broken[kind].flat[5] = np.nan
    assert np.isnan(boxes_error(broken, detector_maps()))
