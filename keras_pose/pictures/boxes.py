"""Boxes of detectors: letterboxed images in, what the network says of boxes out.

The digits are those of mmdet's RTMDet. Pixels of the input are counted as its code
counts them: the cell (row, column) of a map with stride s looks from the point
(s * column, s * row), with no half cell. Boxes are (x1, y1, x2, y2) throughout.

NumPy only.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import cv2
import numpy as np

from keras_pose.pictures.structures import Detections

# Grey that fills what the image leaves free.
PAD_VALUE = 114

_BOXES_AT_ONCE = 64


@dataclass(frozen=True)
class BoxSettings:
    """Thresholds and limits of the boxes that are kept of a network's proposals.

    The defaults are those of RTMDet's person detectors; on COCO's 80 classes mmdet
    takes 0.001, 0.65, 30000 and 300.

    Attributes:
        score_threshold: score that a box must exceed.
        iou_threshold: boxes that overlap a better one by more than this go.
        max_per_level: boxes that each output map may propose.
        max_detections: boxes kept at the end.
    """

    score_threshold: float = 0.05
    iou_threshold: float = 0.6
    max_per_level: int = 1000
    max_detections: int = 100

    def __post_init__(self) -> None:
        for name in ("score_threshold", "iou_threshold"):
            if not 0 <= getattr(self, name) <= 1:
                raise ValueError(f"{name} must be in [0, 1], got {getattr(self, name)}.")
        for name in ("max_per_level", "max_detections"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} must be at least 1, got {getattr(self, name)}.")

    def above(self, score_threshold: float) -> BoxSettings:
        """Returns those that look at boxes above a threshold only, if it is higher."""
        if score_threshold <= self.score_threshold:
            return self
        return replace(self, score_threshold=min(score_threshold, 1.0))


def letterbox_hw(image_hw, input_hw) -> tuple[int, int]:
    """Returns the size to which an image shrinks or grows to fit into the input.

    The side that fills the input decides; sizes round half up. Source: `rescale_size`
    of mmcv (for square inputs; others it may overfill).

    Raises:
        ValueError: for an image without pixels.
    """
    if min(image_hw) < 1:
        raise ValueError(f"An image needs pixels, got (height, width) {tuple(image_hw)}.")
    scale = min(limit / size for limit, size in zip(input_hw, image_hw, strict=True))
    height, width = (max(1, int(size * scale + 0.5)) for size in image_hw)
    return height, width


def letterbox(image, input_hw, pad_value: int = PAD_VALUE):
    """Fits an image into the top left of the network's input, with grey beside it.

    Args:
        image: (H, W, 3) uint8, in any order of channels.
        input_hw: (height, width) of the input, pixels.
        pad_value: the grey.

    Returns:
        boxed: (*input_hw, 3) uint8.
        scale_xy: (2,) float64, input pixels per image pixel; the two may differ by
            the rounding of sizes.

    Raises:
        ValueError: for another shape or type of image.
    """
    image = np.asarray(image)
    if image.ndim != 3 or image.shape[-1] != 3 or image.dtype != np.uint8:
        raise ValueError(
            f"A detector takes (H, W, 3) uint8 images, got {image.shape} {image.dtype}."
        )
    height, width = letterbox_hw(image.shape[:2], input_hw)
    boxed = np.full((*input_hw, 3), pad_value, np.uint8)
    boxed[:height, :width] = cv2.resize(
        image, (width, height), interpolation=cv2.INTER_LINEAR
    )
    return boxed, np.array([width / image.shape[1], height / image.shape[0]])


def prior_points(map_hw, stride: int) -> np.ndarray:
    """Returns the points, (H * W, 2) float32 (x, y), that a map's cells look from."""
    rows, columns = np.mgrid[: map_hw[0], : map_hw[1]]
    return np.stack([columns, rows], axis=-1).reshape(-1, 2).astype(np.float32) * stride


def boxes_at(points_xy, distances) -> np.ndarray:
    """Turns (N, 4) distances to left, top, right and bottom into (N, 4) boxes."""
    return np.concatenate(
        [points_xy - distances[..., :2], points_xy + distances[..., 2:]], axis=-1
    )


def propose(scores, distances, strides: Sequence[int], input_hw, settings: BoxSettings):
    """Collects what the maps of one image propose, clipped to the input.

    Args:
        scores: per level (H, W, C) float32 logits.
        distances: per level (H, W, 4) float32, input pixels.
        strides: input pixels per cell of each level.
        input_hw: (height, width), pixels.
        settings: thresholds and limits; the one of NMS is not applied here.

    Returns:
        The boxes of each level by falling score, level after level.
    """
    levels = [
        _propose_level(logits, sides, stride, settings)
        for logits, sides, stride in zip(scores, distances, strides, strict=True)
    ]
    boxes, confidences, labels = (
        np.concatenate(parts) for parts in zip(*levels, strict=True)
    )
    limit = np.array([input_hw[1], input_hw[0]] * 2, np.float32)
    return Detections(np.clip(boxes, 0, limit), confidences, labels)


def _propose_level(logits, sides, stride, settings):
    width, num_classes = logits.shape[1:]
    logits = np.asarray(logits, np.float32).ravel()
    # Most cells see no person: their logits are compared, and nothing else is done to them.
    found = np.flatnonzero(logits > _least_logit(settings.score_threshold))
    confidences = sigmoid(logits[found])
    is_above = confidences > np.float32(settings.score_threshold)
    found, confidences = found[is_above], confidences[is_above]
    order = np.argsort(-confidences, kind="stable")[: settings.max_per_level]
    found, confidences = found[order], confidences[order]
    cells, labels = np.divmod(found, num_classes)
    points_xy = np.stack([cells % width, cells // width], axis=-1)
    points_xy = points_xy.astype(np.float32) * stride
    sides = np.asarray(sides, np.float32).reshape(-1, 4)[cells]
    return boxes_at(points_xy, sides), confidences, labels


def _least_logit(score_threshold: float) -> np.float32:
    """Returns a logit below which no score is above the threshold, rounding included."""
    # float32 has no digits left of what is smaller, and a sigmoid errs by less.
    if score_threshold < 1e-30:
        return np.float32(-np.inf)
    score = score_threshold * (1 - 1e-6)
    return np.float32(np.log(score / (1 - score)))


def sigmoid(logits) -> np.ndarray:
    """Returns 1 / (1 + exp(-logits)), without overflow."""
    small = np.exp(-np.abs(logits))
    return np.where(logits >= 0, 1, small) / (1 + small)


def rescale(detections: Detections, scale_xy) -> Detections:
    """Takes boxes from the letterboxed input back to the image."""
    back = np.tile(1 / np.asarray(scale_xy, np.float64), 2).astype(np.float32)
    return detections.replace(boxes_xyxy=detections.boxes_xyxy * back)


def with_area(detections: Detections) -> Detections:
    """Leaves out boxes without width or height."""
    sides = detections.boxes_xyxy[:, 2:] - detections.boxes_xyxy[:, :2]
    return detections[(sides > 0).all(axis=1)]


def clip_to_image(detections: Detections, image_hw) -> Detections:
    """Cuts off what lies outside the image; boxes of which nothing is left go."""
    limit = np.array([image_hw[1], image_hw[0]] * 2, np.float32)
    boxes = np.clip(detections.boxes_xyxy, 0, limit)
    return with_area(detections.replace(boxes_xyxy=boxes))


def suppress(detections: Detections, settings: BoxSettings) -> Detections:
    """Keeps of boxes that overlap, and are of one class, the best (greedy NMS).

    Returns:
        At most `max_detections` boxes by falling score.
    """
    return detections[kept_indices(detections, settings)]


def kept_indices(detections: Detections, settings: BoxSettings) -> np.ndarray:
    """Returns which boxes `suppress` keeps: (M,) indices by falling score."""
    order = np.argsort(-detections.scores, kind="stable")
    boxes = detections.boxes_xyxy[order]
    # Far apart, boxes of different classes do not meet. As mmcv does, in float32.
    reach = boxes.max(initial=0) + np.float32(1)
    apart = boxes + detections.labels[order].astype(np.float32)[:, None] * reach
    return order[_kept_of_sorted(apart, settings)]


def _kept_of_sorted(boxes, settings) -> list[int]:
    """Returns which boxes greedy NMS keeps of some that stand by falling score."""
    kept: list[int] = []
    waiting = np.arange(len(boxes))
    while len(waiting) and len(kept) < settings.max_detections:
        # The best of those that wait meet all of them at once: one look at arrays for
        # many boxes, and no table of all against all.
        best = waiting[:_BOXES_AT_ONCE]
        is_clear = box_iou(boxes[best], boxes[waiting]) <= np.float32(
            settings.iou_threshold
        )
        is_left = np.ones(len(waiting), bool)
        for row, index in enumerate(best.tolist()):
            if is_left[row]:
                kept.append(index)
                is_left &= is_clear[row]
        waiting = waiting[len(best) :][is_left[len(best) :]]
    return kept[: settings.max_detections]


def box_iou(boxes_xyxy, others_xyxy) -> np.ndarray:
    """Returns the (N, M) intersections over unions of N boxes and M others.

    0 where both boxes are without area.
    """
    # Coordinate by coordinate: NumPy is slow along axes as short as that of (x, y).
    first = np.asarray(boxes_xyxy, np.float32).T[..., None]
    second = np.ascontiguousarray(np.asarray(others_xyxy, np.float32).T)[:, None]
    shared = _sides(first, second, 0)
    shared *= _sides(first, second, 1)
    union = _area(first) + _area(second)
    union -= shared
    return np.divide(shared, union, out=np.zeros_like(shared), where=union > 0)


def _sides(first, second, axis):
    """Returns (N, M) lengths of what boxes share along x (0) or y (1)."""
    sides = np.minimum(first[axis + 2], second[axis + 2])
    sides -= np.maximum(first[axis], second[axis])
    return np.maximum(sides, 0, out=sides)


def _area(boxes):
    return np.maximum(boxes[2] - boxes[0], 0) * np.maximum(boxes[3] - boxes[1], 0)


def detect(
    scores, distances, strides: Sequence[int], input_hw, scale_xy, settings: BoxSettings
) -> Detections:
    """Turns the outputs for one image into its boxes.

    Source: `_predict_by_feat_single` and `_bbox_post_process` of mmdet's
    `BaseDenseHead`.

    Args:
        scores: per level (H, W, C) float32 logits; `distances`, `strides` and `input_hw`
            are those of `propose`, too.
        scale_xy: (2,) input pixels per image pixel, from `letterbox`; (1, 1) leaves boxes
            in input pixels.
        settings: thresholds and limits of the boxes to keep.

    Returns:
        Boxes in image pixels, by falling score. They may reach into the grey beside
        the image, see `clip_to_image`.
    """
    proposed = propose(scores, distances, strides, input_hw, settings)
    return suppress(with_area(rescale(proposed, scale_xy)), settings)
