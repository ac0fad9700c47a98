"""PoseTrack18 and PoseTrack21: one COCO-like file per video.

Source: Andriluka et al. 2018 (arXiv:1710.10000), Doering et al. 2022. A labelled
keypoint's flag is 1, and says nothing of occlusion. The head box gives the unit of PCKh.
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
from keras_pose.data.readers.mpii import HEAD_SIZE_FACTOR
from keras_pose.data.records import PersonRecord
from keras_pose.files import read_json
from keras_pose.skeleton import POSETRACK_17

_K = POSETRACK_17.num_keypoints


def read_posetrack(paths: Sequence[Path], root) -> list[PersonRecord]:
    """Reads the labelled people of videos, in the order of files and frames.

    Args:
        paths: a JSON file per video.
        root: folder that image names start from: they say `images/val/...`.

    Raises:
        FileNotFoundError: for what is missing.
        ValueError: names file, annotation and field of what is malformed.
    """
    folder, records = ImageFolder(root), []
    for path in paths:
        left_out = LeftOut(path)
        records += _read_video(Path(path), folder, left_out)
        left_out.warn()
    check_unique("PoseTrack", "annotation", (record.annotation_id for record in records))
    return check_anyone(records, ", ".join(map(str, paths[:2])) or str(root))


def _read_video(path, folder, left_out):
    values = read_json(path)
    if not isinstance(values, dict) or not {"images", "annotations"} <= values.keys():
        raise ValueError(f"{path} is not PoseTrack's JSON: no 'images' and 'annotations'.")
    images = {}
    for i, image in enumerate(values["images"]):
        entry = Entry(path, f"image {i}", image)
        images[entry.get("id")] = entry
    people: dict[int, list[PersonRecord]] = {image_id: [] for image_id in images}
    regions = {image_id: _ignore_regions(entry) for image_id, entry in images.items()}
    for annotation in values["annotations"]:
        entry = Entry(path, f"annotation id {annotation.get('id')}", annotation)
        image = images.get(entry.get("image_id"))
        if image is None:
            entry.fail("image_id", f"names no image of the file: {entry.get('image_id')}")
        record = _record(entry, left_out, image, folder, path.stem,
                         regions[entry.get("image_id")])  # fmt: skip
        if record is not None:
            people[record.image_id].append(record)
    return [record for frame in people.values() for record in frame]


def _record(entry, left_out, image, folder, video, ignore_regions):
    if not entry.values.get("keypoints"):  # PoseTrack21 has people with a box only
        return None
    keypoints = entry.numbers("keypoints", 3 * _K).reshape(-1, 3)
    has_box = bool(entry.values.get("bbox"))
    size = (image.values.get("height"), image.values.get("width"))
    return make_record(
        entry,
        left_out,
        folder.locate(image.get("file_name"), entry),
        entry.numbers("bbox", 4) if has_box else None,
        keypoints[:, :2],
        np.where(keypoints[:, 2] > 0, 2, 0),
        image_hw=None if None in size else size,
        image_id=image.get("id"),
        annotation_id=entry.get("id"),
        head_size=_head_size(entry),
        track_id=entry.get("track_id"),
        video=video,
        ignore_regions=ignore_regions,
    )


def _head_size(entry):
    if not entry.values.get("bbox_head"):
        return None
    _, _, width, height = entry.numbers("bbox_head", 4)
    return HEAD_SIZE_FACTOR * float(np.hypot(width, height))


def _ignore_regions(image):
    columns = image.values.get("ignore_regions_x") or []
    rows = image.values.get("ignore_regions_y") or []
    if len(columns) != len(rows) or any(
        np.shape(x) != np.shape(y) for x, y in zip(columns, rows, strict=False)
    ):
        image.fail("ignore_regions_x", "and 'ignore_regions_y' do not have the same points")
    pairs = zip(columns, rows, strict=True)
    return tuple(np.stack([x, y], axis=-1).astype(np.float64) for x, y in pairs)
