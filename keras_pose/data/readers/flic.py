"""FLIC, Frames Labeled In Cinema: the official `examples.mat`, and the hourglass HDF5.

Source: Sapp & Taskar 2013. Coordinates count from 1. Of 29 listed points, the 11 of
`FLIC_11` were labelled by hand. Boxes are made of the joints. The set has a train and a
test split; the latter is our "val".
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from keras_pose.data.readers.arrays import decode_name, read_h5, read_mat
from keras_pose.data.readers.checks import (
    Entry,
    ImageFolder,
    LeftOut,
    check_anyone,
    make_record,
    number_names,
)
from keras_pose.data.records import PersonRecord
from keras_pose.skeleton import FLIC_11

# Columns of `coords` with the keypoints of FLIC_11, in its order.
_COLUMNS = (0, 1, 2, 3, 4, 5, 6, 9, 12, 13, 16)
_NUM_COLUMNS = 29
_K = FLIC_11.num_keypoints


def read_flic(annotation_path, image_folder, split: str) -> list[PersonRecord]:
    """Reads FLIC people.

    Args:
        annotation_path: `examples.mat` of both splits, or `train.h5` / `valid.h5`.
        image_folder: the folder `images`.
        split: "train" or "val".

    Raises:
        FileNotFoundError: for what is missing.
        ValueError: names file, example and field of what is malformed.
    """
    path = Path(annotation_path)
    examples = _read_h5(path) if path.suffix == ".h5" else _read_mat(path, split)
    numbers = number_names(name for _, name, _ in examples)
    folder, left_out, records = ImageFolder(image_folder), LeftOut(path), []
    for i, (entry, name, xy) in enumerate(examples):
        record = make_record(
            entry,
            left_out,
            folder.locate(name, entry, "filepath"),
            None,
            xy - 1,
            # Whether a part is occluded is not labelled; one without numbers is not.
            np.where(np.isnan(xy).any(axis=1), 0, 2),
            image_id=numbers[name],
            annotation_id=i + 1,
        )
        if record is not None:
            records.append(record)
    left_out.warn()
    return check_anyone(records, path)


def _read_mat(path, split):
    examples = np.atleast_1d(read_mat(path, "examples"))
    flag = "istrain" if split == "train" else "istest"
    chosen = []
    for i, example in enumerate(examples):
        entry = Entry(path, f"example {i}", vars(example) if hasattr(example, flag) else {})
        if not entry.get(flag):
            continue
        coords = np.asarray(entry.get("coords"), np.float64)
        if coords.shape != (2, _NUM_COLUMNS):
            entry.fail("coords", f"must be (2, {_NUM_COLUMNS}), got {coords.shape}")
        chosen.append((entry, str(entry.get("filepath")), coords[:, _COLUMNS].T))
    return chosen


def _read_h5(path):
    values = read_h5(path, ("imgname", "part"))
    if values["part"].shape[1:] != (_K, 2):
        raise ValueError(
            f"{path}: 'part' must be (N, {_K}, 2), got {values['part'].shape}."
        )
    return [
        (Entry(path, f"example {i}"), decode_name(path, name), xy)
        for i, (name, xy) in enumerate(zip(values["imgname"], values["part"], strict=True))
    ]
