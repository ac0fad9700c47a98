"""OKS, OKS-NMS, rescoring and AP equal those of the HRNet code and of pycocotools."""

import json
from pathlib import Path

import numpy as np
import pytest

from keras_pose.metrics import (
    COCO_STATS,
    evaluate_coco,
    object_keypoint_similarity,
    oks_nms,
)
from keras_pose.metrics.pck import normalized_distances, pck
from keras_pose.metrics.pckh import head_sizes, pckh_stats
from keras_pose.pictures.oks import soft_oks_nms
from keras_pose.runtime.top_down_steps import person_scores
from keras_pose.skeleton import COCO_17, MPII_16

GOLDEN = Path(__file__).resolve().parents[1] / "golden"
TRUTH = GOLDEN / "coco_toy_gt.json"
SIGMAS = COCO_17.oks_sigmas


def load(name):
    return np.load(GOLDEN / f"{name}.npz")


def read(name):
    return json.loads((GOLDEN / name).read_text())


def test_oks_of_detections_equals_the_hrnet_code():
    golden = load("oksnms_hrnet")
    keypoints_xy, areas = golden["keypoints"][..., :2], golden["areas"]
    mean_areas = (areas[:, None] + areas[None]) / 2

    similarity = object_keypoint_similarity(keypoints_xy, keypoints_xy, mean_areas, SIGMAS)

    np.testing.assert_allclose(similarity, golden["oks_iou"], rtol=0, atol=1e-12)


@pytest.mark.parametrize("threshold", [0.9, 0.5, 0.1])
def test_oks_nms_keeps_whom_the_hrnet_code_keeps(threshold):
    golden = load("oksnms_hrnet")

    kept = oks_nms(
        golden["keypoints"][..., :2], golden["scores"], golden["areas"], SIGMAS, threshold
    )

    np.testing.assert_array_equal(kept, golden[f"keep_oks_nms_{threshold}"])


@pytest.mark.parametrize("threshold", [0.9, 0.5, 0.1])
def test_soft_oks_nms_picks_in_the_order_of_the_hrnet_code(threshold):
    golden = load("oksnms_hrnet")

    kept = soft_oks_nms(
        golden["keypoints"][..., :2], golden["scores"], golden["areas"], SIGMAS, threshold
    )

    np.testing.assert_array_equal(kept, golden[f"keep_soft_oks_nms_{threshold}"])


@pytest.mark.parametrize("image_id", [2, 4, 7])
def test_oks_against_annotations_equals_pycocotools(image_id):
    detections = [d for d in read("coco_toy_dt.json") if d["image_id"] == image_id]
    detections.sort(key=lambda detection: -detection["score"])
    truth = [
        a for a in read("coco_toy_gt.json")["annotations"] if a["image_id"] == image_id
    ]
    # Nobody labelled: pycocotools then measures the distance to the box, and
    # the evaluation ignores the person.
    labelled = [i for i, annotation in enumerate(truth) if annotation["num_keypoints"]]
    keypoints = np.reshape([truth[i]["keypoints"] for i in labelled], (-1, 17, 3))

    similarity = object_keypoint_similarity(
        np.reshape([d["keypoints"] for d in detections], (-1, 17, 3))[:20, :, :2],
        keypoints[..., :2],
        [truth[i]["area"] for i in labelled],
        SIGMAS,
        is_counted=keypoints[..., 2] > 0,
    )

    expected = load("coco_toy_eval")[f"oks_{image_id}"][:, labelled]
    assert expected.size > 0
    np.testing.assert_allclose(similarity, expected, rtol=0, atol=1e-12)


@pytest.mark.parametrize("truth", [TRUTH, read("coco_toy_gt.json")], ids=["file", "dict"])
def test_the_ten_stats_equal_pycocotools(truth):
    stats = evaluate_coco(truth, read("coco_toy_dt.json"))

    assert tuple(stats) == COCO_STATS
    np.testing.assert_array_equal(list(stats.values()), load("coco_toy_eval")["stats"])


def test_rescoring_nms_and_stats_equal_the_hrnet_pipeline():
    golden = load("coco_toy_pipeline")
    predictions, boxes = golden["preds"], golden["all_boxes"]
    scores = person_scores(boxes[:, 5], predictions[..., 2])

    kept = []
    for image_id in np.unique(golden["image_ids"]):
        people = np.flatnonzero(golden["image_ids"] == image_id)
        winners = oks_nms(
            predictions[people, :, :2], scores[people], boxes[people, 4], SIGMAS
        )
        kept.extend(people[winners])
    detections = [
        {
            "image_id": int(golden["image_ids"][i]),
            "category_id": 1,
            "keypoints": predictions[i].reshape(-1).astype(float).tolist(),
            "score": float(scores[i]),
        }
        for i in kept
    ]

    np.testing.assert_array_equal(golden["image_ids"][kept], golden["kept_image_id"])
    # The reference sums in float32, whose last digit is 6e-8 of the value.
    np.testing.assert_allclose(scores[kept], golden["kept_score"], rtol=1e-6)
    stats = evaluate_coco(TRUTH, detections)
    np.testing.assert_array_equal(list(stats.values()), golden["stats"])


def test_pckh_equals_the_hrnet_code():
    golden = load("mpii_pckh")
    expected = dict(zip(golden["result_names"], golden["result_values"] / 100, strict=True))
    boxes_xyxy = golden["headboxes_src"].transpose(2, 0, 1).reshape(-1, 4)

    stats, per_part, _ = pckh_stats(
        golden["preds"][..., :2] + 1.0,  # ground truth counts pixels from 1
        golden["pos_gt_src"].transpose(2, 0, 1),
        golden["jnt_missing"].T == 0,
        head_sizes(boxes_xyxy),
        MPII_16,
    )

    assert stats["PCKh@0.5"] == pytest.approx(expected.pop("Mean"), abs=1e-12)
    # What the reference calls 0.1 is 0.11; the two differ here, as they should.
    assert stats["PCKh@0.11"] == pytest.approx(expected.pop("Mean@0.1"), abs=1e-12)
    assert stats["PCKh@0.1"] < stats["PCKh@0.11"]
    expected["head_top"] = expected.pop("Head")
    for part, value in expected.items():
        assert per_part[part.lower()] == pytest.approx(value, abs=1e-12)


def test_pck_of_heatmap_peaks_equals_accuracy_of_the_hrnet_code():
    golden = load("decode_accuracy")
    target_xy = golden["target_coords"]
    sizes = np.tile(golden["heatmap_hw"] / 10, (len(target_xy), 1))

    result = pck(
        normalized_distances(
            golden["pred_coords"], target_xy, (target_xy > 1).all(axis=-1), sizes
        ),
        threshold=0.5,
    )

    np.testing.assert_allclose(result.per_keypoint, golden["acc"][1:], rtol=1e-12)
    assert result.mean_of_keypoints == pytest.approx(float(golden["avg_acc"]))
