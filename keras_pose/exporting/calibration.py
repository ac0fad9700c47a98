"""Calibration images: real crops of the training set, cut as inference cuts them."""

from __future__ import annotations

import numpy as np

from keras_pose.boxes import letterbox
from keras_pose.data.sources import PersonSource, synthetic_source
from keras_pose.detector_contract import DetectorContract, ModelContract
from keras_pose.topdown import crop_people

NUM_CHECK_CROPS = 4


def calibration_crops(
    source: PersonSource, contract: ModelContract, count: int, seed: int = 0
):
    """Cuts crops of people picked at random.

    Args:
        source: whose training split the model has seen.
        contract: says how a crop is made.
        count: crops wanted; fewer if there are not as many people.
        seed: picks the people.

    Returns:
        (N, H, W, 3) uint8 RGB.

    Raises:
        ValueError: for a count below 1, or a source without people.
    """
    if count < 1 or not len(source):
        raise ValueError(
            f"Calibration needs at least 1 crop and 1 person, got count={count} and "
            f"{len(source)} people."
        )
    rng = np.random.default_rng(seed)
    indices = rng.permutation(len(source))[:count]
    return np.concatenate([_crop(source.load(int(index)), contract) for index in indices])


def check_crops(contract: ModelContract):
    """Cuts a few synthetic people, to compare a file with its model where no data is."""
    source = synthetic_source(NUM_CHECK_CROPS)
    return calibration_crops(source, contract, NUM_CHECK_CROPS)


def _crop(sample, contract: ModelContract):
    if isinstance(contract, DetectorContract):
        return letterbox(sample.image, contract.input_hw)[0][None]
    crops, _ = crop_people(sample.image, sample.box_xywh[None], contract)
    return crops


def span_all_pixels(crops):
    """Returns float32 crops in which both 0 and 255 occur.

    The calibrator takes the smallest and largest value it meets as the input's range.
    Exactly 0 and 255 make the quantised input the pixel itself (scale 1, zero point 0).
    """
    spanning = np.array(crops, np.float32)
    spanning[0, 0, 0] = 0.0
    spanning[0, -1, -1] = 255.0
    return spanning
