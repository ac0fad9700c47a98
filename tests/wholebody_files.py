"""A COCO-WholeBody file of one picture, in the format of the set's `data_format.md`."""

import json

import numpy as np
from PIL import Image

from keras_pose.skeleton import COCO_17, WHOLEBODY_PARTS

VALID = ("foot", "face", "lefthand", "righthand")


def flat(count, start, flag=1):
    """Flat keypoints on a diagonal."""
    places = start + np.arange(count, dtype=float)
    return np.stack([places, places, np.full(count, flag)], axis=1).ravel().tolist()


def annotation(number=1, valid=VALID, **changes):
    """One person; parts that are not valid are zeros, as the set has them."""
    starts = {"keypoints": 10, "foot_kpts": 20, "face_kpts": 12}
    parts = {}
    for field, place in WHOLEBODY_PARTS.items():
        count, word = place.stop - place.start, field.removesuffix("_kpts")
        is_valid = field == "keypoints" or word in valid
        start = starts.get(field, 30)
        parts[field] = flat(count, start) if is_valid else [0.0] * (3 * count)
    boxes = {
        f"{part}_box": [30, 30, 24, 20] if part in valid else [0.0] * 4
        for part in ("face", "lefthand", "righthand")
    }
    return (
        {
            "id": number,
            "image_id": 785,
            "category_id": 1,
            "bbox": [5, 5, 80, 90],
            "area": 3600.0,
            "iscrowd": 0,
            "num_keypoints": 17,
            "segmentation": [[5, 5, 80, 5, 80, 90]],
        }
        | parts
        | boxes
        | {f"{part}_valid": part in valid for part in VALID}
        | changes
    )


def write_wholebody(folder, annotations, name="coco_wholebody_val_v1.0.json"):
    """Writes annotations and picture as the set lies on disk; returns the folder."""
    (folder / "annotations").mkdir(parents=True)
    (folder / "val2017").mkdir()
    Image.new("RGB", (100, 100)).save(folder / "val2017" / "000000000785.jpg")
    image = {"id": 785, "file_name": "000000000785.jpg", "width": 100, "height": 100}
    category = {"id": 1, "name": "person", "keypoints": list(COCO_17.names)}
    values = {"images": [image], "annotations": annotations, "categories": [category]}
    (folder / "annotations" / name).write_text(json.dumps(values))
    return folder
