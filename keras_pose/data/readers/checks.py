"""Checks that every reader makes: numbers, ids, image files, and people left out."""

from __future__ import annotations

import os
import re
import warnings
from collections.abc import Iterable
from pathlib import Path, PurePosixPath
from typing import Any, NoReturn

import numpy as np

from keras_pose.data.records import PersonRecord
from keras_pose.pictures.geometry import clean_boxes_xywh

# Boxes made of keypoints grow by this: a person reaches beyond their joints.
BOX_GROWTH = 1.2
# The share of a person's box that the person fills, where no outline is labelled.
# Source: CrowdPose's evaluation (Li et al. 2019), also mmpose's for MPII and others.
AREA_OF_BOX = 0.53
# Parts that a plain "folder/name.jpg" lacks: other slashes, drives, dots for folders.
_UNUSUAL = re.compile(r"[\\:]|^/|//|/$|(^|/)\.{1,2}(/|$)")
_NAMED = 3  # people that a warning names


class Entry:
    """One entry of an annotation file, which knows how to name itself in errors."""

    def __init__(self, path, name: str, values: Any = None):
        self.path = path
        self.name = name
        self.values = {} if values is None else values

    def __str__(self) -> str:
        return f"{self.path}: {self.name}"

    def fail(self, field: str, problem: str) -> NoReturn:
        raise ValueError(f"{self}, field {field!r} {problem}.")

    def get(self, field: str) -> Any:
        if field not in self.values:
            raise ValueError(f"{self} lacks the field {field!r}.")
        return self.values[field]

    def numbers(self, field: str, shape: int | tuple[int, ...]) -> np.ndarray:
        """Reads finite numbers; an int as shape is a flat list of so many."""
        return self.check_numbers(field, self.get(field), shape)

    def check_numbers(self, field: str, given, shape) -> np.ndarray:
        try:
            values = np.asarray(given, np.float64)
        except (TypeError, ValueError):
            self.fail(field, f"is not a list of numbers: {given!r}")
        wanted = (shape,) if isinstance(shape, int) else shape
        if values.shape != wanted:
            count = f"{shape} numbers" if isinstance(shape, int) else f"numbers of {shape}"
            self.fail(field, f"must hold {count}, got shape {values.shape}")
        if not np.isfinite(values).all():
            self.fail(field, "holds NaN or infinite values")
        return values


class Notes:
    """Counts what a file made necessary, for one warning of each kind at the end."""

    def __init__(self, path):
        self._path = path
        self._counts: dict[str, int] = {}
        self._names: dict[str, list[str]] = {}

    def add(self, kind: str, names: Iterable[Any]) -> None:
        """Counts entries of a kind: words with {} in place of their number."""
        kept = self._names.setdefault(kind, [])
        for name in names:
            self._counts[kind] = self._counts.get(kind, 0) + 1
            if len(kept) < _NAMED:
                kept.append(str(name))

    def warn(self) -> None:
        for kind, count in self._counts.items():
            names = self._names[kind]
            more = ", ..." if count > len(names) else ""
            warnings.warn(
                f"{self._path}: {kind.format(count)} ({', '.join(names)}{more})",
                stacklevel=3,
            )


class LeftOut(Notes):
    """Counts the people of one file who cannot be used, for one warning at the end."""

    def add(self, reason: str, names) -> None:
        names = [names] if isinstance(names, str) else names
        super().add(f"left out {{}} people: {reason}", names)


class ImageFolder:
    """The images of a data set; names never lead out of its folder.

    The folder, and what lies in it, may be links, as their owner laid them: trees of
    links are common. Without a folder (None) nothing is looked up: every image counts
    as there, and its path is its name.

    Raises:
        FileNotFoundError: when there is no such folder.
    """

    def __init__(self, folder):
        self.is_real = folder is not None
        self.path = Path(folder) if self.is_real else Path()
        if not self.path.is_dir():
            raise FileNotFoundError(f"Image folder {self.path} does not exist.")
        self._listings: dict[str, frozenset[str]] = {}

    def locate(self, file_name: Any, entry: Entry, field: str = "image_id") -> Path | None:
        """Returns the image's path, or None when there is no such file.

        Raises:
            ValueError: for names that lead outside, naming the entry.
        """
        name = inner_name(file_name, entry, field)
        return self.path / name if self.has(name) else None

    def has(self, name: str) -> bool:
        """Returns True if a file is there, by its name from `inner_name`."""
        if not self.is_real:
            return True
        parent, _, last = name.rpartition("/")
        if parent not in self._listings:
            self._listings[parent] = _files_of(self.path / parent)
        return last in self._listings[parent]


def inner_name(file_name: Any, entry: Entry, field: str) -> str:
    """Returns a file name below a folder, with forward slashes.

    Raises:
        ValueError: for names that are none or lead outside, naming the entry.
    """
    if not isinstance(file_name, str) or not file_name or "\0" in file_name:
        entry.fail(field, f"is no file name: {file_name!r}")
    if not _UNUSUAL.search(file_name):  # of most sets, whose names are many
        return file_name
    name = PurePosixPath(file_name.replace("\\", "/"))
    if name.is_absolute() or ".." in name.parts or ":" in (name.parts or (":",))[0]:
        entry.fail(field, f"points outside the image folder: {file_name!r}")
    return str(name)


def _files_of(folder: Path) -> frozenset[str]:
    """Returns the names of a folder's files, and of links to files."""
    try:
        with os.scandir(folder) as files:
            return frozenset(file.name for file in files if file.is_file())
    except (FileNotFoundError, NotADirectoryError):
        return frozenset()


def check_unique(path, what: str, ids: Iterable[Any]) -> None:
    """Raises ValueError when an id is there twice: scores would count people double."""
    seen: set[Any] = set()
    for value in ids:
        if isinstance(value, list | dict):
            raise ValueError(f"{path}: {what} id {value!r} is neither number nor text.")
        if value in seen:
            raise ValueError(f"{path}: {what} id {value!r} is there twice.")
        seen.add(value)


def number_names(names: Iterable[str]) -> dict[str, int]:
    """Numbers distinct names from 1, for sets whose images have no ids."""
    return {name: i for i, name in enumerate(dict.fromkeys(names), start=1)}


def box_around(keypoints_xy, growth: float = BOX_GROWTH) -> np.ndarray:
    """Returns the box (x, y, width, height) of points (N, 2), `growth` times as large."""
    low, high = np.min(keypoints_xy, axis=0), np.max(keypoints_xy, axis=0)
    size = (high - low) * growth
    return np.concatenate([(low + high) / 2 - size / 2, size])


def square_box(center_xy, side: float) -> np.ndarray:
    """Returns the box (x, y, width, height) of a square."""
    return np.array([*(np.asarray(center_xy) - side / 2), side, side], np.float64)


def make_record(
    entry: Entry,
    left_out: LeftOut,
    image_path: Path | None,
    box_xywh,
    keypoints_xy,
    visibility,
    *,
    image_hw=None,
    area: float | None = None,
    **fields,
) -> PersonRecord | None:
    """Makes a record, or returns None for a person who is not used.

    Args:
        entry: names the person.
        left_out: counter of the people who cannot be used.
        image_path: None when there is no such file.
        box_xywh: (4,) finite numbers, or None for the extent of the keypoints.
        keypoints_xy: (K, 2) finite where labelled.
        visibility: (K,) COCO flags.
        image_hw: the box is clipped to the image where its size is known.
        area: `AREA_OF_BOX` of the box by default.
        **fields: the other fields of the record.
    """
    visibility = np.asarray(visibility)
    labelled = visibility > 0
    if not labelled.any():
        return None
    keypoints_xy = np.where(labelled[:, None], keypoints_xy, 0)
    if not np.isfinite(keypoints_xy).all():
        entry.fail("keypoints", "holds NaN or infinite values")
    if image_path is None:
        left_out.add("their image is missing", entry.name)
        return None
    if box_xywh is None:
        box_xywh = box_around(keypoints_xy[labelled])
    box_xywh = np.asarray(box_xywh, np.float64)
    if area is None:
        area = AREA_OF_BOX * float(np.prod(np.maximum(box_xywh[2:], 0)))
    has_extent = (box_xywh[2:] >= 0).all()
    if image_hw is not None:
        boxes, is_valid = clean_boxes_xywh(box_xywh, image_hw)
        box_xywh, has_extent = boxes[0], has_extent and is_valid[0]
    # A box of one pixel is left by the reference's rule, and cannot be cropped.
    if not (has_extent and box_xywh[2:].any() and area > 0):
        left_out.add("nothing of their box, or no area", entry.name)
        return None
    return PersonRecord(
        image_path=image_path,
        box_xywh=box_xywh,
        keypoints_xy=keypoints_xy.astype(np.float32),
        visibility=visibility.astype(np.uint8),
        area=float(area),
        **fields,
    )


def check_anyone(records: list[PersonRecord], path) -> list[PersonRecord]:
    """Returns the records, or raises ValueError when no person is left."""
    if not records:
        raise ValueError(
            f"{path} has no person to train or evaluate on: nobody with a labelled "
            "keypoint, a box inside the image and an image that is there."
        )
    return records
