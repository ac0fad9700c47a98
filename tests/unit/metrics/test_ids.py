"""Whatever files call images, people, categories and tracks, figures stay the same."""

import dataclasses
import json
from pathlib import Path

import numpy as np
import pytest
from says import Says

from keras_pose.data.records import PersonRecord
from keras_pose.metrics import evaluate_coco
from keras_pose.metrics.box_ap import best_f1, box_stats
from keras_pose.metrics.crowdpose import evaluate_crowdpose
from keras_pose.metrics.detected_boxes import box_records
from keras_pose.metrics.mota import posetrack_mota
from keras_pose.metrics.numbering import sorted_ids
from keras_pose.metrics.official import Measured, compute_metrics
from keras_pose.metrics.posetrack_ap import PoseTrackFrame, posetrack_ap
from keras_pose.skeleton import COCO_17, Skeleton

GOLDEN = Path(__file__).resolve().parents[2] / "golden"
# How files number things, n = 0, 1, 2, ...
KINDS = {
    "from_zero": lambda n: n,
    "negative": lambda n: -3 - n,
    "through_zero": lambda n: n - 2,
    "beyond_2_53": lambda n: 2**53 + n,
    "beyond_2_64": lambda n: 2**70 + n,
    "text": lambda n: f"frame-{n:03d}",
    "text_of_numbers": str,
    "text_and_numbers": lambda n: str(n) if n % 2 else n,
}
every_kind = pytest.mark.parametrize("name", KINDS.values(), ids=KINDS)


def read(name):
    return json.loads((GOLDEN / name).read_text())


def renamed(truth, detections, name):
    """Calls images, annotations and category of COCO's toy set by other ids."""
    images = {image["id"]: name(i) for i, image in enumerate(truth["images"])}
    others = [
        each | {"image_id": images[each["image_id"]]} for each in truth["annotations"]
    ]
    return {
        "images": [each | {"id": images[each["id"]]} for each in truth["images"]],
        "annotations": [
            each | {"id": name(i), "category_id": name(0)} for i, each in enumerate(others)
        ],
        "categories": [{"id": name(0), "name": "person"}],
    }, [
        each | {"image_id": images[each["image_id"]], "category_id": name(0)}
        for each in detections
    ]


@every_kind
def test_ids_do_not_move_ap(name):
    truth, detections = read("coco_toy_gt.json"), read("coco_toy_dt.json")
    expected = evaluate_coco(truth, detections, COCO_17.oks_sigmas)
    others = renamed(truth, detections, name)
    assert evaluate_coco(*json.loads(json.dumps(others)), COCO_17.oks_sigmas) == expected
    assert 0 < expected["AP"] < 1


@every_kind
def test_ids_do_not_move_the_ap_of_boxes(name):
    truth = read("coco_toy_gt.json")
    found = [
        {key: each[key] for key in ("image_id", "category_id")}
        | {"bbox": [value + i % 7 for value in each["bbox"]], "score": i * 0.618 % 1}
        for i, each in enumerate(truth["annotations"])
    ]
    ids = [image["id"] for image in truth["images"]]
    expected = box_stats(truth, found), best_f1(truth, found, ids)
    truth, found = renamed(truth, found, name)
    ids = [image["id"] for image in truth["images"]]
    assert (box_stats(truth, found, ids), best_f1(truth, found, ids)) == expected
    assert 0 < expected[0]["AP"] < 1


@every_kind
def test_ids_do_not_move_crowdpose_ap(name):
    truth, detections = read("coco_toy_gt.json"), read("coco_toy_dt.json")
    for i, image in enumerate(truth["images"]):
        image["crowdIndex"] = i / len(truth["images"])
    expected = evaluate_crowdpose(truth, detections, COCO_17.oks_sigmas)
    others = renamed(truth, detections, name)
    assert evaluate_crowdpose(*others, COCO_17.oks_sigmas) == expected
    assert 0 < expected["AP_hard"] < 1


@every_kind
def test_ids_do_not_move_what_is_tracked(name):
    rng = np.random.default_rng(seed=0)
    people = rng.uniform(0, 100, (3, 4, 1, 2))  # three frames of four people
    skeleton = Skeleton("nose", ("nose",))

    def frames(label, track):
        return [
            PoseTrackFrame(
                sequence="a",
                labelled_xy=there,
                is_labelled=np.ones((4, 1), bool),
                head_sizes=np.full(4, 10.0),
                track_ids=[label(i) for i in range(4)],
                predicted_xy=there + rng.permutation(3)[0],
                keypoint_scores=np.linspace(0, 1, 4)[:, None],
                # Two change places in the second frame.
                predicted_track_ids=[track(i ^ (number == 1)) for i in range(4)],
            )
            for number, there in enumerate(people)
        ]

    rng = np.random.default_rng(seed=1)
    expected = frames(lambda n: n + 1, lambda n: n + 1)
    rng = np.random.default_rng(seed=1)
    found = frames(name, lambda n: name(n + 1))
    assert posetrack_ap(found, skeleton) == posetrack_ap(expected, skeleton)
    errors = posetrack_mota(expected, skeleton, as_poseval=False)
    assert posetrack_mota(found, skeleton, as_poseval=False) == errors
    assert 0 < errors["MOTA"] < 1


@every_kind
def test_ids_travel_from_a_trackers_boxes_to_mota(name):
    ids = [name(i) for i in range(3)]
    truth = {
        "images": [{"id": each, "file_name": f"{i}.jpg"} for i, each in enumerate(ids)],
        "annotations": [],
        "categories": [{"id": name(5), "name": "person"}],
    }
    box = {"category_id": name(5), "bbox": [0, 0, 60, 100], "score": 1, "track_id": name(9)}
    entries = [box | {"image_id": each} for each in ids]
    records = box_records(entries, "boxes.json", truth, Path("video"), 17)
    keypoints_xy = np.random.default_rng(seed=0).uniform(0, 60, (3, 17, 2))
    labelled = [
        PersonRecord(
            each.image_path, ids[i], name(i), each.box_xywh,
            keypoints_xy[i].astype(np.float32), np.full(17, 2, np.uint8), 6000.0,
            head_size=10.0, track_id=name(0), video="a",
        )
        for i, each in enumerate(records)
    ]  # fmt: skip
    measured = Measured(
        COCO_17,
        records,
        labelled,
        keypoints_xy,
        np.ones((3, 17)),
        [0, 1, 2],
        [],
        None,
        None,
    )
    stats, _ = compute_metrics(["posetrack_ap", "mota"], measured)
    assert stats == {"mAP": 1, "MOTA": 1}
    strangers = [dataclasses.replace(each, track_id=i) for i, each in enumerate(records)]
    measured = dataclasses.replace(measured, records=strangers)
    assert compute_metrics(["mota"], measured)[0]["MOTA"] < 1


def test_text_here_and_numbers_there_are_named():
    truth, detections = read("coco_toy_gt.json"), read("coco_toy_dt.json")
    detections[0]["image_id"] = str(detections[0]["image_id"])
    says = Says(
        "image ids are not in the ground truth: ...; one of the two files has these ids as "
        "text, the other as numbers",
        do="Write the ids of the annotations into the detections, in the same type.",
    )
    with says.refuses(ValueError):
        evaluate_coco(truth, detections, COCO_17.oks_sigmas)


def test_detections_of_another_category_are_no_misses():
    truth, detections = read("coco_toy_gt.json"), read("coco_toy_dt.json")
    others = [each | {"category_id": 7} for each in detections]
    says = Says(
        "detections is of the ground truth's category ...: their category_id is",
        do="Write the category_id of the annotations into the detections.",
    )
    with says.refuses(ValueError):
        evaluate_coco(truth, others, COCO_17.oks_sigmas)
    # A detector of several classes: what is of people counts.
    both = evaluate_coco(truth, others + detections, COCO_17.oks_sigmas)
    assert both == evaluate_coco(truth, detections, COCO_17.oks_sigmas)


def test_images_that_count_must_be_there():
    truth = read("coco_toy_gt.json")
    with pytest.raises(ValueError, match=r"lacks the image ids \['a'\]"):
        evaluate_coco(truth, [], COCO_17.oks_sigmas, image_ids=["a"])


def test_numbers_are_sorted_by_size_and_stand_before_text():
    assert sorted_ids(["10", 10, 9, -1, "1", 10]) == [-1, 9, 10, "1", "10"]
