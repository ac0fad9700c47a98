"""COCO-WholeBody AP: COCO's, of the whole person and of each part.

Rules of `xtcocotools/cocoeval.py` (Jin et al. 2020, arXiv:2007.11858): each part has its
own sigmas and keypoints, and the person's area; a person without a labelled keypoint of
the part is ignored, and so is a detection without a score above 0 in it.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from keras_pose.metrics.coco_ap import check_detections, load_coco, run_coco_eval
from keras_pose.metrics.coco_truth import CocoTruth
from keras_pose.skeleton import COCO_WHOLEBODY_133, WHOLEBODY_PARTS

PARTS = {
    "whole": slice(0, COCO_WHOLEBODY_133.num_keypoints),
    "body": WHOLEBODY_PARTS["keypoints"],
    "foot": WHOLEBODY_PARTS["foot_kpts"],
    "face": WHOLEBODY_PARTS["face_kpts"],
    "lefthand": WHOLEBODY_PARTS["lefthand_kpts"],
    "righthand": WHOLEBODY_PARTS["righthand_kpts"],
}
_AP, _AR = 0, 5  # places in `COCOeval.stats` of keypoints


def evaluate_wholebody(
    ground_truth,
    detections,
    oks_sigmas=COCO_WHOLEBODY_133.oks_sigmas,
    image_ids=None,
) -> dict[str, float]:
    """Scores detections of 133 keypoints, part by part.

    Args:
        ground_truth: COCO annotations with 133 keypoints each, as `data` reads them; those
            of parts whose valid flag is not set have the flag 0.
        detections: COCO results with 133 keypoints each.
        oks_sigmas: (133,).
        image_ids: images that count; all of the ground truth by default.

    Returns:
        AP_whole, AR_whole and the same of body, foot, face, lefthand, righthand and hand,
        the mean of both hands; -1 for a part without labels.

    Raises:
        ValueError: for unknown image ids, and other numbers of keypoints.
    """
    truth = load_coco(ground_truth)
    check_detections(truth, detections, oks_sigmas)
    sigmas = np.asarray(oks_sigmas, float)
    stats: dict[str, float] = {}
    for name, place in PARTS.items():
        part = CocoTruth(
            list(truth.images.values()),
            [_cut(annotation, place) for annotation in truth.annotations],
            truth.category_id,
        )
        found = [_cut(detection, place) for detection in detections]
        found = [each for each in found if each["num_keypoints"]]
        result = run_coco_eval(part, found, sigmas[place], image_ids).stats
        stats |= {f"AP_{name}": float(result[_AP]), f"AR_{name}": float(result[_AR])}
    for kind in ("AP", "AR"):
        sides = [stats[f"{kind}_{side}hand"] for side in ("left", "right")]
        known = [value for value in sides if value >= 0]
        stats[f"{kind}_hand"] = float(np.mean(known)) if known else -1.0
    return stats


def _cut(entry: dict[str, Any], place: slice) -> dict[str, Any]:
    """Copies an annotation or detection with the keypoints of one part."""
    keypoints = entry["keypoints"][3 * place.start : 3 * place.stop]
    count = sum(value > 0 for value in keypoints[2::3])
    return entry | {"keypoints": keypoints, "num_keypoints": count}
