"""Writes synthetic people as an ordinary COCO keypoint data set.

    OUTPUT/annotations/person_keypoints_train2017.json
    OUTPUT/train2017/000000000001.jpg ...
    OUTPUT/synthetic_train.json        what the pictures were drawn from

Nothing half-written ever stands under a final name, and the annotations come last.
The same command again draws only what is missing and ends with the same files.
"""

import json
from collections.abc import Callable, Iterable
from pathlib import Path

import numpy as np

from keras_pose.data.synthetic.drawn_scenes import draw_scenes
from keras_pose.data.synthetic.scene import MIN_IMAGE_SIDE, SyntheticPerson, scene_seed
from keras_pose.files import atomic_path, check_writable, read_json, write_json
from keras_pose.skeleton import COCO_17

GENERATOR_VERSION = "1.1"  # raise it whenever the same seed gives other pictures


def write_coco_dataset(
    output_dir,
    num_images: int,
    seed: int = 0,
    split: str = "train",
    image_hw=(256, 256),
    progress: Callable[[range], Iterable[int]] = iter,
) -> Path:
    """Draws a data set, or completes one that was interrupted.

    Args:
        output_dir: folder to write into; made if absent.
        num_images: pictures in the split.
        seed: 0 or more; another seed gives other people.
        split: "train" or "val"; the two never share a picture, whatever the seeds.
        image_hw: (height, width) of the pictures, pixels.
        progress: wraps the range of picture numbers, `tqdm.tqdm` for one.

    Returns:
        The path of the annotation file.

    Raises:
        ValueError: for bad arguments, or a folder that holds other pictures.
        PermissionError: if the folder takes no files.
    """
    if num_images < 1:
        raise ValueError(f"num_images must be at least 1, got {num_images}.")
    if len(image_hw) != 2 or min(image_hw) < MIN_IMAGE_SIDE:
        raise ValueError(
            f"image_hw must be (height, width), both at least {MIN_IMAGE_SIDE} pixels, "
            f"got {tuple(image_hw)}."
        )
    stream = scene_seed(seed, split)
    output_dir = check_writable(output_dir)
    image_dir = check_writable(output_dir / f"{split}2017")
    settings = {
        "generator": "keras_pose.data.synthetic",
        "version": GENERATOR_VERSION,
        "seed": int(seed),
        "split": split,
        "image_hw": [int(side) for side in image_hw],
    }
    _claim(output_dir / f"synthetic_{split}.json", image_dir, settings)
    images: list[dict] = []
    annotations: list[dict] = []
    scenes = draw_scenes(stream, range(num_images), image_hw)
    for index in progress(range(num_images)):
        scene = next(scenes)
        path = image_dir / f"{index + 1:012d}.jpg"
        if not path.exists():
            with atomic_path(path) as temporary:
                temporary.write_bytes(scene.jpeg)
        images.append(_image_entry(index + 1, path.name, image_hw))
        for person in scene.people:
            annotations.append(_annotation(len(annotations) + 1, index + 1, person))
    content = {
        "info": {"description": "Synthetic people with exact labels", **settings},
        "licenses": [],
        "images": images,
        "annotations": annotations,
        "categories": [_category()],
    }
    path = output_dir / "annotations" / f"person_keypoints_{split}2017.json"
    with atomic_path(path) as temporary:
        temporary.write_text(json.dumps(content) + "\n", encoding="utf-8")
    return path


def _claim(path: Path, image_dir: Path, settings: dict) -> None:
    """Records what a folder is drawn from; refuses folders drawn from anything else."""
    if path.exists():
        found = read_json(path)
        if found != settings:
            raise ValueError(
                f"{image_dir} holds pictures drawn from {found}, and cannot take others "
                f"drawn from {settings}. Choose another folder or remove it."
            )
    elif any(image_dir.glob("*.jpg")):
        raise ValueError(
            f"{image_dir} holds pictures that this program did not draw (there is no "
            f"{path.name} beside it). Choose another folder."
        )
    else:
        write_json(path, settings)


def _image_entry(image_id: int, file_name: str, image_hw) -> dict:
    """Returns an entry of COCO's `images`."""
    height, width = (int(side) for side in image_hw)
    return {"id": image_id, "file_name": file_name, "height": height, "width": width}


def _annotation(annotation_id: int, image_id: int, person: SyntheticPerson) -> dict:
    """Returns an entry of COCO's `annotations`."""
    keypoints = []
    for (x, y), flag in zip(person.keypoints_xy, person.visibility, strict=True):
        keypoints += [round(float(x), 2), round(float(y), 2), int(flag)]
    return {
        "id": annotation_id,
        "image_id": image_id,
        "category_id": 1,
        "keypoints": keypoints,
        "num_keypoints": int(np.count_nonzero(person.visibility)),
        "bbox": [round(float(value), 2) for value in person.box_xywh],
        "area": float(person.area),
        "iscrowd": 0,
    }


def _category() -> dict:
    """Returns COCO's person category; its skeleton counts from 1."""
    names = list(COCO_17.names)
    skeleton = [[names.index(a) + 1, names.index(b) + 1] for a, b in COCO_17.limbs]
    return {
        "id": 1,
        "name": "person",
        "supercategory": "person",
        "keypoints": names,
        "skeleton": skeleton,
    }
