"""Training samples of person detectors: images with all their boxes.

A keypoint reader passes over people without labelled keypoints; a detector is to find
them, too. Like the sources of poses, this one is a table, so that the pipeline needs no
Python.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from keras_pose.data.pictures import factors_of, smaller_xy
from keras_pose.data.readers.coco import AS_WRITTEN, Reading
from keras_pose.data.readers.coco_categories import choose_box_category
from keras_pose.data.readers.coco_people import CocoPeople, ReadingRules
from keras_pose.data.records import Id
from keras_pose.data.sources import PersonSource
from keras_pose.data.whole_pictures import (
    WholePictures,
    WholeSplit,
    open_whole,
    read_everybody,
    read_truth,
)
from keras_pose.losses.detection_losses import IGNORED, PADDING
from keras_pose.pictures.geometry import xywh_to_xyxy

PERSON = 0
# Static shapes: boxes are padded to a multiple of this many an image.
BOX_MULTIPLE = 8


@dataclass(frozen=True)
class BoxSource(WholePictures):
    """The labelled boxes of N images.

    Attributes:
        images: N paths, or N encoded images.
        image_ids: ids of the images in the data set.
        boxes: (N, M, 5) float32: x1, y1, x2, y2 in image pixels, and a label: a class,
            or `PADDING` or `IGNORED` of `losses.detection_losses`.
        num_skipped_images: images that were left out because they are broken.
        image_hw: (N, 2) int, (height, width) that the boxes were made for, pixels; zeros
            where it is not known, or None for all: see `PersonSource`.
        is_trainable: True if TensorFlow decodes all images to the pixels meant.
    """

    images: list[Path] | list[bytes]
    image_ids: list[Id]
    boxes: np.ndarray
    num_skipped_images: int = 0
    image_hw: np.ndarray | None = None
    is_trainable: bool = False

    def take(self, indices: Sequence[int]) -> BoxSource:
        """Picks images with their boxes."""
        chosen = list(indices)
        images: list[Any] = [self.images[i] for i in chosen]
        return replace(
            self,
            images=images,
            image_ids=[self.image_ids[i] for i in chosen],
            boxes=self.boxes[chosen],
            image_hw=None if self.image_hw is None else self.image_hw[chosen],
        )

    @property
    def num_boxes(self) -> int:
        """Number of objects, ignored regions left out."""
        return int((self.boxes[..., 4] >= 0).sum())

    def in_images(self, images) -> BoxSource:
        """Returns the same boxes in images as training reads them."""
        corners = self.boxes[..., :4].reshape(*self.boxes.shape[:2], 2, 2)
        scaled = smaller_xy(corners, factors_of(images)[:, None, None, None])
        labels = self.boxes[..., 4:]
        scaled = np.where(labels == PADDING, 0, scaled.reshape(self.boxes[..., :4].shape))
        boxes = np.concatenate([scaled, labels], axis=2).astype(np.float32)
        return replace(self, images=images, boxes=boxes, image_hw=None, is_trainable=True)

    def with_people(self) -> BoxSource:
        """Leaves out images without an object, as RTMDet's training does.

        Raises:
            ValueError: when no image is left.
        """
        found = np.flatnonzero((self.boxes[..., 4] >= 0).any(axis=1))
        if not len(found):
            raise ValueError(f"There is nobody in the {len(self)} images to train on.")
        return self.take(found.tolist())


def read_coco_boxes(
    annotation_path, image_folder, reading: Reading = AS_WRITTEN
) -> BoxSource:
    """Reads all images of a COCO file with the boxes of their people.

    Crowds, and annotations whose box has no area within its image, are not trained on: the
    former become ignored regions, the latter go. What is made good of the files that
    tools write stands in `data.readers.coco_people`.

    Args:
        annotation_path: file in COCO's format with a category "person", or one that has
            keypoints.
        image_folder: folder of the images. Only headers are read here.
        reading: options of the user for reading the file.

    Raises:
        FileNotFoundError: for a missing annotation file or image folder.
        ValueError: names file, annotation id and field of what is malformed.
    """
    path = Path(annotation_path)
    category = choose_box_category(path, reading.category)
    rules = ReadingRules(expects_area=False)
    people, paths = read_everybody(path, Path(image_folder), category, rules, reading)
    sizes_hw = people.images.sizes_hw.astype(np.int64)
    return BoxSource(paths, people.images.ids, _boxes(people), image_hw=sizes_hw)


def read_box_truth(split: WholeSplit, reading: Reading = AS_WRITTEN) -> dict[str, Any]:
    """Returns the ground truth of a split that `open_boxes` opened, see `read_truth`."""
    category = choose_box_category(split.annotation_path, reading.category)
    return read_truth(split, category, reading)


def _boxes(people: CocoPeople) -> np.ndarray:
    """Returns (M, P, 5) boxes by image, clipped to it, with labels."""
    sizes_hw = people.images.sizes_hw[people.image_index]
    limits = np.where(sizes_hw > 0, sizes_hw, np.inf)[:, ::-1]
    corners = xywh_to_xyxy(people.boxes_xywh)
    near, far = np.maximum(0, corners[:, :2]), np.minimum(limits, corners[:, 2:])
    labels = np.where(people.is_crowd, IGNORED, PERSON)
    boxes = np.column_stack([near, far, labels])
    rows: list[list[list[float]]] = [[] for _ in people.images.ids]
    kept = np.flatnonzero((near < far).all(axis=1))
    for image, box in zip(people.image_index[kept], boxes[kept].tolist(), strict=True):
        rows[image].append(box)
    return pad_boxes(rows)


def open_boxes(
    name: str, data_dir=None, split: str = "val", reading: Reading = AS_WRITTEN
) -> WholeSplit[BoxSource]:
    """Opens a split of a data set for detectors.

    Args:
        name: data set, as `open_whole` takes it.
        data_dir: its folder; None for its usual one.
        split: "train" or "val". The synthetic validation split is drawn on first use.
        reading: options of the user for reading the file.

    Raises:
        ValueError: for another data set, or malformed annotations.
        FileNotFoundError: when the data set is not there.
    """

    def read(annotation_path, image_folder):
        return read_coco_boxes(annotation_path, image_folder, reading)

    return open_whole("Detectors", name, data_dir, split, read)


def join_boxes(sources: Sequence[BoxSource]) -> BoxSource:
    """Joins the images of several sources, with their boxes."""
    most = max(source.boxes.shape[1] for source in sources)
    boxes = [
        np.pad(
            source.boxes,
            ((0, 0), (0, most - source.boxes.shape[1]), (0, 0)),
            constant_values=PADDING,
        )
        for source in sources
    ]
    images: list[Any] = [image for source in sources for image in source.images]
    ids = [image_id for source in sources for image_id in source.image_ids]
    sizes_hw = [source.image_hw for source in sources if source.image_hw is not None]
    return BoxSource(
        images,
        ids,
        np.concatenate(boxes),
        sum(source.num_skipped_images for source in sources),
        np.concatenate(sizes_hw) if len(sizes_hw) == len(sources) else None,
        all(source.is_trainable for source in sources),
    )


def pad_boxes(rows: list[list[list[float]]]) -> np.ndarray:
    """Stacks the boxes (x1, y1, x2, y2, label) of each image to (N, M, 5) float32."""
    most = max(1, max(map(len, rows), default=0))
    padded = np.zeros((len(rows), -(-most // BOX_MULTIPLE) * BOX_MULTIPLE, 5), np.float32)
    padded[..., 4] = PADDING
    for image, boxes in zip(padded, rows, strict=True):
        image[: len(boxes)] = np.reshape(boxes, (-1, 5))
    return padded


def boxes_of_people(source: PersonSource) -> BoxSource:
    """Makes a source of boxes out of one of poses, whose images show no other people."""
    rows: list[list[list[float]]] = [[] for _ in source.images]
    corners = xywh_to_xyxy(source.boxes_xywh)
    for image, box in zip(source.image_index, corners, strict=True):
        rows[image].append([*box, PERSON])
    return BoxSource(
        source.images,
        list(range(1, len(rows) + 1)),
        pad_boxes(rows),
        image_hw=source.image_hw,
        is_trainable=source.is_trainable,
    )
