"""CVAT's own files, "CVAT for images 1.1": `annotations.xml` with skeletons and points.

Source: CVAT's "XML annotation format" (docs.cvat.ai), version 1.1. Elements of a skeleton
are points with a label, `outside` (not in the picture: not labelled here) and `occluded`.
A shape "points" with one point is a keypoint named by its label, and `group_id` says whose;
one with several points is a person whose keypoints are numbered.
"""

from __future__ import annotations

import xml.etree.ElementTree as ElementTree
from pathlib import Path

from keras_pose.data.readers.checks import Entry, Notes
from keras_pose.data.readers.labels import (
    Box,
    Labels,
    Person,
    Picture,
    Pictures,
    Point,
    group_people,
    numbered,
    peek,
    split_of_word,
)

TOOL = "CVAT's XML 1.1"
_PATTERNS = ("*.xml", "*/*.xml")


def find_cvat(folder: Path) -> list[Path]:
    """Returns the annotation files of CVAT in a folder, or one folder down."""
    found = [path for pattern in _PATTERNS for path in sorted(folder.glob(pattern))]
    return [path for path in found if b"<annotations" in peek(path)]


def read_cvat(folder: Path, paths: list[Path], category: str | None = None) -> Labels:
    """Reads a file of "CVAT for images 1.1".

    Args:
        folder: folder of the set; pictures lie anywhere in it.
        paths: annotation files, from `find_cvat`; there must be one.
        category: label whose skeletons are read; None if the file has only one.

    Raises:
        ValueError: names the file, picture, shape and value of what is malformed.
    """
    if len(paths) > 1:
        raise ValueError(
            f"{folder} has {len(paths)} files of CVAT: "
            f"{', '.join(str(path.relative_to(folder)) for path in paths)}. Leave one."
        )
    path, notes = paths[0], Notes(paths[0])
    root = _root(path)
    label, names, limbs = _skeleton(path, root, category)
    pictures, seen = Pictures(folder), set()
    found = []
    for number, element in enumerate(root.iter("image")):
        name = element.get("name")
        entry = Entry(path, f"image {name or number!r}")
        if name in seen:
            entry.fail("name", "is there twice")
        seen.add(name)
        subset = element.get("subset") or ""
        people = _people(path, element, entry, label, names, notes)
        found.append(
            Picture(
                pictures.find(name or "", entry, "name", subset),
                people,
                _size_hw(element, entry),
                split_of_word(subset),
            )
        )
    notes.warn()
    return Labels(TOOL, path, (path,), folder, names, found, limbs)


def _root(path):
    text = path.read_bytes()
    # No file of CVAT has them, and entities make a small file huge.
    if b"<!DOCTYPE" in text or b"<!ENTITY" in text:
        raise ValueError(f"{path} declares a document type, which no file of CVAT does.")
    try:
        root = ElementTree.fromstring(text)
    except ElementTree.ParseError as error:
        raise ValueError(f"{path} is not valid XML: {error}.") from error
    if root.tag != "annotations":
        raise ValueError(f"{path} is not a file of CVAT: its root is <{root.tag}>.")
    version = root.findtext("version")
    if version != "1.1":
        raise ValueError(f"{path} is of CVAT's format {version}, and 1.1 is read.")
    if root.find("track") is not None:
        raise ValueError(
            f"{path} is 'CVAT for video 1.1', whose tracks are between key frames. Export "
            "as 'CVAT for images 1.1' or 'COCO Keypoints 1.0'."
        )
    return root


def _skeleton(path, root, category):
    """Returns the label that is read, its keypoints and its limbs.

    The label is None where keypoints are shapes of their own.
    """
    labels = [
        (label.findtext("name", ""), label.findtext("parent"), label.findtext("svg", ""))
        for label in root.iter("label")
        if label.find("name") is not None
    ]
    used = {element.get("label") for element in root.iter("skeleton")}
    parents = [name for name, _, _ in labels if name in used]
    parents += sorted(used - {*parents, None})
    if not parents:
        return _plain_points(path, root, labels, category)
    chosen = [name for name in parents if category in (None, name)]
    if len(chosen) > 1:
        chosen = [name for name in chosen if name == "person"]
    if not chosen:
        raise ValueError(
            f"{path} has skeletons {', '.join(map(repr, parents))}. Choose one with "
            "--category NAME."
        )
    label = chosen[0]
    names = [name for name, parent, _ in labels if parent == label]
    drawn = [
        point.get("label", "")
        for skeleton in root.iter("skeleton")
        if skeleton.get("label") == label
        for point in skeleton.iter("points")
    ]
    if not names:  # a file whose head was cut off
        names = list(dict.fromkeys(drawn))
    svg = next((svg for name, _, svg in labels if name == label), "")
    return label, tuple(names), _limbs(svg, names)


def _plain_points(path, root, labels, category):
    """Returns the keypoints of a file that has points and no skeletons."""
    shapes = [shape for image in root.iter("image") for shape in image.iter("points")]
    if not shapes:
        raise ValueError(f"{path} has neither skeletons nor points: no keypoints.")
    counts = {(shape.get("label", ""), _count(shape)) for shape in shapes}
    many = sorted(pair for pair in counts if pair[1] > 1 and category in (None, pair[0]))
    if len(many) > 1:
        raise ValueError(
            f"{path} has shapes of points with {', '.join(f'{n} of {c}' for c, n in many)}:"
            " all people have as many, in one order. Choose a label with --category NAME."
        )
    if many:
        return many[0][0], numbered(*many[0]), ()
    used = {label for label, _ in counts}
    names = [name for name, _, _ in labels if name in used]
    return None, (*names, *sorted(used - set(names))), ()


def _count(shape) -> int:
    return (shape.get("points") or "").count(";") + 1


def _limbs(svg: str, names) -> tuple[tuple[str, str], ...]:
    """Returns the edges of a skeleton's drawing, as names."""
    try:
        drawing = ElementTree.fromstring(f"<svg>{svg}</svg>")
    except ElementTree.ParseError:  # a drawing only: nothing depends on it
        return ()
    nodes = {
        node.get("data-node-id"): node.get("data-label-name")
        for node in drawing.iter()
        if node.get("data-type") == "element node"
    }
    edges = [
        (
            nodes.get(edge.get("data-node-from")) or "",
            nodes.get(edge.get("data-node-to")) or "",
        )
        for edge in drawing.iter()
        if edge.get("data-type") == "edge"
    ]
    return tuple(
        (first, second)
        for first, second in dict.fromkeys(edges)
        if first in names and second in names and first != second
    )


def _size_hw(element, entry) -> tuple[int, int]:
    given = element.get("height"), element.get("width")
    if not all(value is not None and value.isdecimal() for value in given):
        entry.fail("height and width", f"are no whole numbers of pixels: {given}")
    return int(given[0]), int(given[1])


def _people(path, image, entry, label, names, notes) -> list[Person]:
    if label is None:
        points = [
            Point(shape.get("label", ""), *_place(entry, shape), _group(shape))
            for shape in image.iter("points")
        ]
        return group_people(entry, points, _boxes(entry, image), notes)
    of_group = {box.group: box for box in _boxes(entry, image) if box.group is not None}
    people = []
    for number, shape in enumerate(image, 1):
        if shape.get("label") != label or shape.tag not in ("skeleton", "points"):
            continue
        person = Entry(path, f"{entry.name}, shape {number} {label!r}")
        if shape.tag == "skeleton":
            points = _elements(person, shape, names)
        else:
            xy = _coordinates(person, shape)
            if len(xy) != len(names):
                person.fail("points", f"has {len(xy)} points, others have {len(names)}")
            points = [Point(n, p, _flag(shape)) for n, p in zip(names, xy, strict=True)]
        box = of_group.get(_group(shape) or "")
        people.append(Person(person.name, points, None if box is None else box.xywh))
    return people


def _elements(person, skeleton, names) -> list[Point]:
    points, seen = [], set()
    for element in skeleton.iter("points"):
        name = element.get("label", "")
        if name not in names:
            person.fail("label", f"{name!r} is no keypoint of the skeleton: {names}")
        if name in seen:
            person.fail("label", f"{name!r} is there twice")
        seen.add(name)
        if element.get("outside") != "1":
            points.append(Point(name, *_place(person, element)))
    return points


def _place(entry, element) -> tuple[tuple[float, float], int]:
    """Returns place and flag of a keypoint."""
    xy = _coordinates(entry, element)
    if len(xy) != 1:
        entry.fail("points", f"of a keypoint is one x,y, got {element.get('points')!r}")
    return xy[0], _flag(element)


def _coordinates(entry, element) -> list[tuple[float, float]]:
    given = element.get("points") or ""
    pairs = [pair.split(",") for pair in given.split(";")]
    numbers = entry.check_numbers("points", pairs, (len(pairs), 2))
    return [(x, y) for x, y in numbers.tolist()]


def _flag(element) -> int:
    return 1 if element.get("occluded") == "1" else 2


def _group(element) -> str | None:
    """Returns the group of a shape; 0 is CVAT's word for none."""
    group = element.get("group_id")
    return None if group in (None, "", "0") else group


def _boxes(entry, image) -> list[Box]:
    boxes = []
    for shape in image.iter("box"):
        given = [shape.get(side) for side in ("xtl", "ytl", "xbr", "ybr")]
        left, top, right, bottom = entry.check_numbers("box", given, 4).tolist()
        boxes.append(Box((left, top, right - left, bottom - top), _group(shape)))
    return boxes
