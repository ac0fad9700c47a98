"""COCO and CrowdPose AP on small cases, and on bad input."""

import numpy as np
import pytest
from says import Says

from keras_pose.metrics.coco_ap import coco_result, evaluate_coco
from keras_pose.metrics.crowdpose import evaluate_crowdpose

SIGMAS = (0.05, 0.1)


def make_truth(crowd_indices=(0.1, 0.2, 0.9), **image_fields):
    keypoints = [50, 50, 2, 80, 90, 2]
    images = [
        {"id": i, "crowdIndex": index} | image_fields
        for i, index in enumerate(crowd_indices)
    ]
    annotations = [
        {
            "id": i + 1,
            "image_id": i,
            "category_id": 1,
            "bbox": [40, 40, 60, 60],
            "area": 40 * 40,
            "iscrowd": 0,
            "num_keypoints": 2,
            "keypoints": keypoints,
        }
        for i in range(len(images))
    ]
    return {
        "images": images,
        "annotations": annotations,
        "categories": [{"id": 1, "name": "person"}],
    }


def detect(image_id, shift=0.0, score=1.0):
    return {
        "image_id": image_id,
        "category_id": 1,
        "keypoints": [50 + shift, 50, 1, 80 + shift, 90, 1],
        "score": score,
    }


def test_no_detections_score_zero():
    assert evaluate_coco(make_truth(), [], SIGMAS)["AP"] == 0
    assert evaluate_crowdpose(make_truth(), [], SIGMAS)["AP_hard"] == 0


def test_curves_fall_with_the_oks_that_is_asked_for():
    # Off by 5: OKS = (exp(-25 / 0.01 / 1600 / 2) + exp(-25 / 0.04 / 1600 / 2)) / 2 = 0.640.
    stats, curves = coco_result(make_truth(), [detect(i, 5) for i in range(3)], SIGMAS)
    values = list(curves["AP by OKS threshold"].values())
    np.testing.assert_allclose(values, [1] * 3 + [0] * 7)
    assert curves["recall by OKS threshold"]["0.60"] == 1
    assert stats["AP"] == pytest.approx(0.3)


@pytest.mark.parametrize("bad", ["score", "keypoints"])
def test_what_is_no_number_is_never_right(bad):
    broken = detect(0)
    broken[bad] = float("nan") if bad == "score" else [float("nan")] * 6
    stats = evaluate_coco(make_truth((0.1,)), [broken, detect(0, 500, 0.5)], SIGMAS)
    # A NaN score ranks last, behind a wrong detection; NaN keypoints are nowhere.
    assert stats["AP"] == pytest.approx(0.5 if bad == "score" else 0)


def test_keypoint_counts_have_to_fit():
    with pytest.raises(ValueError, match=r"image id 0 has 2 keypoints.* sigmas for 17"):
        evaluate_coco(make_truth(), [detect(0)])


def test_unknown_images_are_named():
    says = Says(
        "image ids are not in the ground truth: ...; the ground truth has",
        do="Measure detections against the annotations of the images they are of.",
    )
    with says.refuses(ValueError):
        evaluate_crowdpose(make_truth(), [detect(99)], SIGMAS)


def test_people_without_labels_do_not_count():
    truth = make_truth((0.1,))
    truth["annotations"][0] |= {"keypoints": [0] * 6, "num_keypoints": 0}
    assert evaluate_coco(truth, [detect(0)], SIGMAS)["AP"] == -1


def test_crowdpose_sorts_images_by_their_crowd_index():
    # The bounds are 0.2 and 0.8, and 0.2 itself is medium.
    stats = evaluate_crowdpose(make_truth(), [detect(0), detect(2, 500)], SIGMAS)
    found = [stats[f"AP_{level}"] for level in ("easy", "medium", "hard")]
    np.testing.assert_allclose(found, [1, 0, 0])
    assert stats["AR"] == pytest.approx(1 / 3)


def test_crowdpose_takes_the_area_from_the_box():
    # 0.53 x 60 x 60 = 1908 in place of 1600 lifts the OKS of 5 pixels from 0.640 to 0.689.
    stats = evaluate_crowdpose(make_truth(), [detect(i, 5) for i in range(3)], SIGMAS)
    assert stats["AP"] == pytest.approx(0.4)


def test_a_level_that_no_image_has_is_minus_one():
    assert evaluate_crowdpose(make_truth((0.5,)), [detect(0)], SIGMAS)["AP_easy"] == -1


def test_a_missing_crowd_index_is_named():
    truth = make_truth()
    del truth["images"][1]["crowdIndex"]
    with pytest.raises(ValueError, match="image id 1"):
        evaluate_crowdpose(truth, [detect(0)], SIGMAS)
