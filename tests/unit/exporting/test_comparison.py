"""One unit for all errors, whose borders `exporting.comparison` explains."""

import numpy as np
import pytest

from keras_pose.exporting.comparison import (
    boxes_error,
    keypoints_error,
    relative_error,
    unit_of,
)


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


def people(seed=0):
    """Keypoints of twelve crops, the last one nowhere to be seen, and their scores."""
    rng = np.random.default_rng(seed)
    keypoints_xy = rng.normal([[40, 30], [50, 60], [20, 90]], 10.0, (12, 3, 2))
    return keypoints_xy, np.tile([0.9, 0.6, 0.0], (12, 1))


def test_keypoints_are_measured_by_how_far_each_varies():
    keypoints_xy, scores = people()
    spread = keypoints_xy[:, :2].std(axis=0)
    moved = keypoints_xy + np.array([3.0, 4.0])
    anywhere = keypoints_xy.copy()
    anywhere[:, 2] = 999.0  # where no keypoint is found, none is missed

    error = keypoints_error((moved, scores), (keypoints_xy, scores))
    assert 5 / np.hypot(*spread.max(axis=0)) < error < 5 / np.hypot(*spread.min(axis=0))
    assert keypoints_error((anywhere, scores), (keypoints_xy, scores)) < 1e-3

    same_for_all = np.broadcast_to(keypoints_xy.mean(axis=0), keypoints_xy.shape)
    error = keypoints_error((same_for_all, scores), (keypoints_xy, scores))
    assert error == pytest.approx(1.0)


def test_scores_of_keypoints_count_as_well():
    keypoints_xy, scores = people()
    error = keypoints_error((keypoints_xy, scores / 2), (keypoints_xy, scores))
    assert error == relative_error(scores / 2, scores) > 0.5
    broken = keypoints_xy.copy()
    broken[3, 1, 0] = np.nan
    assert np.isnan(keypoints_error((broken, scores), (keypoints_xy, scores)))
