"""MPII Human Pose: the official structure, the usual JSON, and the hourglass HDF5.

Source: Andriluka et al. 2014; `lib/dataset/mpii.py` of the HRNet code. Conventions: a
person is a centre and a scale in units of 200 pixels; the centre moves down by 15 x
scale, and the crop is 1.25 x 200 x scale wide (the 1.25 is `geometry.BOX_PADDING`, so
boxes here are without it). Coordinates count from 1. In the HDF5 form the centre has
moved and the scale has grown already.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from keras_pose.data.readers.arrays import decode_name, read_h5, read_mat
from keras_pose.data.readers.checks import (
    Entry,
    ImageFolder,
    LeftOut,
    check_anyone,
    make_record,
    number_names,
    square_box,
)
from keras_pose.data.records import PersonRecord
from keras_pose.files import read_json
from keras_pose.pictures.geometry import BOX_PADDING
from keras_pose.skeleton import MPII_16

SCALE_UNIT = 200  # pixels
CENTER_SHIFT = 15  # pixels down per unit of scale
HEAD_SIZE_FACTOR = 0.6  # PCKh's unit is this share of the head box's diagonal
_K = MPII_16.num_keypoints
# Beside the JSON files of `valid`: head boxes, in the order of the people.
_HEAD_FILES = ("gt_valid.mat", "mpii_gt_val.mat")


def read_mpii(annotation_path, image_folder, split: str) -> list[PersonRecord]:
    """Reads MPII people.

    Args:
        annotation_path: `train.json` and the like, `valid.h5`, or
            `mpii_human_pose_v1_u12_1.mat`, whose labelled people are all of "trainval".
        image_folder: the folder `images`.
        split: "train", "val" or "trainval".

    Raises:
        FileNotFoundError: for what is missing.
        ValueError: names file, person and field of what is malformed; and for a split
            that the official structure does not know.
    """
    path = Path(annotation_path)
    match path.suffix:
        case ".json":
            people = _read_json(path)
        case ".h5":
            people = _read_h5(path)
        case _ if split == "trainval":
            people = _read_mat(path)
        case _:
            raise ValueError(
                f"{path} has no split {split!r}: MPII itself is split into people with "
                "labels ('trainval') and without. The usual train and val splits are "
                "annot/train.json and annot/valid.json of the HRNet code."
            )
    numbers = number_names(person["image"] for _, person in people)
    folder, left_out, records = ImageFolder(image_folder), LeftOut(path), []
    for i, (entry, person) in enumerate(people):
        record = make_record(
            entry,
            left_out,
            folder.locate(person["image"], entry, "image"),
            square_box(person["center"] - 1, person["side"]),
            person["xy"] - 1,
            person["visibility"],
            image_id=numbers[person["image"]],
            annotation_id=i + 1,
            head_size=person.get("head_size"),
        )
        if record is not None:
            records.append(record)
    left_out.warn()
    return check_anyone(records, path)


def _moved(center, scale):
    return np.array([center[0], center[1] + CENTER_SHIFT * scale])


def _scale(entry, scale):
    scale = float(entry.check_numbers("scale", scale, ()))
    if scale <= 0:
        entry.fail("scale", f"must be above 0, got {scale}")
    return scale


def _read_json(path):
    values = read_json(path)
    if not isinstance(values, list):
        raise ValueError(f"{path} is not MPII's JSON: expected a list at the top.")
    heads = _head_sizes(path, len(values))
    people = []
    for i, person in enumerate(values):
        entry = Entry(path, f"person {i}", person if isinstance(person, dict) else {})
        scale = _scale(entry, entry.get("scale"))
        # The file only says whether a joint is labelled, not whether it is occluded.
        is_labelled = entry.numbers("joints_vis", _K) > 0
        people.append((entry, {
            "image": entry.get("image"),
            "center": _moved(entry.numbers("center", 2), scale),
            "side": SCALE_UNIT * scale,
            "xy": entry.numbers("joints", (_K, 2)),
            "visibility": np.where(is_labelled, 2, 0),
            "head_size": heads[i],
        }))  # fmt: skip
    return people


def _head_sizes(path, count):
    """Reads the head sizes that lie beside `valid.json`, or gives None for everyone."""
    if path.stem not in ("valid", "mpii_val"):
        return [None] * count
    found = [path.with_name(name) for name in _HEAD_FILES if path.with_name(name).is_file()]
    if not found:
        return [None] * count
    boxes = np.asarray(read_mat(found[0], "headboxes_src"), np.float64)
    if boxes.shape == (2, 2):  # one person: the reader of .mat files drops the axis
        boxes = boxes[..., None]
    if boxes.shape != (2, 2, count):
        raise ValueError(
            f"{found[0]}: 'headboxes_src' must be (2, 2, {count}), as {path} has {count} "
            f"people; got {boxes.shape}."
        )
    return (HEAD_SIZE_FACTOR * np.linalg.norm(boxes[1] - boxes[0], axis=0)).tolist()


def _read_h5(path):
    fields = ("imgname", "center", "scale", "part", "visible", "normalize")
    values = read_h5(path, fields)
    people = []
    for i in range(len(values["imgname"])):
        entry = Entry(path, f"person {i}", {name: rows[i] for name, rows in values.items()})
        xy = entry.numbers("part", (_K, 2))
        is_visible = entry.numbers("visible", _K) > 0
        visibility = np.where(is_visible, 2, 1)
        visibility[(xy == 0).all(axis=1)] = 0  # not labelled: both coordinates are 0
        people.append((entry, {
            "image": decode_name(path, values["imgname"][i]),
            "center": entry.numbers("center", 2),
            "side": SCALE_UNIT * _scale(entry, values["scale"][i]) / BOX_PADDING,
            "xy": xy,
            "visibility": visibility,
            "head_size": float(entry.numbers("normalize", ())),
        }))  # fmt: skip
    return people


def _read_mat(path):
    release = read_mat(path, "RELEASE")
    try:
        images, is_train = np.atleast_1d(release.annolist), np.atleast_1d(release.img_train)
    except AttributeError as error:
        raise ValueError(f"{path} is not MPII's structure: {error}.") from error
    people = []
    for i in np.flatnonzero(is_train):
        people += _image_people(path, images[i])
    return people


def _image_people(path, image):
    name = str(image.image.name)
    people = []
    for number, person in enumerate(np.atleast_1d(image.annorect)):
        points = getattr(getattr(person, "annopoints", None), "point", None)
        position: Any = getattr(person, "objpos", None)
        scale = getattr(person, "scale", [])
        # Some have a head box only; the usual JSON leaves them out as well. MATLAB's
        # empty fields come as empty arrays.
        if points is None or not hasattr(position, "x") or not np.size(scale):
            continue
        entry = Entry(path, f"image {name}, person {number}")
        scale = _scale(entry, scale)
        xy, visibility = _points(entry, np.atleast_1d(points))
        corners = [getattr(person, field, np.nan) for field in ("x1", "y1", "x2", "y2")]
        head = entry.check_numbers("head box", corners, 4)
        center = entry.check_numbers("objpos", (position.x, position.y), 2)
        people.append((entry, {
            "image": name,
            "center": _moved(center, scale),
            "side": SCALE_UNIT * scale,
            "xy": xy,
            "visibility": visibility,
            "head_size": HEAD_SIZE_FACTOR * float(np.hypot(*(head[2:] - head[:2]))),
        }))  # fmt: skip
    return people


def _points(entry, points):
    xy, visibility = np.zeros((_K, 2)), np.zeros(_K, np.uint8)
    for point in points:
        index = int(point.id)
        if not 0 <= index < _K:
            entry.fail("id", f"of a point must be 0 to {_K - 1}, got {index}")
        xy[index] = entry.check_numbers("point", (point.x, point.y), 2)
        # Empty for the head's two points, which were not rated.
        is_hidden = str(getattr(point, "is_visible", "")) == "0"
        visibility[index] = 1 if is_hidden else 2
    return xy, visibility
