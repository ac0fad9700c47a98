"""A small data set of keypoints that no built-in skeleton has, drawn into a folder."""

import json

import numpy as np
from PIL import Image

from keras_pose.codecs import GaussianHeatmapCodec
from keras_pose.contracts.fields import TensorSpec
from keras_pose.contracts.pose import Contract
from keras_pose.skeleton import Skeleton

# Five keypoints without OKS sigmas.
TOY = Skeleton(
    name="toy",
    names=("top", "left_hand", "right_hand", "left_foot", "right_foot"),
    mirrored=(("left_hand", "right_hand"), ("left_foot", "right_foot")),
    limbs=(("top", "left_hand"), ("top", "right_hand")),
)
# (x, y) of the keypoints in a box of 60 x 80.
POINTS_XY = ((30, 5), (50, 40), (10, 40), (40, 75), (20, 75))


def write_toys(folder, num_images=3):
    """Writes train and val splits of one toy a picture; returns the folder."""
    (folder / "images").mkdir(parents=True)
    rng = np.random.default_rng(seed=0)
    images, annotations = [], []
    for i in range(1, num_images + 1):
        pixels = rng.integers(0, 256, (96, 80, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(folder / "images" / f"{i}.png")
        images.append({"id": i, "file_name": f"{i}.png", "width": 80, "height": 96})
        keypoints = [value for x, y in POINTS_XY for value in (x + 10, y + 8, 2)]
        annotations.append(
            {"id": i, "image_id": i, "category_id": 1, "iscrowd": 0, "area": 2400,
             "bbox": [10, 8, 60, 80], "num_keypoints": 5, "keypoints": keypoints}
        )  # fmt: skip
    category = {"id": 1, "name": "person", "keypoints": list(TOY.names), "skeleton": []}
    values = {"images": images, "annotations": annotations, "categories": [category]}
    for split in ("train", "val"):
        (folder / f"person_keypoints_{split}.json").write_text(json.dumps(values))
    return folder


class ToyModel:
    """Stands in for a model file: every keypoint is in the middle of the crop."""

    file_type = ".tflite"

    def __init__(self, skeleton=TOY):
        self.contract = Contract(
            model="toy",
            input=TensorSpec("image", (1, 64, 48, 3), "uint8"),
            output=TensorSpec("heatmaps", (1, 16, 12, 5), "float32"),
            codec=GaussianHeatmapCodec((64, 48)),
            skeleton=skeleton,
        )

    def predict(self, crops):
        heatmaps = np.zeros((len(crops), 16, 12, 5), np.float32)
        heatmaps[:, 8, 6] = 1
        return heatmaps
