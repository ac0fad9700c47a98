"""AP of single-person images, against sums done by hand."""

import numpy as np
import pytest

from keras_pose.metrics.single_ap import apk, average_precision, oks_share


def test_oks_share_averages_over_thresholds():
    # 0.72 is above five of 0.50, 0.55, ... 0.95; 1.0 above all; NaN does not count.
    assert oks_share([0.72, 1.0, np.nan]) == pytest.approx((0.5 + 1) / 2)


def test_equality_is_not_above():
    assert oks_share([0.5], [0.5]) == 0


def test_nobody_is_nan():
    assert np.isnan(oks_share([]))
    assert np.isnan(average_precision([], [], 0))


def test_average_precision_by_hand():
    # Ranked: right, wrong, right; of 4. Recall grows by 1/4 at precision 1 and 2/3.
    value = average_precision([0.1, 0.9, 0.5], [True, True, False], 4)
    assert value == pytest.approx((1 + 2 / 3) / 4)


def test_precision_at_a_recall_is_the_best_at_any_higher_one():
    # Ranked: wrong, right, right: precision 0, 1/2, 2/3 -> 2/3 at both recalls.
    assert average_precision([3, 2, 1], [False, True, True], 2) == pytest.approx(2 / 3)


def test_no_detection_of_somebody_is_zero():
    assert average_precision([], [], 3) == 0


def test_a_score_that_is_no_number_ranks_last():
    assert average_precision([np.nan, 0.1], [False, True], 1) == 1


def test_apk_ranks_each_keypoint_by_its_score():
    distances = np.array([[0.1, 0.1], [0.9, np.nan], [0.1, np.nan]])
    scores = np.array([[0.9, 0.5], [0.8, 0.9], [0.7, 0.9]])
    # First: right, wrong, right of three. Second: one label, found.
    np.testing.assert_allclose(apk(distances, scores, 0.5), [(1 + 2 / 3) / 3, 1])
