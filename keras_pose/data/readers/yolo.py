"""YOLO-pose folders: `data.yaml`, and a text file of people for each picture.

Source: Ultralytics' "Pose estimation datasets" (docs.ultralytics.com/datasets/pose). A line
is class, box (centre x, centre y, width, height), then x, y and, where `kpt_shape` ends
in 3, a COCO flag for each keypoint; places are shares of the upright picture's sides.
`flip_idx` gives the mirror pairs. Without flags, keypoints at 0, 0 or below are not
labelled.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np

from keras_pose.data.readers.checks import Entry, Notes
from keras_pose.data.readers.labels import (
    SPLIT_WORDS,
    Labels,
    Person,
    Picture,
    Point,
    numbered,
    peek,
    read_lines,
)
from keras_pose.data.readers.plain_yaml import read_plain_yaml
from keras_pose.pictures.images import PICTURE_SUFFIXES, ImageError, picture_size
from keras_pose.skeleton import COCO_17

TOOL = "a YOLO-pose folder"
# As much as rounding to a few digits may put a share above 1.
_MOST = 1.01


def find_yolo(folder: Path) -> list[Path]:
    """Returns the YAML files of a folder that say `kpt_shape`."""
    found = sorted([*folder.glob("*.yaml"), *folder.glob("*.yml")])
    return [path for path in found if b"kpt_shape" in peek(path)]


def read_yolo(folder: Path, paths: list[Path], category: str | None = None) -> Labels:
    """Reads the splits of a folder.

    Args:
        folder: folder of the set; all pictures and labels lie in it.
        paths: YAML files, from `find_yolo`; there must be one.
        category: name or number of the class to read; None for all, as they share
            their keypoints.

    Raises:
        FileNotFoundError: names the pictures of a split that are not there.
        ValueError: names the file, line, field and value of what is malformed.
    """
    if len(paths) > 1:
        raise ValueError(
            f"{folder} has {len(paths)} files with 'kpt_shape': "
            f"{', '.join(path.name for path in paths)}. Leave one."
        )
    path, notes = paths[0], Notes(paths[0])
    entry = Entry(path, "the file", read_plain_yaml(path))
    shape = _kpt_shape(entry)
    names, mirrored = _keypoints(entry, shape[0], notes)
    chosen = _chosen_class(entry, category)
    found: list[Picture] = []
    files = [path]
    for split in SPLIT_WORDS:
        for image in _images(entry, folder, split):
            label_file = folder / _label_name(image)
            people: list[Person] = []
            size_hw = (0, 0)
            if label_file.is_file():
                files.append(label_file)
                size_hw = _size_hw(folder / image, notes)
            if all(size_hw):
                rows = _rows(label_file, shape, chosen, notes)
                people = [
                    _person(row, values, names, shape, size_hw, notes)
                    for row, values in rows
                ]
            found.append(Picture(image, people, size_hw, split))
    found = _each_once(found, notes)
    _note_strays(folder, files[1:], notes)
    notes.warn()
    return Labels(TOOL, path, tuple(files), folder, names, found, (), mirrored)


def _each_once(pictures, notes) -> list[Picture]:
    """Leaves out of val and test what an earlier split has, too."""
    by_name: dict[str, Picture] = {}
    for picture in pictures:
        if picture.name in by_name:
            notes.add("{} pictures of two splits: each stays in the first", [picture.name])
        by_name.setdefault(picture.name, picture)
    return list(by_name.values())


def _kpt_shape(entry) -> tuple[int, int]:
    shape = entry.get("kpt_shape")
    is_shape = (
        isinstance(shape, list)
        and len(shape) == 2
        and all(type(value) is int for value in shape)
        and shape[0] > 0
        and shape[1] in (2, 3)
    )
    if not is_shape:
        entry.fail("kpt_shape", f"must be [keypoints, 2 or 3], got {shape!r}")
    return shape[0], shape[1]


def _keypoints(entry, count, notes):
    """Returns names and mirror pairs; the latter None where names must tell."""
    flip = entry.values.get("flip_idx")
    if flip is not None and sorted(map(str, flip)) != sorted(map(str, range(count))):
        entry.fail("flip_idx", f"must have each of 0 to {count - 1} once, got {flip!r}")
    names = _named(entry, count)
    if names is None:
        is_coco = flip == COCO_17.mirror_permutation.tolist()
        names = COCO_17.names if is_coco else numbered("keypoint", count)
        notes.add(
            f"no 'kpt_names': the {{}} keypoints are "
            f"{'taken for COCO, whose flip_idx they have' if is_coco else 'numbered'}",
            names,
        )
        if flip is None:
            notes.add(
                "neither 'kpt_names' nor 'flip_idx': no pair of the {} keypoints changes "
                "sides in mirrored pictures",
                names,
            )
    if flip is None:
        return names, None
    pairs = [(i, j) for i, j in enumerate(flip) if i < j]
    if any(flip[j] != i for i, j in enumerate(flip)):
        entry.fail("flip_idx", f"is no exchange of pairs: {flip!r}")
    return names, tuple((names[i], names[j]) for i, j in pairs)


def _named(entry, count) -> tuple[str, ...] | None:
    """Returns `kpt_names`: a list, or one of each class, which must be the same."""
    given = entry.values.get("kpt_names")
    if isinstance(given, dict):
        lists = list(given.values())
        if any(one != lists[0] for one in lists):
            entry.fail("kpt_names", "differs from class to class: export each by itself")
        given = lists[0] if lists else None
    if given is None:
        return None
    if not isinstance(given, list) or len(given) != count or len(set(given)) != count:
        entry.fail("kpt_names", f"must hold {count} names, each once, got {given!r}")
    return tuple(map(str, given))


def _chosen_class(entry, category) -> int | None:
    if category is None:
        return None
    names: Any = entry.values.get("names") or {}
    by_number = names if isinstance(names, dict) else dict(enumerate(names))
    found = [n for n, name in by_number.items() if category in (str(name), str(n))]
    if not found:
        entry.fail("names", f"has no class {category!r}: {list(by_number.values())}")
    return int(found[0])


def _images(entry, folder, split) -> Iterator[str]:
    """Yields the pictures of a split, below the folder."""
    words = [word for word in SPLIT_WORDS[split] if entry.values.get(word)]
    for word in words[:1]:
        given = entry.values[word]
        for place in given if isinstance(given, list) else [given]:
            yield from _images_of(entry, folder, word, str(place))


def _images_of(entry, folder, word, given) -> Iterator[str]:
    place = _inside(entry, folder, given)
    if place is None:
        raise FileNotFoundError(
            f"{entry.path}, field {word!r}: {given!r} is not in {folder}, from which all "
            "pictures of a set are read."
        )
    if place.is_file():  # a list of pictures
        for line in filter(None, map(str.strip, read_lines(place))):
            image = _inside(entry, folder, line)
            if image is None:
                raise FileNotFoundError(
                    f"{place} names the picture {line!r}, which is not in {folder}."
                )
            yield image.relative_to(folder).as_posix()
        return
    for path in sorted(place.rglob("*")):
        if path.suffix.lower() in PICTURE_SUFFIXES:
            yield path.relative_to(folder).as_posix()


def _inside(entry, folder, given: str) -> Path | None:
    """Returns the place in the folder that a path means; None if there is none.

    `path` is often a folder of another machine, and exports say ../train for train: of a
    path its longest end that is there counts.
    """
    root = str(entry.values.get("path") or "")
    parts = PurePosixPath(root.replace("\\", "/"), given.replace("\\", "/")).parts
    inner = [part for part in parts if part not in (".", "..", "/")]
    for start in range(len(inner)):
        place = folder.joinpath(*inner[start:])
        if place.exists():
            return place
    return None


def _label_name(image: str) -> str:
    """Returns the label file of a picture: its last "images" is "labels"."""
    parts = list(PurePosixPath(image).with_suffix(".txt").parts)
    for i in reversed(range(len(parts) - 1)):
        if parts[i] == "images":
            parts[i] = "labels"
            break
    return "/".join(parts)


def _size_hw(path, notes) -> tuple[int, int]:
    """Returns the size of a picture; zeros, and a note, for one that is broken."""
    try:
        return picture_size(path).upright_hw
    except ImageError:
        notes.add(_BROKEN, [path.name])
        return 0, 0


_BROKEN = (
    "{} pictures that cannot be read: their labels are left out, as they are shares of "
    "the picture's sides"
)


def _note_strays(folder, files, notes):
    """Counts label files beside those that were read to which there is no picture."""
    for place in {path.parent for path in files}:
        strays = sorted(set(place.glob("*.txt")) - set(files))
        names = [path.relative_to(folder).as_posix() for path in strays if _is_person(path)]
        notes.add("{} label files without a picture: not read", names)


def _is_person(path) -> bool:
    """Returns True if a text file begins with lines of numbers."""
    words = peek(path).split()[:5]
    return len(words) == 5 and all(re.fullmatch(rb"-?[\d.]+(e-?\d+)?", w) for w in words)


def _rows(path, shape, chosen, notes) -> Iterator[tuple[Entry, np.ndarray]]:
    """Yields the lines of a label file with keypoints, as numbers."""
    wanted = 5 + shape[0] * shape[1]
    for number, line in enumerate(read_lines(path), 1):
        values = line.split()
        entry = Entry(path, f"line {number}")
        if not values:
            continue
        if len(values) == 5:
            notes.add("{} lines with a box and no keypoints: not read", [entry])
            continue
        if len(values) != wanted:
            entry.fail(
                "keypoints",
                f"must make {wanted} numbers a line, by kpt_shape {list(shape)}, got "
                f"{len(values)}",
            )
        numbers = entry.check_numbers("line", values, wanted)
        if chosen is None or numbers[0] == chosen:
            yield entry, numbers


def _person(entry, values, names, shape, size_hw, notes) -> Person:
    sides = np.array(size_hw[::-1])
    center, size = values[1:3], values[3:5]
    if (values[1:5] > _MOST).any() or (values[1:5] < 0).any():
        entry.fail("box", f"must be shares of 0 to 1, got {values[1:5].tolist()}")
    rows = values[5:].reshape(shape)
    flags = rows[:, 2] if shape[1] == 3 else np.where((rows > 0).any(axis=1), 2, 0)
    if shape[1] == 2:
        flags = np.where((rows < 0).any(axis=1), 0, flags)
    if not np.isin(flags, (0, 1, 2)).all():
        entry.fail("keypoints", f"has flags other than 0, 1, 2: {sorted(set(flags))}")
    labelled = flags > 0
    if (rows[labelled, :2] > _MOST).any():
        worst = rows[labelled, :2].max()
        entry.fail("keypoints", f"must be shares of 0 to 1, got {worst:g}")
    if shape[1] == 2 and not labelled.all():
        notes.add(
            "{} people with keypoints at 0, 0 or below, which are not labelled", [entry]
        )
    points = [
        Point(names[k], (float(x), float(y)), int(flags[k]))
        for k, (x, y) in enumerate((rows[:, :2] * sides).tolist())
        if labelled[k]
    ]
    box = np.concatenate([(center - size / 2) * sides, size * sides])
    name = f"{entry.path.parent.name}/{entry.path.stem}, {entry.name}"
    return Person(name, points, box.tolist())
