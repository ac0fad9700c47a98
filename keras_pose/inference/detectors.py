"""Sources of person boxes: a network, a file of boxes, or simply the whole image.

Each is called with an image and returns its `Detections`, of which the estimator takes the
boxes of people that have an area and meet the image.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from keras_pose.commandline import some_of
from keras_pose.contracts.detector_description import is_description
from keras_pose.files import read_json
from keras_pose.pictures.geometry import xywh_to_xyxy
from keras_pose.pictures.structures import Detections
from keras_pose.shipped import DETECTOR, shipped_file

# (H, W, 3) uint8 RGB -> boxes in image pixels.
Detect = Callable[[np.ndarray], Detections]

# Said in place of a detector: every image is one person.
WHOLE_IMAGE = "whole image"
PERSON = 0  # the label of people, of all detectors here
COCO_PERSON = 1  # their category in COCO's files

# Outside these, in pixels, a box is a mistake, and its crop would leave the numbers.
MIN_SIDE, MAX_SIDE = 1e-2, 1e6


class DetectionFile:
    """Boxes that someone found beforehand: a file in COCO's result format.

    A list of `{"image_id": ..., "category_id": 1, "bbox": [x, y, width, height],
    "score": ...}` (cocodataset.org/#format-results). An image is asked for by its id, or
    by its path, for which the file's name, its stem or its stem as a number may stand
    ("000000000139.jpg" is 139). The frames of a video are 0, 1, 2, ...

    Raises:
        FileNotFoundError: if there is no such file.
        ValueError: for what is not of that format; names file, entry and field.
    """

    def __init__(self, path: str | Path, score_threshold: float = 0.0):
        self.path = Path(path)
        entries = read_json(self.path)
        if not isinstance(entries, list):
            raise ValueError(
                f"{self.path}: COCO's result format is a list, got "
                f"{type(entries).__name__}."
            )
        found: dict[Any, list[np.ndarray]] = {}
        categories = set()
        for i, entry in enumerate(entries):
            image_id, category, row = self._read(i, entry)
            categories.add(category)
            people = found.setdefault(image_id, [])
            if category == COCO_PERSON and row[4] > score_threshold:
                people.append(row)
        if categories and COCO_PERSON not in categories:
            raise ValueError(
                f"{self.path} has no box of a person, whose category_id is {COCO_PERSON} "
                f"as in COCO; it has {some_of(map(repr, sorted(categories, key=str)), 3)}."
            )
        self._boxes = {image_id: np.array(rows) for image_id, rows in found.items()}
        self._has_matched = False

    def find(self, image_id: int | str | Path) -> Detections:
        """Returns the people of an image; none if the file does not speak of it.

        Files leave out images without anybody. But if this one has not been of any image
        so far, a warning says so, once: its ids may be of other images.
        """
        for name in _names(image_id):
            rows = self._boxes.get(name)
            if rows is None:
                continue
            self._has_matched = True
            if len(rows):
                corners = xywh_to_xyxy(rows[:, :4])
                return Detections(corners, rows[:, 4], np.full(len(rows), PERSON))
        if self._boxes and not self._has_matched:
            self._has_matched = True
            warnings.warn(
                f"{self.path} has no boxes of {str(image_id)!r}: it speaks of the images "
                f"{some_of(map(repr, self._boxes), 3)}.",
                stacklevel=2,
            )
        return Detections.none()

    def _read(self, index, entry):
        """Returns image id, category and (x, y, width, height, score) of an entry."""
        where = f"{self.path}, entry {index}"
        if not isinstance(entry, dict):
            raise ValueError(f"{where} must be an object, got {str(entry)[:60]}.")
        missing = {"image_id", "bbox", "score"} - entry.keys()
        if missing:
            raise ValueError(f"{where} lacks {sorted(missing)}.")
        try:
            row = np.array([*entry["bbox"], entry["score"]], float)
        except (TypeError, ValueError):
            row = np.full(0, np.nan)
        if row.shape != (5,) or not np.isfinite(row).all():
            raise ValueError(
                f"{where}: bbox must be four finite numbers and score one, got bbox="
                f"{entry['bbox']!r}, score={entry['score']!r}."
            )
        for field in ("image_id", "category_id"):
            if not isinstance(entry.get(field, COCO_PERSON), int | str):
                raise ValueError(
                    f"{where}: {field} must be a whole number or text, got "
                    f"{entry[field]!r}."
                )
        return entry["image_id"], entry.get("category_id", COCO_PERSON), row


def _names(image_id):
    """Yields what an image may be called in a file of detections."""
    yield image_id
    if isinstance(image_id, int):
        yield str(image_id)
        return
    path = Path(image_id)
    yield from (str(path), path.name, path.stem)
    if path.stem.isdecimal():
        yield int(path.stem)


def open_detector(
    detector: Detect | DetectionFile | str | Path | None = None,
    num_threads: int | None = None,
) -> Detect | DetectionFile | None:
    """Makes something that finds people out of what a user says.

    Args:
        detector: a model file with its contract, or the description of one (see
            `runtime.detector.load_detector`), a `.json` of detections, something that is
            one of these already; None for the detector that comes with the package, and
            "whole image" for none at all: then None is returned.
        num_threads: threads for `.tflite` and `.onnx` files; None for all cores.

    Raises:
        FileNotFoundError, ValueError, ImportError: for what cannot be opened.
    """
    if isinstance(detector, str) and detector == WHOLE_IMAGE:
        return None
    if detector is None:
        detector = shipped_file(DETECTOR)
    if not isinstance(detector, (str, Path)):
        if not callable(detector) and not isinstance(detector, DetectionFile):
            raise ValueError(
                "A detector is a file, a DetectionFile, or something to call with an "
                f"image, got {detector!r}."
            )
        return detector
    if Path(detector).suffix == ".json" and not is_description(detector):
        return DetectionFile(detector)
    from keras_pose.runtime.detector_model import load_detector

    return load_detector(detector, num_threads)


def people_among(detections: Detections, image_hw) -> Detections:
    """Keeps the people of whom something can be seen: boxes with an area, in the image."""
    is_person = detections.labels == PERSON
    return detections[is_person & is_usable(detections.boxes_xyxy, image_hw)]


def is_usable(boxes_xyxy, image_hw) -> np.ndarray:
    """Returns True for boxes that a person can be cut out by.

    Args:
        boxes_xyxy: (N, 4), image pixels.
        image_hw: (height, width), pixels.

    Returns:
        (N,) bool: finite, with an area, of a sane size, and not outside the image.
    """
    boxes = np.asarray(boxes_xyxy, np.float64).reshape(-1, 4)
    with np.errstate(invalid="ignore", over="ignore"):
        sides = boxes[:, 2:] - boxes[:, :2]
        is_sane = ((sides >= MIN_SIDE) & (sides <= MAX_SIDE)).all(axis=1)
    limit = np.array(image_hw[::-1])
    meets = (boxes[:, :2] < limit).all(axis=1) & (boxes[:, 2:] > 0).all(axis=1)
    return np.all(np.isfinite(boxes), axis=1) & is_sane & meets
