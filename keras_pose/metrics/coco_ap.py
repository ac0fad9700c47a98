"""COCO average precision and recall of keypoints, computed by pycocotools."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from keras_pose.data.records import Id
from keras_pose.files import read_json
from keras_pose.metrics.coco_truth import CocoTruth, run_silently
from keras_pose.metrics.numbering import check_known_images

# In the order of `COCOeval.stats` for keypoints.
COCO_STATS = ("AP", "AP50", "AP75", "APM", "APL", "AR", "AR50", "AR75", "ARM", "ARL")
# `COCOeval.eval["precision"]` is (threshold, recall, category, size, max. detections).
PRECISION_OF_ALL_SIZES = np.s_[:, :, :, 0, :]
# Pixels. Near enough that the pose's extent stays below COCO's largest area, 1e10.
_FAR_AWAY = -1e4


def evaluate_coco(
    ground_truth: str | Path | dict[str, Any],
    detections: Sequence[dict[str, Any]],
    oks_sigmas: Sequence[float] | None = None,
    image_ids: Sequence[Id] | None = None,
) -> dict[str, float]:
    """Scores detections against COCO annotations.

    Args:
        ground_truth: a COCO annotation file, or what such a file holds.
        detections: COCO results: dicts of `image_id`, `category_id`,
            `keypoints` (x, y, score, x, y, score, ...) and `score`.
        oks_sigmas: one per keypoint; those of COCO's 17 by default.
        image_ids: images that count; all of the ground truth by default.

    Returns:
        The values of `COCO_STATS` by name. As in pycocotools, -1 stands for a ground truth
        without people of that size.

    Raises:
        ValueError: when detections name images that the ground truth lacks, or have
            another number of keypoints than there are sigmas.
    """
    return coco_result(ground_truth, detections, oks_sigmas, image_ids)[0]


def coco_result(ground_truth, detections, oks_sigmas=None, image_ids=None):
    """Scores detections as `evaluate_coco` does, and keeps what curves are drawn from.

    Returns:
        stats: the figures of `evaluate_coco`.
        curves: "AP by OKS threshold" and "recall by OKS threshold", each
            {"0.50": ..., "0.95": ...}.
    """
    truth = load_coco(ground_truth)
    check_detections(truth, detections, oks_sigmas)
    evaluation = run_coco_eval(truth, detections, oks_sigmas, image_ids)
    stats = dict(zip(COCO_STATS, map(float, evaluation.stats), strict=True))
    thresholds = [f"{threshold:.2f}" for threshold in evaluation.params.iouThrs]
    precision = evaluation.eval["precision"][PRECISION_OF_ALL_SIZES]
    recall = evaluation.eval["recall"][:, :, 0, :]
    curves = {
        "AP by OKS threshold": precision.reshape(len(thresholds), -1).mean(axis=1),
        "recall by OKS threshold": recall.reshape(len(thresholds), -1).mean(axis=1),
    }
    return stats, {
        name: dict(zip(thresholds, map(float, values), strict=True))
        for name, values in curves.items()
    }


def check_detections(truth: CocoTruth, detections, oks_sigmas=None) -> None:
    """Refuses detections of unknown images, or of another number of keypoints."""
    check_known_images(detections, truth.images)
    expected = 17 if oks_sigmas is None else len(oks_sigmas)
    for kind, entries in (
        ("A detection", detections),
        ("Annotation", truth.annotations),
    ):
        for entry in entries:
            count = len(entry["keypoints"]) / 3
            if count != expected:
                raise ValueError(
                    f"{kind} of image id {entry['image_id']} has {count:g} keypoints "
                    f"(three numbers each), there are OKS sigmas for {expected}."
                )


def run_coco_eval(truth: CocoTruth, detections, oks_sigmas=None, image_ids=None):
    """Runs `COCOeval` of pycocotools to its end, without its printing.

    A detection whose score is not a number ranks below all others.

    Args:
        truth: annotations, from `load_coco`.
        detections: COCO results; there may be none.
        oks_sigmas: (K,) sigmas; they and `image_ids` are arguments of `evaluate_coco`.
    """
    found = [_ranked(detection) for detection in detections]
    evaluation = truth.evaluation(found, "keypoints", image_ids)
    if oks_sigmas is not None:
        evaluation.params.kpt_oks_sigmas = np.asarray(oks_sigmas, float)
    return run_silently(evaluation)


def load_coco(ground_truth) -> CocoTruth:
    """Returns the ground truth of a file or of a dict, which stays unchanged."""
    values = ground_truth if isinstance(ground_truth, dict) else read_json(ground_truth)
    try:
        person = person_category_id(values)
        annotations = [
            _complete(annotation)
            for annotation in values["annotations"]
            if annotation["category_id"] == person
        ]
        return CocoTruth(values["images"], annotations, person)
    except (KeyError, TypeError) as error:
        where = "The ground truth" if isinstance(ground_truth, dict) else ground_truth
        raise ValueError(f"{where} lacks the COCO field {error}.") from error


def _complete(annotation):
    """Copies an annotation and adds what can be derived."""
    derived = {
        "area": annotation["bbox"][2] * annotation["bbox"][3],
        "iscrowd": 0,
        "num_keypoints": sum(flag > 0 for flag in annotation["keypoints"][2::3]),
    }
    return derived | annotation


def person_category_id(values: dict[str, Any]) -> int:
    """Returns the id of the only category of COCO annotations, or of "person"."""
    if len(values["categories"]) == 1:
        return values["categories"][0]["id"]
    for category in values["categories"]:
        if category.get("name") == "person":
            return category["id"]
    names = [category.get("name") for category in values["categories"]]
    raise ValueError(
        f"Ground truth of several categories needs one named 'person', it has {names}."
    )


def _ranked(detection):
    """Copies a detection (loadRes writes into it) without values that are no numbers.

    NumPy would sort a NaN score anywhere, and COCOeval takes a NaN OKS for a match.
    """
    score, keypoints = detection["score"], np.asarray(detection["keypoints"], float)
    keypoints = np.where(np.isfinite(keypoints), keypoints, _FAR_AWAY)
    score = -np.inf if np.isnan(score) else score
    return detection | {"score": score, "keypoints": keypoints.tolist()}
