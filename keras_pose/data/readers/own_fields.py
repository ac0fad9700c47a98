"""Annotations whose keypoints or boxes stand in fields of their own, put into COCO's form.

Each function takes one annotation of a file and returns those that are read in its place.
COCO-WholeBody's format: github.com/jin-s13/COCO-WholeBody, `data_format.md`. A part counts
only if its valid flag is set; without the flag, its keypoints' own flags decide.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from keras_pose.data.readers.checks import Entry, box_around
from keras_pose.skeleton import HALPE_26, WHOLEBODY_PARTS

Row = dict[str, Any]
# Annotation file (for messages) and annotation -> annotations that are read.
Unpack = Callable[[Path, Row], list[Row]]

_VALID = {
    "foot_kpts": "foot_valid",
    "face_kpts": "face_valid",
    "lefthand_kpts": "lefthand_valid",
    "righthand_kpts": "righthand_valid",
}
_COPIED = ("id", "image_id", "category_id", "bbox", "area", "iscrowd", "track_id")
_HALPE_KEYPOINTS = 136
# FreiHAND's pictures show one hand each, and have this size.
_FREIHAND_BOX = [0, 0, 224, 224]


def whole_body(path: Path, row: Row) -> list[Row]:
    """Joins body, feet, face and hands into one list of 133 keypoints.

    Raises:
        ValueError: names file, annotation and field of a part that is absent or has
            another length.
    """
    keypoints: list[Any] = []
    for field in WHOLEBODY_PARTS:
        keypoints += _part(path, row, field)
    return [{name: row[name] for name in _COPIED if name in row} | {"keypoints": keypoints}]


def hands(path: Path, row: Row) -> list[Row]:
    """Returns the valid hands of a COCO-WholeBody annotation, left and right."""
    return _boxed(path, row, ("lefthand", "righthand"))


def faces(path: Path, row: Row) -> list[Row]:
    """Returns the face of a COCO-WholeBody annotation, if it is valid."""
    return _boxed(path, row, ("face",))


def whole_picture(path: Path, row: Row) -> list[Row]:
    """Gives a hand of FreiHAND the picture as its box."""
    return [row | {"bbox": _FREIHAND_BOX}]


def around_points(path: Path, row: Row) -> list[Row]:
    """Gives a face the box around its points, 1.2 times as large.

    The centres and scales of 300-W's and WFLW's JSON files mean other boxes in different
    versions of mmpose.
    """
    triples = _triples(path, row, "keypoints")
    points = triples[triples[:, 2] > 0, :2]
    if not len(points):
        return []
    return [row | {"bbox": box_around(points).tolist()}]


def halpe_26(path: Path, row: Row) -> list[Row]:
    """Keeps the first 26 of Halpe-FullBody's 136 keypoints."""
    keypoints = row.get("keypoints")
    counts = (3 * _HALPE_KEYPOINTS, 3 * HALPE_26.num_keypoints)
    if not isinstance(keypoints, list) or len(keypoints) not in counts:
        given = len(keypoints) if isinstance(keypoints, list) else repr(keypoints)
        _entry(path, row).fail(
            "keypoints", f"must hold {counts[0]} numbers of Halpe-FullBody, got {given}"
        )
    kept = {name: value for name, value in row.items() if name != "num_keypoints"}
    return [kept | {"keypoints": keypoints[: counts[1]]}]


def _part(path, row, field) -> list[Any]:
    """Returns a part's flat keypoints; zeros where it is not valid."""
    place = WHOLEBODY_PARTS[field]
    length = 3 * (place.stop - place.start)
    keypoints = _entry(path, row).get(field)
    if not isinstance(keypoints, list) or len(keypoints) != length:
        given = len(keypoints) if isinstance(keypoints, list) else repr(keypoints)
        _entry(path, row).fail(field, f"must hold {length} numbers, got {given}")
    return keypoints if row.get(_VALID.get(field, ""), True) else [0] * length


def _boxed(path, row, parts) -> list[Row]:
    """Returns annotations of valid parts that have boxes and keypoints of their own."""
    if row.get("iscrowd"):
        return []
    found = []
    for part in parts:
        keypoints = _part(path, row, f"{part}_kpts")
        if any(flag > 0 for flag in keypoints[2::3]):
            found.append(
                {
                    "id": f"{row.get('id')}_{part}",
                    "image_id": row.get("image_id"),
                    "category_id": row["category_id"],
                    "bbox": _entry(path, row).get(f"{part}_box"),
                    "iscrowd": 0,
                    "keypoints": keypoints,
                }
            )
    return found


def _triples(path, row, field) -> np.ndarray:
    """Returns (K, 3) keypoints x, y, flag."""
    values = _entry(path, row).get(field)
    length = len(values) if isinstance(values, list) else 0
    numbers = _entry(path, row).numbers(field, length - length % 3)
    return numbers.reshape(-1, 3)


def _entry(path, row) -> Entry:
    return Entry(path, f"annotation id {row.get('id')}", row)
