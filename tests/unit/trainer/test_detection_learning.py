"""Whether what is wired together learns: a few images by heart, in a minute."""

import io

import keras
import numpy as np
import pytest

from keras_pose.contracts.detector import detector_contract
from keras_pose.data.person_boxes import boxes_of_people
from keras_pose.data.sources import synthetic_source
from keras_pose.losses.detection_losses import BoxLoss
from keras_pose.pictures.boxes import box_iou, letterbox
from keras_pose.pictures.images import read_image
from keras_pose.runtime.detector_model import Detector
from keras_pose.trainer.detection_fit import start_boxes, training_model
from keras_pose.zoo import build_model, get_spec

pytestmark = pytest.mark.very_slow
INPUT_HW = (128, 128)


def _samples(count):
    """Yields an image, its people's boxes, the network's input and its truth."""
    source = boxes_of_people(synthetic_source(count))
    for image, boxes in zip(source.images, source.boxes, strict=True):
        pixels = read_image(io.BytesIO(image))
        boxed, scale_xy = letterbox(pixels, INPUT_HW)
        truth = boxes.copy()
        truth[:, :4] *= np.tile(scale_xy, 2)
        yield pixels, boxes[boxes[:, 4] >= 0, :4], boxed, truth


def test_a_detector_learns_four_images_by_heart():
    keras.utils.set_random_seed(0)
    normalization = get_spec("testing_detector").normalization
    network = build_model("testing_detector", 1, INPUT_HW)
    start_boxes(network)
    model = training_model(network)
    model.compile(keras.optimizers.Adam(1e-2), BoxLoss(INPUT_HW, (8, 16, 32)))
    images, boxes, inputs, truths = zip(*_samples(4), strict=True)
    batch = normalization(np.stack(inputs).astype(np.float32)), np.stack(truths)

    model.fit(*batch, epochs=200, batch_size=4, verbose=0, shuffle=False)

    detector = Detector.from_keras(network, detector_contract(network, normalization))
    for image, expected in zip(images, boxes, strict=True):
        best = detector(image)[: len(expected)]
        assert len(best) == len(expected)
        assert best.scores.min() > 0.3
        assert box_iou(expected, best.boxes_xyxy).max(axis=1).min() > 0.5
