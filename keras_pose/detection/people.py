"""Where a person detector's training samples come from: images with all their boxes.

A keypoint reader passes over people without labelled keypoints; a detector is to find
them, too. Like the sources of poses, this one is a table, so that the pipeline needs no
Python.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from keras_pose.data.datasets import (
    DEFAULT_DIRS,
    check_dataset_name,
    find_coco,
    open_dataset,
)
from keras_pose.data.records import Id
from keras_pose.data.sources import PersonSource, broken_images
from keras_pose.detection.losses import IGNORED, PADDING
from keras_pose.files import read_json
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
    """

    images: list[Path] | list[bytes]
    image_ids: list[Id]
    boxes: np.ndarray
    num_skipped_images: int = 0

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, indices) -> BoxSource:
        """Picks images by a list of indices."""
        return replace(
            self,
            images=[self.images[i] for i in indices],
            image_ids=[self.image_ids[i] for i in indices],
            boxes=self.boxes[indices],
        )

    @property
    def num_boxes(self) -> int:
        """How many objects there are, ignored regions left out."""
        return int((self.boxes[..., 4] >= 0).sum())

    def without_broken_images(self) -> BoxSource:
        """Decodes every image once, and leaves out those that cannot be, with a warning.

        Raises:
            ImageError: when no image is left.
        """
        broken = set(broken_images(self.images))
        if len(broken) == len(self):
            raise ImageError(f"None of the {len(self)} images of the data set can be read.")
        kept = self[[i for i in range(len(self)) if i not in broken]]
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


def read_coco_boxes(annotation_path, image_folder) -> BoxSource:
    """Reads all images of a COCO file with the boxes of their people.

    Crowds, and annotations whose box has no area within its image, train nobody: the
    former become ignored regions, the latter go.

    Args:
        annotation_path: file in COCO's format with a category "person".
        image_folder: where the images lie. They are not opened here.

    Raises:
        FileNotFoundError: for a missing annotation file or image folder.
        ValueError: names file, annotation id and field of what is malformed.
    """
    annotation_path, image_folder = Path(annotation_path), Path(image_folder)
    values = read_json(annotation_path)
    if not image_folder.is_dir():
        raise FileNotFoundError(f"Image folder {image_folder} does not exist.")
    images = {entry["id"]: entry for entry in _section(annotation_path, values, "images")}
    person = _person(annotation_path, values)
    rows: dict[Id, list[list[float]]] = {image_id: [] for image_id in images}
    for annotation in _section(annotation_path, values, "annotations"):
        if annotation["category_id"] != person:
            continue
        image = images.get(annotation["image_id"])
        box = _box(annotation_path, annotation, image)
        if box[0] < box[2] and box[1] < box[3]:
            label = IGNORED if annotation.get("iscrowd", 0) else PERSON
            rows[annotation["image_id"]].append([*box, label])
    paths = [_path(annotation_path, image, image_folder) for image in images.values()]
    return BoxSource(paths, list(images), pad_boxes(list(rows.values())))


def open_boxes(name: str, data_dir=None, split: str = "val") -> tuple[BoxSource, Path]:
    """Opens a split of a data set for detectors.

    Args:
        name: "coco" or "synthetic", whose files label everybody in a picture.
        data_dir: its folder; None for its usual one.
        split: "train" or "val". The synthetic validation split is drawn on first use.

    Returns:
        The boxes, and the file they are from.

    Raises:
        ValueError: for another data set, or malformed annotations.
        FileNotFoundError: when the data set is not there.
    """
    if check_dataset_name(name) not in DETECTION_DATASETS:
        raise ValueError(
            f"Detectors need a data set in which everybody is labelled: "
            f"{' or '.join(DETECTION_DATASETS)}, got {name!r}."
        )
    data_dir = Path(data_dir or DEFAULT_DIRS[name])
    found = find_coco(data_dir, split)
    if found is None:
        open_dataset(name, data_dir, split)  # draws it, or says where it looked
        found = find_coco(data_dir, split)
    if found is None:
        raise FileNotFoundError(f"No {split} split of {name} in {data_dir}.")
    return read_coco_boxes(*found), found[0]


_FIELDS = {
    "images": ("id", "file_name", "width", "height"),
    "annotations": ("id", "image_id", "category_id", "bbox"),
    "categories": ("id", "name"),
}


def _section(path, values, section):
    entries = values.get(section) if isinstance(values, dict) else None
    if not isinstance(entries, list):
        raise ValueError(f"{path} is not a COCO file: no list {section!r}.")
    for i, entry in enumerate(entries):
        for field in _FIELDS[section]:
            if field not in entry:
                name = f"{section} entry {i}, id {entry.get('id')}"
                raise ValueError(f"{path}: {name} lacks the field {field!r}.")
    return entries


def _person(path, values):
    """Returns the id of the category "person"."""
    for category in _section(path, values, "categories"):
        if category["name"] == "person":
            return category["id"]
    raise ValueError(f"{path} has no category named 'person'.")


def _box(path, annotation, image):
    """Returns x1, y1, x2, y2 of an annotation, clipped to its image."""
    where = f"{path}: annotation id {annotation['id']}, field"
    if image is None:
        raise ValueError(
            f"{where} 'image_id' names no image of the file: {annotation['image_id']}."
        )
    try:
        x, y, width, height = (float(value) for value in annotation["bbox"])
    except (TypeError, ValueError) as error:
        raise ValueError(
            f"{where} 'bbox' must hold 4 numbers, got {annotation['bbox']!r}."
        ) from error
    if not np.isfinite([x, y, width, height]).all():
        raise ValueError(f"{where} 'bbox' holds NaN or infinite values.")
    return (
        max(0.0, x),
        max(0.0, y),
        min(float(image["width"]), x + width),
        min(float(image["height"]), y + height),
    )


def _path(annotation_path, image, image_folder):
    path = Path(image["file_name"])
    if path.is_absolute() or ".." in path.parts:
        raise ValueError(
            f"{annotation_path}: image id {image['id']}, field 'file_name' points outside "
            f"the image folder: {image['file_name']!r}."
        )
    return image_folder / path


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
    return BoxSource(source.images, list(range(1, len(rows) + 1)), pad_boxes(rows))
