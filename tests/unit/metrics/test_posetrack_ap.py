"""PoseTrack AP and MOTA on frames whose figures can be counted by hand."""

import dataclasses

import numpy as np
import pytest

from keras_pose.metrics.mota import posetrack_mota
from keras_pose.metrics.posetrack_ap import (
    PoseTrackFrame,
    is_inside,
    match_frame,
    posetrack_ap,
)
from keras_pose.skeleton import Skeleton

SKELETON = Skeleton("two", ("nose", "left_ear"))  # the ear is never scored
ALICE, BOB = np.array([[0.0, 0], [5, 0]]), np.array([[100.0, 0], [105, 0]])


def frame(predicted, tracks, scores=None, labelled=(ALICE, BOB), sequence="a"):
    return PoseTrackFrame(
        sequence=sequence,
        labelled_xy=np.array(labelled),
        is_labelled=np.tile([True, False], (len(labelled), 1)),
        head_sizes=np.full(len(labelled), 10.0),
        track_ids=np.arange(len(labelled)),
        predicted_xy=np.array(predicted),
        keypoint_scores=np.ones((len(predicted), 2)) if scores is None else scores,
        predicted_track_ids=np.array(tracks, int),
    )


def test_labels_as_predictions_are_perfect():
    frames = [frame([ALICE, BOB], [7, 8])] * 3
    assert posetrack_ap(frames, SKELETON) == {"nose": 1, "mAP": 1}
    assert posetrack_mota(frames, SKELETON) == {"nose": 1, "MOTA": 1}


def test_of_two_predictions_one_gets_the_person():
    match = match_frame(frame([ALICE, ALICE + 2, BOB + np.array([5, 0])], [1, 2, 3]))
    np.testing.assert_array_equal(match.person, [0, -1, 1])  # 5 of a head of 10 is near


def test_a_second_prediction_of_a_person_costs_precision():
    scores = np.array([[0.5, 1], [0.9, 1], [0.7, 1]])
    # Ranked: the twin of Alice (wrong), Bob (right), Alice (right): 2/3 at both recalls.
    frames = [frame([ALICE, ALICE + 1, BOB], [1, 2, 3], scores)]
    assert posetrack_ap(frames, SKELETON)["nose"] == pytest.approx(2 / 3)


def test_tracks_that_change_places_are_switches():
    frames = [frame([ALICE, BOB], [7, 8]), frame([ALICE, BOB], [8, 7])]
    result = posetrack_mota(frames, SKELETON, as_poseval=False)
    assert result["nose"] == pytest.approx(1 - 2 / 4)


def test_poseval_leaves_out_the_last_frame_of_a_video():
    frames = [frame([ALICE, BOB], [7, 8]), frame([ALICE, BOB], [8, 7])]
    assert posetrack_mota(frames, SKELETON)["MOTA"] == 1


def test_misses_and_strangers_count_against():
    far = ALICE + 1000
    # Of 2 labels: Bob is missed, a stranger is there.
    frames = [frame([ALICE, far], [1, 2])]
    result = posetrack_mota(frames, SKELETON, as_poseval=False)
    assert result["MOTA"] == pytest.approx(1 - 2 / 2)


def test_no_prediction_at_all():
    frames = [frame(np.zeros((0, 2, 2)), [])] * 2
    assert posetrack_ap(frames, SKELETON)["mAP"] == 0
    assert posetrack_mota(frames, SKELETON, as_poseval=False)["MOTA"] == 0
    # poseval: one made-up label, one miss, one false positive in the frame that counts.
    assert posetrack_mota(frames, SKELETON)["MOTA"] == -1


def test_frames_without_labels_are_left_out():
    unlabelled = dataclasses.replace(
        frame([ALICE, BOB], [7, 8]), is_labelled=np.zeros((2, 2), bool)
    )
    frames = [frame([ALICE, BOB], [7, 8]), unlabelled]
    assert posetrack_ap(frames, SKELETON)["mAP"] == 1
    assert np.isnan(posetrack_ap([unlabelled], SKELETON)["mAP"])
    assert np.isnan(posetrack_mota([unlabelled], SKELETON)["MOTA"])


def test_a_score_that_is_no_number_is_no_prediction():
    scores = np.array([[np.nan, 1], [1, 1]])
    frames = [frame([ALICE + 1000, BOB], [1, 2], scores)]
    assert posetrack_ap(frames, SKELETON)["nose"] == pytest.approx(1 / 2)


def test_what_lies_in_an_ignored_region_does_not_count():
    around_bob = np.array([[90, -5], [110, -5], [110, 5], [90, 5]])
    # The prediction of Bob is far off, but Bob's neighbourhood is not judged.
    frames = [frame([ALICE, BOB + np.array([8, 0])], [7, 8])]
    assert posetrack_ap(frames, SKELETON)["mAP"] < 1
    frames = [dataclasses.replace(frames[0], ignore_regions=[around_bob])]
    assert posetrack_ap(frames, SKELETON)["mAP"] == 1
    assert posetrack_mota(frames, SKELETON, as_poseval=False)["MOTA"] == 1


def test_inside_a_polygon_with_a_dent():
    outline = [(0, 0), (10, 0), (10, 10), (5, 2), (0, 10)]
    points = [(1, 1), (5, 1), (5, 5), (9, 8), (-1, 5), (np.nan, 1)]
    found = is_inside(points, [np.array(outline)])
    assert found.tolist() == [True, True, False, True, False, False]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"head_sizes": np.ones(3)}, r"head_sizes must be \(2,\), got \(3,\)"),
        ({"predicted_xy": np.zeros((2, 5, 2))}, "predicted_xy"),
        ({"predicted_track_ids": np.array([4, 4])}, "predicted_track_ids"),
    ],
)
def test_frames_that_do_not_fit_are_refused(change, message):
    with pytest.raises(ValueError, match=message):
        dataclasses.replace(frame([ALICE, BOB], [1, 2]), **change)
