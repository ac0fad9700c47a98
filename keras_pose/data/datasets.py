"""Data sets by name: where their files lie, and who is in them."""

from __future__ import annotations

import difflib
from dataclasses import dataclass
from pathlib import Path

from keras_pose.data.readers.coco import read_coco
from keras_pose.data.records import PersonRecord
from keras_pose.data.synthetic import write_coco_dataset
from keras_pose.skeleton import COCO_17, Skeleton

DATASETS = ("coco", "synthetic")
DEFAULT_DIRS = {"coco": Path("data/coco"), "synthetic": Path("data/synthetic")}
SYNTHETIC_VAL_IMAGES = 300

# (annotation file, image folder), as the official archives unpack, and flat.
_COCO_LAYOUTS = (
    ("annotations/person_keypoints_{split}2017.json", "{split}2017"),
    ("annotations/person_keypoints_{split}2017.json", "images/{split}2017"),
    ("person_keypoints_{split}2017.json", "{split}2017"),
    ("person_keypoints_{split}.json", "images"),
)


@dataclass(frozen=True)
class PoseDataset:
    """One split of one data set.

    Attributes:
        name: such as "coco".
        split: "train" or "val".
        skeleton: the keypoints that are labelled.
        records: the people to train or evaluate on.
        annotation_path: COCO-format file with the ground truth.
    """

    name: str
    split: str
    skeleton: Skeleton
    records: list[PersonRecord]
    annotation_path: Path


def check_dataset_name(name: str) -> str:
    """Returns the name, or raises ValueError with the near names."""
    if name not in DATASETS:
        near = difflib.get_close_matches(name, DATASETS, n=2)
        hint = f" Did you mean {' or '.join(near)}?" if near else ""
        raise ValueError(f"Unknown data set {name!r}.{hint} Known: {', '.join(DATASETS)}.")
    return name


def find_coco(data_dir, split: str) -> tuple[Path, Path] | None:
    """Returns (annotation file, image folder) of a COCO split, or None if absent."""
    for annotation, folder in _COCO_LAYOUTS:
        path = Path(data_dir) / annotation.format(split=split)
        images = Path(data_dir) / folder.format(split=split)
        if path.is_file() and images.is_dir():
            return path, images
    return None


def open_dataset(
    name: str, data_dir=None, split: str = "val", skeleton: Skeleton | None = None
) -> PoseDataset:
    """Opens a split of a data set.

    The synthetic validation split is drawn on first use (some seconds) and kept in
    `data_dir`; its training split must have been written by
    `training/make_synthetic.py`, or is drawn on the fly by `data.sources`.

    Args:
        name: one of `DATASETS`.
        data_dir: default: `DEFAULT_DIRS[name]`.
        split: "train" or "val".
        skeleton: keypoints of your own, of files in COCO's format; None for the data
            set's.

    Raises:
        ValueError: for an unknown name, malformed annotations or other keypoints.
        FileNotFoundError: lists the places that were tried.
    """
    check_dataset_name(name)
    if skeleton is not None and name != "coco":
        raise ValueError(
            f"The keypoints of {name} are known: a skeleton of your own goes with files "
            "in COCO's format (data set coco)."
        )
    data_dir = Path(data_dir or DEFAULT_DIRS[name])
    if name == "synthetic" and split == "val" and find_coco(data_dir, split) is None:
        write_coco_dataset(data_dir, SYNTHETIC_VAL_IMAGES, split="val")
    found = find_coco(data_dir, split)
    if found is None:
        tried = [str(data_dir / path.format(split=split)) for path, _ in _COCO_LAYOUTS]
        raise FileNotFoundError(
            f"No {split} split of {name} in {data_dir}: tried {', '.join(tried)}, each "
            "with its image folder. Name the folder with --data-dir."
        )
    skeleton = skeleton or COCO_17
    records = read_coco(*found, skeleton)
    return PoseDataset(name, split, skeleton, records, found[0])
