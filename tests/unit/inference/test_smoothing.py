"""The one-euro filter against a plain one, and against what it promises."""

import math

import numpy as np
import pytest

from keras_pose.inference.smoothing import OneEuroSmoother
from keras_pose.pictures.structures import NO_TRACK, Poses
from keras_pose.skeleton import Skeleton

TWO = Skeleton("two", ("nose", "tail"))
FPS = 25


def poses(xy, track_ids, size=1.0):
    xy = np.asarray(xy, float).reshape(-1, 2, 2)
    boxes = np.tile([0, 0, size, size], (len(xy), 1))
    ones = np.ones((len(xy), 2))
    return Poses(boxes, xy, ones, ones[:, 0], TWO, track_ids)


class PlainFilter:
    """Algorithm 1 of the paper for one number, written down as it stands there."""

    def __init__(self, min_cutoff, beta, speed_cutoff):
        self.min_cutoff, self.beta, self.speed_cutoff = min_cutoff, beta, speed_cutoff
        self.x = self.dx = self.time = None

    def __call__(self, x, time):
        if self.x is None:
            self.x, self.dx, self.time = x, 0.0, time
            return x
        rate = 1 / (time - self.time)
        dx = (x - self.x) * rate
        self.dx = self.low_pass(dx, self.dx, self.alpha(rate, self.speed_cutoff))
        cutoff = self.min_cutoff + self.beta * abs(self.dx)
        self.x = self.low_pass(x, self.x, self.alpha(rate, cutoff))
        self.time = time
        return self.x

    @staticmethod
    def alpha(rate, cutoff):
        tau = 1 / (2 * math.pi * cutoff)
        return 1 / (1 + tau * rate)

    @staticmethod
    def low_pass(x, before, alpha):
        return alpha * x + (1 - alpha) * before


def test_every_number_is_filtered_as_a_plain_filter_does():
    rng = np.random.default_rng(seed=0)
    times = np.cumsum(rng.uniform(0.02, 0.06, 40))  # frames need not be regular
    signal = rng.normal(size=(40, 3, 2, 2)).cumsum(axis=0)
    smoother = OneEuroSmoother(min_cutoff=1.3, beta=0.7, speed_cutoff=0.9)
    plain = [PlainFilter(1.3, 0.7, 0.9) for _ in range(12)]

    for xy, time in zip(signal, times, strict=True):
        order = rng.permutation(3)  # people change places in the list
        found = smoother(poses(xy[order], order * 10), time).keypoints_xy
        expected = [f(x, time) for f, x in zip(plain, xy.ravel(), strict=True)]
        # Poses are float32.
        np.testing.assert_allclose(
            found, np.reshape(expected, (3, 2, 2))[order], rtol=1e-5, atol=1e-5
        )


def follow(signal, smoother, size):
    """Returns the smoothed x of one keypoint."""
    frames = [poses([[[x, 0], [0, 0]]], [0], size) for x in signal]
    smoothed = [smoother(frame, t / FPS) for t, frame in enumerate(frames)]
    return np.array([frame.keypoints_xy[0, 0, 0] for frame in smoothed])


def test_jitter_of_what_rests_becomes_less_than_half():
    noise = np.random.default_rng(seed=0).normal(0, 1, 300)  # of a person of 200 pixels
    smoothed = follow(100 + noise, OneEuroSmoother(), size=200)
    assert np.diff(smoothed[50:]).std() < 0.5 * np.diff(noise).std()


def test_what_moves_fast_lags_less_than_a_plain_low_pass():
    # One body size a second.
    signal = 200 * np.arange(100) / FPS
    lag = (signal - follow(signal, OneEuroSmoother(), 200))[50:]
    plain_lag = (signal - follow(signal, OneEuroSmoother(beta=0), 200))[50:]
    # Three frames, 24 pixels; a filter of 1 Hz lags by 1 / (2 pi) s: 32 pixels.
    assert 0 < lag.max() < 24 / 3
    np.testing.assert_allclose(plain_lag, 200 / (2 * np.pi), rtol=1e-3)


def test_settings_do_not_depend_on_resolution():
    signal = np.random.default_rng(seed=0).normal(size=50).cumsum()
    near = follow(4 * signal, OneEuroSmoother(), size=800)
    far = follow(signal, OneEuroSmoother(), size=200)
    np.testing.assert_allclose(near, 4 * far, rtol=1e-5, atol=1e-5)


def test_a_new_track_begins_where_it_is():
    smoother = OneEuroSmoother()
    smoother(poses(np.zeros((1, 2, 2)), [0]), 0.0)
    both = np.array([[[1, 1], [1, 1]], [[9, 9], [9, 9]]], float)

    found = smoother(poses(both, [0, 1]), 0.04).keypoints_xy

    assert (found[0] < 1).all()
    np.testing.assert_array_equal(found[1], both[1])


def test_who_was_away_for_long_begins_anew():
    smoother = OneEuroSmoother(forget_after=1)
    smoother(poses(np.zeros((1, 2, 2)), [0]), 0.0)
    smoother(poses(np.zeros((1, 2, 2)), [1]), 1.5)
    found = smoother(poses(np.ones((1, 2, 2)), [0]), 1.6).keypoints_xy
    np.testing.assert_array_equal(found, np.ones((1, 2, 2)))


def test_people_without_a_track_and_points_without_a_place_stay_as_they_are():
    smoother = OneEuroSmoother()
    gap = np.array([[[np.nan, np.nan], [2, 2]], [[3, 3], [3, 3]]])
    smoother(poses(np.zeros((2, 2, 2)), [0, NO_TRACK]), 0.0)
    found = smoother(poses(gap, [0, NO_TRACK]), 0.04).keypoints_xy
    assert np.isnan(found[0, 0]).all()
    np.testing.assert_array_equal(found[1], gap[1])
    # The point that was lost begins anew.
    back = smoother(poses(np.full((2, 2, 2), 5), [0, NO_TRACK]), 0.08).keypoints_xy
    np.testing.assert_array_equal(back[0, 0], [5, 5])
    assert (back[0, 1] < 5).all()


def test_a_keypoint_that_is_not_found_stays_and_begins_anew():
    # As of bottom-up networks: score 0, and a place that means nothing.
    smoother = OneEuroSmoother()
    for time, x, score in ((0.0, 50, 1), (0.04, 0, 0), (0.08, 90, 1), (0.12, 91, 1)):
        frame = poses(np.full((1, 2, 2), x), [0], size=1000)
        scores = np.array([[score, 1.0]])
        found = smoother(frame.replace(keypoint_scores=scores), time).keypoints_xy[0]
        if time < 0.1:
            np.testing.assert_array_equal(found[0], [x, x])
    assert (found[0] > 90).all()
    assert (found[0] < 91).all()
    assert (found[1] < 90).all()  # the other was found all the time, and follows


def test_nobody_is_no_trouble():
    assert len(OneEuroSmoother()(poses(np.zeros((0, 2, 2)), []), 0.0)) == 0


def test_misuse_is_refused():
    smoother = OneEuroSmoother()
    with pytest.raises(ValueError, match="follows tracks"):
        smoother(poses(np.zeros((1, 2, 2)), None), 0.0)
    smoother(poses(np.zeros((1, 2, 2)), [0]), 1.0)
    with pytest.raises(ValueError, match=r"1\.0 s is not after 1\.0 s"):
        smoother(poses(np.zeros((1, 2, 2)), [0]), 1.0)
    with pytest.raises(ValueError, match="min_cutoff > 0"):
        OneEuroSmoother(min_cutoff=0)
