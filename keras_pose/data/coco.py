"""The COCO keypoint reader.

What counts as a person to train and evaluate on is the HRNet code's rule
(`lib/dataset/coco.py`): not a crowd, at least one labelled keypoint, and a box of
which something is left after clipping it to the image.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from keras_pose.data.records import PersonRecord
from keras_pose.files import read_json
from keras_pose.geometry import clean_boxes_xywh
from keras_pose.skeleton import COCO_17, Skeleton

_FIELDS = {
    "images": ("id", "file_name", "width", "height"),
    "annotations": ("id", "image_id", "category_id", "bbox", "keypoints"),
}


def read_coco(
    annotation_path, image_folder, skeleton: Skeleton = COCO_17
) -> list[PersonRecord]:
    """Reads the people of a COCO keypoint file, in the file's order of images.

    Args:
        annotation_path: such as `person_keypoints_train2017.json`.
        image_folder: where the images lie. They are not opened here.
        skeleton: the keypoints the file must have; its category says which.

    Raises:
        FileNotFoundError: for a missing annotation file or image folder.
        ValueError: names file, annotation id and field of what is malformed, or
            says that nobody is left.
    """
    annotation_path, image_folder = Path(annotation_path), Path(image_folder)
    values = read_json(annotation_path)
    _check_structure(annotation_path, values)
    if not image_folder.is_dir():
        raise FileNotFoundError(f"Image folder {image_folder} does not exist.")
    person = _person_category(annotation_path, values, skeleton)
    images = {image["id"]: image for image in values["images"]}
    people: dict[int, list[PersonRecord]] = {image_id: [] for image_id in images}
    for annotation in values["annotations"]:
        if annotation["category_id"] != person or annotation.get("iscrowd", 0):
            continue
        reader = _AnnotationReader(annotation_path, annotation)
        if annotation["image_id"] not in images:
            reader.fail("image_id", f"names no image of the file: {annotation['image_id']}")
        record = reader.record(images[annotation["image_id"]], image_folder, skeleton)
        if record is not None:
            people[record.image_id].append(record)
    records = [record for image_people in people.values() for record in image_people]
    if not records:
        raise ValueError(
            f"{annotation_path} has no person to train or evaluate on: "
            f"{len(images)} images, {len(values['annotations'])} annotations, none with a "
            "labelled keypoint and a box inside its image."
        )
    return records


def _check_structure(path, values):
    if not isinstance(values, dict):
        raise ValueError(f"{path} is not a COCO file: expected an object at the top.")
    for section in ("images", "annotations", "categories"):
        if not isinstance(values.get(section), list):
            raise ValueError(f"{path} is not a COCO keypoint file: no list {section!r}.")
    for section, fields in _FIELDS.items():
        for i, entry in enumerate(values[section]):
            missing = [field for field in fields if field not in entry]
            if missing:
                raise ValueError(
                    f"{path}: {section[:-1]} id {entry.get('id', f'(entry {i})')} lacks "
                    f"the field {missing[0]!r}."
                )


def _person_category(path, values, skeleton):
    """Returns the id of the category that has keypoints, checked against `skeleton`."""
    categories = [c for c in values["categories"] if c.get("name") == "person"]
    if not categories:
        raise ValueError(f"{path} has no category named 'person'.")
    names = tuple(categories[0].get("keypoints", skeleton.names))
    if names != skeleton.names:
        raise ValueError(
            f"{path}: category 'person' has {len(names)} keypoints {names}, expected the "
            f"{skeleton.num_keypoints} of {skeleton.name!r}: {skeleton.names}."
        )
    return categories[0]["id"]


class _AnnotationReader:
    """Turns one annotation into a record, and says where it is malformed."""

    def __init__(self, path, annotation):
        self._path = path
        self._annotation = annotation

    def fail(self, field, problem):
        raise ValueError(
            f"{self._path}: annotation id {self._annotation.get('id')}, field "
            f"{field!r} {problem}."
        )

    def numbers(self, field, count):
        """Reads a list of `count` finite numbers."""
        try:
            values = np.asarray(self._annotation[field], np.float64)
        except (TypeError, ValueError):
            self.fail(field, f"is not a list of numbers: {self._annotation[field]!r}")
        if values.shape != (count,):
            self.fail(field, f"must hold {count} numbers, got shape {values.shape}")
        if not np.isfinite(values).all():
            self.fail(field, "holds NaN or infinite values")
        return values

    def record(self, image, image_folder, skeleton):
        """Returns the record, or None for a person that is not used."""
        keypoints = self.numbers("keypoints", 3 * skeleton.num_keypoints).reshape(-1, 3)
        visibility = keypoints[:, 2]
        if not np.isin(visibility, (0, 1, 2)).all():
            self.fail("keypoints", f"has flags other than 0, 1, 2: {set(visibility)}")
        boxes, is_valid = clean_boxes_xywh(
            self.numbers("bbox", 4), (image["height"], image["width"])
        )
        area = float(self._annotation.get("area", boxes[0, 2] * boxes[0, 3]))
        # A box of one pixel is left by the reference's rule, and cannot be cropped.
        has_extent = is_valid[0] and boxes[0, 2:].any()
        if not visibility.any() or not has_extent or area <= 0:
            return None
        labelled = visibility[:, None] > 0
        return PersonRecord(
            image_path=self._image_path(image, image_folder),
            image_id=image["id"],
            annotation_id=self._annotation["id"],
            box_xywh=boxes[0],
            keypoints_xy=np.where(labelled, keypoints[:, :2], 0).astype(np.float32),
            visibility=visibility.astype(np.uint8),
            area=area,
        )

    def _image_path(self, image, image_folder):
        path = Path(image["file_name"])
        if path.is_absolute() or ".." in path.parts:
            self.fail(
                "image_id", f"points outside the image folder: {image['file_name']!r}"
            )
        return image_folder / path
