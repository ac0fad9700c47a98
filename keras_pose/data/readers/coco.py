"""The reader of COCO's keypoint format, which many data sets are passed around in.

What counts as a person to train and evaluate on is the HRNet code's rule
(`lib/dataset/coco.py`): not a crowd, at least one labelled keypoint, and a box of
which something is left after clipping it to the image.
"""

from __future__ import annotations

import warnings
from pathlib import Path

import numpy as np

from keras_pose.data.readers.checks import (
    Entry,
    ImageFolder,
    LeftOut,
    check_unique,
    make_record,
)
from keras_pose.data.records import PersonRecord
from keras_pose.files import read_json
from keras_pose.skeleton import COCO_17, Skeleton

_FIELDS = {
    "images": ("id", "file_name", "width", "height"),
    "annotations": ("id", "image_id", "category_id", "bbox", "keypoints"),
}


def read_coco(
    annotation_path,
    image_folder,
    skeleton: Skeleton = COCO_17,
    *,
    check_names: bool = True,
    first_pixel: int = 0,
    area_of_box: float = 1.0,
) -> list[PersonRecord]:
    """Reads the people of a COCO keypoint file, in the file's order of images.

    Args:
        annotation_path: such as `person_keypoints_train2017.json`.
        image_folder: where the images lie. They are not opened here.
        skeleton: the keypoints the file must have; its category says which.
        check_names: False where the file is known to spell them in its own way.
        first_pixel: coordinates of the first pixel: 1 in files made from MATLAB's.
        area_of_box: a person's share of the box, where the file gives no area.

    Raises:
        FileNotFoundError: for a missing annotation file or image folder.
        ValueError: names file, annotation id and field of what is malformed, or
            says that nobody is left.
    """
    annotation_path = Path(annotation_path)
    values = read_json(annotation_path)
    _check_structure(annotation_path, values)
    folder = ImageFolder(image_folder)
    person = _person_category(annotation_path, values, skeleton, check_names)
    images = {image["id"]: image for image in values["images"]}
    people: dict[int, list[PersonRecord]] = {image_id: [] for image_id in images}
    left_out = LeftOut(annotation_path)
    for annotation in values["annotations"]:
        if annotation["category_id"] != person or annotation.get("iscrowd", 0):
            continue
        entry = Entry(annotation_path, f"annotation id {annotation['id']}", annotation)
        if annotation["image_id"] not in images:
            entry.fail("image_id", f"names no image of the file: {annotation['image_id']}")
        image = images[annotation["image_id"]]
        record = _record(entry, left_out, image, folder, skeleton, first_pixel, area_of_box)
        if record is not None:
            people[record.image_id].append(record)
    left_out.warn()
    records = [record for image_people in people.values() for record in image_people]
    if not records:
        raise ValueError(
            f"{annotation_path} has no person to train or evaluate on: "
            f"{len(images)} images, {len(values['annotations'])} annotations, none with a "
            "labelled keypoint, a box inside its image, and an image that is there."
        )
    return records


def labelled_skeleton(annotation_path, skeleton: Skeleton) -> Skeleton:
    """Returns the keypoints that a file has, by the names in its category.

    That is `skeleton` itself where names and order are the same, or the file names
    none; and where no name is shared, as `read_coco` then says what is wrong. Keypoints
    of `skeleton` that are not in the file are told in a warning: nothing will teach them.
    """
    names = keypoint_names(annotation_path)
    if names == skeleton.names or not set(names) & set(skeleton.names):
        return skeleton
    absent = [name for name in skeleton.names if name not in names]
    if absent:
        warnings.warn(
            f"{annotation_path} has no keypoints {', '.join(absent)}, which the skeleton "
            f"{skeleton.name!r} has: they are never labelled.",
            stacklevel=2,
        )
    return Skeleton(f"keypoints of {Path(annotation_path).name}", names)


def keypoint_names(annotation_path) -> tuple[str, ...]:
    """Returns the keypoints that the category of people names; () if it names none."""
    values = read_json(annotation_path)
    _check_structure(annotation_path, values)
    categories = [c for c in values["categories"] if c.get("name") == "person"]
    return tuple(categories[0].get("keypoints") or ()) if categories else ()


def _check_structure(path, values):
    if not isinstance(values, dict):
        raise ValueError(f"{path} is not a COCO file: expected an object at the top.")
    for section in ("images", "annotations", "categories"):
        if not isinstance(values.get(section), list):
            raise ValueError(f"{path} is not a COCO keypoint file: no list {section!r}.")
    for section, fields in _FIELDS.items():
        for i, entry in enumerate(values[section]):
            if not isinstance(entry, dict):
                raise ValueError(f"{path}: {section[:-1]} (entry {i}) is no object {{}}.")
            missing = [field for field in fields if field not in entry]
            if missing:
                raise ValueError(
                    f"{path}: {section[:-1]} id {entry.get('id', f'(entry {i})')} lacks "
                    f"the field {missing[0]!r}."
                )
        check_unique(path, section[:-1], (entry["id"] for entry in values[section]))


def _person_category(path, values, skeleton, check_names):
    """Returns the id of the category that has keypoints, checked against `skeleton`."""
    categories = [c for c in values["categories"] if c.get("name") == "person"]
    if not categories:
        raise ValueError(f"{path} has no category named 'person'.")
    names = tuple(categories[0].get("keypoints", skeleton.names))
    if (names != skeleton.names) if check_names else (len(names) != len(skeleton.names)):
        raise ValueError(
            f"{path}: category 'person' has {len(names)} keypoints {names}, expected the "
            f"{skeleton.num_keypoints} of {skeleton.name!r}: {skeleton.names}."
        )
    return categories[0]["id"]


def _record(entry, left_out, image, folder, skeleton, first_pixel, area_of_box):
    """Returns the record, or None for a person that is not used."""
    keypoints = entry.numbers("keypoints", 3 * skeleton.num_keypoints).reshape(-1, 3)
    visibility = keypoints[:, 2]
    if not np.isin(visibility, (0, 1, 2)).all():
        entry.fail("keypoints", f"has flags other than 0, 1, 2: {set(visibility)}")
    box_xywh = entry.numbers("bbox", 4)
    box_xywh[:2] -= first_pixel
    image_hw = Entry(entry.path, f"image id {image['id']}").check_numbers(
        "height and width", (image["height"], image["width"]), 2
    )
    path = folder.locate(image["file_name"], entry)
    whole_box = float(np.prod(np.maximum(box_xywh[2:], 0)))
    return make_record(
        entry,
        left_out,
        path,
        box_xywh,
        keypoints[:, :2] - first_pixel,
        visibility,
        image_hw=image_hw,
        area=float(entry.values.get("area", area_of_box * whole_box)),
        image_id=image["id"],
        annotation_id=entry.values["id"],
        track_id=entry.values.get("track_id"),
        video=image.get("vid_id"),
    )
