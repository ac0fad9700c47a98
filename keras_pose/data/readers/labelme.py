"""labelme's files: one JSON beside each picture, keypoints as shapes "point".

The label of a point is its keypoint; `group_id` says whose it is, and a "rectangle" of the
same group is that person's box. A flag of a shape such as "occluded" marks a keypoint that
is hidden. `labels.txt`, which labelme is started with, gives the order of keypoints.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from keras_pose.data.readers.checks import Entry, Notes
from keras_pose.data.readers.labels import (
    Box,
    Labels,
    Picture,
    Pictures,
    Point,
    group_people,
    is_hidden,
    object_entry,
    peek,
    read_lines,
    split_of_word,
)
from keras_pose.files import read_json

TOOL = "labelme's JSON"
LABELS_FILE = "labels.txt"


def find_labelme(folder: Path) -> list[Path]:
    """Returns the files of labelme below a folder."""
    return [path for path in sorted(folder.rglob("*.json")) if is_labelme(path)]


def is_labelme(path: Path) -> bool:
    """Returns True if a file begins like one of labelme's."""
    start = peek(path)
    return bool(
        re.match(rb"\s*\{", start)
        and re.search(rb'"shapes"\s*:\s*\[', start)
        and b'"annotations"' not in start
    )


def read_labelme(folder: Path, paths: list[Path], category: str | None = None) -> Labels:
    """Reads the files of a folder.

    Args:
        folder: folder of the set.
        paths: label files, from `find_labelme`.
        category: refused: labelme has none.

    Raises:
        ValueError: names the file, shape and value of what is malformed.
    """
    if category is not None:
        raise ValueError(f"--category {category}: files of labelme have no categories.")
    notes, pictures = Notes(folder), Pictures(folder)
    names: dict[str, None] = {}
    found = []
    for path in paths:
        picture = _picture(folder, path, pictures, notes)
        found.append(picture)
        names |= dict.fromkeys(p.name for person in picture.people for p in person.points)
    notes.warn()
    if not names:
        raise ValueError(f"{folder}: {len(paths)} files of labelme, none with a point.")
    listed = _listed(folder)
    if set(names) <= set(listed):
        names = dict.fromkeys(name for name in listed if name in names)
    return Labels(TOOL, folder, tuple(paths), folder, tuple(names), found)


def _listed(folder) -> list[str]:
    path = folder / LABELS_FILE
    if not path.is_file():
        return []
    return [line.strip() for line in read_lines(path)]


def _picture(folder, path, pictures, notes) -> Picture:
    values = read_json(path)
    whole = object_entry(path, "the file", values)
    beside = path.parent.relative_to(folder)
    # `imagePath` starts from the file, and often has the folders of another machine.
    given = str(whole.get("imagePath")).replace("\\", "/")
    plain = given.rpartition("/")[2]
    name = pictures.find((beside / plain).as_posix(), whole, "imagePath")
    entry = Entry(path, path.relative_to(folder).as_posix())
    points: list[Point] = []
    boxes: list[Box] = []
    shapes = whole.get("shapes")
    if not isinstance(shapes, list):
        whole.fail("shapes", f"must be a list, got {shapes!r}")
    for number, shape in enumerate(shapes, 1):
        label = shape.get("label") if isinstance(shape, dict) else None
        shape = object_entry(path, f"shape {number} {label!r}", shape)
        _add(shape, points, boxes, notes)
    return Picture(
        name,
        group_people(entry, points, boxes, notes),
        _size_hw(whole),
        split_of_word(*path.relative_to(folder).parts[:-1]),
    )


def _add(shape: Entry, points, boxes, notes):
    """Adds a shape to the points or the boxes; others are counted."""
    kind = shape.get("shape_type")
    group = shape.values.get("group_id")
    group = None if group is None else str(group)
    if kind == "point":
        ((x, y),) = shape.numbers("points", (1, 2)).tolist()
        flags = object_entry(shape.path, f"{shape.name}, flags", _flags(shape)).values
        hidden = any(value and is_hidden(word) for word, value in flags.items())
        points.append(Point(_label(shape), (x, y), 1 if hidden else 2, group))
    elif kind == "rectangle":
        corners = shape.get("points")
        count = 4 if isinstance(corners, list) and len(corners) == 4 else 2
        corners = shape.numbers("points", (count, 2))
        (left, top), (right, bottom) = corners.min(axis=0), corners.max(axis=0)
        xywh = float(left), float(top), float(right - left), float(bottom - top)
        boxes.append(Box(xywh, group))
    else:
        notes.add("{} shapes that are neither points nor rectangles: not read", [shape])


def _flags(shape) -> Any:
    return shape.values.get("flags") or {}


def _label(shape) -> str:
    label = shape.get("label")
    if not isinstance(label, str) or not label:
        shape.fail("label", f"names no keypoint: {label!r}")
    return label


def _size_hw(whole) -> tuple[int, int]:
    sizes = [whole.values.get(field) or 0 for field in ("imageHeight", "imageWidth")]
    height, width = whole.check_numbers("imageHeight and imageWidth", sizes, 2).tolist()
    return int(height), int(width)
