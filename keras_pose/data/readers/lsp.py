"""Leeds Sports Poses, and its extended set.

Source: Johnson & Everingham 2010 and 2011. The two `joints.mat` differ in the order of
axes and in the meaning of the third value: original (3, 14, N), 1 = occluded; extended
(14, 3, N), 1 = labelled. Coordinates count from 1. Neither has boxes: they are made of
the joints. LSP's first 1000 images are for training, the others for testing.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from keras_pose.data.readers.arrays import read_mat, read_npz
from keras_pose.data.readers.checks import (
    Entry,
    ImageFolder,
    LeftOut,
    check_anyone,
    check_unique,
    make_record,
)
from keras_pose.data.records import PersonRecord

LSP_TRAIN_IMAGES = 1000
# The extended set is for training only. Where it is all there is, every 20th image
# validates; that is ours, not the authors'.
HELD_OUT_EVERY = 20


def read_lsp(annotation_path, image_folder, split: str) -> list[PersonRecord]:
    """Reads `joints.mat` of Leeds Sports Poses; `split`: "train", "val" (its test)."""
    joints, numbers = _read_joints(annotation_path)
    is_train = numbers <= LSP_TRAIN_IMAGES
    chosen = is_train if split == "train" else ~is_train
    xy, flags = joints[chosen, :, :2], joints[chosen, :, 2]
    visibility = np.where(flags > 0, 1, 2)
    return _records(annotation_path, image_folder, "im{:04d}.jpg", numbers[chosen], xy,
                    visibility)  # fmt: skip


def read_lsp_extended(annotation_path, image_folder, split: str) -> list[PersonRecord]:
    """Reads `joints.mat` (or `joints.npz`) of the extended set.

    Args:
        annotation_path: the joints. An .npz also has `index`, the numbers of the images;
            a .mat of some images has them in `index.txt` beside it.
        image_folder: folder with im00001.jpg ...
        split: "all", or "train" and "val", see `HELD_OUT_EVERY`.
    """
    joints, numbers = _read_joints(annotation_path)
    is_val = np.arange(len(numbers)) % HELD_OUT_EVERY == 0
    chosen = {"all": is_val | True, "train": ~is_val, "val": is_val}[split]
    xy, flags = joints[chosen, :, :2], joints[chosen, :, 2]
    visibility = np.where(flags > 0, 2, 0)
    return _records(annotation_path, image_folder, "im{:05d}.jpg", numbers[chosen], xy,
                    visibility)  # fmt: skip


def _read_joints(path):
    """Returns joints (N, 14, 3) and the numbers of their images (N,)."""
    path = Path(path)
    if path.suffix == ".npz":
        values = read_npz(path, ("joints", "index"))
        joints, numbers = values["joints"], values["index"]
    else:
        joints, numbers = read_mat(path, "joints"), None
    joints = np.asarray(joints)
    if joints.ndim == 2:  # one person: the reader of .mat files drops axes of length 1
        joints = joints[..., None]
    if joints.shape[:2] == (3, 14):
        joints = joints.transpose(2, 1, 0)
    elif joints.shape[:2] == (14, 3):
        joints = joints.transpose(2, 0, 1)
    else:
        raise ValueError(
            f"{path}: 'joints' must be (3, 14, N) or (14, 3, N), got {joints.shape}."
        )
    if not np.issubdtype(joints.dtype, np.number):
        raise ValueError(f"{path}: 'joints' must hold numbers, got {joints.dtype}.")
    if numbers is None:
        numbers = _image_numbers(path, len(joints))
    if len(numbers) != len(joints):
        raise ValueError(f"{path}: {len(joints)} people, but {len(numbers)} image numbers.")
    check_unique(path, "image", numbers.tolist())
    return joints.astype(np.float64), numbers


def _image_numbers(path, count):
    index = path.with_name("index.txt")
    if not index.is_file():
        return np.arange(1, count + 1)
    try:
        return np.array([int(word) for word in index.read_text("utf-8").split()])
    except ValueError as error:
        raise ValueError(f"{index} must hold image numbers: {error}.") from error


def _records(path, image_folder, pattern, numbers, xy, visibility):
    folder, left_out, records = ImageFolder(image_folder), LeftOut(path), []
    for i, number in enumerate(numbers.tolist()):
        entry = Entry(path, f"image {number}")
        record = make_record(
            entry,
            left_out,
            folder.locate(pattern.format(number), entry),
            None,
            xy[i] - 1,
            visibility[i],
            image_id=number,
            annotation_id=number,
        )
        if record is not None:
            records.append(record)
    left_out.warn()
    return check_anyone(records, path)
