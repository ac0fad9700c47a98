"""A network that finds the light, and pictures of lights."""

import numpy as np

from keras_pose.codecs import GaussianHeatmapCodec
from keras_pose.contracts.fields import TensorSpec
from keras_pose.contracts.pose import Contract
from keras_pose.runtime import PoseModel
from keras_pose.skeleton import COCO_17


class BrightnessBackend:
    """A network whose every heatmap is the crop's brightness: it finds the light."""

    input = TensorSpec("image", (None, 128, 96, 3), "uint8")
    output = TensorSpec("heatmaps", (None, 32, 24, 17), "float32")

    def __init__(self):
        self.batches = []

    def run(self, images):
        self.batches.append(images)
        light = images[:, ::4, ::4, :1].astype(np.float32) / 255
        return np.repeat(light, 17, axis=-1)


def make_model():
    contract = Contract(
        model="brightness",
        input=TensorSpec("image", (1, 128, 96, 3), "uint8"),
        output=TensorSpec("heatmaps", (1, 32, 24, 17), "float32"),
        codec=GaussianHeatmapCodec((128, 96)),
        skeleton=COCO_17,
    )
    return PoseModel(contract, ".onnx", BrightnessBackend())


def light_at(x, y, image_hw=(300, 400), sigma=15):
    """Returns a dark image with a soft light around a point."""
    rows, columns = np.ogrid[: image_hw[0], : image_hw[1]]
    glow = 250 * np.exp(-((rows - y) ** 2 + (columns - x) ** 2) / (2 * sigma**2))
    return np.repeat(np.uint8(glow)[..., None], 3, axis=-1)
