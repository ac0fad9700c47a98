"""The steps around a bottom-up network: picture -> maps -> people of the picture.

One function each, used by the evaluator and by the estimator alike. NumPy only.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from keras_pose.contracts.bottom_up import BottomUpContract
from keras_pose.pictures.boxes import letterbox
from keras_pose.pictures.structures import Poses

# A letterboxed picture, (H, W, 3) uint8 RGB -> heatmaps and fields, float32.
PredictMaps = Callable[[np.ndarray], Sequence[np.ndarray]]


def find_poses(predict: PredictMaps, image, contract: BottomUpContract) -> Poses:
    """Finds everybody in a picture.

    Args:
        predict: the network.
        image: (H, W, 3) uint8 RGB.
        contract: input, outputs and codec of the network.

    Returns:
        The people by falling score, image pixels. Keypoints that were not found are at
        (0, 0) with a score of 0; boxes are around those that were.
    """
    boxed, scale_xy = letterbox(image, contract.input_hw)
    heatmaps, fields = predict(boxed)
    return decode_picture(heatmaps, fields, scale_xy, contract)


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
    # The picture was resized by the corners of pixels, as cv2.resize does.
    xy = (people.keypoints_xy.astype(np.float64) + 0.5) / scale_xy - 0.5
    low = np.where(is_found[..., None], xy, np.inf).min(axis=1, initial=np.inf)
    high = np.where(is_found[..., None], xy, -np.inf).max(axis=1, initial=-np.inf)
    return Poses(
        np.concatenate([low, high], axis=1),
        np.where(is_found[..., None], xy, 0),
        people.keypoint_scores,
        people.scores,
        contract.skeleton,
    )
