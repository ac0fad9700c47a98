"""Losses against numbers worked out by hand."""

import keras
import numpy as np
import pytest

from keras_pose.losses import LOSSES, OHKM, FocusedMSE, JointsMSE

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


def test_ohkm_takes_the_hardest_weighted_keypoints():
    np.testing.assert_allclose(OHKM(top_k=1)(TRUE, PREDICTED), (5 / 4 + 2 / 4) / 2)
    # With keypoint 0 of person 0 not labelled, 0 is the hardest that is left.
    weights = np.array([[0, 1], [1, 1]], "float32")
    np.testing.assert_allclose(OHKM(top_k=1)(TRUE, PREDICTED, weights), (0 + 2 / 4) / 2)


def test_ohkm_of_all_keypoints_is_joints_mse():
    np.testing.assert_allclose(OHKM(top_k=2)(TRUE, PREDICTED), JointsMSE()(TRUE, PREDICTED))


@pytest.mark.parametrize(
    "loss", [OHKM(top_k=2), FocusedMSE(gamma=2.0, delta=0.5), JointsMSE()]
)
def test_losses_survive_saving(loss):
    copy = keras.saving.deserialize_keras_object(keras.saving.serialize_keras_object(loss))
    assert copy(TRUE, PREDICTED) == loss(TRUE, PREDICTED)


@pytest.mark.parametrize("name", LOSSES)
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
    ],
)
def test_senseless_settings_are_refused(make, message):
    with pytest.raises(ValueError, match=message):
        make()
