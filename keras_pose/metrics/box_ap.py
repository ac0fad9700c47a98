"""COCO average precision and recall of person boxes, computed by pycocotools."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from tqdm import tqdm

from keras_pose.data.records import Id
from keras_pose.files import read_json
from keras_pose.metrics.broken_images import BrokenImages
from keras_pose.metrics.coco_ap import person_category_id
from keras_pose.metrics.coco_truth import CocoTruth, run_silently
from keras_pose.metrics.numbering import check_known_images
from keras_pose.pictures.boxes import box_iou
from keras_pose.pictures.geometry import xywh_to_xyxy, xyxy_to_xywh
from keras_pose.pictures.structures import Detections

# In the order of `COCOeval.stats` for boxes.
BOX_STATS = (
    "AP", "AP50", "AP75", "APS", "APM", "APL", "AR1", "AR10", "AR100", "ARS", "ARM", "ARL",
)  # fmt: skip

# (H, W, 3) uint8 RGB -> boxes.
Detect = Callable[[np.ndarray], Detections]


@dataclass(frozen=True)
class BoxEvaluation:
    """Figures of one evaluated detector.

    Attributes:
        stats: the values of `BOX_STATS` by name, -1 without people of that size, and those
            of `best_f1`. {} where they were not asked for.
        detections: COCO results, with `bbox` (x, y, width, height).
        num_images: images that were read.
        num_people: people in them, crowds left out.
        seconds: time in the detector, its pre- and post-processing included.
        left_out: names of images that could not be read; no figure stands on them.
    """

    stats: dict[str, float]
    detections: list[dict[str, Any]]
    num_images: int
    num_people: int
    seconds: float
    left_out: tuple[str, ...] = ()


def evaluate_detector(
    detect: Detect,
    images: Sequence[Path],
    image_ids: Sequence[Id],
    annotations: str | Path | dict[str, Any],
    progress: bool = True,
    is_scored: bool = True,
) -> BoxEvaluation:
    """Detects people in images, and scores the boxes against COCO annotations.

    Args:
        detect: the detector; of its classes, 0 must be "person".
        images: image files.
        image_ids: their ids in the annotations; no other images count.
        annotations: file in COCO's format, or what it holds.
        progress: True to show a bar, on a terminal.
        is_scored: False where not everybody is labelled, and AP would be of no meaning.

    Raises:
        ImageError: when no image at all can be read. (Some that cannot are left out, of
            the annotations too, named in a warning and in `left_out`.)
        ValueError: for annotations without a category "person", and an image that is not
            of the size they give.
    """
    truth = annotations if isinstance(annotations, dict) else read_json(annotations)
    person = person_category_id(truth)
    found: list[dict[str, Any]] = []
    seconds = 0.0
    broken, read_ids = BrokenImages(), []
    triples = zip(images, image_ids, _sizes_labelled(image_ids, truth), strict=True)
    disable = None if progress else True
    for path, image_id, image_hw in tqdm(
        triples, "detecting", len(images), unit="image", disable=disable
    ):
        image = broken.read(path, image_hw)
        if image is None:
            continue
        read_ids.append(image_id)
        start = time.perf_counter()
        detections = detect(image)
        seconds += time.perf_counter() - start
        found += coco_results(detections, image_id, person)
    broken.warn()
    if not read_ids:
        broken.fail(len(images))
    image_ids = read_ids
    stats = box_stats(truth, found, image_ids) if is_scored else {}
    if is_scored:
        stats |= best_f1(truth, found, image_ids)
    num_people = _count_people(truth, person, set(image_ids))
    return BoxEvaluation(stats, found, len(read_ids), num_people, seconds, broken.names)


def _sizes_labelled(image_ids, truth) -> list[tuple[int, int] | None]:
    """Returns (height, width) that the boxes of each image were made for, if it is said."""
    entries = {entry["id"]: entry for entry in truth["images"]}
    chosen = [entries.get(image_id, {}) for image_id in image_ids]
    sizes = [(entry.get("height") or 0, entry.get("width") or 0) for entry in chosen]
    return [size_hw if all(size_hw) else None for size_hw in sizes]


def coco_results(
    detections: Detections, image_id: Id, category_id: Id
) -> list[dict[str, Any]]:
    """Writes the people among detections in COCO's result format."""
    people = detections[detections.labels == 0]
    boxes_xywh = xyxy_to_xywh(people.boxes_xyxy.astype(np.float64))
    return [
        {
            "image_id": image_id,
            "category_id": category_id,
            "bbox": [round(float(value), 3) for value in box],
            "score": round(float(score), 6),
        }
        for box, score in zip(boxes_xywh, people.scores, strict=True)
    ]


def box_stats(
    ground_truth: dict[str, Any],
    detections: Sequence[dict[str, Any]],
    image_ids: Sequence[Id] | None = None,
) -> dict[str, float]:
    """Scores boxes of people against COCO annotations.

    Args:
        ground_truth: contents of a COCO annotation file; it stays unchanged.
        detections: COCO results with `bbox`; there may be none.
        image_ids: images that count; all of the ground truth by default.

    Returns:
        The values of `BOX_STATS` by name.

    Raises:
        ValueError: when detections name images that the ground truth lacks, when all of
            them are of another category, or when the ground truth lacks a field.
    """
    try:
        person = person_category_id(ground_truth)
        people = [
            _complete(annotation)
            for annotation in ground_truth["annotations"]
            if annotation["category_id"] == person
        ]
        truth = CocoTruth(ground_truth["images"], people, person)
    except KeyError as error:
        raise ValueError(f"The ground truth lacks the COCO field {error}.") from error
    check_known_images(detections, truth.images)
    evaluation = run_silently(truth.evaluation(detections, "bbox", image_ids))
    return dict(zip(BOX_STATS, map(float, evaluation.stats), strict=True))


def best_f1(
    ground_truth: dict[str, Any],
    detections: Sequence[dict[str, Any]],
    image_ids: Sequence[Id],
    iou_threshold: float = 0.5,
) -> dict[str, float]:
    """Finds the score from which boxes are best taken for people.

    Args:
        ground_truth: contents of a COCO annotation file; `detections` and `image_ids` are
            those of `box_stats`, too.
        iou_threshold: smallest overlap of a right box with a person whom no other box has.

    Returns:
        "F1", the best harmonic mean of precision and recall, and "F1_score", the score
        of the weakest box that is then taken. Crowds do not count, nor do boxes of
        them. 0 and 1 without anything right.
    """
    scores, is_right, num_people = _matches(
        ground_truth, detections, image_ids, iou_threshold
    )
    order = np.argsort(-scores, kind="stable")
    num_right = np.cumsum(is_right[order])
    f1 = 2 * num_right / (np.arange(1, len(order) + 1) + num_people)
    if not len(f1) or not num_right[-1]:
        return {"F1": 0.0, "F1_score": 1.0}
    best = int(f1.argmax())
    return {"F1": float(f1[best]), "F1_score": float(scores[order[best]])}


def _matches(ground_truth, detections, image_ids, iou_threshold):
    """Returns (N,) scores, whether each box is somebody's first, and how many there are."""
    person, counted = person_category_id(ground_truth), set(image_ids)
    people: dict[Id, list] = {image_id: [] for image_id in counted}
    for annotation in ground_truth["annotations"]:
        is_one = annotation["category_id"] == person and not annotation.get("iscrowd", 0)
        if is_one and annotation["image_id"] in counted:
            people[annotation["image_id"]].append(xywh_to_xyxy(annotation["bbox"]))
    is_free = {image_id: np.ones(len(boxes), bool) for image_id, boxes in people.items()}
    scores = np.array([detection["score"] for detection in detections])
    is_right = np.zeros(len(detections), bool)
    for i in np.argsort(-scores, kind="stable"):
        image_id = detections[i]["image_id"]
        if not people[image_id]:
            continue
        overlaps = box_iou([xywh_to_xyxy(detections[i]["bbox"])], people[image_id])[0]
        overlaps = np.where(is_free[image_id], overlaps, 0)
        best = overlaps.argmax()
        if overlaps[best] >= iou_threshold:
            is_right[i], is_free[image_id][best] = True, False
    return scores, is_right, sum(map(len, people.values()))


def _complete(annotation):
    """Copies an annotation and adds what can be derived."""
    derived = {"area": annotation["bbox"][2] * annotation["bbox"][3], "iscrowd": 0}
    return derived | annotation


def _count_people(truth, person, image_ids) -> int:
    return sum(
        annotation["category_id"] == person
        and not annotation.get("iscrowd", 0)
        and annotation["image_id"] in image_ids
        for annotation in truth["annotations"]
    )
