"""Calibration of scores, by figures computed by hand."""

import numpy as np
import pytest

from keras_pose.metrics.score_calibration import (
    apply_temperature,
    fit_logistic,
    fit_softmax_temperature,
    fit_temperature,
    reliability,
)


def drawn(sharpness, count=20_000):
    """Scores whose log-odds are `sharpness` times those of the truth."""
    rng = np.random.default_rng(0)
    chances = rng.uniform(0.02, 0.98, count)
    is_right = rng.uniform(size=count) < chances
    odds = sharpness * (np.log(chances) - np.log1p(-chances))
    return 1 / (1 + np.exp(-odds)), is_right


def test_error_is_the_mean_gap_of_the_bins():
    # Three scores of 0.9, one right; one of 0.15 that is wrong.
    found = reliability([0.9, 0.9, 0.9, 0.15], [True, False, False, False])
    assert found.counts.tolist() == [0, 1, 0, 0, 0, 0, 0, 0, 0, 3]
    assert found.error == pytest.approx((3 * (0.9 - 1 / 3) + 0.15) / 4)
    assert np.isnan(found.shares[0])


def test_scores_outside_of_shares_and_no_numbers_have_bins():
    found = reliability([1.7, -0.2, np.nan], [True, False, False])
    assert found.error == 0
    assert found.counts[[0, 9]].tolist() == [2, 1]
    assert np.isnan(reliability([], []).error)


@pytest.mark.parametrize("sharpness", [0.5, 1.0, 3.0])
def test_temperature_is_found_and_makes_the_error_small(sharpness):
    scores, is_right = drawn(sharpness)
    temperature = fit_temperature(scores, is_right)
    # Five standard errors of a slope fitted to 20,000 throws.
    assert temperature == pytest.approx(sharpness, rel=0.07)
    after = reliability(apply_temperature(scores, temperature), is_right).error
    assert after < 0.015
    if sharpness != 1:
        assert reliability(scores, is_right).error > 5 * after


def test_a_temperature_keeps_the_order_and_the_middle():
    scaled = apply_temperature([0.0, 0.2, 0.5, 0.9, 1.3], 2.0)
    assert (np.diff(scaled) > 0).all()
    assert scaled[2] == 0.5
    assert fit_temperature([], []) == 1


def test_one_flag_per_score():
    with pytest.raises(ValueError, match=r"must be \(M,\), got \(2,\) and \(3,\)"):
        reliability([0.1, 0.2], [True, False, True])


def test_the_temperature_of_several_classes_is_found():
    rng = np.random.default_rng(0)
    logits = rng.normal(size=(20_000, 3)) * 2
    shares = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    classes = (rng.uniform(size=(20_000, 1)) > shares.cumsum(axis=1)).sum(axis=1)
    assert fit_softmax_temperature(2.5 * logits, classes) == pytest.approx(2.5, rel=0.05)
    with pytest.raises(ValueError, match=r"\(M, C\) and classes \(M,\), got \(3,\)"):
        fit_softmax_temperature(np.zeros(3), [0, 1, 2])


def test_the_logistic_function_of_scores_is_found():
    rng = np.random.default_rng(0)
    scores = rng.uniform(0, 1.2, 20_000)
    is_right = rng.uniform(size=20_000) < 1 / (1 + np.exp(-(7 * scores - 3)))
    assert fit_logistic(scores, is_right) == pytest.approx((7, -3), rel=0.05)
    with pytest.raises(ValueError, match="right and others that are wrong, got 3 and 0"):
        fit_logistic([0.1, 0.2, 0.3], [True, True, True])
