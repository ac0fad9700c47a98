"""Label Studio's exports, JSON and JSON-MIN. Its COCO export is read as COCO's format.

Places are percent of `original_width` and `original_height`. A keypoint is of the person
whose rectangle is its `parentID`, or to which a relation leads; without either, of the
rectangle around it. JSON-MIN has neither. `predictions` are not labels, and not read.

A choice "hidden" or "occluded" per region marks a keypoint that is hidden. The order of
keypoints is that of the labelling configuration where it lies in the folder as an `.xml`,
by `model_index` where it has that; else that of first appearance.
"""

from __future__ import annotations

import math
import re
import urllib.parse
import xml.etree.ElementTree as ElementTree
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from keras_pose.data.readers.checks import Entry, Notes
from keras_pose.data.readers.labels import (
    Box,
    Labels,
    Person,
    Picture,
    Pictures,
    Point,
    group_people,
    is_hidden,
    object_entry,
    peek,
)
from keras_pose.files import read_json
from keras_pose.pictures.images import PICTURE_SUFFIXES

TOOL = "Label Studio's JSON"
_PATTERNS = ("*.json", "*/*.json")
_POINTS, _BOXES = "keypointlabels", "rectanglelabels"
_UPLOAD_MARK = re.compile(r"^[0-9a-f]{8}-")  # put before the names of uploaded files


def find_label_studio(folder: Path) -> list[Path]:
    """Returns the exports of Label Studio in a folder, or one folder down."""
    found = [path for pattern in _PATTERNS for path in sorted(folder.glob(pattern))]
    return [path for path in found if is_label_studio(path)]


def is_label_studio(path: Path) -> bool:
    """Returns True if a file begins like a list of tasks with keypoints."""
    start = peek(path)
    has_labels = b'"keypointlabels"' in start or b'"completed_by"' in start
    return bool(re.match(rb"\s*\[\s*\{", start)) and has_labels


def read_label_studio(
    folder: Path, paths: list[Path], category: str | None = None
) -> Labels:
    """Reads an export.

    Args:
        folder: folder of the set; pictures lie anywhere in it.
        paths: exported files, from `find_label_studio`; there must be one.
        category: refused: keypoints of Label Studio have no category.

    Raises:
        ValueError: names the file, task, region and value of what is malformed.
    """
    if category is not None:
        raise ValueError(f"--category {category}: Label Studio's keypoints have none.")
    if len(paths) > 1:
        raise ValueError(
            f"{folder} has {len(paths)} exports of Label Studio: "
            f"{', '.join(str(path.relative_to(folder)) for path in paths)}. Leave one."
        )
    path, notes, pictures = paths[0], Notes(paths[0]), Pictures(folder)
    found = []
    for entry in _tasks(path):
        annotation = _chosen(entry, notes)
        name, size_hw = _located(entry, pictures), (0, 0)
        people: list[Person] = []
        if annotation is not None:
            size_hw, people = _people(entry, annotation, notes)
        found.append(Picture(name, people, size_hw))
    notes.warn()
    drawn = dict.fromkeys(
        point.name
        for picture in found
        for person in picture.people
        for point in person.points
    )
    if not drawn:
        raise ValueError(f"{path}: {len(found)} tasks, none with a keypoint.")
    names = tuple(drawn)
    ordered = _configured(folder)
    if set(names) <= set(ordered):
        names = tuple(name for name in ordered if name in drawn)
    return Labels(TOOL, path, (path,), folder, names, found)


def repeated_people(folder: Path, path: Path) -> Iterator[tuple[str, str, list[Person]]]:
    """Yields (picture, worker, people) of every annotation of an export.

    Several people may have labelled one task; `read_label_studio` takes one annotation.
    """
    pictures, notes = Pictures(folder), Notes(path)
    for entry in _tasks(path):
        for number, annotation in enumerate(_annotations(entry)):
            worker = annotation.get("completed_by", number)
            worker = worker.get("id", number) if isinstance(worker, dict) else worker
            _, people = _people(entry, annotation, notes)
            yield _located(entry, pictures), str(worker), people


def _tasks(path) -> Iterator[Entry]:
    for number, task in enumerate(read_json(path), 1):
        number = task.get("id", f"(entry {number})") if isinstance(task, dict) else number
        yield object_entry(path, f"task {number}", task)


def _annotations(entry) -> list[dict[str, Any]]:
    """Returns the annotations of a task that were not given up."""
    if "annotations" not in entry.values and "completions" not in entry.values:
        return [{"result": _from_min(entry)}]
    given = entry.values.get("annotations", entry.values.get("completions"))
    if not isinstance(given, list):
        entry.fail("annotations", f"must be a list, got {given!r}")
    if not all(isinstance(one, dict) for one in given):
        # JSON that was exported without its labels has ids in their place.
        entry.fail("annotations", "holds ids: export the tasks with their annotations")
    return [one for one in given if not one.get("was_cancelled")]


def _chosen(entry, notes) -> dict[str, Any] | None:
    """Returns a task's annotation: ground truth, or else the one changed last."""
    found = _annotations(entry)
    if len(found) > 1:
        notes.add(
            "{} pictures labelled more than once: ground truth, or else what was changed "
            "last, is read",
            [entry.name],
        )
    key = lambda one: (bool(one.get("ground_truth")), str(one.get("updated_at")))  # noqa: E731
    return max(found, key=key, default=None)


def _from_min(entry) -> list[dict[str, Any]]:
    """Returns the regions of a JSON-MIN task as those of JSON."""
    regions = []
    for values in entry.values.values():
        for value in values if isinstance(values, list) else ():
            if isinstance(value, dict):
                kind = next((k for k in (_POINTS, _BOXES) if k in value), None)
                if kind:
                    regions.append({"type": kind, "value": value} | value)
    return regions


def _located(entry, pictures) -> str:
    """Returns the picture of a task below the folder."""
    data = entry.values.get("data", entry.values)
    if not isinstance(data, dict):
        entry.fail("data", f"must be an object {{}}, got {data!r}")
    given = [
        name
        for name in map(_file_name, data.values())
        if name.lower().endswith(PICTURE_SUFFIXES)
    ]
    if not given:
        entry.fail("data", f"names no picture: {data!r}")
    name = pictures.find(given[0], entry, "data")
    if name == given[0]:  # exports of uploads are often joined with the original pictures
        parent, slash, last = name.rpartition("/")
        name = pictures.find(f"{parent}{slash}{_UPLOAD_MARK.sub('', last)}", entry, "data")
    return name


def _file_name(value) -> str:
    """Returns the file name of a link such as /data/upload/3/name.jpg or s3://..."""
    if not isinstance(value, str):
        return ""
    link = urllib.parse.urlsplit(value.replace("\\", "/"))
    local = urllib.parse.parse_qs(link.query).get("d")
    path = local[0] if local else urllib.parse.unquote(link.path)
    return "/".join(part for part in path.split("/") if part not in ("", ".", ".."))


def _people(entry, annotation, notes) -> tuple[tuple[int, int], list[Person]]:
    """Returns the size that an annotation was made for, and its people."""
    result = annotation.get("result")
    if not isinstance(result, list):
        entry.fail("result", f"must be a list, got {result!r}")
    regions = [_region(entry, number, region) for number, region in enumerate(result, 1)]
    hidden = {
        region.get("id")
        for region in regions
        if region.get("type") == "choices" and any(map(is_hidden, _choices(entry, region)))
    }
    owners = _owners(regions)
    points: list[Point] = []
    boxes: list[Box] = []
    size_hw = (0, 0)
    for number, region in enumerate(regions, 1):
        kind = region.get("type")
        if kind not in (_POINTS, _BOXES):
            continue
        name = f"{entry.name}, region {region.get('id', number)}"
        named = Entry(entry.path, name, region)
        size_hw = _size_hw(named)
        value = object_entry(entry.path, f"{name}, value", region.get("value"))
        if kind == _POINTS:
            group = owners.get(region.get("id")) or region.get("parentID")
            flag = 1 if region.get("id") in hidden else 2
            points.append(_point(value, size_hw, flag, group))
        else:
            boxes.append(Box(_box(value, size_hw), region.get("id")))
    used = {point.group for point in points}
    boxes = [box if box.group in used else Box(box.xywh) for box in boxes]
    return size_hw, group_people(entry, points, boxes, notes)


def _region(entry, number, region) -> dict[str, Any]:
    """Returns a region whose ids can be compared."""
    found = object_entry(entry.path, f"{entry.name}, region {number}", region)
    for field in ("id", "parentID", "from_id", "to_id"):
        if not isinstance(region.get(field), str | int | None):
            found.fail(field, f"is neither text nor number: {region[field]!r}")
    return found.values


def _choices(entry, region) -> list[Any]:
    name = f"{entry.name}, region {region.get('id')}, value"
    choices = object_entry(entry.path, name, region.get("value")).values.get("choices")
    return choices if isinstance(choices, list) else []


def _owners(regions) -> dict[Any, str]:
    """Returns the rectangle that relations give to a region, whichever way they point."""
    rectangles = {r.get("id") for r in regions if r.get("type") == _BOXES}
    owners = {}
    for region in regions:
        if region.get("type") == "relation":
            ends = region.get("from_id"), region.get("to_id")
            for one, other in (ends, ends[::-1]):
                if other in rectangles and one not in rectangles:
                    owners[one] = other
    return owners


def _size_hw(region) -> tuple[int, int]:
    if region.values.get("image_rotation"):
        region.fail(
            "image_rotation",
            f"is {region.values['image_rotation']}: turn the picture itself, as labels on "
            "turned pictures are not read",
        )
    given = [region.get("original_height"), region.get("original_width")]
    height, width = region.check_numbers("original_height and _width", given, 2).tolist()
    return int(height), int(width)


def _point(value, size_hw, flag, group) -> Point:
    names = value.get(_POINTS)
    if not isinstance(names, list) or len(names) != 1:
        value.fail(_POINTS, f"must name one keypoint, got {names!r}")
    x, y = value.check_numbers("x and y", [value.get("x"), value.get("y")], 2).tolist()
    xy = x / 100 * size_hw[1], y / 100 * size_hw[0]
    return Point(str(names[0]), xy, flag, group)


def _box(value, size_hw) -> tuple[float, float, float, float]:
    """Returns the extent of a rectangle, which may be turned about its first corner."""
    sides = [value.get(field) for field in ("x", "y", "width", "height")]
    x, y, width, height = value.check_numbers("rectangle", sides, 4).tolist()
    scale_x, scale_y = size_hw[1] / 100, size_hw[0] / 100
    rotation = value.check_numbers("rotation", value.values.get("rotation") or 0, ())
    angle = math.radians(float(rotation))
    cos, sin = math.cos(angle), math.sin(angle)
    corners = [
        (x * scale_x + u * cos - v * sin, y * scale_y + u * sin + v * cos)
        for u in (0, width * scale_x)
        for v in (0, height * scale_y)
    ]
    columns, rows = zip(*corners, strict=True)
    left, top = min(columns), min(rows)
    return left, top, max(columns) - left, max(rows) - top


def _configured(folder) -> list[str]:
    """Returns the keypoints of a labelling configuration in the folder, in order."""
    for path in sorted(folder.glob("*.xml")):
        if b"<KeyPointLabels" in peek(path) and b"<!ENTITY" not in peek(path):
            try:
                root = ElementTree.fromstring(path.read_bytes())
            except ElementTree.ParseError as error:
                raise ValueError(f"{path} is not valid XML: {error}.") from error
            labels = [
                label for tag in root.iter("KeyPointLabels") for label in tag.iter("Label")
            ]
            places = [label.get("model_index", "") for label in labels]
            if all(map(str.isdecimal, places)):
                labels.sort(key=lambda label: int(label.get("model_index", "0")))
            return [label.get("value", "") for label in labels]
    return []
