"""Losses against numbers worked out by hand."""

import keras
import numpy as np
import pytest

from keras_pose.codecs import CODECS
from keras_pose.losses import (
    L1,
    L2,
    LOSSES,
    OHKM,
    AdaptiveWing,
    FocusedMSE,
    JointsMSE,
    SimccKL,
    SmoothL1,
)

# Two people, two pixels, two keypoints: (B, H=1, W=2, K=2).
TRUE = np.array([[[[1, 0], [0, 0]]], [[[0, 0], [0, 1]]]], "float32")
PREDICTED = np.array([[[[0, 0], [2, 0]]], [[[0, 1], [0, 0]]]], "float32")
# Squared errors per (person, keypoint): (1 + 4), (0), (0), (1 + 1).
SUMS = np.array([[5, 0], [0, 2]], "float32")


def test_joints_mse_is_half_the_mean_over_pixels():
    values = JointsMSE(reduction=None)(TRUE, PREDICTED)
    np.testing.assert_allclose(values, 0.5 * SUMS / 2)


def test_joints_mse_reduces_as_the_reference():
    weights = np.array([[1, 1], [1, 0]], "float32")
    # Reference: sum over joints of 0.5 x mean over (batch, pixels), over joints.
    by_joint = [0.5 * (5 + 0) / 4, 0.5 * (0 + 0) / 4]
    value = JointsMSE()(TRUE, PREDICTED, weights)
    np.testing.assert_allclose(value, sum(by_joint) / 2)


def test_focused_mse_weighs_by_the_target():
    values = FocusedMSE(gamma=1, delta=1e-3, reduction=None)(TRUE, PREDICTED)
    # Person 0, keypoint 0: pixel of target 1 weighs 1.001, the other 0.001.
    # Person 1, keypoint 1: predictions (1, 0) against targets (0, 1).
    expected = [[(1.001 * 1 + 0.001 * 4) / 2, 0], [0, (0.001 * 1 + 1.001 * 1) / 2]]
    np.testing.assert_allclose(values, expected, rtol=1e-5)


def test_focused_mse_without_gamma_is_the_squared_error():
    values = FocusedMSE(gamma=0, reduction=None)(TRUE, PREDICTED)
    np.testing.assert_allclose(values, SUMS / 2)


def test_adaptive_wing_is_the_papers_formula():
    loss = AdaptiveWing(peak_weight=0, reduction=None)

    def by_hand(target, error):
        power, edge = 2.1 - target, 0.5 / 1.0
        if error < 0.5:
            return 14 * np.log(1 + error**power)
        slope = 14 / (1 + edge**power) * power * edge ** (power - 1)
        return slope * error - (0.5 * slope - 14 * np.log(1 + edge**power))

    for target, predicted in [(0.0, 0.1), (1.0, 0.9), (0.3, 2.0), (0.5, 0.5)]:
        value = loss(np.full((1, 1, 1, 1), target), np.full((1, 1, 1, 1), predicted))
        expected = by_hand(target, abs(target - predicted))
        np.testing.assert_allclose(value, [[expected]], rtol=1e-5, atol=1e-6)


def test_adaptive_wing_weighs_a_peak_and_the_pixels_beside_it():
    true = np.zeros((1, 1, 5, 1), "float32")
    true[0, 0, 1] = 0.2
    predicted = true + 0.1
    plain = AdaptiveWing(peak_weight=0, reduction=None)
    weighed = AdaptiveWing(peak_weight=10, reduction=None)
    parts = plain(np.reshape(true, (5, 1, 1, 1)), np.reshape(predicted, (5, 1, 1, 1)))
    expected = np.mean(np.ravel(parts) * [11, 11, 11, 1, 1])
    np.testing.assert_allclose(weighed(true, predicted), [[expected]], rtol=1e-5)


def test_ohkm_takes_the_hardest_weighted_keypoints():
    np.testing.assert_allclose(OHKM(top_k=1)(TRUE, PREDICTED), (5 / 4 + 2 / 4) / 2)
    # With keypoint 0 of person 0 not labelled, 0 is the hardest that is left.
    weights = np.array([[0, 1], [1, 1]], "float32")
    np.testing.assert_allclose(OHKM(top_k=1)(TRUE, PREDICTED, weights), (0 + 2 / 4) / 2)


def test_ohkm_of_all_keypoints_is_joints_mse():
    np.testing.assert_allclose(OHKM(top_k=2)(TRUE, PREDICTED), JointsMSE()(TRUE, PREDICTED))


@pytest.mark.parametrize(
    "loss",
    [
        OHKM(top_k=2),
        FocusedMSE(gamma=2.0, delta=0.5),
        AdaptiveWing(omega=9.0, theta=0.4, epsilon=2.0, alpha=2.5, peak_weight=3.0),
        JointsMSE(),
        SmoothL1(beta=0.1),
        L1(),
        L2(),
    ],
)
def test_losses_survive_saving(loss):
    copy = keras.saving.deserialize_keras_object(keras.saving.serialize_keras_object(loss))
    assert copy(TRUE, PREDICTED) == loss(TRUE, PREDICTED)


@pytest.mark.parametrize("name", ["joints_mse", "focused_mse", "ohkm"])
def test_stages_are_summed(name):
    keypoints = 8  # OHKM's default wants so many
    image = keras.Input((4, 4, 3))
    stages = [
        keras.layers.Conv2D(keypoints, 1, kernel_initializer="zeros")(image)
        for _ in range(2)
    ]
    model = keras.Model(image, stages)
    model.compile("sgd", loss=[LOSSES[name]() for _ in stages])
    target = np.random.default_rng(0).random((2, 4, 4, keypoints)).astype("float32")
    images, weights = np.zeros((2, 4, 4, 3), "float32"), np.ones((2, keypoints), "float32")
    total = model.test_on_batch(images, [target, target], [weights, weights])
    one = LOSSES[name]()(target, np.zeros_like(target), weights)
    np.testing.assert_allclose(np.ravel(total)[0], 2 * float(one), rtol=1e-5)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: OHKM(top_k=0), "top_k >= 1"),
        (lambda: OHKM(top_k=3)(TRUE, PREDICTED), "needs that many keypoints"),
        (lambda: FocusedMSE(delta=-1), "delta >= 0"),
        (lambda: AdaptiveWing(alpha=2), "alpha > 2"),
        (lambda: SmoothL1(beta=0), "beta > 0"),
        (lambda: SimccKL(0), "num_bins_x >= 1"),
    ],
)
def test_senseless_settings_are_refused(make, message):
    with pytest.raises(ValueError, match=message):
        make()


def offset_maps():
    """One person, two pixels, one keypoint: (B, H=1, W=2, 3) targets and predictions."""
    # A disc on the first pixel only, with offsets (0.5, -1).
    true = np.array([[[[1, 0.5, -1], [0, 0, 0]]]], "float32")
    predicted = np.array([[[[0.5, 0, 1], [0.5, 9, 9]]]], "float32")
    return true, predicted


@pytest.mark.parametrize(
    ("loss", "discs"),
    [
        (JointsMSE, 0.5 * (0.25 + 0.25) / 2),
        (FocusedMSE, (1.001 * 0.25 + 0.001 * 0.25) / 2),
        (lambda **kwargs: OHKM(top_k=1, **kwargs), 0.5 * (0.25 + 0.25) / 2),
    ],
)
def test_offsets_count_within_the_disc(loss, discs):
    # The second pixel's offsets are far off, but outside the disc.
    offsets = 0.5 * (0.5**2) / 2 + 0.5 * (2**2) / 2
    value = loss(has_offsets=True)(*offset_maps())
    np.testing.assert_allclose(value, discs + offsets, rtol=1e-5)


@pytest.mark.parametrize(
    ("loss", "expected"),
    [
        # One person, two keypoints; errors (0.5, 0) and (2, 1).
        (L1(reduction=None), [[0.25, 1.5]]),
        (L2(reduction=None), [[0.125, 2.5]]),
        (SmoothL1(reduction=None), [[0.0625, (1.5 + 0.5) / 2]]),
        (SmoothL1(beta=0.25, reduction=None), [[0.1875, (1.875 + 0.875) / 2]]),
    ],
)
def test_coordinate_losses_are_means_over_x_and_y(loss, expected):
    true = np.zeros((1, 2, 2), "float32")
    predicted = np.array([[[-0.5, 0], [2, -1]]], "float32")
    np.testing.assert_allclose(loss(true, predicted), expected)


@pytest.mark.parametrize("kind", CODECS)
def test_every_loss_of_a_codec_takes_its_targets(kind):
    codec = CODECS[kind].for_input((64, 32))
    points_xy = np.random.default_rng(0).uniform(4, 28, (2, 8, 2))
    targets, weights = codec.encode(points_xy, np.full((2, 8), 2))
    rng = np.random.default_rng(1)
    predicted = rng.standard_normal(targets.shape).astype("float32")
    for name in codec.losses:
        loss = LOSSES[name](**codec.loss_settings)
        perfect, actual = (float(loss(targets, y, weights)) for y in (targets, predicted))
        # SimCC's perfect output is a tenfold one: its target is a softmax.
        assert 0 <= perfect < actual, name
