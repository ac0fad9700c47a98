"""Where a person detector's training samples come from: images with all their boxes.

A keypoint reader passes over people without labelled keypoints; a detector is to find
them, too. Like the sources of poses, this one is a table, so that the pipeline needs no
Python.
"""

from __future__ import annotations

import os
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from keras_pose.data.datasets import (
    DEFAULT_DIRS,
    SPECS,
    check_dataset_name,
    locate_split,
    open_dataset,
)
from keras_pose.data.layouts import share_of
from keras_pose.data.own import is_own
from keras_pose.data.pictures import factors_of, trainable_images, warn_of_broken
from keras_pose.data.readers.checks import Notes
from keras_pose.data.readers.coco import (
    AS_WRITTEN,
    Reading,
    locate_images,
    read_coco_truth,
)
from keras_pose.data.readers.coco_categories import choose_box_category
from keras_pose.data.readers.coco_people import CocoPeople, ReadingRules, read_people
from keras_pose.data.readers.coco_sizes import settle_sizes
from keras_pose.data.records import Id
from keras_pose.data.sources import PersonSource
from keras_pose.detection.losses import IGNORED, PADDING
from keras_pose.images import ImageError

PERSON = 0
DETECTION_DATASETS = ("coco", "synthetic")
# Static shapes: boxes are padded to a multiple of this many an image.
BOX_MULTIPLE = 8


@dataclass(frozen=True)
class BoxSource:
    """The labelled boxes of N images.

    Attributes:
        images: N paths, or N encoded images.
        image_ids: what the data set calls the images.
        boxes: (N, M, 5) float32: x1, y1, x2, y2 in image pixels, and a label: a class,
            or `PADDING` or `IGNORED` of `detection.losses`.
        num_skipped_images: images that were left out because they are broken.
        image_hw: (N, 2) int, (height, width) that the boxes were made for, pixels; zeros
            where it is not known, or None for all: see `PersonSource`.
        is_trainable: whether TensorFlow decodes all images to the pixels meant.
    """

    images: list[Path] | list[bytes]
    image_ids: list[Id]
    boxes: np.ndarray
    num_skipped_images: int = 0
    image_hw: np.ndarray | None = None
    is_trainable: bool = False

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, indices) -> BoxSource:
        """Picks images by a list of indices."""
        return replace(
            self,
            images=[self.images[i] for i in indices],
            image_ids=[self.image_ids[i] for i in indices],
            boxes=self.boxes[indices],
            image_hw=None if self.image_hw is None else self.image_hw[indices],
        )

    @property
    def num_boxes(self) -> int:
        """How many objects there are, ignored regions left out."""
        return int((self.boxes[..., 4] >= 0).sum())

    def trainable(self) -> BoxSource:
        """Returns the same boxes in images that TensorFlow decodes as `read_image` does.

        Raises:
            ImageError: names an image that must be converted and cannot be read.
            ValueError: names an image that is not of the size its boxes were made for.
        """
        if self.is_trainable:
            return self
        images, broken = trainable_images(self.images, self.image_hw, is_decoded=False)
        for error in broken.values():
            raise error
        return self._in_images(images)

    def _in_images(self, images) -> BoxSource:
        """Returns the same boxes in images as training reads them."""
        factors = factors_of(images)[:, None, None]
        is_box = self.boxes[..., 4:] != PADDING
        scaled = np.where(is_box, (self.boxes[..., :4] + 0.5) / factors - 0.5, 0)
        boxes = self.boxes
        if (factors > 1).any():
            boxes = np.concatenate([scaled, boxes[..., 4:]], axis=2).astype(np.float32)
        return replace(self, images=images, boxes=boxes, image_hw=None, is_trainable=True)

    def without_broken_images(self) -> BoxSource:
        """Decodes every image once, and leaves out those that cannot be, with a warning.

        What comes back is `trainable`.

        Raises:
            ImageError: when no image is left.
            ValueError: names an image that is not of the size its boxes were made for.
        """
        images, broken = trainable_images(self.images, self.image_hw)
        warn_of_broken(broken)
        if len(broken) == len(self):
            raise ImageError(f"None of the {len(self)} images of the data set can be read.")
        ready = self._in_images(images)
        kept = ready[[i for i in range(len(self)) if i not in broken]]
        return replace(kept, num_skipped_images=len(broken))

    def with_people(self) -> BoxSource:
        """Leaves out images without an object, as RTMDet's training does.

        Raises:
            ValueError: when no image is left.
        """
        found = np.flatnonzero((self.boxes[..., 4] >= 0).any(axis=1))
        if not len(found):
            raise ValueError(f"There is nobody in the {len(self)} images to train on.")
        return self[found.tolist()]


def read_coco_boxes(
    annotation_path, image_folder, reading: Reading = AS_WRITTEN
) -> BoxSource:
    """Reads all images of a COCO file with the boxes of their people.

    Crowds, and annotations whose box has no area within its image, train nobody: the
    former become ignored regions, the latter go. What is made good of the files that
    tools write stands in `data.readers.coco_people`.

    Args:
        annotation_path: file in COCO's format with a category "person", or one that has
            keypoints.
        image_folder: where the images lie. Only headers are read here.
        reading: what the user says of the file.

    Raises:
        FileNotFoundError: for a missing annotation file or image folder.
        ValueError: names file, annotation id and field of what is malformed.
    """
    path, folder = Path(annotation_path), Path(image_folder)
    category = choose_box_category(path, reading.category)
    if not folder.is_dir():
        raise FileNotFoundError(f"Image folder {folder} does not exist.")
    notes = Notes(path)
    people = read_people(path, category, ReadingRules(expects_area=False), notes)
    everything = range(len(people.images.ids))
    found, root = locate_images(people, folder, everything)
    people = settle_sizes(people, found, root, notes, reading.rescale_labels)
    notes.warn()
    names = people.images.names
    paths = [root / found.get(i, names[i]) for i in everything]
    sizes_hw = people.images.sizes_hw.astype(np.int64)
    return BoxSource(paths, people.images.ids, _boxes(people), image_hw=sizes_hw)


def read_box_truth(annotation_path, reading: Reading = AS_WRITTEN) -> dict[str, Any]:
    """Returns the ground truth of boxes: the file's people, with liberties made good.

    Args:
        annotation_path: see `read_coco_boxes`.
        reading: see there; pictures are not looked at.
    """
    category = choose_box_category(annotation_path, reading.category)
    return read_coco_truth(annotation_path, category=category)


def _boxes(people: CocoPeople) -> np.ndarray:
    """Returns (M, P, 5) boxes by image, clipped to it, with labels."""
    sizes_hw = people.images.sizes_hw[people.image_index]
    limits = np.where(sizes_hw > 0, sizes_hw, np.inf)[:, ::-1]
    near = np.maximum(0, people.boxes_xywh[:, :2])
    far = np.minimum(limits, people.boxes_xywh[:, :2] + people.boxes_xywh[:, 2:])
    labels = np.where(people.is_crowd, IGNORED, PERSON)
    boxes = np.column_stack([near, far, labels])
    rows: list[list[list[float]]] = [[] for _ in people.images.ids]
    kept = np.flatnonzero((near < far).all(axis=1))
    for image, box in zip(people.image_index[kept], boxes[kept].tolist(), strict=True):
        rows[image].append(box)
    return pad_boxes(rows)


def open_boxes(
    name: str, data_dir=None, split: str = "val", reading: Reading = AS_WRITTEN
) -> tuple[BoxSource, Path]:
    """Opens a split of a data set for detectors.

    Args:
        name: "coco" or "synthetic", whose files label everybody in a picture, or a name of
            one's own for a set in COCO's format, which must do so, too.
        data_dir: its folder; None for its usual one.
        split: "train" or "val". The synthetic validation split is drawn on first use.
        reading: what the user says of the file.

    Returns:
        The boxes, and the file they are from.

    Raises:
        ValueError: for another data set, or malformed annotations.
        FileNotFoundError: when the data set is not there.
    """
    if is_own(name) and data_dir is not None:
        name = "coco"
    if check_dataset_name(name) not in DETECTION_DATASETS:
        raise ValueError(
            f"Detectors need a data set in which everybody is labelled: "
            f"{' or '.join(DETECTION_DATASETS)}, got {name!r}."
        )
    data_dir = Path(data_dir or DEFAULT_DIRS[name])
    found = locate_split(SPECS["coco"], data_dir, split)
    if found is None:
        open_dataset(name, data_dir, split)  # draws it, or says where it looked
        found = locate_split(SPECS["coco"], data_dir, split)
    if found is None:
        raise FileNotFoundError(f"No {split} split of {name} in {data_dir}.")
    source = read_coco_boxes(found.paths[0], found.images, reading)
    if found.part is not None:
        names = [os.path.relpath(str(path), found.images) for path in source.images]
        chosen = share_of(names, found.part)
        source = source[[i for i, name in enumerate(names) if name in chosen]]
    return source, found.paths[0]


def pad_boxes(rows: list[list[list[float]]]) -> np.ndarray:
    """Stacks the boxes (x1, y1, x2, y2, label) of each image to (N, M, 5) float32."""
    most = max(1, max(map(len, rows), default=0))
    padded = np.zeros((len(rows), -(-most // BOX_MULTIPLE) * BOX_MULTIPLE, 5), np.float32)
    padded[..., 4] = PADDING
    for image, boxes in zip(padded, rows, strict=True):
        image[: len(boxes)] = np.reshape(boxes, (-1, 5))
    return padded


def boxes_of_people(source: PersonSource) -> BoxSource:
    """Makes a source of boxes out of one of poses, whose images show nobody else."""
    rows: list[list[list[float]]] = [[] for _ in source.images]
    corners = np.concatenate(
        [source.boxes_xywh[:, :2], source.boxes_xywh[:, :2] + source.boxes_xywh[:, 2:]],
        axis=1,
    )
    for image, box in zip(source.image_index, corners, strict=True):
        rows[image].append([*box, PERSON])
    return BoxSource(
        source.images,
        list(range(1, len(rows) + 1)),
        pad_boxes(rows),
        image_hw=source.image_hw,
        is_trainable=source.is_trainable,
    )
