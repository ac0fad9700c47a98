"""Human3.6M in 2D: extracted frames, with labels as COCO-like JSON or NumPy archives.

Source: Ionescu et al. 2014. The official labels are CDF files of whole videos; frames
and labels are taken out of them once, by the tools of mmpose or alike, and what those
write is read here. Files are named S<subject>_<action>.<camera>_<frame>.jpg. Subjects 1,
5, 6, 7, 8 are for training, 9 and 11 for validation ("protocol 1").

The 17 joints are in the order of `H36M_17`. JSON files that pass around name left and
right legs the wrong way round, so names in files are not believed.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from keras_pose.data.readers.arrays import check_rows, read_npz
from keras_pose.data.readers.checks import (
    Entry,
    ImageFolder,
    LeftOut,
    check_anyone,
    make_record,
    number_names,
)
from keras_pose.data.records import PersonRecord
from keras_pose.files import read_json
from keras_pose.skeleton import H36M_17

TRAIN_SUBJECTS = ("S1", "S5", "S6", "S7", "S8")
VAL_SUBJECTS = ("S9", "S11")
_K = H36M_17.num_keypoints


def read_h36m(annotation_path, image_folder, split: str) -> list[PersonRecord]:
    """Reads the frames of the subjects of a split.

    Args:
        annotation_path: JSON in COCO's format, or .npz with `imgname` and `part`
            (N, 17, 3).
        image_folder: folder with S1/S1_Directions_1.54138969/..., or all frames in one
            folder.
        split: "train" or "val".

    Raises:
        FileNotFoundError: for what is missing.
        ValueError: names file, frame and field of what is malformed.
    """
    path = Path(annotation_path)
    people = _read_npz(path) if path.suffix == ".npz" else _read_json(path)
    subjects = TRAIN_SUBJECTS if split == "train" else VAL_SUBJECTS
    numbers = number_names(name for _, name, _, _ in people)
    folder, left_out, records = ImageFolder(image_folder), LeftOut(path), []
    for i, (entry, name, keypoints, box) in enumerate(people):
        video, subject = _video(entry, name)
        if subject not in subjects:
            continue
        record = make_record(
            entry,
            left_out,
            _locate(folder, entry, name, video, subject),
            box,
            keypoints[:, :2],
            np.where(keypoints[:, 2] > 0, 2, 0),
            image_id=numbers[name],
            annotation_id=i + 1,
            video=video,
        )
        if record is not None:
            records.append(record)
    left_out.warn()
    return check_anyone(records, path)


def _video(entry, name):
    """Returns video and subject in a file name."""
    video = Path(name).stem.rpartition("_")[0]
    subject = video.partition("_")[0]
    if subject not in (*TRAIN_SUBJECTS, *VAL_SUBJECTS):
        entry.fail("file_name", f"names no subject of Human3.6M: {name!r}")
    return video, subject


def _locate(folder, entry, name, video, subject):
    """Finds a frame by its name, or in the folders that its name stands for."""
    path = folder.locate(name, entry, "file_name")
    return path or folder.locate(f"{subject}/{video}/{Path(name).name}", entry, "file_name")


def _read_json(path):
    values = read_json(path)
    if not isinstance(values, dict) or not {"images", "annotations"} <= values.keys():
        raise ValueError(f"{path} is no COCO file: no 'images' and 'annotations'.")
    names = {}
    for i, image in enumerate(values["images"]):
        entry = Entry(path, f"image {i}", image)
        names[entry.get("id")] = entry.get("file_name")
    people = []
    for annotation in values["annotations"]:
        entry = Entry(path, f"annotation id {annotation.get('id')}", annotation)
        if entry.get("image_id") not in names:
            entry.fail("image_id", f"names no image of the file: {entry.get('image_id')}")
        keypoints = entry.numbers("keypoints", 3 * _K).reshape(-1, 3)
        name = names[entry.get("image_id")]
        people.append((entry, name, keypoints, entry.numbers("bbox", 4)))
    return people


def _read_npz(path):
    values = check_rows(path, read_npz(path, ("imgname", "part")))
    if values["part"].shape[1:] != (_K, 3):
        raise ValueError(
            f"{path}: 'part' must be (N, {_K}, 3), got {values['part'].shape}."
        )
    people = []
    for name, part in zip(values["imgname"].tolist(), values["part"], strict=True):
        entry = Entry(path, f"frame {name}")
        people.append((entry, name, entry.check_numbers("part", part, (_K, 3)), None))
    return people
