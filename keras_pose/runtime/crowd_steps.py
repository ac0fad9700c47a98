"""The steps around networks of whole pictures: picture -> outputs -> people of the picture.

One function each, used by the evaluator and by the estimator alike. NumPy only.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from keras_pose.contracts.bottom_up import BottomUpContract
from keras_pose.contracts.crowd_fields import CrowdContract
from keras_pose.contracts.one_stage import OneStageContract
from keras_pose.pictures.boxes import kept_indices, letterbox
from keras_pose.pictures.structures import Detections, Poses

# A letterboxed picture, (H, W, 3) uint8 RGB -> the contract's outputs, float32.
PredictOutputs = Callable[[np.ndarray], Sequence[np.ndarray]]


def find_poses(predict: PredictOutputs, image, contract: CrowdContract) -> Poses:
    """Finds everybody in a picture.

    Args:
        predict: the network.
        image: (H, W, 3) uint8 RGB.
        contract: input, outputs and codec of the network.

    Returns:
        The people by falling score, image pixels. Keypoints that a bottom-up network did
        not find are at (0, 0) with a score of 0; its boxes are around those that it did.

    Raises:
        TypeError: for a contract of another kind.
    """
    boxed, scale_xy = letterbox(image, contract.input_hw)
    outputs = predict(boxed)
    if isinstance(contract, OneStageContract):
        return in_picture(people_of(outputs, contract), scale_xy)
    if not isinstance(contract, BottomUpContract):
        raise TypeError(f"No steps are known for {type(contract).__name__}.")
    heatmaps, fields = outputs
    return decode_picture(heatmaps, fields, scale_xy, contract)


def people_of(outputs: Sequence[np.ndarray], contract: OneStageContract) -> Poses:
    """Picks people out of a one-stage network's outputs for one picture.

    Source: `RTMOHead.predict` of mmpose's `heads/hybrid_heads/rtmo_head.py`: a threshold of
    scores, then greedy NMS of boxes; keypoints are as visible as the network says.

    Args:
        outputs: scores (N,), boxes (N, 4), keypoints (N, 2 K) and visibility (N, K).
        contract: holds codec and skeleton.

    Returns:
        The people by falling score, input pixels.
    """
    scores, boxes, keypoints, visibility = (np.asarray(x, np.float32) for x in outputs)
    codec = contract.codec
    likely = np.flatnonzero(scores > np.float32(codec.score_threshold))
    found = Detections(boxes[likely], scores[likely], np.zeros(len(likely), np.int64))
    kept = likely[kept_indices(found, codec.box_settings())]
    return Poses(
        boxes[kept],
        keypoints[kept].reshape(-1, contract.skeleton.num_keypoints, 2),
        visibility[kept],
        scores[kept],
        contract.skeleton,
    )


def in_picture(people: Poses, scale_xy) -> Poses:
    """Takes people from the letterboxed input back to the picture.

    Args:
        people: input pixels.
        scale_xy: (2,) input pixels per image pixel, from `boxes.letterbox`.
    """
    corners = people.boxes_xyxy.reshape(-1, 2, 2)
    return people.replace(
        boxes_xyxy=_to_image(corners, scale_xy).reshape(-1, 4),
        keypoints_xy=_to_image(people.keypoints_xy, scale_xy),
    )


def _to_image(points_xy, scale_xy):
    """Returns points in image pixels: pictures are resized by the corners of pixels, as
    cv2.resize does.
    """
    return (points_xy.astype(np.float64) + 0.5) / scale_xy - 0.5


def decode_picture(heatmaps, fields, scale_xy, contract: BottomUpContract) -> Poses:
    """Finds people in the maps of one picture, and takes them back to it.

    Args:
        heatmaps: (h, w, K + 1) float32.
        fields: (h, w, 2 L) float32.
        scale_xy: (2,) input pixels per image pixel, from `boxes.letterbox`.
        contract: holds codec and skeleton.
    """
    people = contract.codec.decode(heatmaps, fields, contract.skeleton)
    is_found = people.keypoint_scores > 0
    xy = _to_image(people.keypoints_xy, scale_xy)
    low = np.where(is_found[..., None], xy, np.inf).min(axis=1, initial=np.inf)
    high = np.where(is_found[..., None], xy, -np.inf).max(axis=1, initial=-np.inf)
    return Poses(
        np.concatenate([low, high], axis=1),
        np.where(is_found[..., None], xy, 0),
        people.keypoint_scores,
        people.scores,
        contract.skeleton,
    )
