"""The people of a COCO file as arrays, with the liberties that tools take made good.

A file is read list by list (`json_sections`), so that its size costs time, not memory.
What is mended, each kind with one warning a file that counts and names the first:

- `area` absent, 0, or one that no person of that box can have: a share of the box;
- `bbox` absent, null, empty or without extent: around the labelled keypoints, `BOX_GROWTH`
  times as large; of who has none, around the outline;
- flags that are confidences, or true and false: over 0 is labelled and visible;
- `num_keypoints` that says 0 of a labelled person, or the other way round: counted;
- an `image_id` or `category_id` that is text where the id is a number: matched as text.

Read in silence: numbers as text, absent `iscrowd` and `num_keypoints`, null or NaN where
a keypoint is not labelled, `segmentation` in any form, people without keypoints (they are
boxes), annotations of other categories. All else is an error that names file, annotation
and field.
"""

from __future__ import annotations

import contextlib
import gc
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from keras_pose.data.readers.checks import BOX_GROWTH, Entry, Notes, check_unique
from keras_pose.data.readers.coco_categories import id_as_text
from keras_pose.data.readers.json_sections import read_sections
from keras_pose.data.readers.outlines import outline_box
from keras_pose.data.readers.own_fields import Unpack

SECTIONS = ("images", "annotations", "categories")
_NO_BOX = (0.0, 0.0, 0.0, 0.0)
# In COCO an outline fills 0.15 to 0.94 of its box; beyond these it is none of that box.
_SMALLEST_SHARE, _LARGEST_SHARE = 1e-3, 2.0


@dataclass(frozen=True)
class CocoImages:
    """The M images of a COCO file.

    Attributes:
        ids: ids in the file: numbers or text.
        names: (M,) file names as in the file.
        sizes_hw: (M, 2) float64 (height, width), pixels; 0 where the file says none.
        videos: names of the videos that they are frames of; None where no image has one.
    """

    ids: list[Any]
    names: list[Any]
    sizes_hw: np.ndarray
    videos: list[Any] | None


@dataclass(frozen=True)
class CocoPeople:
    """The N annotations of one category of a COCO file, in the file's order.

    Attributes:
        path: the file.
        images: its images.
        category: entry of the annotations' category in the file.
        ids: (N,) as in the file: numbers or text.
        image_index: (N,) int32, the image that each is in.
        is_crowd: (N,) bool.
        boxes_xywh: (N, 4) float64, image pixels; without extent where nothing says.
        keypoints_xy: (N, K, 2) float32, image pixels; (0, 0) where not labelled.
        visibility: (N, K) uint8 COCO flags; all 0 for a person who is a box only.
        areas: (N,) float64 square pixels.
        track_ids: (N,) numbers within a video; None without any.
        is_mended: (N,) bool, True where the file itself says otherwise.
    """

    path: Path
    images: CocoImages
    category: dict[str, Any]
    ids: list[Any]
    image_index: np.ndarray
    is_crowd: np.ndarray
    boxes_xywh: np.ndarray
    keypoints_xy: np.ndarray
    visibility: np.ndarray
    areas: np.ndarray
    track_ids: list[Any] | None
    is_mended: np.ndarray

    def __len__(self) -> int:
        return len(self.ids)

    @property
    def is_labelled(self) -> np.ndarray:
        """(N,) bool: whether any keypoint is labelled."""
        labelled: np.ndarray = self.visibility > 0
        return np.asarray(labelled.any(axis=1))


@dataclass(frozen=True)
class ReadingRules:
    """Meaning of the numbers of one file.

    Attributes:
        num_keypoints: K; None for as many as the annotations have.
        first_pixel: coordinates of the first pixel: 1 in files made from MATLAB's.
        area_of_box: a person's share of the box, where the file gives no area.
        expects_area: False if such files never have areas, so that no warning is given.
        unpack: function that puts annotations into COCO's form, see `own_fields`; None
            where they are in it.
    """

    num_keypoints: int | None = None
    first_pixel: int = 0
    area_of_box: float = 1.0
    expects_area: bool = True
    unpack: Unpack | None = None


def read_people(path, category: dict[str, Any], rules: ReadingRules, notes: Notes):
    """Reads images, and the annotations of one category, as `CocoPeople`.

    Args:
        path: file in COCO's format.
        category: entry of the category in the file, from `coco_categories.choose_category`.
        rules: meaning of the file's numbers.
        notes: counter of the repairs.

    Raises:
        FileNotFoundError: for a missing file.
        ValueError: names file, annotation id and field of what is malformed.
    """
    path = Path(path)
    images, people = _ImageRows(path), _PersonRows(path, category["id"], rules, notes)
    found = set()
    with _without_collection():
        for section, values in read_sections(path, ("images", "annotations")):
            found.add(section)
            if section in SECTIONS and not isinstance(values, list):
                found.discard(section)
            elif section == "images":
                images.add(values)
            elif section == "annotations":
                people.add(values)
    for section in SECTIONS:
        if section not in found:
            raise ValueError(f"{path} is not a COCO keypoint file: no list {section!r}.")
    return people.finish(images.finish(), category)


@contextlib.contextmanager
def _without_collection() -> Iterator[None]:
    """Keeps Python from looking for cycles, of which parsed JSON has none: a quarter of
    the time goes into it otherwise."""
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.enable()


class _ImageRows:
    """Gathers the columns of images."""

    def __init__(self, path):
        self._path = path
        self._ids: list[Any] = []
        self._names: list[Any] = []
        self._videos: list[Any] = []
        self._sizes: list[np.ndarray] = [np.zeros((0, 2))]

    def add(self, images):
        for i, image in enumerate(images, len(self._ids)):
            _check_fields(self._path, "image", i, image, ("id", "file_name"))
        self._ids += [image["id"] for image in images]
        self._names += [image["file_name"] for image in images]
        self._videos += [image.get("vid_id") for image in images]
        if images:
            given = [(image.get("height"), image.get("width")) for image in images]
            self._sizes.append(self._sizes_hw(images, given))

    def _sizes_hw(self, images, given):
        sizes, _ = _table(given, (2,))
        if sizes is None:
            sizes = np.stack([
                Entry(self._path, f"image id {image['id']}").check_numbers(
                    "height and width", [value or 0 for value in pair], 2)
                for image, pair in zip(images, given, strict=True)
            ])  # fmt: skip
        is_known = np.isfinite(sizes).all(axis=1) & (sizes > 0).all(axis=1)
        return np.where(is_known[:, None], sizes, 0)

    def finish(self) -> CocoImages:
        check_unique(self._path, "image", self._ids)
        has_videos = any(video is not None for video in self._videos)
        return CocoImages(
            self._ids,
            self._names,
            np.concatenate(self._sizes),
            self._videos if has_videos else None,
        )


class _PersonRows:
    """Gathers the columns of annotations, batch by batch."""

    def __init__(self, path, category_id, rules: ReadingRules, notes: Notes):
        self._path = path
        self._category_id = category_id
        self._rules = rules
        self._notes = notes
        self._num_seen = 0
        self._has_text_category = False
        self._num_keypoints = rules.num_keypoints
        self._ids: list[Any] = []
        self._image_ids: list[Any] = []
        self._track_ids: list[Any] = []
        self._parts: tuple[list[np.ndarray], ...] = ([], [], [], [], [], [])

    def add(self, annotations):
        rows = self._ours(annotations)
        self._num_seen += len(annotations)
        if self._rules.unpack is not None:
            rows = [new for row in rows for new in self._rules.unpack(self._path, row)]
        if not rows:
            return
        fields = ("id", "image_id")
        for i, row in enumerate(rows):
            if "id" not in row or "image_id" not in row:
                _check_fields(self._path, "annotation", i, row, fields)
        self._ids += [row["id"] for row in rows]
        self._image_ids += [row["image_id"] for row in rows]
        self._track_ids += [row.get("track_id") for row in rows]
        for part, column in zip(self._parts, self._columns(rows), strict=True):
            part.append(column)

    def _ours(self, annotations):
        """Returns the annotations of the category."""
        for i, row in enumerate(annotations, self._num_seen):
            if not isinstance(row, dict) or "category_id" not in row:
                _check_fields(self._path, "annotation", i, row, ("category_id",))
        wanted, as_text = self._category_id, id_as_text(self._category_id)
        rows = [row for row in annotations if row["category_id"] == wanted]
        if len(rows) < len(annotations):
            others = [
                row
                for row in annotations
                if row["category_id"] != wanted
                and id_as_text(row["category_id"]) == as_text
            ]
            if others:
                self._notes.add(_TEXT_CATEGORY, map(_name, others))
                self._has_text_category = True
                rows = [
                    row for row in annotations if id_as_text(row["category_id"]) == as_text
                ]
        return rows

    def _columns(self, rows):
        """Returns the columns of a batch, in the order of `CocoPeople`."""
        crowds = [row.get("iscrowd") for row in rows]
        is_crowd = np.zeros(len(rows), bool)
        if crowds.count(0) < len(rows):
            is_crowd = np.array([_is_true(crowd) for crowd in crowds])
        boxes, is_mended = self._numbers(rows, "bbox", _NO_BOX)
        boxes[:, :2] -= self._rules.first_pixel
        xy, visibility, is_odd = self._keypoints(rows, is_crowd)
        is_mended |= is_odd
        labelled = visibility > 0
        is_mended |= self._check_counts(rows, labelled, is_crowd)
        is_mended |= _are_no_ints(crowds)
        if self._has_text_category:
            is_mended |= [row["category_id"] != self._category_id for row in rows]
        is_mended |= self._mend_boxes(rows, boxes, xy, labelled, is_crowd)
        areas, is_derived = self._areas(rows, boxes, is_crowd)
        return (
            is_crowd,
            boxes,
            np.where(labelled[..., None], xy, 0).astype(np.float32),
            visibility,
            areas,
            is_mended | is_derived,
        )

    def _numbers(self, rows, field, missing):
        """Reads a field of as many finite numbers as `missing` has.

        Returns:
            values: (N, len(missing)) float64.
            is_mended: (N,) bool, True where `missing` took the place of null or empty,
                or where numbers were text.
        """
        given = [row.get(field) for row in rows]
        values, is_plain = _table(given, (len(missing),))
        if values is not None and np.isfinite(values).all():
            return values, ~np.array(is_plain)
        is_missing = np.array([_is_empty(value) for value in given])
        given = [
            missing if gone else value
            for value, gone in zip(given, is_missing, strict=True)
        ]
        values, is_plain = _table(given, (len(missing),))
        if values is None or not np.isfinite(values).all():
            values = np.stack([
                self._entry(row).check_numbers(field, value, len(missing))
                for row, value in zip(rows, given, strict=True)
            ])  # fmt: skip
        return values, is_missing | ~np.array(is_plain)

    def _entry(self, row) -> Entry:
        return Entry(self._path, _name(row))

    def _keypoints(self, rows, is_crowd):
        """Returns xy (N, K, 2) float64, flags (N, K) uint8 and what was mended (N,)."""
        has_any = np.array([bool(row.get("keypoints")) for row in rows])
        chosen = np.flatnonzero(has_any & ~is_crowd)
        given = [rows[i]["keypoints"] for i in chosen]
        if self._num_keypoints is None and given:
            self._num_keypoints = np.size(given[0]) // 3
        count = self._num_keypoints or 0
        xy = np.zeros((len(rows), count, 2))
        visibility = np.zeros((len(rows), count), np.uint8)
        is_mended = ~has_any
        for i in np.flatnonzero(
            is_crowd
        ):  # none of theirs count, but they must be readable
            is_mended[i] = not _is_flat(rows[i].get("keypoints"), 3 * count)
        if given:
            values, is_plain = _table(given, (3 * count,))
            if values is None:
                values = np.stack([
                    self._flat(rows[i], keypoints, count)
                    for i, keypoints in zip(chosen, given, strict=True)
                ])  # fmt: skip
            values = values.reshape(-1, count, 3)
            flags, is_odd = self._flags([rows[i] for i in chosen], values[..., 2])
            labelled = flags > 0
            self._check_places(rows, chosen, values[..., :2], labelled)
            is_odd |= ~np.isfinite(values).all(axis=(1, 2)) | ~np.array(is_plain)
            moved = values[..., :2] - self._rules.first_pixel
            xy[chosen] = np.where(labelled[..., None], moved, 0)
            visibility[chosen] = flags
            is_mended[chosen] = is_odd
        return xy, visibility, is_mended

    def _flat(self, row, keypoints, count):
        """Reads one person's keypoints, which may be a list of triples or hold nulls."""
        entry = self._entry(row)
        try:
            values = np.asarray(keypoints, np.float64).ravel()
        except (TypeError, ValueError):
            entry.fail("keypoints", f"is not a list of numbers: {keypoints!r}")
        if values.shape != (3 * count,):
            entry.fail(
                "keypoints",
                f"must hold {3 * count} numbers, got shape {values.shape}",
            )
        return values

    def _flags(self, rows, given):
        """Returns COCO flags (N, K) uint8, and whose are not as in the file (N,)."""
        flags = np.where(np.isnan(given), 0, given)
        is_odd = ~np.isin(flags, (0, 1, 2)).all(axis=1)
        for i in np.flatnonzero(is_odd):
            is_confidence = (flags[i] != np.floor(flags[i])).any()
            if not is_confidence or (flags[i] < 0).any() or np.isinf(flags[i]).any():
                self._entry(rows[i]).fail(
                    "keypoints", f"has flags other than 0, 1, 2: {set(given[i].tolist())}"
                )
        is_bool = np.array([_has_bool_flags(row["keypoints"]) for row in rows])
        self._notes.add(_CONFIDENCES, (_name(rows[i]) for i in np.flatnonzero(is_odd)))
        self._notes.add(_BOOLEANS, (_name(rows[i]) for i in np.flatnonzero(is_bool)))
        is_odd |= is_bool
        flags = np.where(is_odd[:, None], np.where(flags > 0, 2, 0), flags)
        return flags.astype(np.uint8), is_odd

    def _check_places(self, rows, chosen, xy, labelled):
        is_lost = (labelled & ~np.isfinite(xy).all(axis=2)).any(axis=1)
        for i in chosen[is_lost]:
            self._entry(rows[i]).fail("keypoints", "holds NaN or infinite values")

    def _check_counts(self, rows, labelled, is_crowd):
        """Returns (N,) bool: whose `num_keypoints` does not say what the flags say."""
        given = [row.get("num_keypoints") for row in rows]
        is_plain = ~_are_no_ints(given)
        stated = (
            np.array(given)
            if is_plain.all()
            else np.array([count if type(count) is int else 0 for count in given])
        )
        differs = is_plain & ~is_crowd & ((stated > 0) != labelled.any(axis=1))
        self._notes.add(_COUNTS, (_name(rows[i]) for i in np.flatnonzero(differs)))
        return differs | (~is_plain & ~is_crowd)

    def _mend_boxes(self, rows, boxes, xy, labelled, is_crowd):
        """Puts boxes in place of those that are absent or without extent.

        Returns:
            (N,) bool: whose box is another now.

        Raises:
            ValueError: names a person without a box whom nothing else places.
        """
        is_none = (boxes[:, 2:] <= 0).any(axis=1)
        is_outlined = self._outline_boxes(rows, boxes, is_none, labelled, is_crowd)
        is_flat = is_none & labelled.any(axis=1) & ~is_crowd
        if not is_flat.any():
            return is_outlined
        points, counts = xy[is_flat], labelled[is_flat][..., None]
        low = np.where(counts, points, np.inf).min(axis=1)
        high = np.where(counts, points, -np.inf).max(axis=1)
        size = (high - low) * BOX_GROWTH
        boxes[is_flat] = np.concatenate([(low + high) / 2 - size / 2, size], axis=1)
        chosen = [rows[i] for i in np.flatnonzero(is_flat)]
        self._notes.add(_FLAT_BOXES, (_name(row) for row in chosen if "bbox" in row))
        self._notes.add(_NO_BOXES, (_name(row) for row in chosen if "bbox" not in row))
        return is_flat | is_outlined

    def _outline_boxes(self, rows, boxes, is_none, labelled, is_crowd):
        """Puts boxes of outlines in place of those of whom no keypoint is labelled."""
        is_outlined = np.zeros(len(rows), bool)
        for i in np.flatnonzero(is_none & (is_crowd | ~labelled.any(axis=1))):
            box = outline_box(rows[i].get("segmentation"))
            if box is not None:
                boxes[i] = box
                boxes[i, :2] -= self._rules.first_pixel
                is_outlined[i] = True
            elif "bbox" not in rows[i] and not is_crowd[i]:
                self._entry(rows[i]).fail(
                    "bbox", "is absent, and no labelled keypoint or outline says where"
                )
        chosen = np.flatnonzero(is_outlined)
        self._notes.add(_OUTLINE_BOXES, (_name(rows[i]) for i in chosen))
        return is_outlined

    def _areas(self, rows, boxes, is_crowd):
        """Returns areas (N,), and whose are derived of their box (N,)."""
        given = [row.get("area") for row in rows]
        values, is_plain = _table(given, ())
        is_absent = (
            np.isnan(values)
            if values is not None
            else np.array([_is_empty(area) for area in given])
        )
        if values is None:
            values = np.array([
                0.0 if _is_empty(area) else self._entry(row).check_numbers("area", area, ())
                for row, area in zip(rows, given, strict=True)
            ])  # fmt: skip
        whole = np.prod(np.maximum(boxes[:, 2:], 0), axis=1)
        with np.errstate(invalid="ignore"):
            is_none = ~(values > 0)
            is_small = ~is_none & (values < _SMALLEST_SHARE * whole)
            is_large = values > _LARGEST_SHARE * whole
        can_derive = (whole > 0) & ~is_crowd
        kinds = [
            (_ZERO_AREAS, is_none & ~is_absent),
            (_SMALL_AREAS, is_small),
            (_LARGE_AREAS, is_large),
        ]
        if self._rules.expects_area:
            kinds.insert(0, (_NO_AREAS, is_absent))
        for kind, members in kinds:
            chosen = np.flatnonzero(members & can_derive)
            self._notes.add(kind, (_name(rows[i]) for i in chosen))
        is_derived = (is_none | is_small | is_large) & can_derive
        is_derived |= is_none & is_crowd & (whole > 0)
        areas = np.where(is_derived, self._rules.area_of_box * whole, values)
        return np.nan_to_num(areas), is_derived | ~np.array(is_plain)

    def finish(self, images: CocoImages, category) -> CocoPeople:
        check_unique(self._path, "annotation", self._ids)
        image_index, is_matched = self._image_index(images)
        crowd, boxes, xy, visibility, areas, mended = map(self._column, range(6))
        has_tracks = any(track is not None for track in self._track_ids)
        return CocoPeople(
            self._path,
            images,
            category,
            self._ids,
            image_index,
            crowd,
            boxes,
            xy,
            visibility,
            areas,
            self._track_ids if has_tracks else None,
            mended | is_matched,
        )

    def _column(self, number):
        """Puts the batches of a column together, and lets go of them."""
        count = self._num_keypoints or 0
        parts = self._parts[number]
        if number in (2, 3):  # batches that were read before anybody had keypoints
            shape, kind = (((count, 2), np.float32), ((count,), np.uint8))[number - 2]
            parts = [
                part if part.shape[1] == count else np.zeros((len(part), *shape), kind)
                for part in parts
            ]
        empty = [(0,), (0, 4), (0, count, 2), (0, count), (0,), (0,)][number]
        kind = [bool, np.float64, np.float32, np.uint8, np.float64, bool][number]
        column = np.concatenate([*parts, np.zeros(empty, kind)])
        self._parts[number].clear()
        return column

    def _image_index(self, images):
        """Returns the image (N,) int32 of each person, and whose id is matched as text."""
        places = {image_id: i for i, image_id in enumerate(images.ids)}
        is_matched = np.zeros(len(self._ids), bool)
        try:
            index = [places[image_id] for image_id in self._image_ids]
        except (KeyError, TypeError):
            by_text = {str(image_id): i for image_id, i in places.items()}
            index = []
            for i, image_id in enumerate(self._image_ids):
                place = None
                if isinstance(image_id, str | int | float):
                    place = places.get(image_id)
                    is_matched[i] = place is None
                    place = by_text.get(str(image_id)) if place is None else place
                if place is None:
                    Entry(self._path, f"annotation id {self._ids[i]}").fail(
                        "image_id", f"names no image of the file: {image_id}"
                    )
                index.append(place)
            chosen = np.flatnonzero(is_matched)
            self._notes.add(_TEXT_IMAGES, (f"annotation id {self._ids[i]}" for i in chosen))
        return np.array(index, np.int32), is_matched


_TEXT_CATEGORY = "{} people with a category_id of another type than the category's"
_TEXT_IMAGES = "{} people with an image_id of another type than the image's"
_CONFIDENCES = "{} people with confidences as flags: over 0 is labelled"
_BOOLEANS = "{} people with true and false as flags: true is labelled"
_COUNTS = "{} people whose num_keypoints is not as their flags say: counted from the flags"
_FLAT_BOXES = (
    "{} people whose box has no extent: it is put around their labelled keypoints, "
    f"{BOX_GROWTH} times as large"
)
_NO_BOXES = (
    "{} people without a box: it is put around their labelled keypoints, "
    f"{BOX_GROWTH} times as large"
)
_OUTLINE_BOXES = (
    "{} people without a box or a labelled keypoint: it is put around their outline"
)
_NO_AREAS = "{} people without an area: it is derived from their box"
_ZERO_AREAS = "{} people with an area of 0 or less: it is derived from their box"
_SMALL_AREAS = (
    "{} people with an area under a thousandth of their box: it is derived from the box"
)
_LARGE_AREAS = (
    "{} people with an area over twice that of their box: it is derived from the box"
)


def _name(row) -> str:
    return f"annotation id {row['id']}"


def _are_no_ints(values) -> np.ndarray:
    """Returns True for values (N,) that are absent, text, or no whole numbers."""
    if set(map(type, values)) == {int}:
        return np.zeros(len(values), bool)
    return np.array([type(value) is not int for value in values])


def _is_true(value) -> bool:
    return value in (1, True, "1", "true", "True")


def _is_empty(value) -> bool:
    return value is None or (isinstance(value, list | str) and not value)


def _has_bool_flags(keypoints) -> bool:
    return len(keypoints) > 2 and type(keypoints[2]) is bool


def _check_fields(path, kind, number, entry, fields) -> None:
    """Raises ValueError for an entry that is no object or lacks a field."""
    if not isinstance(entry, dict):
        raise ValueError(f"{path}: {kind} (entry {number}) is no object {{}}.")
    for field in fields:
        if field not in entry:
            raise ValueError(
                f"{path}: {kind} id {entry.get('id', f'(entry {number})')} lacks the "
                f"field {field!r}."
            )


def _table(values, shape) -> tuple[np.ndarray | None, bool | list[bool]]:
    """Reads lists of numbers into (N, *shape) float64; None becomes NaN.

    Returns:
        None where they are no such numbers; and which of them hold numbers alone, no
        text and no null: True for all.
    """
    try:
        table = np.array(values)
        if table.dtype.kind in "ifu":
            # A list of triples is a table of numbers, too, but no flat list as in COCO.
            is_plain: bool | list[bool] = [table.shape[1:] == shape] * len(values)
            numbers = table.astype(np.float64)
        else:
            numbers = np.array(values, np.float64)
            is_plain = [_is_plain(value) for value in values]
    except (TypeError, ValueError, OverflowError):
        return None, [_is_plain(value) for value in values]
    is_table = numbers.shape == (len(values), *shape)
    return (numbers if is_table else None), is_plain


def _is_flat(value, length) -> bool:
    """Returns True if a value is a list of so many numbers and nothing else."""
    return isinstance(value, list) and len(value) == length and _is_plain(value)


def _is_plain(value) -> bool:
    """Returns True if a value is a number, or a list of nothing but numbers."""
    if isinstance(value, list | tuple):
        return all(type(number) in (int, float) for number in value)
    return type(value) in (int, float)
