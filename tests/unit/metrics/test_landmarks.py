"""Errors of faces and hands, by figures computed by hand."""

import numpy as np
import pytest
from says import Says

from keras_pose.metrics.landmarks import (
    MIDDLE_BONE,
    OUTER_EYES,
    area_under_pck,
    check_unit,
    normalized_mean_error,
    unit_sizes,
)
from keras_pose.skeleton import COCO_17, FACE_68, HAND_21, WFLW_98


@pytest.mark.parametrize(
    ("skeleton", "units", "places"),
    [
        pytest.param(FACE_68, OUTER_EYES, (36, 45)),
        pytest.param(WFLW_98, OUTER_EYES, (60, 72)),
        pytest.param(HAND_21, MIDDLE_BONE, (9, 10)),
    ],
)
def test_units_are_the_distances_that_papers_take(skeleton, units, places):
    labelled_xy = np.zeros((2, skeleton.num_keypoints, 2))
    labelled_xy[:, places[1]] = [30, 40]
    is_labelled = np.ones(labelled_xy.shape[:2], bool)
    is_labelled[1, places[0]] = False
    unit = check_unit(units, skeleton)
    sizes = unit_sizes(labelled_xy, is_labelled, skeleton, unit)
    np.testing.assert_array_equal(sizes, [50, np.nan])


def test_nme_averages_over_labels_in_units_of_each_face():
    labelled_xy = np.zeros((2, 3, 2))
    predicted_xy = labelled_xy + np.array([[[3, 4]], [[6, 8]]])
    is_labelled = np.array([[True, True, False], [True, False, False]])
    means, mean = normalized_mean_error(predicted_xy, labelled_xy, is_labelled, [10, 50])

    # 5 / 10 twice, 10 / 50 once.
    assert mean == pytest.approx((0.5 + 0.5 + 0.2) / 3)
    np.testing.assert_allclose(means, [0.35, 0.5, np.nan])


def test_faces_without_a_unit_do_not_count_and_lost_points_do():
    labelled_xy, is_labelled = np.zeros((2, 1, 2)), np.ones((2, 1), bool)
    predicted_xy = np.array([[[1.0, 0]], [[np.nan, 0]]])
    assert (
        normalized_mean_error(predicted_xy, labelled_xy, is_labelled, [2, np.nan])[1] == 0.5
    )
    assert (
        normalized_mean_error(predicted_xy, labelled_xy, is_labelled, [2, 2])[1] == np.inf
    )


@pytest.mark.parametrize(
    ("pixels", "area"),
    [
        pytest.param(0.0, 0.95, id="perfect_but_for_the_threshold_0"),
        pytest.param(14.9, 0.50, id="below_ten_of_twenty"),
        # 15 of 30 pixels is not below the threshold 0.5.
        pytest.param(15.0, 0.45, id="on_a_threshold"),
        pytest.param(40.0, 0.0, id="too_far"),
    ],
)
def test_area_under_pck(pixels, area):
    labelled_xy = np.zeros((4, 21, 2))
    predicted_xy = labelled_xy + np.array([pixels, 0])
    found = area_under_pck(predicted_xy, labelled_xy, np.ones((4, 21), bool))
    assert found == pytest.approx(area)


def test_each_keypoint_counts_alike_in_the_area():
    labelled_xy, is_labelled = np.zeros((4, 2, 2)), np.ones((4, 2), bool)
    is_labelled[1:, 1] = False
    predicted_xy = labelled_xy.copy()
    predicted_xy[:, 1] = 100
    assert area_under_pck(predicted_xy, labelled_xy, is_labelled) == pytest.approx(0.475)
    assert np.isnan(area_under_pck(predicted_xy, labelled_xy, is_labelled & False))


def test_bodies_have_no_outer_eyes():
    says = Says(
        "normalized mean error is for the skeletons face_68, wflw_98, got 'coco_17'",
        do="Measure `--metrics nme_box`.",
    )
    with says.refuses():
        check_unit(OUTER_EYES, COCO_17)
