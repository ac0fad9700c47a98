"""A pose network and a detector without training: they find coloured lights.

A person is three lights, red, green and blue, on a grey body. What the networks give is a
smooth function of the pixels, so that every runtime must find the same keypoints.
"""

import cv2
import keras
import numpy as np
import tensorflow as tf
from exported_files import export_tflite

from keras_pose.codecs import DarkHeatmapCodec
from keras_pose.codecs.part_affinity import PartAffinityCodec
from keras_pose.contracts.bottom_up import bottom_up_contract
from keras_pose.contracts.detector import detector_contract
from keras_pose.contracts.entries import write_contract
from keras_pose.contracts.fields import TensorSpec
from keras_pose.contracts.one_stage import FIELDS, PREFIX, OneStageContract
from keras_pose.contracts.pose import keras_contract
from keras_pose.exporting.float_graph.saved import converted
from keras_pose.exporting.float_graph.serving import SIGNATURE
from keras_pose.exporting.formats.embedding import embed_contract
from keras_pose.parity.bundle import write_bundle
from keras_pose.parity.model_cases import Person
from keras_pose.parity.model_file import ModelFile
from keras_pose.pictures.boxes import BoxSettings
from keras_pose.pictures.normalization import Normalization
from keras_pose.skeleton import Skeleton

POSE_HW, DETECTOR_HW = (64, 48), (96, 128)
SKELETON = Skeleton(
    name="lights",
    names=("nose", "left_hand", "right_hand"),
    mirrored=(("left_hand", "right_hand"),),
    limbs=(("nose", "left_hand"), ("nose", "right_hand")),
)
PLAIN = Normalization(mean=(0, 0, 0), std=(1, 1, 1))
LIGHTS = ((0, -22), (-14, 12), (14, 12))  # x, y from a person's middle
STRIDE = 16


def export_models(folder, quantization="float32"):
    """Writes pose.tflite and detector.tflite with their contracts; returns the paths."""
    return (
        _export(folder / "pose.tflite", pose_network, POSE_HW, quantization),
        _export(folder / "detector.tflite", detector_network, DETECTOR_HW, quantization),
    )


def export_pose(path, quantization, with_decode):
    """Writes the pose network alone; returns the path."""
    return _export(path, pose_network, POSE_HW, quantization, with_decode=with_decode)


def _export(path, make, input_hw, quantization, **options):
    model, contract = make()
    rng = np.random.default_rng(seed=0)
    crops = rng.integers(0, 256, (4, *input_hw, 3), dtype=np.uint8)
    export_tflite(model, contract, path, crops, quantization, **options)
    return path


def pose_network():
    """Heatmaps are the crop's colours."""
    image = keras.Input((*POSE_HW, 3))
    model = keras.Model(image, keras.layers.AveragePooling2D(4)(image), name="colours")
    return model, keras_contract(model, DarkHeatmapCodec(POSE_HW), SKELETON, PLAIN)


def detector_network():
    """A box of one size around wherever it is bright."""
    image = keras.Input((*DETECTOR_HW, 3))
    cells = keras.layers.AveragePooling2D(STRIDE)(image)
    scores = keras.layers.Conv2D(1, 1, name="scores")
    distances = keras.layers.Conv2D(4, 1, name="distances")
    outputs = [scores(cells), distances(cells)]
    scores.set_weights([np.full((1, 1, 3, 1), 20.0), np.full(1, -6.0)])
    distances.set_weights([np.zeros((1, 1, 3, 4)), np.array([8.0, 10.0, 22.0, 24.0])])
    model = keras.Model(image, outputs, name="brightness")
    settings = BoxSettings(iou_threshold=0.1)
    return model, detector_contract(model, PLAIN, settings=settings)


def export_one_stage(path):
    """Writes a network that finds the lights of each half of the picture; returns the path.

    A keypoint is where the middle of a colour is, of all that is bright in it.
    """
    height, width = DETECTOR_HW
    columns = np.arange(width, dtype=np.float32)[:, None]
    rows = np.arange(height, dtype=np.float32)[:, None, None]
    halves = np.stack([columns < width / 2, columns >= width / 2]).astype(np.float32)

    image = tf.TensorSpec((1, height, width, 3), tf.uint8, name="image")

    @tf.function(input_signature=[image], autograph=False)
    def serve(image):
        light = tf.nn.relu(tf.cast(image, tf.float32) - 130.0)[0]  # above the letterbox
        people = []
        for half in halves:
            share = light * half
            total = tf.reduce_sum(share, (0, 1)) + 1e-3
            xy = [
                tf.reduce_sum(share * places, (0, 1)) / total for places in (columns, rows)
            ]
            people.append(tf.reshape(tf.stack(xy, axis=-1), (-1,)))
        keypoints = tf.stack(people)[None]
        x, y = (tf.reduce_mean(keypoints[..., axis::2], -1) for axis in (0, 1))
        return {
            f"{PREFIX}scores": tf.constant([[0.9, 0.8]]) + 0.0 * x,
            f"{PREFIX}boxes": tf.stack([x - 9, y - 14, x + 9, y + 14], axis=-1),
            f"{PREFIX}keypoints": keypoints,
            f"{PREFIX}visibility": 0.0 * keypoints[..., ::2] + 0.9,
        }

    path.write_bytes(converted(serve))
    num_keypoints = SKELETON.num_keypoints
    shapes = ((), (4,), (2 * num_keypoints,), (num_keypoints,))
    outputs = (
        TensorSpec(PREFIX + name, (1, 2, *shape), "float32")
        for name, shape in zip(FIELDS, shapes, strict=True)
    )
    pixels = TensorSpec("image", (1, height, width, 3), "uint8")
    contract = OneStageContract("rtmo_t", pixels, *outputs, SKELETON, signature=SIGNATURE)
    embed_contract(path, contract)
    write_contract(path, contract)
    return path


def export_bottom_up(path, quantization="float32"):
    """Writes the bottom-up network alone; returns the path."""
    return _export(path, bottom_up_network, DETECTOR_HW, quantization)


def bottom_up_network():
    """Heatmaps are colours above grey; fields lead nowhere, so every light is somebody."""
    image = keras.Input((*DETECTOR_HW, 3))
    light = keras.layers.AveragePooling2D(8)(image)
    heatmaps, fields = (keras.layers.Conv2D(4, 1, name=name) for name in ("maps", "fields"))
    model = keras.Model(image, [heatmaps(light), fields(light)], name="openpose_lite")
    heatmaps.set_weights([4 * np.eye(3, 4)[None, None], np.full(4, -0.5)])
    fields.set_weights([np.zeros((1, 1, 3, 4)), np.zeros(4)])
    codec = PartAffinityCodec(DETECTOR_HW, min_peak=0.3, min_keypoints=1, min_score=0.1)
    return model, bottom_up_contract(model, codec, SKELETON, PLAIN)


def crowd_bundle(folder, task):
    """Writes the bundle of a network that finds everybody; returns its folder."""
    make = {"one_stage": export_one_stage, "bottom_up": export_bottom_up}[task]
    file = ModelFile(make(folder / f"{task}.tflite"))
    nobody = np.zeros(4)
    return write_bundle(folder / "models", {"pose": file}, [Person(frame(0), nobody)])


def frame(index, image_hw=(240, 320)):
    """Draws two people, who come towards each other; RGB."""
    image = np.full((*image_hw, 3), 20, np.uint8)
    for x, y in ((60 + 3 * index, 100), (260 - 3 * index, 150)):
        cv2.ellipse(image, (x, y), (24, 42), 0, 0, 360, (45, 45, 45), -1)
        for channel, (dx, dy) in enumerate(LIGHTS):
            light = np.zeros(image_hw, np.uint8)
            cv2.circle(light, (x + dx, y + dy), 7, 255, -1)
            image[..., channel] = np.maximum(image[..., channel], light)
    return cv2.GaussianBlur(image, (0, 0), 3)
