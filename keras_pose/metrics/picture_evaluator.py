"""AP of everybody in whole pictures: networks that need no boxes, and all files of them."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from tqdm import tqdm

from keras_pose.data.records import Id
from keras_pose.files import read_json
from keras_pose.metrics.broken_images import BrokenImages
from keras_pose.metrics.coco_ap import coco_result, person_category_id
from keras_pose.metrics.evaluator import EvaluationResult
from keras_pose.metrics.official import Measured
from keras_pose.pictures.structures import Poses
from keras_pose.skeleton import COCO_17, Skeleton

METRIC = "coco_ap"


def evaluate_pictures(
    find: Callable[[np.ndarray], Poses],
    images: Sequence[Path],
    image_ids: Sequence[Id],
    ground_truth: str | Path | dict[str, Any],
    *,
    skeleton: Skeleton = COCO_17,
    progress: bool = True,
) -> EvaluationResult:
    """Finds everybody in pictures, and measures COCO AP.

    Args:
        find: network and parsing, such as a `runtime.crowd_model.CrowdModel`.
        images: image files.
        image_ids: their ids in the ground truth; no other images count.
        ground_truth: COCO annotation file, or its contents.
        skeleton: the keypoints of the ground truth. A network may predict more of them, and
            in another order: they are sorted by name.
        progress: True to show a bar, on a terminal.

    Raises:
        ValueError: where keypoints of the ground truth are not predicted.
        ImageError: when no image at all can be read. (Some that cannot are left out, of
            the ground truth too, named in a warning and in `left_out`.)
    """
    truth = ground_truth if isinstance(ground_truth, dict) else read_json(ground_truth)
    category = person_category_id(truth)
    sizes = {image["id"]: _size_of(image) for image in truth["images"]}
    found: list[dict[str, Any]] = []
    broken, read_ids, seconds = BrokenImages(), [], 0.0
    started = time.perf_counter()
    pairs = zip(images, image_ids, strict=True)
    disable = None if progress else True
    for path, image_id in tqdm(pairs, total=len(images), unit="image", disable=disable):
        image = broken.read(path, sizes.get(image_id))
        if image is None:
            continue
        read_ids.append(image_id)
        begin = time.perf_counter()
        poses = find(image)
        seconds += time.perf_counter() - begin
        found += _entries(poses, skeleton, image_id, category)
    broken.warn()
    if not read_ids:
        broken.fail(len(images))
    measured = Measured(
        skeleton=skeleton,
        records=[],
        labelled=[],
        keypoints_xy=np.zeros((0, skeleton.num_keypoints, 2)),
        keypoint_scores=np.zeros((0, skeleton.num_keypoints)),
        kept=[],
        detections=found,
        ground_truth=truth,
        image_ids=read_ids,
    )
    stats, tables = coco_result(truth, found, skeleton.oks_sigmas, read_ids)
    return EvaluationResult(
        stats=stats,
        tables=tables,
        metrics=(METRIC,),
        nms="off",
        measured=measured,
        num_images=len(read_ids),
        num_people=_count_labelled(truth, set(read_ids)),
        flip_test=False,
        predict_seconds=seconds,
        total_seconds=time.perf_counter() - started,
        left_out=broken.names,
    )


def _count_labelled(truth, image_ids) -> int:
    """Returns the people with keypoints, so that files that find others share a table."""
    return sum(
        annotation["image_id"] in image_ids
        and not annotation.get("iscrowd", 0)
        and any(annotation.get("keypoints", ())[2::3])
        for annotation in truth["annotations"]
    )


def _size_of(image) -> tuple[int, int] | None:
    size_hw = image.get("height") or 0, image.get("width") or 0
    return size_hw if all(size_hw) else None


def _entries(poses: Poses, skeleton: Skeleton, image_id, category) -> list[dict[str, Any]]:
    """Returns COCO results, with the keypoints of the ground truth."""
    names = poses.skeleton.names
    missing = [name for name in skeleton.names if name not in names]
    if missing:
        raise ValueError(
            f"The network predicts the keypoints of {poses.skeleton.name}, the ground "
            f"truth has those of {skeleton.name}: {', '.join(missing)} are not predicted."
        )
    columns = [names.index(name) for name in skeleton.names]
    sorted_poses = Poses(
        poses.boxes_xyxy,
        poses.keypoints_xy[:, columns],
        poses.keypoint_scores[:, columns],
        poses.scores,
        skeleton,
    )
    return sorted_poses.to_coco(image_id, category)
