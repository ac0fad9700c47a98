"""The reader of COCO's keypoint format, which many data sets are passed around in.

What counts as a person to train and evaluate on is the HRNet code's rule
(`lib/dataset/coco.py`): not a crowd, at least one labelled keypoint, and a box of
which something is left after clipping it to the image. What is made good of the files
that tools write stands in `coco_people`.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from keras_pose.data.readers.checks import (
    Entry,
    ImageFolder,
    LeftOut,
    Notes,
    inner_name,
)
from keras_pose.data.readers.coco_categories import choose_category, id_as_text, names_of
from keras_pose.data.readers.coco_checks import check_boxes
from keras_pose.data.readers.coco_people import CocoPeople, ReadingRules, read_people
from keras_pose.data.readers.coco_sizes import settle_sizes
from keras_pose.data.readers.own_fields import Unpack
from keras_pose.data.records import PersonTable
from keras_pose.files import read_json
from keras_pose.pictures.geometry import clean_boxes_xywh
from keras_pose.skeleton import COCO_17, Skeleton


@dataclass(frozen=True)
class Reading:
    """Options of the user for reading a file in COCO's format.

    Attributes:
        category: name or id of the category to read, of several that have keypoints;
            None for the only one, or "person".
        rescale_labels: True to scale labels to pictures that were made smaller or larger;
            such pictures are an error otherwise.
        keeps_unlabelled: True to keep people with a box and no labelled keypoint.
    """

    category: str | None = None
    rescale_labels: bool = False
    keeps_unlabelled: bool = False


AS_WRITTEN = Reading()
_LOOKED_AT = 32  # images by which the folder that names start from is found


def read_coco(
    annotation_path,
    image_folder,
    skeleton: Skeleton = COCO_17,
    *,
    check_names: bool = True,
    first_pixel: int = 0,
    area_of_box: float = 1.0,
    expects_area: bool = True,
    unpack: Unpack | None = None,
    reading: Reading = AS_WRITTEN,
) -> PersonTable:
    """Reads the people of a COCO keypoint file, in the file's order of images.

    Args:
        annotation_path: annotation file, COCO JSON, such as
            `person_keypoints_train2017.json`.
        image_folder: folder of the images; file names may also start from the folder above,
            or from the file's. Only headers of images are read.
        skeleton: keypoints that the file must have, by the names in its category.
        check_names: False where the file is known to spell them in its own way.
        first_pixel: coordinates of the first pixel: 1 in files made from MATLAB's.
        area_of_box: area of a person as a share of the box, where the file gives none.
        expects_area: False if such files never have areas, so that no warning is given.
        unpack: function that puts annotations into COCO's form with the keypoints of
            `skeleton`, see `own_fields`; names in the file's category are then not
            compared.
        reading: options of the user for reading the file.

    Raises:
        FileNotFoundError: for a missing annotation file or image folder.
        ValueError: names file, annotation id and field of what is malformed, or
            says that no person is left.
    """
    path = Path(annotation_path)
    if image_folder is not None:
        ImageFolder(image_folder)  # said before a long file is read
    rules = ReadingRules(
        skeleton.num_keypoints, first_pixel, area_of_box, expects_area, unpack
    )
    notes = Notes(path)
    if unpack is None:
        chosen = _checked_category(path, reading.category, skeleton, check_names)
    else:
        chosen = choose_category(path, reading.category)
    people = read_people(path, chosen, rules, notes)
    left_out = LeftOut(path)
    table = usable_people(
        people,
        image_folder,
        reading.rescale_labels,
        notes,
        left_out,
        reading.keeps_unlabelled,
    )
    notes.warn()
    left_out.warn()
    return table


def read_coco_truth(
    annotation_path,
    image_folder=None,
    skeleton: Skeleton | None = None,
    reading: Reading = AS_WRITTEN,
    is_mended: bool = True,
    category: dict[str, Any] | None = None,
    unpack: Unpack | None = None,
    needs_all_images: bool = False,
) -> dict[str, Any]:
    """Returns what a COCO file holds of one category, with its liberties made good.

    What was all right stays as it is in the file. Warnings are those of the readers,
    and are not said again.

    Args:
        annotation_path: annotation file, COCO JSON.
        image_folder: folder of the images, as `read_coco` takes it; None to leave the
            pictures' sizes as stated.
        skeleton: keypoints that the file must have; None for any number.
        reading: options of the user for reading the file.
        is_mended: False where it is known that nothing had to be made good.
        category: entry of the category in the file; None for that of `choose_category`.
        unpack: function that puts annotations into COCO's form, as `read_coco` takes it.
        needs_all_images: True to look for pictures without a labelled person, too.
    """
    path = Path(annotation_path)
    chosen = category or choose_category(path, reading.category)
    names = names_of(chosen) if unpack is None else ()
    names = names or (skeleton.names if skeleton else ())
    people = None
    if is_mended:
        count = None if skeleton is None else skeleton.num_keypoints
        rules = ReadingRules(count, unpack=unpack)
        people = read_people(path, chosen, rules, Notes(path))
        if image_folder is not None:
            used = np.unique(people.image_index[people.is_labelled & ~people.is_crowd])
            wanted = range(len(people.images.ids)) if needs_all_images else used
            found, root = locate_images(people, image_folder, wanted)
            people = settle_sizes(people, found, root, Notes(path), reading.rescale_labels)
    return _mended_file(path, chosen, names, people, unpack)


def _mended_file(
    path, category, names, people: CocoPeople | None, unpack: Unpack | None
) -> dict[str, Any]:
    """Returns the contents of a file with what was mended, and one category only."""
    values = read_json(path)
    wanted = id_as_text(category["id"])
    rows = [
        row for row in values["annotations"] if id_as_text(row["category_id"]) == wanted
    ]
    if unpack is not None:
        rows = [new for row in rows for new in unpack(path, row)]
    images = values["images"]
    if people is not None:
        for i in np.flatnonzero(people.is_mended):
            rows[i] = rows[i] | _mended(people, i)
        images = list(map(_resized, images, people.images.sizes_hw.tolist()))
    if names:
        category = category | {"keypoints": list(names)}
    return values | {"images": images, "annotations": rows, "categories": [category]}


def _resized(image, size_hw):
    """Puts the settled size into an image, where that is known and another."""
    height, width = size_hw
    if not height or (image.get("height"), image.get("width")) == (height, width):
        return image
    return image | {"height": int(height), "width": int(width)}


def _mended(people, i) -> dict[str, Any]:
    flags = people.visibility[i].astype(np.float64)
    keypoints = np.concatenate([people.keypoints_xy[i], flags[:, None]], axis=1)
    return {
        "image_id": people.images.ids[people.image_index[i]],
        "category_id": people.category["id"],
        "bbox": people.boxes_xywh[i].tolist(),
        "area": float(people.areas[i]),
        "iscrowd": int(people.is_crowd[i]),
        "keypoints": [round(value, 4) for value in keypoints.ravel().tolist()],
        "num_keypoints": int((flags > 0).sum()),
    }


def labelled_skeleton(
    annotation_path, skeleton: Skeleton, category: str | None = None
) -> Skeleton:
    """Returns the keypoints that a file has, by the names in its category.

    That is `skeleton` itself where names and order are the same, or the file names
    none; and where no name is shared, as `read_coco` then says what is wrong. Keypoints
    of `skeleton` that are not in the file are named in a warning: nothing will teach them.
    """
    names = keypoint_names(annotation_path, category)
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


def keypoint_names(annotation_path, category: str | None = None) -> tuple[str, ...]:
    """Returns the keypoints that a file's category names; () if it names none."""
    return names_of(choose_category(annotation_path, category))


def locate_images(
    people: CocoPeople, image_folder, images: Iterable[int]
) -> tuple[dict[int, str], Path]:
    """Finds the pictures of a COCO file, whichever folder its names start from.

    Args:
        people: images and annotations of the file.
        image_folder: first place to look; then the folder above, and that of the file
            with its `images`. None to take names for paths.
        images: image indices.

    Returns:
        Names by image index of those that are there, and the folder that names start
        from: the one in which most are found.

    Raises:
        ValueError: for names that lead out of their folder, naming file and image.
    """
    names = {int(i): _image_name(people, int(i)) for i in images}
    root = ImageFolder(image_folder)
    if root.is_real and not all(map(root.has, names.values())):
        sample = list(names.values())[:: max(1, len(names) // _LOOKED_AT)]
        beside = people.path.parent
        tried = (root.path.parent, beside, beside / "images", beside.parent)
        others = [ImageFolder(folder) for folder in tried if folder.is_dir()]
        # Of those with equally many, max takes the first.
        root = max([root, *others], key=lambda folder: sum(map(folder.has, sample)))
    return {i: name for i, name in names.items() if root.has(name)}, root.path


def _image_name(people, image) -> str:
    entry = Entry(people.path, f"image id {people.images.ids[image]}")
    return inner_name(people.images.names[image], entry, "file_name")


def _checked_category(path, name, skeleton, check_names):
    """Returns the category that is read, checked against `skeleton`."""
    chosen = choose_category(path, name)
    names = names_of(chosen)
    if not names:
        warnings.warn(
            f"{path}: category {chosen.get('name')!r} does not name its keypoints: they "
            f"are taken for the {skeleton.num_keypoints} of {skeleton.name!r}, "
            f"{', '.join(skeleton.names[:3])}, ...",
            stacklevel=3,
        )
        return chosen
    if (names != skeleton.names) if check_names else (len(names) != len(skeleton.names)):
        raise ValueError(
            f"{path}: category {chosen.get('name')!r} has {len(names)} keypoints {names}, "
            f"expected the {skeleton.num_keypoints} of {skeleton.name!r}: "
            f"{skeleton.names}."
        )
    return chosen


def usable_people(
    people: CocoPeople,
    image_folder,
    rescale: bool,
    notes: Notes,
    left_out: LeftOut,
    keeps_unlabelled: bool = False,
) -> PersonTable:
    """Makes the table of the people who can be used, and counts the others."""
    used = (people.is_labelled | keeps_unlabelled) & ~people.is_crowd
    images = np.unique(people.image_index[used])
    found, root = locate_images(people, image_folder, images)
    stated_hw = people.images.sizes_hw
    if image_folder is not None:
        people = settle_sizes(people, found, root, notes, rescale)
    is_there = np.zeros(len(people.images.ids), bool)
    is_there[list(found)] = True
    has_image = is_there[people.image_index]
    left_out.add("their image is missing", _names(people, used & ~has_image))
    used &= has_image
    boxes, has_extent = _clean_boxes(people)
    left_out.add("nothing of their box, or no area", _names(people, used & ~has_extent))
    rows = np.flatnonzero(used & has_extent)
    if not len(rows):
        is_share = used.any() and (
            people.keypoints_xy[used].max() <= 1 or people.boxes_xywh[used].max() <= 1
        )
        hint = " All coordinates are within 1: COCO's are pixels." if is_share else ""
        raise ValueError(
            f"{people.path} has no person to train or evaluate on: "
            f"{len(people.images.ids)} images, {len(people)} annotations, none with a "
            f"labelled keypoint, a box inside its image, and an image that is there.{hint}"
        )
    check_boxes(people, rows, boxes, notes)
    # In the file's order of images, and of annotations within each.
    rows = rows[np.argsort(people.image_index[rows], kind="stable")]
    is_mended = bool(
        people.is_mended.any()
        or (stated_hw != people.images.sizes_hw).any()
        or any("\\" in str(name) for name in people.images.names)
    )
    return _records(people, rows, boxes, root, is_mended)


def _names(people, chosen):
    return (f"annotation id {people.ids[i]}" for i in np.flatnonzero(chosen))


def _clean_boxes(people):
    """Clips boxes to their images; returns them, and whose have an extent and an area."""
    sizes_hw = people.images.sizes_hw[people.image_index]
    is_known = sizes_hw.all(axis=1)
    limits = np.where(is_known[:, None], sizes_hw, np.inf)
    clean, is_valid = clean_boxes_xywh(people.boxes_xywh, limits.T)
    boxes = np.where(is_known[:, None], clean, people.boxes_xywh)
    has_extent = (people.boxes_xywh[:, 2:] >= 0).all(axis=1) & (is_valid | ~is_known)
    # A box of one pixel is left by the reference's rule, and cannot be cropped.
    return boxes, has_extent & boxes[:, 2:].any(axis=1) & (people.areas > 0)


def _records(people: CocoPeople, rows, boxes, root, is_mended) -> PersonTable:
    images, places = np.unique(people.image_index[rows], return_inverse=True)
    numbers, videos = images.tolist(), people.images.videos
    names = [_image_name(people, i) for i in numbers]
    ids, tracks = (
        None if values is None else _objects(values)[rows]
        for values in (people.ids, people.track_ids)
    )
    return PersonTable(
        folder=root,
        image_names=names,
        image_ids=[people.images.ids[i] for i in numbers],
        image_sizes_hw=people.images.sizes_hw[images],
        videos=None if videos is None else [videos[i] for i in numbers],
        image_index=places.astype(np.int32),
        annotation_ids=_objects([]) if ids is None else ids,
        boxes_xywh=boxes[rows],
        keypoints_xy=people.keypoints_xy[rows],
        visibility=people.visibility[rows],
        areas=people.areas[rows],
        track_ids=tracks,
        is_mended=is_mended,
    )


def _objects(values) -> np.ndarray:
    """Puts values of any type into an array, each as it is."""
    array = np.empty(len(values), object)
    array[:] = values
    return array
