"""AI Challenger's keypoint files, as the challenge gave them out.

Source: Wu et al. 2017 (arXiv:1711.06475). Flags: 1 visible, 2 occluded, 3 not labelled.
OKS is scaled by the whole area of the person's box (the challenge's own script).
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from keras_pose.data.readers.checks import (
    Entry,
    ImageFolder,
    LeftOut,
    check_anyone,
    check_unique,
    make_record,
)
from keras_pose.data.readers.coco import read_coco
from keras_pose.data.records import PersonRecord
from keras_pose.files import read_json
from keras_pose.skeleton import AIC_14

_TO_COCO_FLAG = np.array([0, 2, 1, 0])
IMAGE_SUFFIX = ".jpg"


def read_aic(annotation_path, image_folder) -> Sequence[PersonRecord]:
    """Reads `keypoint_*_annotations_*.json`, or the same in COCO's format.

    Raises:
        FileNotFoundError: for what is missing.
        ValueError: names file, person and field of what is malformed.
    """
    path = Path(annotation_path)
    images = read_json(path)
    if isinstance(images, dict):  # COCO's format; it spells the names in its own way
        return read_coco(path, image_folder, AIC_14, check_names=False, expects_area=False)
    if not isinstance(images, list):
        raise ValueError(f"{path} is not AI Challenger's JSON: expected a list at the top.")
    folder, left_out = ImageFolder(image_folder), LeftOut(path)
    records: list[PersonRecord] = []
    entries = [
        Entry(path, f"image {i}", image if isinstance(image, dict) else {})
        for i, image in enumerate(images)
    ]
    check_unique(path, "image", (entry.get("image_id") for entry in entries))
    for number, entry in enumerate(entries, start=1):
        image_path = folder.locate(f"{entry.get('image_id')}{IMAGE_SUFFIX}", entry)
        for name, keypoints in _mapping(entry, "keypoint_annotations").items():
            person = Entry(path, f"image {entry.get('image_id')}, {name}")
            box = _mapping(entry, "human_annotations").get(name)
            record = _record(person, left_out, image_path, box, keypoints, number,
                             len(records) + 1)  # fmt: skip
            if record is not None:
                records.append(record)
    left_out.warn()
    return check_anyone(records, path)


def _mapping(entry, field):
    values = entry.get(field)
    if not isinstance(values, dict):
        entry.fail(field, f"must be an object {{}}, got {values!r}")
    return values


def _record(entry, left_out, image_path, box, keypoints, image_id, annotation_id):
    corners = entry.check_numbers("human_annotations", box, 4)
    values = entry.check_numbers(
        "keypoint_annotations", keypoints, 3 * AIC_14.num_keypoints
    )
    values = values.reshape(-1, 3)
    flags = values[:, 2]
    if not np.isin(flags, (1, 2, 3)).all():
        entry.fail("keypoint_annotations", f"has flags other than 1, 2, 3: {set(flags)}")
    size = corners[2:] - corners[:2]
    return make_record(
        entry,
        left_out,
        image_path,
        np.concatenate([corners[:2], size]),
        values[:, :2],
        _TO_COCO_FLAG[flags.astype(int)],
        area=float(np.prod(np.maximum(size, 0))),
        image_id=image_id,
        annotation_id=annotation_id,
    )
