"""Labels of a labelling tool, in the words that all tools have in common.

A reader of a tool returns `Labels`: pictures, and people as named points. They become a
`PersonTable` by the rules that files in COCO's format are read by (`coco`): sizes of
pictures, boxes and missing pictures are checked and reported in the same words.

Coordinates are the tool's pixels, as they also stand in the COCO files that it exports.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

import numpy as np

from keras_pose.data.readers.checks import Entry, LeftOut, Notes, box_around, inner_name
from keras_pose.data.readers.coco import Reading, usable_people
from keras_pose.data.readers.coco_people import CocoImages, CocoPeople
from keras_pose.data.records import PersonTable
from keras_pose.pictures.images import PICTURE_SUFFIXES

SPLIT_WORDS = {
    "train": ("train", "training"),
    "val": ("val", "valid", "validation"),
    "test": ("test", "testing"),
}
# Length of the start of a file by which its tool is recognized.
PEEKED_BYTES = 1 << 16
# Words by which people mark a keypoint that is hidden, where a tool has no flag of its own.
_HIDDEN = ("hidden", "invisible", "notvisible", "occluded")


@dataclass(frozen=True)
class Point:
    """One labelled point of a picture.

    Attributes:
        name: keypoint.
        xy: place in the picture, pixels.
        flag: COCO flag: 1 occluded, 2 visible.
        group: mark that the points of one person share; None without one.
    """

    name: str
    xy: tuple[float, float]
    flag: int = 2
    group: str | None = None


@dataclass(frozen=True)
class Box:
    """One labelled box of a picture: (x, y, width, height), pixels, and its group."""

    xywh: tuple[float, float, float, float]
    group: str | None = None


@dataclass(frozen=True)
class Person:
    """One person of a picture.

    Attributes:
        id: words that find the person in the file.
        points: keypoints that are labelled.
        box_xywh: (4,) pixels; None for the extent of the points, `BOX_GROWTH` as large.
    """

    id: str
    points: Sequence[Point]
    box_xywh: Sequence[float] | None = None


@dataclass(frozen=True)
class Picture:
    """One picture of a tool's file.

    Attributes:
        name: file name below the folder of the set.
        people: people labelled in it.
        size_hw: (height, width) that the labels were made for, pixels; (0, 0) for the
            picture's own.
        split: "train", "val" or "test"; None where nothing says.
    """

    name: str
    people: Sequence[Person]
    size_hw: tuple[int, int] = (0, 0)
    split: str | None = None


@dataclass(frozen=True)
class Labels:
    """All labels of a folder.

    Attributes:
        tool: format, as a person would name it.
        path: file or folder that errors name.
        paths: all files that were read.
        folder: folder that names of pictures start from.
        names: keypoints, in the order of the skeleton.
        pictures: every picture that the files list.
        limbs: pairs of names.
        mirrored: mirror pairs that the files state; None where only names can tell.
    """

    tool: str
    path: Path
    paths: tuple[Path, ...]
    folder: Path
    names: tuple[str, ...]
    pictures: Sequence[Picture]
    limbs: tuple[tuple[str, str], ...] = ()
    mirrored: tuple[tuple[str, str], ...] | None = None

    def has_split(self, split: str) -> bool:
        """Returns True if any picture says that it is of a split."""
        return any(picture.split == split for picture in self.pictures)

    def of_split(self, split: str) -> tuple[list[Picture], str | None]:
        """Returns a split's pictures, and the part of them that is meant.

        The part is "train" or "val" where the pictures are the only split, so that a
        tenth of them must serve as val; None where they are the split.
        """
        chosen = [picture for picture in self.pictures if picture.split == split]
        if chosen:
            lacks_val = split == "train" and not self.has_split("val")
            return chosen, "train" if lacks_val else None
        rest = [picture for picture in self.pictures if picture.split is None]
        if not rest and split == "val":
            rest = [picture for picture in self.pictures if picture.split == "train"]
        return rest, split


def read_labels(labels: Labels, pictures: Sequence[Picture], reading: Reading):
    """Returns the people of some pictures who can be used, as a `PersonTable`.

    Args:
        labels: labels of a folder.
        pictures: pictures of `labels` to read.
        reading: words of the user; only `rescale_labels` matters here.

    Raises:
        ValueError: names the file, person and field of what is malformed, or says that
            no person is left.
    """
    notes, left_out = Notes(labels.path), LeftOut(labels.path)
    people = as_coco(labels, pictures)
    table: PersonTable = usable_people(
        people, labels.folder, reading.rescale_labels, notes, left_out
    )
    notes.warn()
    left_out.warn()
    return table


def as_coco(labels: Labels, pictures: Sequence[Picture]) -> CocoPeople:
    """Puts the people of some pictures into the columns of a COCO file, unchecked."""
    places = {name: k for k, name in enumerate(labels.names)}
    rows = [(i, p) for i, picture in enumerate(pictures) for p in picture.people]
    xy = np.zeros((len(rows), len(places), 2), np.float32)
    flags = np.zeros((len(rows), len(places)), np.uint8)
    boxes = np.zeros((len(rows), 4))
    for row, (_, person) in enumerate(rows):
        for point in person.points:
            xy[row, places[point.name]] = point.xy
            flags[row, places[point.name]] = point.flag
        if person.box_xywh is not None:
            boxes[row] = person.box_xywh
        elif person.points:
            boxes[row] = box_around([point.xy for point in person.points])
    sizes = np.array([picture.size_hw for picture in pictures], np.float64).reshape(-1, 2)
    return CocoPeople(
        labels.path,
        CocoImages(
            list(range(1, len(pictures) + 1)), [p.name for p in pictures], sizes, None
        ),
        {"id": 1, "name": "person", "keypoints": list(labels.names)},
        [person.id for _, person in rows],
        np.array([i for i, _ in rows], np.int32),
        np.zeros(len(rows), bool),
        boxes,
        xy,
        flags,
        np.prod(np.maximum(boxes[:, 2:], 0), axis=1),
        None,
        np.zeros(len(rows), bool),
    )


def group_people(
    entry: Entry, points: Sequence[Point], boxes: Sequence[Box], notes: Notes
) -> list[Person]:
    """Sorts the points and boxes of one picture into people.

    Points of one group are one person, with the box of that group. Of the others, those
    in a box without a group are its person's; several boxes around a point leave it to
    the smallest. Those in no box are one person together.

    Args:
        entry: names the picture.
        points: labelled points.
        boxes: labelled boxes.
        notes: liberties are counted here.

    Raises:
        ValueError: for a person with two points of one name.
    """
    of_group = {box.group: box for box in boxes if box.group is not None}
    loose = [box for box in boxes if box.group is None]
    gathered: dict[str, list[Point]] = {}
    found_boxes: dict[str, Sequence[float]] = {}
    for point in points:
        around = [i for i, box in enumerate(loose) if _holds(box.xywh, point.xy)]
        if point.group is not None:
            mark = f"group {point.group}"
            if point.group in of_group:
                found_boxes[mark] = of_group[point.group].xywh
        elif around or len(loose) == 1:
            place = min(around or [0], key=lambda i: loose[i].xywh[2] * loose[i].xywh[3])
            mark = f"box {place + 1}"
            found_boxes[mark] = loose[place].xywh
            if len(around) > 1:
                notes.add(_SEVERAL_BOXES, [f"{entry.name}, {point.name}"])
        else:
            mark = "points without a group"
        gathered.setdefault(mark, []).append(point)
    for mark, members in gathered.items():
        _check_once(entry, mark, members)
    return [
        Person(f"{entry.name}, {mark}", members, found_boxes.get(mark))
        for mark, members in gathered.items()
    ]


_SEVERAL_BOXES = (
    "{} points without a group that lie in several boxes: each is taken to the smallest"
)


def _holds(xywh, xy) -> bool:
    return all(0 <= xy[i] - xywh[i] <= xywh[i + 2] for i in (0, 1))


def _check_once(entry, mark, points):
    seen: set[str] = set()
    for point in points:
        if point.name in seen:
            entry.fail(
                point.name,
                f"is there twice in {mark}: one person has each keypoint once, so the "
                "points of each need a group of their own, or a box around them",
            )
        seen.add(point.name)


def read_lines(path: Path) -> list[str]:
    """Returns the lines of a text file.

    Raises:
        ValueError: names the file that is no UTF-8.
    """
    try:
        return path.read_text(encoding="utf-8-sig").splitlines()
    except UnicodeDecodeError as error:
        raise ValueError(f"{path} is not UTF-8 text: {error}.") from error


def object_entry(path, name: str, values) -> Entry:
    """Returns an entry of a JSON file, which must be an object {}.

    Raises:
        ValueError: names the file, the entry and what it is.
    """
    if not isinstance(values, dict):
        raise ValueError(f"{path}: {name} must be an object {{}}, got {values!r}.")
    return Entry(path, name, values)


def is_hidden(word) -> bool:
    """Returns True if a word marks a keypoint that is hidden."""
    return "".join(filter(str.isalpha, str(word).lower())) in _HIDDEN


def numbered(label: str, count: int) -> tuple[str, ...]:
    """Returns names for keypoints that a file only numbers, from 1."""
    return tuple(f"{label}_{k}" for k in range(1, count + 1))


class Pictures:
    """The pictures below a folder, to be found by what a tool calls them."""

    def __init__(self, folder: Path):
        self._names: dict[str, list[str]] = {}
        for root, folders, files in os.walk(folder):
            folders.sort()
            for file in sorted(files):
                if file.lower().endswith(PICTURE_SUFFIXES):
                    name = (Path(root) / file).relative_to(folder).as_posix()
                    self._names.setdefault(file, []).append(name)

    def find(self, given: str, entry: Entry, field: str, subset: str = "") -> str:
        """Returns the name below the folder of the picture that a tool names.

        Args:
            given: name in the tool's file; the folders in it may be there in part.
            entry: names the picture in errors.
            field: field of the entry.
            subset: folder that a picture of several of that name lies in.

        Returns:
            The name; as it is in the file where there is no such picture.

        Raises:
            ValueError: for a name that is none or leads outside, and where several
                pictures are as likely.
        """
        name = inner_name(given, entry, field)
        wanted = PurePosixPath(name).parts
        candidates = self._names.get(wanted[-1], [])
        if not candidates:
            return name
        likeness = [_common_end(PurePosixPath(c).parts, wanted) for c in candidates]
        best = [c for c, n in zip(candidates, likeness, strict=True) if n == max(likeness)]
        if len(best) > 1 and subset:
            within = [c for c in best if subset in PurePosixPath(c).parts[:-1]]
            best = within if len(within) == 1 else best
        shallow = [c for c in best if c == name]
        if len(best) > 1 and not shallow:
            entry.fail(field, f"may be any of {', '.join(best[:3])}: {given!r}")
        return (shallow or best)[0]


def _common_end(parts, wanted) -> int:
    """Counts the last parts that two paths share."""
    count = 0
    for one, other in zip(reversed(parts), reversed(wanted), strict=False):
        if one != other:
            break
        count += 1
    return count


def split_of_word(*words: str) -> str | None:
    """Returns the split that the first word for one means; None without one."""
    for word in words:
        for split, names in SPLIT_WORDS.items():
            if word.lower() in names:
                return split
    return None


def peek(path: Path) -> bytes:
    """Returns the first bytes of a file, without a byte order mark."""
    with open(path, "rb") as file:
        return file.read(PEEKED_BYTES).removeprefix(b"\xef\xbb\xbf")
