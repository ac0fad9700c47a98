"""Losses of RTMDet, and the assignment of cells to boxes.

Source: Lyu et al. 2022 (arXiv:2212.07784), sec. 3.3; digits as `DynamicSoftLabelAssigner`,
`QualityFocalLoss` and `GIoULoss` of mmdet with RTMDet's settings. Everything is done for a
whole batch at once, in shapes that do not depend on how many boxes there are.

Cells of all levels, N of them, stand in one row: level after level, row by row.
"""

from __future__ import annotations

import keras
import numpy as np
from keras import ops

# Labels of rows of the truth that are no object: nothing at all, and a region whose
# contents are not labelled (COCO's crowds).
PADDING, IGNORED = -2, -1

# Number of best overlaps whose sum is the number of cells that a box gets.
TOP_K = 13
# A cell's distance from the middle of a box, in strides, at which its price is 1.
CENTER_RADIUS = 3.0
IOU_COST = 3.0
GIOU_WEIGHT = 2.0
# Score from which a teacher's box is copied.
MIN_TEACHER_SCORE = 0.1
_TINY = 1e-7
_NEVER = 1e9


def prior_table(input_hw, strides) -> np.ndarray:
    """Returns (N, 3) float32: x and y that each cell looks from, and its stride."""
    tables = []
    for stride in strides:
        rows, columns = np.mgrid[: input_hw[0] // stride, : input_hw[1] // stride]
        points = np.stack([columns, rows, np.ones_like(rows)], axis=-1)
        tables.append(points.reshape(-1, 3) * stride)
    return np.concatenate(tables).astype("float32")


def decode(priors, distances):
    """Turns distances (B, N, 4) to the four sides into boxes (B, N, 4), input pixels."""
    points = priors[:, :2]
    return ops.concatenate(
        [points - distances[..., :2], points + distances[..., 2:]], axis=-1
    )


def quality_focal(logits, quality):
    """Cross-entropy with a quality in [0, 1], weighed by how far off the score is.

    Source: Li et al. 2020 (arXiv:2006.04388), eq. 3, with beta = 2.
    """
    # max(x, 0) - x q + log(1 + exp(-|x|)) is the cross-entropy, without overflow.
    entropy = ops.relu(logits) - logits * quality + ops.log1p(ops.exp(-ops.abs(logits)))
    return entropy * ops.square(ops.sigmoid(logits) - quality)


def _area(boxes):
    sides = ops.relu(boxes[..., 2:] - boxes[..., :2])
    return sides[..., 0] * sides[..., 1]


def _shared_and_union(first, second):
    corner = ops.maximum(first[..., :2], second[..., :2])
    sides = ops.relu(ops.minimum(first[..., 2:], second[..., 2:]) - corner)
    shared = sides[..., 0] * sides[..., 1]
    return shared, _area(first) + _area(second) - shared


def iou(first, second):
    """Returns intersection over union of boxes (..., 4), which may broadcast."""
    shared, union = _shared_and_union(first, second)
    return shared / (union + _TINY)


def giou(first, second):
    """Returns the generalised IoU, in [-1, 1].

    Source: Rezatofighi et al. 2019 (arXiv:1902.09630), alg. 1.
    """
    shared, union = _shared_and_union(first, second)
    corner = ops.minimum(first[..., :2], second[..., :2])
    sides = ops.maximum(first[..., 2:], second[..., 2:]) - corner
    hull = sides[..., 0] * sides[..., 1]
    return shared / (union + _TINY) - (hull - union) / (hull + _TINY)


def assign(priors, logits, boxes, truth):
    """Chooses the cells that answer for each object.

    Candidates are the cells inside any object. Each object takes those of least cost, as
    many as its best overlaps add up to; a cell that two objects want goes to the cheaper.

    Args:
        priors: (N, 3), see `prior_table`.
        logits: (B, N, C) predictions.
        boxes: (B, N, 4) predictions, input pixels.
        truth: (B, M, 5) boxes in input pixels, and label: a class, `PADDING` or `IGNORED`.

    Returns:
        quality: (B, N, C), overlap with the object that a cell answers for, at its class.
        target_boxes: (B, N, 4), that object's box.
        counts: (B, N) float32, 0 for cells in ignored regions that answer for nothing.
    """
    sides, labels = truth[:, :, None, :4], truth[..., 4]
    classes = ops.one_hot(ops.cast(labels, "int32"), logits.shape[-1])  # 0 for negatives
    is_object = (labels >= 0)[..., None]
    inside = _inside(priors, sides)  # (B, M, N)
    is_candidate = ops.any(inside & is_object, axis=1, keepdims=True)
    overlap = iou(boxes[:, None], sides) * ops.cast(is_candidate & is_object, "float32")
    cost = _class_cost(logits, classes, overlap) + _place_cost(priors, sides)
    cost = cost - IOU_COST * ops.log(overlap + _TINY)
    cost = ops.where(is_candidate & is_object, cost, _NEVER)
    match = _match(cost, overlap) * ops.cast(is_candidate & is_object, "float32")
    overlap = ops.sum(match * overlap, axis=1)[..., None]
    is_ignored = ops.any(inside & (labels == IGNORED)[..., None], axis=1)
    return (
        overlap * ops.einsum("bmn,bmc->bnc", match, classes),
        ops.take_along_axis(truth[..., :4], ops.argmax(match, axis=1)[..., None], axis=1),
        ops.cast(ops.any(match > 0, axis=1) | ~is_ignored, "float32"),
    )


def _inside(priors, sides):
    x, y = priors[:, 0], priors[:, 1]
    within_x = (x > sides[..., 0]) & (x < sides[..., 2])
    return within_x & (y > sides[..., 1]) & (y < sides[..., 3])


def _class_cost(logits, classes, overlap):
    """(B, M, N): the focal loss if a cell answered for an object, as well as it can."""
    own = ops.einsum("bnc,bmc->bmn", logits, classes)
    cost = quality_focal(own, overlap)
    if logits.shape[-1] == 1:
        return cost
    others = ops.sum(quality_focal(logits, 0.0), axis=-1)[:, None]
    return cost + others - quality_focal(own, 0.0)


def _place_cost(priors, sides):
    """(B, M, N): small near an object's middle."""
    middle = (sides[..., :2] + sides[..., 2:]) / 2
    apart = ops.sqrt(ops.sum(ops.square(priors[:, :2] - middle), axis=-1)) / priors[:, 2]
    # Far away it does not matter how far: float32 ends at 1e38.
    return ops.power(10.0, ops.minimum(apart, 20.0) - CENTER_RADIUS)


def _match(cost, overlap):
    """Returns (B, M, N) float32, 1 where a cell answers for an object."""
    num_objects, num_cells = cost.shape[1:]
    k = min(TOP_K, num_cells)
    best_overlaps, _ = ops.top_k(overlap, k)
    wanted = ops.maximum(ops.floor(ops.sum(best_overlaps, axis=-1)), 1.0)  # (B, M)
    _, cheapest = ops.top_k(-cost, k)  # (B, M, k)
    taken = ops.cast(ops.arange(k, dtype="float32") < wanted[..., None], "float32")
    match = _place(taken, cheapest, num_objects, num_cells)
    is_wanted_twice = ops.sum(match, axis=1, keepdims=True) > 1
    cheaper = ops.one_hot(ops.argmin(cost, axis=1), num_objects, axis=1)
    return ops.where(is_wanted_twice, cheaper, match)


def _place(values, cells, num_objects, num_cells):
    """Writes values (B, M, k) at cells (B, M, k) of a (B, M, N) tensor of zeros."""
    rows = ops.shape(values)[0] * num_objects
    start = ops.reshape(ops.arange(rows, dtype="int32"), (-1, num_objects, 1)) * num_cells
    places = ops.reshape(start + ops.cast(cells, "int32"), (-1, 1))
    flat = ops.scatter(places, ops.reshape(values, (-1,)), (rows * num_cells,))
    return ops.reshape(flat, (-1, num_objects, num_cells))


@keras.saving.register_keras_serializable("keras_pose")
class BoxLoss(keras.losses.Loss):
    """Quality focal loss of the scores plus twice the GIoU loss of the boxes.

    Both are divided by the qualities of the whole batch, added up (at least 1), so the
    mean over images is mmdet's sum. The GIoU loss of a cell weighs as its quality.

    Targets are (B, M, 5), see `assign`; predictions (B, N, C + 4): logits, then distances
    in input pixels.

    Attributes:
        input_hw: (height, width) of the network's input, pixels.
        strides: input pixels per cell of each level.
        sum_over_replicas: function that adds up a tensor over the replicas that a batch is
            shared out among; not saved.
    """

    def __init__(self, input_hw, strides, name="box_loss", **kwargs):
        super().__init__(name=name, **kwargs)
        self.input_hw = tuple(input_hw)
        self.strides = tuple(strides)
        self._priors = prior_table(self.input_hw, self.strides)
        self.sum_over_replicas = lambda values: values

    def call(self, y_true, y_pred):
        """Returns (B,) losses."""
        y_true, y_pred = ops.cast(y_true, "float32"), ops.cast(y_pred, "float32")
        logits, boxes = self._split(y_pred)
        quality, target_boxes, counts = assign(
            self._priors, ops.stop_gradient(logits), ops.stop_gradient(boxes), y_true
        )
        weight = ops.sum(quality, axis=-1)
        scores = quality_focal(logits, quality) * counts[..., None]
        return self._mean_loss(scores, boxes, target_boxes, weight)

    def distance(self, y_pred, teacher):
        """Returns (B,): how far predictions are from a teacher's, cell by cell.

        Scores by the quality focal loss, boxes by GIoU, weighed by the teacher's scores.
        Where labels are missing, or say of a crowd no more than that it is there, it still
        says something.

        Args:
            y_pred: (B, N, C + 4) predictions.
            teacher: (B, N, C + 4) predictions of the network to learn from.
        """
        logits, boxes = self._split(ops.cast(y_pred, "float32"))
        teacher_logits, teacher_boxes = self._split(ops.cast(teacher, "float32"))
        quality = ops.sigmoid(teacher_logits)
        weight = ops.max(quality, axis=-1)
        # Boxes of cells that see nothing are not worth copying, and there are many.
        weight = ops.where(weight > MIN_TEACHER_SCORE, weight, 0.0)
        scores = quality_focal(logits, quality)
        return self._mean_loss(scores, boxes, teacher_boxes, weight)

    def _split(self, y_pred):
        return y_pred[..., :-4], decode(self._priors, y_pred[..., -4:])

    def _mean_loss(self, scores, boxes, target_boxes, weight):
        """Returns (B,) losses, whose mean is the sum over all cells, by the weights of all.

        Args:
            scores: (B, N, C), loss of each score.
            boxes: (B, N, 4) predictions, input pixels.
            target_boxes: (B, N, 4), input pixels.
            weight: (B, N), of each cell's box.
        """
        places = (1.0 - giou(boxes, target_boxes)) * weight
        per_image = ops.sum(scores, axis=(1, 2)) + GIOU_WEIGHT * ops.sum(places, axis=1)
        num_images = ops.cast(ops.shape(weight)[0], "float32")
        own = ops.stack([num_images, ops.sum(weight)])
        num_images, weight_sum = ops.unstack(self.sum_over_replicas(own))
        return per_image * num_images / ops.maximum(weight_sum, 1.0)

    def get_config(self):
        return super().get_config() | {"input_hw": self.input_hw, "strides": self.strides}
