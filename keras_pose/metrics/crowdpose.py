"""CrowdPose AP: COCO's, with sizes from boxes, and by how crowded an image is."""

from __future__ import annotations

from typing import Any

import numpy as np

from keras_pose.metrics.coco_ap import (
    PRECISION_OF_ALL_SIZES,
    check_detections,
    load_coco,
    run_coco_eval,
)

# Left and right shoulder, elbow, wrist, hip, knee, ankle; head, neck.
CROWDPOSE_SIGMAS = tuple(np.repeat([0.079, 0.072, 0.062, 0.107, 0.087, 0.089, 0.079], 2))
# Crowd indices below the first are easy, below the second medium. `crowdposetools`
# prints its tables so; the paper's text (Li et al. 2019) has 0.1 for the first.
CROWD_INDEX_BOUNDS = (0.2, 0.8)
# The people's area is taken to be this share of their box.
AREA_OF_BOX = 0.53


def evaluate_crowdpose(
    ground_truth,
    detections,
    oks_sigmas=CROWDPOSE_SIGMAS,
    image_ids=None,
) -> dict[str, float]:
    """Scores detections against CrowdPose annotations.

    Source: Li et al. 2019 (arXiv:1812.00324); `_summarizeKps_crowd` of
    `crowdposetools`, which rounds the last three to four digits.

    Args:
        ground_truth: a CrowdPose annotation file, or what such a file holds; images
            have a `crowdIndex`.
        detections: COCO results.
        oks_sigmas: one per keypoint.
        image_ids: images that count; all of the ground truth by default.

    Returns:
        AP, AP50, AP75, AR, AR50, AR75, AP_easy, AP_medium, AP_hard; -1 where the
        ground truth has no people.

    Raises:
        ValueError: for unknown image ids, keypoint counts that do not fit, and images
            without a crowd index.
    """
    truth = load_coco(ground_truth)
    check_detections(truth, detections, oks_sigmas)
    for annotation in truth.annotations:
        _, _, width, height = annotation["bbox"]
        annotation["area"] = AREA_OF_BOX * width * height
    chosen = list(truth.images) if image_ids is None else list(image_ids)
    whole = run_coco_eval(truth, detections, oks_sigmas, chosen)
    ap, ap50, ap75, _, _, ar, ar50, ar75, _, _ = map(float, whole.stats)
    stats = {"AP": ap, "AP50": ap50, "AP75": ap75, "AR": ar, "AR50": ar50, "AR75": ar75}
    for name, members in group_by_crowding(truth.images, chosen).items():
        stats[f"AP_{name}"] = _mean_precision(truth, detections, oks_sigmas, members)
    return stats


def group_by_crowding(images, image_ids) -> dict[str, list[Any]]:
    """Sorts image ids into "easy", "medium" and "hard"; errors as `evaluate_crowdpose`."""
    groups: dict[str, list[Any]] = {"easy": [], "medium": [], "hard": []}
    for image_id in image_ids:
        if "crowdIndex" not in images[image_id]:
            raise ValueError(
                "CrowdPose AP needs a crowdIndex for every image; image id "
                f"{image_id} has none."
            )
        level = np.searchsorted(
            CROWD_INDEX_BOUNDS, images[image_id]["crowdIndex"], side="right"
        )
        groups[tuple(groups)[level]].append(image_id)
    return groups


def _mean_precision(truth, detections, oks_sigmas, image_ids) -> float:
    if not image_ids:
        return -1.0
    evaluation = run_coco_eval(truth, detections, oks_sigmas, image_ids)
    return float(np.mean(evaluation.eval["precision"][PRECISION_OF_ALL_SIZES]))
