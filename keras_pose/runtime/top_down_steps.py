"""The steps around a top-down model: image -> crops -> outputs -> keypoints.

One function each, used by the evaluator and by the estimator alike, so that a
measured number and a drawn skeleton come from the same code. NumPy only.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from keras_pose.contracts.pose import Contract
from keras_pose.pictures.geometry import (
    box_to_crop,
    crop_matrix,
    invert_matrix,
    transform_points,
    warp_image,
)
from keras_pose.runtime.pose_model import PoseModel
from keras_pose.skeleton import Skeleton

# Crops, (N, H, W, 3) uint8 RGB -> what the codec decodes, float32.
Predict = Callable[[np.ndarray], np.ndarray]


def crop_people(image, boxes_xywh, contract: Contract):
    """Cuts the model's input out of an image, once per person.

    Args:
        image: (H, W, 3) uint8 RGB.
        boxes_xywh: (N, 4) person boxes, image pixels.
        contract: says how large a crop is, how much wider than its box, and by which
            map it is cut.

    Returns:
        crops: (N, *input_hw, 3) uint8 RGB.
        to_image: (N, 2, 3) float64 maps from crop pixels to image pixels.
    """
    input_hw = contract.input_hw
    center_xy, size_wh = box_to_crop(boxes_xywh, input_hw, contract.box_padding)
    is_unbiased = contract.codec.is_unbiased
    matrices = crop_matrix(center_xy, size_wh[:, 0], input_hw, is_unbiased=is_unbiased)
    crops = [warp_image(image, matrix, input_hw) for matrix in matrices]
    stacked = np.stack(crops) if crops else np.zeros((0, *input_hw, 3), np.uint8)
    return stacked, invert_matrix(matrices)


def predict_outputs(predict: Predict, crops, contract: Contract, flip_test: bool = False):
    """Runs the model, and on mirrored crops as well if `flip_test`.

    Source of the flip test: `validate` in `lib/core/function.py` of the HRNet code.

    Args:
        predict: the model.
        crops: (N, H, W, 3) uint8 RGB.
        contract: names the keypoints that change places in a mirror, and holds the
            codec, which knows how its outputs are mirrored.
        flip_test: average with the mirrored outputs for the mirrored crops.

    Returns:
        (N, *codec.output_shape(K)) float32.

    Raises:
        ValueError: for a flip test of a skeleton without mirror pairs.
    """
    outputs = np.asarray(predict(crops), np.float32)
    if not flip_test:
        return outputs
    check_flip_test(contract.skeleton)
    mirrored = np.asarray(predict(np.ascontiguousarray(crops[:, :, ::-1])), np.float32)
    mirrored = contract.codec.flip_back(mirrored, contract.skeleton.mirror_permutation)
    return (outputs + mirrored) * np.float32(0.5)


def predict_people(model: PoseModel, crops, flip_test: bool = False):
    """Runs a model, all of its outputs; see `predict_outputs`.

    Args:
        model: the model.
        crops: (N, H, W, 3) uint8 RGB.
        flip_test: average with the mirrored outputs for the mirrored crops.

    Returns:
        outputs: (N, *codec.output_shape(K)) float32.
        visibility: (N, K, 3) float32 probabilities of `certainty.KINDS`; None for a model
            without the head.
    """
    contract = model.contract
    if contract.visibility is None:
        return predict_outputs(model.predict, crops, contract, flip_test), None
    logits: list[np.ndarray] = []

    def predict(images):
        outputs, found = model.predict_all(images)
        if found is not None:
            logits.append(found)
        return outputs

    outputs = predict_outputs(predict, crops, contract, flip_test)
    if flip_test:
        own, mirrored = logits
        mirrored = mirrored[:, contract.skeleton.mirror_permutation]
        logits = [(own + mirrored) * np.float32(0.5)]
    return outputs, contract.visibility.probabilities(logits[0])


def check_flip_test(skeleton: Skeleton) -> None:
    """Raises ValueError unless the skeleton says what a mirror does to it."""
    if not skeleton.mirrored:
        raise ValueError(
            f"A flip test needs to know which keypoints a mirror exchanges; skeleton "
            f"{skeleton.name!r} has no mirrored pairs."
        )


def decode_people(outputs, to_image, contract: Contract):
    """Finds keypoints in a model's outputs and takes them back to their images.

    Args:
        outputs: (N, *codec.output_shape(K)) float32.
        to_image: (N, 2, 3) maps from crop pixels to image pixels.
        contract: holds the codec.

    Returns:
        keypoints_xy: (N, K, 2) float64, image pixels.
        keypoint_scores: (N, K) float32, such as the heights of the peaks.
    """
    crop_xy, keypoint_scores = contract.codec.decode(outputs)
    return transform_points(to_image, crop_xy), keypoint_scores


def crop_areas(boxes_xywh, contract: Contract):
    """Returns (N,) areas of the padded crops: the person's size in OKS-NMS."""
    _, size_wh = box_to_crop(boxes_xywh, contract.input_hw, contract.box_padding)
    return size_wh.prod(axis=-1)


def person_scores(box_scores, keypoint_scores, threshold: float = 0.2):
    """Rates whole people: box score x mean of the keypoint scores above `threshold`.

    0 where no keypoint score is above it. Source: `COCODataset.evaluate` of the
    HRNet code (`TEST.IN_VIS_THRE`).

    Args:
        box_scores: (N,) 1 for ground-truth boxes.
        keypoint_scores: (N, K).
        threshold: keypoints at or below it do not count, nor do those whose score
            is not a number.

    Returns:
        (N,) float64.
    """
    scores = np.asarray(keypoint_scores)
    # In the scores' own type: a float32 0.2 is above the float64 0.2.
    counts = scores > threshold
    total = np.where(counts, scores, 0).sum(axis=-1, dtype=np.float64)
    mean = total / np.maximum(counts.sum(axis=-1), 1)
    return np.asarray(box_scores, np.float64) * mean
