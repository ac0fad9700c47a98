"""The NumPy pipeline of phones and estimators against the TensorFlow one of training.

Both cut the same people out of the same pictures, and must end at the same keypoints:
within a tenth of an image pixel, of crops that are about as large as the input.
"""

import io

import numpy as np
import pytest
import tensorflow as tf
from light_model import BrightnessBackend, light_at
from PIL import Image

from keras_pose.codecs import CODECS
from keras_pose.contracts.fields import TensorSpec
from keras_pose.contracts.pose import Contract
from keras_pose.data import transforms
from keras_pose.data.pipeline import validation_dataset
from keras_pose.data.sources import PersonSource
from keras_pose.data.warping import warp_crop
from keras_pose.pictures.geometry import invert_matrix
from keras_pose.pictures.normalization import Normalization
from keras_pose.runtime import PoseModel
from keras_pose.runtime.top_down_steps import crop_people, decode_people
from keras_pose.skeleton import COCO_17

INPUT_HW = (128, 96)
PLAIN = Normalization(mean=(0, 0, 0), std=(1 / 255,) * 3)  # pixels stay what they are
TENTH = 0.1
BOXES = np.array(
    [[90, 60, 70, 95], [120, 90, 40, 101], [60, 100, 77, 30], [150, 40, 60, 88]]
)


def contract_of(codec):
    return Contract(
        model="brightness",
        input=TensorSpec("image", (1, *INPUT_HW, 3), "uint8"),
        output=TensorSpec("heatmaps", (1, *codec.output_shape(17)), "float32"),
        codec=codec,
        skeleton=COCO_17,
    )


def tf_crop(image, box, is_unbiased):
    """Cuts one person out as training does; returns uint8 pixels and the map back."""
    sample = transforms.whole_crop(
        {
            "box_xywh": tf.constant(box, tf.float32),
            "keypoints_xy": tf.zeros((17, 2)),
            "visibility": tf.ones(17, tf.int32),
        },
        INPUT_HW,
    )
    matrix = transforms.crop_matrix_tf(sample, INPUT_HW, is_unbiased)
    crop = warp_crop(tf.constant(image), matrix, INPUT_HW)
    return np.rint(crop.numpy()).astype(np.uint8), invert_matrix(matrix.numpy())


@pytest.mark.parametrize("kind", ["dark", "udp"])
@pytest.mark.parametrize("box", BOXES)
def test_a_network_finds_the_same_in_both_crops(kind, box):
    codec = CODECS[kind].for_input(INPUT_HW)
    contract = contract_of(codec)
    network = PoseModel(contract, ".onnx", BrightnessBackend())
    x, y = box[:2] + box[2:] * (0.45, 0.55)
    image = light_at(x, y, sigma=8)

    ours, to_image = crop_people(image, box[None].astype(float), contract)
    theirs, back = tf_crop(image, box, codec.is_unbiased)

    # OpenCV interpolates at 32 places between two pixels, TensorFlow anywhere.
    assert np.abs(ours[0].astype(int) - theirs).max() <= 4
    found, _ = decode_people(network.predict(ours), to_image, contract)
    expected, _ = decode_people(network.predict(theirs[None]), back[None], contract)
    np.testing.assert_allclose(found, expected, atol=TENTH)
    # And both are right: heatmaps that take every 4th pixel are half a one off at most.
    np.testing.assert_allclose(found[0, 0], (x, y), atol=2)


def people_source(keypoints_xy):
    """One grey picture with a person in each of `BOXES`."""
    file = io.BytesIO()
    Image.new("RGB", (400, 300), (90, 90, 90)).save(file, "PNG")
    return PersonSource(
        COCO_17,
        [file.getvalue()],
        np.zeros(len(BOXES), np.int32),
        BOXES.astype(np.float32),
        keypoints_xy.astype(np.float32),
        np.full(keypoints_xy.shape[:2], 2, np.int32),
    )


# SimCC rounds to half a pixel of the input, and heatmaps of the plain codec to a quarter of
# four pixels: those are their ceilings, not a difference between pipelines.
@pytest.mark.parametrize(
    ("kind", "tolerance"),
    [
        ("dark", TENTH),
        ("udp", TENTH),
        ("regression", TENTH),
        ("simcc", 0.5),
        ("gaussian", 2),
    ],
)
def test_what_training_encodes_the_estimator_decodes_to_the_labels(kind, tolerance):
    rng = np.random.default_rng(seed=0)
    inside = rng.uniform(0.1, 0.9, (len(BOXES), 17, 2))
    labels_xy = BOXES[:, None, :2] + inside * BOXES[:, None, 2:]
    codec = CODECS[kind].for_input(INPUT_HW)
    contract = contract_of(codec)
    source = people_source(labels_xy)

    batch = next(iter(validation_dataset(source, codec, PLAIN, len(BOXES))))
    image = source.load(0).image
    crops, to_image = crop_people(image, BOXES.astype(float), contract)
    decoded_xy, _ = decode_people(batch[1].numpy(), to_image, contract)

    np.testing.assert_allclose(np.rint(batch[0]), crops, atol=1)
    # No crop is wider than the input, so an image pixel is an input pixel at least.
    np.testing.assert_allclose(decoded_xy, labels_xy, atol=tolerance)
