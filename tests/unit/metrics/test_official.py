"""Metrics by name: what each computes from, and what it refuses."""

import dataclasses
from pathlib import Path

import numpy as np
import pytest

from keras_pose.data import PoseDataset
from keras_pose.data.records import PersonRecord
from keras_pose.metrics.official import (
    METRICS,
    Measured,
    check_metrics,
    compute_metrics,
    default_metrics,
    measurable_metrics,
)
from keras_pose.skeleton import COCO_17, MPII_16, Skeleton


def make_measured(skeleton=COCO_17, shift=0.0, num_frames=3, head_size=10.0, track_id=0):
    """One person in each frame of a video, predicted `shift` pixels to the right."""
    rng = np.random.default_rng(seed=0)
    count = skeleton.num_keypoints
    records = [
        PersonRecord(
            image_path=Path("video") / f"{frame}.jpg",
            image_id=frame,
            annotation_id=frame,
            box_xywh=np.array([0.0, 0, 60, 100]),
            keypoints_xy=rng.uniform(0, 100, (count, 2)).astype(np.float32),
            visibility=np.full(count, 2, np.uint8),
            area=3600.0,
            head_size=head_size,
            track_id=track_id,
            video="a",
        )
        for frame in range(num_frames)
    ]
    predicted = np.stack([record.keypoints_xy for record in records]).astype(float)
    return Measured(
        skeleton=skeleton,
        records=records,
        labelled=records,
        keypoints_xy=predicted + np.array([shift, 0]),
        keypoint_scores=np.ones((num_frames, count)),
        kept=list(range(num_frames)),
        detections=[],
        ground_truth=None,
        image_ids=None,
    )


@pytest.mark.parametrize(
    ("name", "skeleton", "at_5_pixels", "at_12_pixels"),
    [
        # Heads of 10 pixels: 5 is within 0.5, not within 0.1; 12 is neither.
        pytest.param("pckh", MPII_16, 1, 0),
        pytest.param("pixel_error", MPII_16, 5, 12),
        # Boxes 100 high: within 0.1 of that, or not.
        pytest.param("pck_box", MPII_16, 1, 0),
        pytest.param("apk", MPII_16, 1, 0),
        pytest.param("nme_box", MPII_16, 0.05, 0.12),
        pytest.param("posetrack_ap", COCO_17, 1, 0),
        # 12 pixels off: each label is missed and each prediction a false one.
        pytest.param("mota", COCO_17, 1, -1),
    ],
)
def test_figures_by_hand(name, skeleton, at_5_pixels, at_12_pixels):
    figure = METRICS[name].columns[0]
    for shift, expected in ((5, at_5_pixels), (12, at_12_pixels)):
        stats, tables = compute_metrics([name], make_measured(skeleton, shift))
        assert stats[figure] == pytest.approx(expected)
        assert set(METRICS[name].columns) <= set(stats)
        for table in tables.values():
            assert np.nanmean(list(table.values())) == pytest.approx(expected)


def test_area_and_error_of_hands_by_hand():
    stats, tables = compute_metrics(["auc_epe"], make_measured(MPII_16, 5))
    # Below 16 of the 20 thresholds 0, 1.5, ... 28.5 pixels.
    assert stats == {"AUC": pytest.approx(0.8), "EPE": pytest.approx(5)}
    assert np.nanmean(list(tables["EPE"].values())) == pytest.approx(5)


def test_calibration_is_fitted_on_one_half_and_measured_on_the_other():
    measured = make_measured(MPII_16, 5)  # within a tenth of the box: all are right
    sure = dataclasses.replace(measured, keypoint_scores=measured.keypoint_scores * 0.75)
    stats, tables = compute_metrics(["calibration"], sure)
    assert stats["ECE"] == pytest.approx(0.25)
    assert stats["ECE_scaled"] < 0.01
    assert stats["temperature"] < 1
    assert tables["reliability"]["0.75"] == 1


def test_torso_pck_measures_by_the_torso():
    measured = make_measured()
    ends = [COCO_17.index("left_shoulder"), COCO_17.index("right_hip")]
    for record in measured.records:
        record.keypoints_xy[ends] = [(0, 0), (30, 40)]  # a torso of 50 pixels
    labels = np.stack([record.keypoints_xy for record in measured.records])
    for shift, expected in ((9.9, 1), (10.1, 0)):
        moved = dataclasses.replace(measured, keypoints_xy=labels + np.array([shift, 0]))
        stats, _ = compute_metrics(["pck_torso"], moved)
        assert stats["PCK@0.2"] == expected


def test_single_person_ap_is_the_share_above_each_threshold():
    measured = make_measured(shift=5)
    variances = (2 * np.array(COCO_17.oks_sigmas)) ** 2
    oks = np.exp(-25 / variances / 3600 / 2).mean()
    stats, _ = compute_metrics(["single_ap"], measured)
    assert stats["AP_single"] == pytest.approx((oks > np.linspace(0.5, 0.95, 10)).mean())
    assert 0 < stats["AP_single"] < 1


@pytest.mark.parametrize(
    ("name", "field"), [("pckh", "head_size"), ("posetrack_ap", "head_size")]
)
def test_what_the_data_set_lacks_is_named(name, field):
    measured = make_measured(MPII_16, head_size=None)
    with pytest.raises(ValueError, match=f"needs the field '{field}'.*annotation id 0"):
        compute_metrics([name], measured)


def test_mota_needs_tracks_of_the_predictions_too():
    measured = make_measured()
    untracked = make_measured(track_id=None).records
    with pytest.raises(ValueError, match="MOTA needs the field 'track_id'"):
        compute_metrics(["mota"], dataclasses.replace(measured, records=untracked))


def test_ap_in_frames_takes_detections_that_have_no_tracks():
    untracked = make_measured(track_id=None).records
    measured = dataclasses.replace(make_measured(), records=untracked)
    assert compute_metrics(["posetrack_ap"], measured)[0]["mAP"] == pytest.approx(1)


@pytest.mark.parametrize(
    ("metrics", "skeleton", "changes", "expected"),
    [
        (("coco_ap",), COCO_17, {}, ("coco_ap",)),
        (("coco_ap",), MPII_16, {}, ("pck_box",)),  # no sigmas
        (("pckh",), MPII_16, {}, ("pckh",)),
        (("pckh",), MPII_16, {"head_size": None}, ("pck_box",)),
        (("posetrack_ap", "mota"), COCO_17, {"track_id": None}, ("pck_box",)),
        (("pck_torso", "pixel_error"), Skeleton("two", ("nose", "left_hip")), {},
         ("pixel_error",)),
    ],
)  # fmt: skip
def test_what_can_be_measured_of_a_data_set(metrics, skeleton, changes, expected):
    records = make_measured(**changes).records
    dataset = PoseDataset("a", "val", skeleton, records, Path("a.json"), (), metrics, False)
    assert measurable_metrics(dataset) == expected


@pytest.mark.parametrize(
    ("metrics", "skeleton", "expected", "reason"),
    [
        (("coco_ap",), COCO_17, ("coco_ap",), ""),
        (("coco_ap",), MPII_16, ("pck_box",), "'mpii_16' has no OKS sigmas, which coco_ap"),
        # The metric itself reports its absent head sizes.
        (("pckh",), MPII_16, ("pckh",), ""),
    ],
)
def test_a_set_without_sigmas_is_measured_by_pck_and_says_why(
    metrics, skeleton, expected, reason
):
    records = make_measured(skeleton, head_size=None).records
    dataset = PoseDataset("a", "val", skeleton, records, Path("a.json"), (), metrics, False)
    chosen, why = default_metrics(dataset)
    assert chosen == expected
    assert reason in why
    assert bool(reason) == bool(why)


def test_crowdpose_ap_needs_the_sets_own_file():
    records = make_measured().records
    dataset = PoseDataset(
        "a", "val", COCO_17, records, Path("a.json"), (), ("crowdpose_ap",), True
    )
    assert measurable_metrics(dataset) == ("crowdpose_ap",)
    dataset = dataclasses.replace(dataset, has_coco_file=False)
    assert measurable_metrics(dataset) == ("pck_box",)


def test_one_to_one_metrics_refuse_a_detectors_boxes():
    measured = make_measured()
    measured = dataclasses.replace(measured, records=measured.records[:2])
    with pytest.raises(ValueError, match="own box"):
        compute_metrics(["pixel_error"], measured)


@pytest.mark.parametrize(
    ("names", "message"),
    [
        (["pckh", "pckk"], r"Unknown metrics \['pckk'\]; known: coco_ap"),
        ([], "Unknown metrics"),
        (["coco_ap", "crowdpose_ap"], "one name"),
    ],
)
def test_names_that_cannot_be_measured(names, message):
    with pytest.raises(ValueError, match=message):
        check_metrics(names)
