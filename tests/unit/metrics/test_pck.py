"""PCK, PCKh and pixel errors, against sums done by hand."""

import numpy as np
import pytest

from keras_pose.metrics.pck import (
    FLIC_TORSO,
    LSP_TORSO,
    by_part,
    normalized_distances,
    pck,
    pck_auc,
    torso_sizes,
)
from keras_pose.metrics.pckh import head_sizes, pckh_stats
from keras_pose.metrics.pixel_error import pixel_errors
from keras_pose.skeleton import COCO_17, MPII_16, Skeleton

ARM = Skeleton("arm", ("left_elbow", "left_wrist", "nose"))
# Two people: keypoints are off by 3-4-5 triangles, in pixels.
LABELS = np.array([[[0, 0], [10, 0], [50, 50]], [[0, 0], [10, 0], [50, 50]]], float)
OFFSETS = np.array([[[3, 4], [0, 0], [6, 8]], [[0, 0], [3, 4], [0, 0]]], float)
IS_LABELLED = np.array([[1, 1, 1], [1, 1, 0]], bool)


def distances(sizes=(10, 10), is_labelled=IS_LABELLED, predicted=LABELS + OFFSETS):
    return normalized_distances(predicted, LABELS, is_labelled, np.array(sizes, float))


def test_distances_are_in_units_of_each_persons_size():
    np.testing.assert_allclose(distances((10, 5)), [[0.5, 0, 1.0], [0, 1.0, np.nan]])


def test_axes_can_have_sizes_of_their_own():
    sizes = np.array([[3, 4], [3, 4]], float)
    np.testing.assert_allclose(distances(sizes)[0], np.sqrt(2) * np.array([1, 0, 2]))


def test_pck_counts_equality_as_a_hit_and_leaves_the_unlabelled_out():
    result = pck(distances(), threshold=0.5)
    np.testing.assert_array_equal(result.per_keypoint, [1, 1, 0])
    np.testing.assert_array_equal(result.num_labelled, [2, 2, 1])
    assert result.mean == pytest.approx(4 / 5)
    assert result.mean_of_keypoints == pytest.approx(2 / 3)


def test_nobody_labelled_is_nan_not_zero():
    result = pck(distances(is_labelled=np.zeros((2, 3))), 0.5)
    assert np.isnan(result.per_keypoint).all()
    assert np.isnan(result.mean)


def test_nobody_at_all_is_nan():
    empty = np.zeros((0, 3, 2))
    result = pck(normalized_distances(empty, empty, np.zeros((0, 3)), np.zeros(0)), 0.5)
    assert np.isnan(result.mean)


def test_a_prediction_that_is_no_number_is_a_miss():
    predicted = np.full_like(LABELS, np.nan)
    assert pck(distances(predicted=predicted), 1e9).mean == 0


def test_people_without_a_size_do_not_count():
    np.testing.assert_array_equal(pck(distances((10, 0)), 0.5).num_labelled, [1, 1, 1])


@pytest.mark.parametrize(
    ("shapes", "message"),
    [
        (((2, 3, 2), (2, 4, 2), (2, 4), (2,)), r"\(2, 3, 2\) and \(2, 4, 2\)"),
        (((2, 3, 2), (2, 3, 2), (2, 2), (2,)), "is_labelled"),
        (((2, 3, 2), (2, 3, 2), (2, 3), (3,)), "sizes must be"),
    ],
)
def test_shapes_that_do_not_fit_are_named(shapes, message):
    with pytest.raises(ValueError, match=message):
        normalized_distances(*map(np.zeros, shapes))


def test_auc_of_half_the_points_at_once_and_the_rest_never():
    values = np.array([[0.0], [np.inf]])
    assert pck_auc(values, 0.5) == pytest.approx(0.5)


def test_auc_of_a_point_in_the_middle():
    # A step at 0.25, by trapezoids of width 0.01: half a step is cut off.
    assert pck_auc(np.array([[0.25]]), 0.5) == pytest.approx((0.25 + 0.005) / 0.5)


@pytest.mark.parametrize("torso", [LSP_TORSO, FLIC_TORSO])
def test_the_torso_reaches_from_a_shoulder_to_the_other_hip(torso):
    xy = np.zeros((2, 17, 2))
    xy[:, COCO_17.index(torso[0])] = (30, 40)
    is_labelled = np.ones((2, 17), bool)
    is_labelled[1, COCO_17.index(torso[1])] = False
    np.testing.assert_array_equal(torso_sizes(xy, is_labelled, COCO_17, torso), [50, 0])


def test_a_skeleton_without_a_torso_is_refused():
    with pytest.raises(ValueError, match=r"'arm' lacks .*left_shoulder"):
        torso_sizes(LABELS, IS_LABELLED, ARM)


def test_parts_average_both_sides():
    values = np.zeros(17)
    values[COCO_17.index("left_knee")] = 1
    parts = by_part(values, COCO_17)
    assert parts["knee"] == 0.5
    assert len(parts) == 9


def test_a_side_that_is_not_labelled_leaves_the_other():
    values = np.full(17, np.nan)
    values[COCO_17.index("left_knee")] = 0.25
    parts = by_part(values, COCO_17)
    assert parts["knee"] == 0.25
    assert np.isnan(parts["nose"])


def test_the_head_is_six_tenths_of_its_boxs_diagonal():
    np.testing.assert_allclose(head_sizes([[10, 10, 40, 50]]), [30])


def test_pelvis_and_thorax_stay_out_of_the_mean_of_pckh():
    labels = np.zeros((1, 16, 2))
    predicted = labels.copy()
    predicted[0, [MPII_16.index("pelvis"), MPII_16.index("thorax")]] = 1000
    stats, per_part, per_keypoint = pckh_stats(
        predicted, labels, np.ones((1, 16)), [10], MPII_16
    )
    assert stats["PCKh@0.5"] == 1
    assert per_part["pelvis"] == per_keypoint["thorax"] == 0


def test_pixel_errors_are_means_over_labelled_keypoints():
    means, mean = pixel_errors(LABELS + OFFSETS, LABELS, IS_LABELLED)
    np.testing.assert_allclose(means, [2.5, 2.5, 10])
    assert mean == pytest.approx(20 / 5)


def test_a_pixel_error_that_cannot_be_measured_is_infinite():
    predicted = LABELS.copy()
    predicted[0, 0] = np.nan
    assert pixel_errors(predicted, LABELS, IS_LABELLED)[1] == np.inf
