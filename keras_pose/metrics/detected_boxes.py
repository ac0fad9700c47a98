"""Person boxes from a detector, in place of those of the ground truth."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from keras_pose.commandline import some_of
from keras_pose.data.records import PersonRecord
from keras_pose.files import read_json
from keras_pose.metrics.coco_ap import person_category_id
from keras_pose.metrics.numbering import check_known_images, sorted_ids

_NAMED = 5  # categories that an error names


def read_boxes(
    path,
    ground_truth: dict[str, Any],
    image_folder,
    num_keypoints: int,
    score_threshold: float = 0.0,
) -> list[PersonRecord]:
    """Reads the people that a detector found.

    Every detection of a person counts, however many there are, with its box as it is.
    Source: `_load_coco_person_detection_results` of the HRNet code, and its
    `TEST.IMAGE_THRE`.

    Args:
        path: COCO detection results: a list of `image_id`, `category_id`, `bbox`
            (x, y, width, height) and `score`; those of a tracker, for MOTA, also have
            the `track_id`, a whole number or text.
        ground_truth: the contents of the annotation file; names the images.
        image_folder: folder of the images.
        num_keypoints: number of keypoints of the data set.
        score_threshold: smallest score of a box that counts.

    Returns:
        Records without labels; `score` is the detector's.

    Raises:
        FileNotFoundError: for a missing file.
        ValueError: names file, entry and field of what is malformed; or says that no
            box is left.
    """
    entries = read_json(path)
    if not isinstance(entries, list):
        raise ValueError(f"{path} is no COCO result file: expected a list at the top.")
    return box_records(
        entries, path, ground_truth, image_folder, num_keypoints, score_threshold
    )


def box_records(
    entries: list[Any],
    path,
    ground_truth: dict[str, Any],
    image_folder,
    num_keypoints: int,
    score_threshold: float = 0.0,
) -> list[PersonRecord]:
    """Makes records of COCO detection results; else as `read_boxes`.

    Args:
        entries: entries of such a file.
        path: file of the entries, for errors.
        ground_truth: contents of the annotation file; this and the rest are arguments of
            `read_boxes`.
    """
    person = person_category_id(ground_truth)
    images = {image["id"]: image for image in ground_truth["images"]}
    for index, entry in enumerate(entries):
        _check_entry(path, index, entry)
    check_known_images(entries, images, str(path))
    records = [
        _record(index, entry, images[entry["image_id"]], image_folder, num_keypoints)
        for index, entry in enumerate(entries)
        if entry["category_id"] == person and entry["score"] >= score_threshold
    ]
    if not records:
        reason = _why_none(entries, person, score_threshold)
        raise ValueError(f"{path} has no box to predict in: {reason}")
    return records


def _why_none(entries, person, score_threshold) -> str:
    if not entries:
        return "it is an empty list."
    scores = [entry["score"] for entry in entries if entry["category_id"] == person]
    if scores:
        return (
            f"the best score of its {len(scores)} people is {max(scores):g}, the threshold "
            f"{score_threshold:g}."
        )
    found = sorted_ids(entry["category_id"] for entry in entries)
    return (
        f"the ground truth's people are of category {person!r}, its {len(entries)} entries "
        f"of {some_of(map(repr, found), _NAMED)}."
    )


def _check_entry(path, index, entry):
    where = f"{path}, entry {index}"
    for field in ("image_id", "category_id", "bbox", "score"):
        if not isinstance(entry, dict) or field not in entry:
            raise ValueError(f"{where} lacks the field {field!r}.")
    for field in ("image_id", "category_id", "track_id"):
        if not isinstance(entry.get(field, 0), int | str):
            raise ValueError(
                f"{where}: the {field} must be a whole number or text, got "
                f"{entry[field]!r}."
            )
    try:
        numbers = np.asarray([*entry["bbox"], entry["score"]], float)
    except (TypeError, ValueError):
        numbers = np.zeros(0)
    if numbers.shape != (5,) or not np.isfinite(numbers).all() or (numbers[2:4] <= 0).any():
        raise ValueError(
            f"{where} needs a bbox (x, y, width, height) with an area, and a score; got "
            f"{entry['bbox']} and {entry['score']}."
        )


def _size_labelled(image) -> tuple[int, int] | None:
    height, width = image.get("height") or 0, image.get("width") or 0
    return (int(height), int(width)) if height and width else None


def _record(index, entry, image, image_folder, num_keypoints) -> PersonRecord:
    box_xywh = np.asarray(entry["bbox"], np.float64)
    return PersonRecord(
        image_path=Path(image_folder) / image["file_name"],
        image_id=image["id"],
        annotation_id=index,
        box_xywh=box_xywh,
        keypoints_xy=np.zeros((num_keypoints, 2), np.float32),
        visibility=np.zeros(num_keypoints, np.uint8),
        area=float(box_xywh[2] * box_xywh[3]),
        image_hw=_size_labelled(image),
        score=float(entry["score"]),
        track_id=entry.get("track_id"),
    )
