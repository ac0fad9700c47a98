"""DeepLabCut's labels: `CollectedData_SCORER.csv` in each folder of `labeled-data`.

Source: DeepLabCut's "labeling" (deeplabcut.github.io). Rows "scorer", "individuals" (of
several animals), "bodyparts" and "coords" head the columns; a picture is named by one
column, or by three for its folders. Empty places are not labelled. There are no flags:
what is labelled counts as visible. Boxes are those of the keypoints.
"""

from __future__ import annotations

import csv
from pathlib import Path

from keras_pose.data.readers.checks import Entry
from keras_pose.data.readers.labels import (
    Labels,
    Person,
    Picture,
    Pictures,
    Point,
    read_lines,
)

TOOL = "DeepLabCut's CSV"
_PATTERNS = ("CollectedData_*.csv", "*/CollectedData_*.csv", "*/*/CollectedData_*.csv")
_HEADS = ("scorer", "individuals", "bodyparts", "coords")
_ONE = "animal"  # the individual of projects with one


def find_deeplabcut(folder: Path) -> list[Path]:
    """Returns the label files of a project, or of folders of its pictures."""
    return [path for pattern in _PATTERNS for path in sorted(folder.glob(pattern))]


def read_deeplabcut(folder: Path, paths: list[Path], category: str | None = None) -> Labels:
    """Reads the label files of a project.

    Args:
        folder: folder of the set; pictures lie anywhere in it.
        paths: label files, from `find_deeplabcut`.
        category: refused: DeepLabCut has none.

    Raises:
        ValueError: names the file, picture, keypoint and value of what is malformed.
    """
    if category is not None:
        raise ValueError(f"--category {category}: DeepLabCut's files have no categories.")
    pictures = Pictures(folder)
    names: dict[str, None] = {}
    found: dict[str, Picture] = {}
    for path in paths:
        columns, rows = _table(path)
        names |= dict.fromkeys(name for _, name, _ in columns)
        for parts, values in rows:
            entry = Entry(path, "/".join(parts))
            name = pictures.find("/".join(parts), entry, "picture")
            if name in found:
                entry.fail("picture", "is there twice: leave the labels of one scorer")
            found[name] = Picture(name, _people(entry, columns, values))
    labels = tuple(names)
    return Labels(TOOL, paths[0], tuple(paths), folder, labels, list(found.values()))


def _table(path):
    """Returns (individual, keypoint, axis) of each column, and the rows of pictures."""
    try:
        lines = [line for line in csv.reader(read_lines(path)) if any(line)]
    except csv.Error as error:
        raise ValueError(f"{path} is not valid CSV: {error}.") from error
    heads = {line[0]: line for line in lines if line[0] in _HEADS}
    if not {"bodyparts", "coords"} <= set(heads):
        raise ValueError(f"{path} lacks the rows 'bodyparts' and 'coords' of DeepLabCut.")
    axes = heads["coords"]
    start = next((i for i, axis in enumerate(axes) if axis in ("x", "y")), len(axes))
    if set(axes[start:]) != {"x", "y"}:
        raise ValueError(f"{path}, row 'coords' must hold x and y, got {axes[start:]}.")
    width = len(axes)
    owners = heads.get("individuals", [_ONE] * width)
    body = [line for line in lines if line[0] not in _HEADS]
    for line in [*heads.values(), *body]:
        if len(line) != width:
            raise ValueError(
                f"{path}, row {line[0]!r} must have {width} columns, got {len(line)}."
            )
    columns = list(zip(owners, heads["bodyparts"], axes, strict=True))[start:]
    rows = [([part for part in line[:start] if part], line[start:]) for line in body]
    return columns, rows


def _people(entry, columns, values) -> list[Person]:
    places: dict[str, dict[str, dict[str, float]]] = {}
    for (owner, name, axis), value in zip(columns, values, strict=True):
        if value.strip():
            named = Entry(entry.path, f"{entry.name}, {owner}, {name}")
            number = float(named.check_numbers(axis, value, ()))
            places.setdefault(owner, {}).setdefault(name, {})[axis] = number
    people = []
    for owner, points in places.items():
        for name, place in points.items():
            if len(place) != 2:
                entry.fail(name, f"of {owner} has one of x and y only: {place}")
        labelled = [Point(name, (p["x"], p["y"])) for name, p in points.items()]
        people.append(Person(f"{entry.name}, {owner}", labelled))
    return people
