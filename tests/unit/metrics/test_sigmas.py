"""OKS sigmas from repeated labels: known spreads come back, with honest intervals."""

import numpy as np
import pytest

from keras_pose.metrics.sigmas import GROSS, estimate_sigmas
from keras_pose.skeleton import Skeleton

EARS = Skeleton(
    "cat", ("left_ear", "right_ear", "tail"), mirrored=(("left_ear", "right_ear"),)
)
TRUE = np.array([0.03, 0.03, 0.08])


def pairs(num_pictures=400, seed=0):
    """Two workers' labels of known spread: sigma**2 is E[d**2], of both axes together."""
    rng = np.random.default_rng(seed)
    error = rng.normal(0, 1, (2, num_pictures, 3, 2)) * (TRUE / np.sqrt(2))[:, None]
    squared = ((error[0] - error[1]) ** 2).sum(axis=2)
    return squared, np.arange(num_pictures)


def test_known_spreads_come_back_within_their_intervals():
    estimate = estimate_sigmas(EARS, *pairs())
    # The mean of 400 exponential values is within 3 * 5 % of theirs, a root of it half.
    np.testing.assert_allclose(estimate.sigmas, TRUE, rtol=0.08)
    assert (estimate.low < TRUE).all()
    assert (estimate.high > TRUE).all()
    assert estimate.counts.tolist() == [800, 800, 400]


def test_a_pair_shares_its_sigma_by_hand():
    squared = np.array([[0.0002, 0.0006, np.nan], [np.nan, 0.0004, 0.02]])
    estimate = estimate_sigmas(EARS, squared, [0, 1])
    ear = np.sqrt((0.0002 + 0.0006 + 0.0004) / 3 / 2)
    np.testing.assert_allclose(estimate.sigmas, [ear, ear, np.sqrt(0.01)])
    assert estimate.counts.tolist() == [3, 3, 1]


def test_four_times_the_pictures_halve_the_interval():
    few = estimate_sigmas(EARS, *pairs(100))
    many = estimate_sigmas(EARS, *pairs(400))
    ratio = (few.high - few.low) / (many.high - many.low)
    # 2, and the noise of 1000 resamples of either.
    np.testing.assert_allclose(ratio, 2, atol=0.7)


def test_labels_of_another_place_are_left_out_and_counted():
    squared, pictures = pairs()
    spoilt = squared.copy()
    spoilt[:5, 2] = (1.5 * GROSS) ** 2
    estimate = estimate_sigmas(EARS, spoilt, pictures)
    assert estimate.num_gross.tolist() == [0, 0, 5]
    expected = np.sqrt(squared[5:, 2].mean() / 2)
    assert estimate.sigmas[2] == pytest.approx(expected)


def test_what_was_not_labelled_twice_has_no_sigma():
    estimate = estimate_sigmas(EARS, np.full((3, 3), np.nan), [0, 1, 2])
    assert np.isnan([estimate.sigmas, estimate.low, estimate.high]).all()
    with pytest.raises(ValueError, match="Squared distances of 2 pairs and 3"):
        estimate_sigmas(EARS, np.zeros((3, 3)), [0, 1])
