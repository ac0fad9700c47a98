"""Data sets by name: where their files lie, and who is in them."""

from __future__ import annotations

import dataclasses
import difflib
import hashlib
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from keras_pose.data.mapping import map_records
from keras_pose.data.readers.coco import (
    AS_WRITTEN,
    Reading,
    keypoint_names,
    labelled_skeleton,
    read_coco_truth,
)
from keras_pose.data.readers.labels import Labels, read_labels
from keras_pose.data.readers.tools import find_labels
from keras_pose.data.records import Id, PersonRecord, PersonTable
from keras_pose.data.specs import SPECS, DatasetSpec
from keras_pose.data.synthetic import write_coco_dataset
from keras_pose.data.unpacked_folders import Located, find_unpacked, has_split, share_of
from keras_pose.files import file_sha256
from keras_pose.skeleton import COCO_17, SKELETONS, Skeleton, is_numbered

DATASETS = tuple(SPECS)
DEFAULT_DIRS = {name: spec.default_dir for name, spec in SPECS.items()}
SYNTHETIC_VAL_IMAGES = 300
PERSON_CATEGORY = 1


@dataclass(frozen=True)
class PoseDataset:
    """One split of one data set.

    Attributes:
        name: name of the set, such as "coco".
        split: name of the split, such as "train" or "val".
        skeleton: the keypoints that are labelled.
        records: the people to train or evaluate on.
        annotation_path: file with the ground truth; the first of them where there are
            many (PoseTrack).
        annotation_paths: all of them.
        metrics: keys of `metrics.METRICS` that the set is officially measured by.
        has_coco_file: True if `annotation_path` is ground truth for COCO AP.
        image_folder: folder of the images with which the annotations were read.
        reading: options with which the annotations were read.
        part: "train" or "val" where the file is the only split; None where it is this.
    """

    name: str
    split: str
    skeleton: Skeleton
    records: Sequence[PersonRecord]
    annotation_path: Path
    annotation_paths: tuple[Path, ...] = ()
    metrics: tuple[str, ...] = ("coco_ap",)
    has_coco_file: bool = True
    image_folder: Path | None = None
    reading: Reading = AS_WRITTEN
    part: str | None = None

    @property
    def annotation_sha256(self) -> str:
        """Hash of the annotation file, or of the hashes of all of them."""
        if len(self.annotation_paths) <= 1:
            return file_sha256(self.annotation_path)
        hashes = "".join(map(file_sha256, self.annotation_paths))
        return hashlib.sha256(hashes.encode()).hexdigest()

    def first_images(self, count: int | None) -> list[Id]:
        """Returns the ids of the first images in which somebody is labelled, or of all."""
        if isinstance(self.records, PersonTable):
            images = self.records.used_images[:count].tolist()
            return [self.records.image_ids[i] for i in images]
        return list(dict.fromkeys(record.image_id for record in self.records))[:count]

    def in_first_images(self, count: int | None) -> PoseDataset:
        """Returns the same with the people of these images only."""
        if isinstance(self.records, PersonTable):
            first = self.records.used_images[:count]
            table = self.records.take(np.isin(self.records.image_index, first))
            return dataclasses.replace(self, records=table)
        chosen = set(self.first_images(count))
        records = [record for record in self.records if record.image_id in chosen]
        return dataclasses.replace(self, records=records)


def check_dataset_name(name: str) -> str:
    """Returns the name, or raises ValueError with the near names."""
    if name not in DATASETS:
        near = difflib.get_close_matches(name, DATASETS, n=2)
        hint = f" Did you mean {' or '.join(near)}?" if near else ""
        raise ValueError(f"Unknown data set {name!r}.{hint} Known: {', '.join(DATASETS)}.")
    return name


def find_files(
    spec: DatasetSpec, data_dir, split: str, requires_images: bool = True
) -> tuple[list[Path], Path] | None:
    """Returns (annotation files, image folder) of a split, or None if absent.

    `requires_images`: False to find annotations whose image folder may be absent.
    """
    for annotation, folder in _layouts(spec, split):
        paths = sorted(Path(data_dir).glob(annotation))
        images = Path(data_dir) / folder
        if paths and (images.is_dir() or not requires_images):
            return paths, images
    return None


def _layouts(spec, split):
    words = {"split": split, "word": spec.splits[split]}
    for annotation, folder in spec.layouts:
        yield annotation.format(**words), folder.format(**words)


def find_coco(data_dir, split: str) -> tuple[Path, Path] | None:
    """Returns (annotation file, image folder) of a COCO split, or None if absent."""
    found = locate_split(SPECS["coco"], data_dir, split)
    return None if found is None else (found.paths[0], found.images)


def locate_split(spec: DatasetSpec, data_dir, split: str) -> Located | None:
    """Finds a split: where archives unpack to, and of COCO's format where tools do.

    Raises:
        ValueError: lists the annotation files where several might be the split.
    """
    found = find_files(spec, data_dir, split)
    if spec.name != "coco":
        return found and Located(tuple(found[0]), found[1])
    if found is None:
        return find_unpacked(data_dir, split)
    has_val = split != "train" or find_files(spec, data_dir, "val")
    part = None if has_val or has_split(data_dir, "val") else "train"
    return Located(tuple(found[0]), found[1], part)


def check_split(spec: DatasetSpec, split: str) -> str:
    """Returns the split, or raises ValueError with those there are."""
    if split not in spec.splits:
        raise ValueError(
            f"The data set {spec.name} has no split {split!r}; it has "
            f"{', '.join(spec.splits)}."
        )
    return split


def open_dataset(
    name: str,
    data_dir=None,
    split: str = "val",
    skeleton: Skeleton | None = None,
    reading: Reading = AS_WRITTEN,
    is_whole: bool = False,
) -> PoseDataset:
    """Opens a split of a data set.

    The synthetic validation split is drawn on first use (some seconds) and kept in
    `data_dir`; its training split must have been written by
    `training/make_synthetic.py`, or is drawn on the fly by `data.sources`.

    Args:
        name: one of `DATASETS`.
        data_dir: default: `DEFAULT_DIRS[name]`.
        split: name of the split, such as "train" or "val".
        skeleton: keypoints of your own, of files in COCO's format; None for the data
            set's. Where the file names others, or in another order, they are sorted by
            name.
        reading: options of the user for a file in COCO's format; refused for other formats.
        is_whole: True to train on all of a set that has one split only; a tenth of its
            pictures are `val` otherwise.

    Raises:
        ValueError: for an unknown name, malformed annotations or other keypoints.
        FileNotFoundError: lists the places that were tried.
    """
    spec = SPECS[check_dataset_name(name)]
    check_split(spec, split)
    if skeleton is not None and name != "coco":
        raise ValueError(
            f"The keypoints of {name} are known: a skeleton of your own goes with files "
            "in COCO's format (data set coco)."
        )
    data_dir = Path(data_dir or spec.default_dir)
    if name == "synthetic" and split == "val" and not find_files(spec, data_dir, split):
        print(f"drawing     {SYNTHETIC_VAL_IMAGES} images of people into {data_dir}")
        write_coco_dataset(data_dir, SYNTHETIC_VAL_IMAGES, split="val")
    labels = other_labels(spec, data_dir, split, reading)
    if labels is not None:
        opened = _open_labels(labels, split, skeleton or spec.skeleton, reading, is_whole)
        return dataclasses.replace(opened, name=name, metrics=spec.metrics)
    found = _existing_files(spec, data_dir, split)
    paths, images = list(found.paths), found.images
    part = None if is_whole and split == "train" else found.part
    wanted = skeleton or spec.skeleton
    labelled = spec.skeleton
    if skeleton:
        labelled = labelled_skeleton(paths[0], skeleton, reading.category)
    records = spec.read(paths, images, split, labelled, **_options(spec, reading))
    if labelled != wanted:
        records = map_records(records, labelled, wanted, str(paths[0]))
    if part is not None:
        records = _part_of(records, part, paths[0])
    return PoseDataset(
        name,
        split,
        wanted,
        records,
        paths[0],
        tuple(paths),
        spec.metrics,
        spec.has_coco_file and labelled == wanted,
        images,
        reading,
        part,
    )


def other_labels(spec, data_dir, split: str, reading: Reading) -> Labels | None:
    """Returns the labels of a folder in a tool's own format, where COCO's is not there.

    Raises:
        ValueError: names the file, place and value of what is malformed.
    """
    if spec.name != "coco" or locate_split(spec, data_dir, split) is not None:
        return None
    return find_labels(data_dir, reading.category)


def _open_labels(labels, split, wanted, reading, is_whole) -> PoseDataset:
    """Opens a split of a folder in a tool's own format."""
    pictures, part = labels.of_split(split)
    if not pictures:
        raise FileNotFoundError(
            f"{labels.path}: no picture of {labels.tool} is of the split {split}."
        )
    labelled = wanted
    if labels.names != wanted.names:
        labelled = Skeleton(f"keypoints of {labels.path.name}", labels.names)
    records = read_labels(labels, pictures, reading)
    if labelled != wanted:
        records = map_records(records, labelled, wanted, str(labels.path))
    part = None if is_whole and split == "train" else part
    if part is not None:
        records = _part_of(records, part, labels.path)
    return PoseDataset(
        "",
        split,
        wanted,
        records,
        labels.path if labels.path.is_file() else labels.paths[0],
        labels.paths,
        has_coco_file=False,
        image_folder=labels.folder,
        reading=reading,
        part=part,
    )


def _part_of(records, part, path) -> PersonTable:
    """Returns the people of a file's `train` or `val` pictures, and says how many."""
    used = records.used_images
    names = [records.image_names[i] for i in used.tolist()]
    chosen = share_of(names, part)
    if not chosen:
        raise ValueError(
            f"{path} has one picture with people, which is for val: none is left to train "
            "on."
        )
    warnings.warn(
        f"{path} is the only split: {part} is {len(chosen)} of its {len(set(names))} "
        "pictures, val being a tenth that is always the same",
        stacklevel=3,
    )
    members = [i for i, name in zip(used.tolist(), names, strict=True) if name in chosen]
    return records.take(np.isin(records.image_index, members))


def _options(spec, reading) -> dict[str, Any]:
    """Returns further arguments of a reader; only those of COCO's format have any."""
    if reading == AS_WRITTEN:
        return {}
    if not spec.has_coco_file:
        raise ValueError(
            f"--category and --rescale-labels are of files in COCO's format, which "
            f"{spec.name} is not."
        )
    return {"reading": reading}


def open_for_skeleton(
    name: str,
    data_dir,
    split: str,
    skeleton: Skeleton,
    reading: Reading = AS_WRITTEN,
) -> PoseDataset:
    """Opens a split of a data set for a model that predicts the keypoints of `skeleton`.

    Official sets, and files of COCO's keypoints, are opened with their own keypoints (see
    `mixing.for_model` for what is measured of them). Files in COCO's format with other
    keypoints are opened with the model's skeleton, which also has their OKS sigmas and
    mirror pairs.

    Args:
        name: one of `DATASETS`.
        data_dir: folder; None for the usual one.
        split: name of the split, such as "train" or "val".
        skeleton: keypoints of the model, from its contract.
        reading: options of the user for a file in COCO's format; refused for other formats.

    Raises:
        ValueError: as `open_dataset`.
        FileNotFoundError: as `open_dataset`.
    """
    spec = SPECS[check_dataset_name(name)]
    if is_numbered(skeleton):
        _check_nameless(spec, data_dir, split, skeleton, reading)
    if name != "coco" or skeleton.names == COCO_17.names:
        return open_dataset(name, data_dir, split, reading=reading)
    folder = Path(data_dir or spec.default_dir)
    labels = other_labels(spec, folder, split, reading)
    if labels is None:
        found = _existing_files(spec, folder, split)
        names = keypoint_names(found.paths[0], reading.category)
    else:
        names = labels.names
    # Without names, only the number of keypoints could tell: own models go by their own.
    is_own = names != COCO_17.names if names else skeleton not in SKELETONS.values()
    return open_dataset(name, data_dir, split, skeleton if is_own else None, reading)


def _check_nameless(spec, data_dir, split, skeleton, reading) -> None:
    """Refuses keypoints of a model that are numbers only, where the data has names."""
    names: tuple[str, ...] | None = spec.skeleton.names
    if spec.name == "coco":
        found = _existing_files(spec, Path(data_dir or spec.default_dir), split)
        names = keypoint_names(found.paths[0], reading.category)
    if names and names != skeleton.names:
        raise ValueError(
            f"The model does not say which {skeleton.num_keypoints} keypoints it predicts; "
            f"{spec.name} has {', '.join(names)}. Say it with --skeleton NAME|FILE, such "
            "as coco_17."
        )


def _existing_files(spec, data_dir, split) -> Located:
    found = locate_split(spec, data_dir, split)
    if found is None:
        tried = [str(data_dir / path) for path, _ in _layouts(spec, split)]
        raise FileNotFoundError(
            f"No {split} split of {spec.name} in {data_dir}: tried {', '.join(tried)}, "
            "each with its image folder. Name the folder with --data-dir; "
            f"training/prepare_data.py {spec.name} says what to download."
        )
    return found


def coco_ground_truth(dataset: PoseDataset) -> dict[str, Any]:
    """Returns what a COCO annotation file of the people would hold.

    For sets in COCO's format that is the file, with its crowds, and with what the reader
    made good, and without the pictures that are not there: the reader has told of their
    people. Else it is made of the records, so that AP can be computed for any skeleton
    with OKS sigmas.
    """
    if dataset.has_coco_file:
        is_mended = getattr(dataset.records, "is_mended", True)
        # Not of a name of one's own; "coco (sigmas of 0.067)" is coco's file.
        spec = SPECS.get(dataset.name.partition(" (")[0])
        truth = read_coco_truth(
            dataset.annotation_path,
            dataset.image_folder,
            dataset.skeleton,
            dataset.reading,
            is_mended,
            unpack=spec.unpack if spec else None,
        )
        if dataset.part is not None:
            return only_images(truth, dataset.first_images(None))
        return _without_missing(truth, dataset.records)
    records = dataset.records
    names = {record.image_id: str(record.image_path) for record in records}
    return {
        "images": [{"id": i, "file_name": name} for i, name in names.items()],
        "annotations": [_annotation(record) for record in records],
        "categories": [_category(dataset.skeleton)],
    }


def _without_missing(truth: dict[str, Any], records) -> dict[str, Any]:
    """Leaves out images with labelled people whose pictures are not there."""
    if not isinstance(records, PersonTable):
        return truth
    known = {records.image_ids[i] for i in np.unique(records.image_index)}
    labelled = {row["image_id"] for row in truth["annotations"] if row.get("num_keypoints")}
    unread = labelled - known
    missing = {
        image["id"]
        for image in truth["images"]
        if image["id"] in unread
        and not (records.folder / image["file_name"].replace("\\", "/")).exists()
    }
    if not missing:
        return truth
    there = (image["id"] for image in truth["images"] if image["id"] not in missing)
    return only_images(truth, list(there))


def only_images(truth: dict[str, Any], image_ids: Sequence[Id]) -> dict[str, Any]:
    """Returns COCO annotations of some images only."""
    chosen = set(image_ids)
    return truth | {
        "images": [image for image in truth["images"] if image["id"] in chosen],
        "annotations": [a for a in truth["annotations"] if a["image_id"] in chosen],
    }


def _annotation(record):
    keypoints = [
        [float(x), float(y), int(flag)]
        for (x, y), flag in zip(record.keypoints_xy, record.visibility, strict=True)
    ]
    return {
        "id": record.annotation_id,
        "image_id": record.image_id,
        "category_id": PERSON_CATEGORY,
        "bbox": [float(value) for value in record.box_xywh],
        "area": record.area,
        "iscrowd": 0,
        "keypoints": [value for keypoint in keypoints for value in keypoint],
        "num_keypoints": int((record.visibility > 0).sum()),
    }


def _category(skeleton):
    return {
        "id": PERSON_CATEGORY,
        "name": "person",
        "keypoints": list(skeleton.names),
        "skeleton": [[a + 1, b + 1] for a, b in skeleton.limb_pairs],
    }
