import numpy as np
import pytest

from keras_pose.metrics import object_keypoint_similarity, oks_nms

SIGMAS = np.array([0.05, 0.1])
POSE = np.array([[[10.0, 10.0], [20.0, 30.0]]])


def test_equal_poses_have_similarity_one():
    assert object_keypoint_similarity(POSE, POSE, [100.0], SIGMAS) == 1


def test_oks_is_that_of_the_formula():
    # One keypoint is off by d: e = d^2 / ((2 sigma)^2 2 area); the other is right.
    moved = POSE + np.array([[3.0, 4.0], [0.0, 0.0]])
    expected = (np.exp(-25 / (0.1**2 * 2 * 400)) + 1) / 2

    similarity = object_keypoint_similarity(moved, POSE, [400.0], SIGMAS)

    np.testing.assert_allclose(similarity, [[expected]], rtol=1e-12)


def test_keypoints_that_do_not_count_are_left_out():
    moved = POSE + np.array([[1000.0, 0.0], [0.0, 0.0]])

    similarity = object_keypoint_similarity(
        moved, POSE, [400.0], SIGMAS, is_counted=[[False, True]]
    )

    assert similarity == 1


def test_a_pose_of_which_nothing_counts_has_similarity_zero():
    similarity = object_keypoint_similarity(
        POSE, POSE, [400.0], SIGMAS, is_counted=[[False, False]]
    )
    assert similarity == 0


@pytest.mark.parametrize(
    ("shift", "kept"),
    [
        pytest.param(0.0, [1], id="twins_leave_the_better_one"),
        pytest.param(100.0, [1, 0], id="strangers_stay_best_first"),
    ],
)
def test_oks_nms(shift, kept):
    people = np.concatenate([POSE, POSE + shift])
    np.testing.assert_array_equal(oks_nms(people, [0.3, 0.8], [400.0, 400.0], SIGMAS), kept)


def test_oks_nms_of_nobody_keeps_nobody():
    assert oks_nms(np.zeros((0, 2, 2)), [], [], SIGMAS).shape == (0,)
