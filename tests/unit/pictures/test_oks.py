import numpy as np
import pytest

from keras_pose.pictures.oks import object_keypoint_similarity, oks_nms, soft_oks_nms
from keras_pose.skeleton import COCO_17

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


def test_nms_equals_the_rule_written_out():
    rng = np.random.default_rng(seed=0)
    people = np.repeat(rng.uniform(0, 300, (12, 17, 2)), 5, axis=0)
    people += rng.normal(0, 2, people.shape)
    scores, areas = rng.uniform(size=60), rng.uniform(2000, 9000, 60)
    kept = []
    for i in np.argsort(-scores):
        means = (areas[kept] + areas[i]) / 2
        similarity = object_keypoint_similarity(
            people[[i]], people[kept], means, COCO_17.oks_sigmas
        )
        if (similarity <= 0.5).all():
            kept.append(int(i))

    found = oks_nms(people, scores, areas, COCO_17.oks_sigmas, 0.5)

    assert 12 <= len(kept) < 60
    np.testing.assert_array_equal(found, kept)


def test_soft_nms_fades_a_twin_behind_a_stranger():
    people = np.concatenate([POSE, POSE, POSE + 100])
    kept = soft_oks_nms(people, [0.9, 0.8, 0.7], [400.0] * 3, SIGMAS)
    # The twin's score falls to 0.8 exp(-1 / 0.9) = 0.26; nobody goes.
    np.testing.assert_array_equal(kept, [0, 2, 1])


def test_soft_nms_picks_so_many_at_most():
    people = POSE + 100 * np.arange(30)[:, None, None]
    kept = soft_oks_nms(people, np.arange(30.0), np.full(30, 400.0), SIGMAS)
    np.testing.assert_array_equal(kept, np.arange(29, 9, -1))


@pytest.mark.parametrize("nms", [oks_nms, soft_oks_nms])
def test_a_score_that_is_no_number_ranks_last(nms):
    people = np.concatenate([POSE, POSE + 100])
    np.testing.assert_array_equal(nms(people, [np.nan, 0.1], [400.0] * 2, SIGMAS), [1, 0])


def test_nms_refuses_shapes_that_do_not_fit():
    with pytest.raises(ValueError, match=r"needs keypoints \(2, 2, 2\)"):
        oks_nms(POSE, [0.1, 0.2], [400.0], SIGMAS)
