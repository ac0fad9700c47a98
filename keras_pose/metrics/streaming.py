"""Metrics that Keras shows while training. Reported numbers come from the evaluator."""

from __future__ import annotations

import keras
from keras import ops


@keras.saving.register_keras_serializable("keras_pose")
class HeatmapPCK(keras.metrics.Metric):
    """Share of keypoints whose heatmap peak is near the target's.

    A keypoint is right when the distance of the two arg-max positions, each axis
    divided by a tenth of the heatmap's size, is below `threshold`. Counted over
    keypoints with weight above 0 whose target lies beyond column and row 1.

    Source: `accuracy` of the HRNet code (`lib/core/evaluate.py`), which averages per
    joint within a batch, and divides x by the height and y by the width; here all
    keypoints count alike, so that the number does not depend on the batch size.
    """

    def __init__(self, threshold=0.5, name="pck", **kwargs):
        super().__init__(name=name, **kwargs)
        self.threshold = threshold
        self._num_right = self.add_weight(name="num_right", initializer="zeros")
        self._num_keypoints = self.add_weight(name="num_keypoints", initializer="zeros")

    def update_state(self, y_true, y_pred, sample_weight=None):
        """Takes two (B, H, W, K) tensors and (B, K) weights."""
        is_right, counts = keypoint_hits(y_true, y_pred, self.threshold)
        if sample_weight is not None:
            counts = ops.logical_and(counts, sample_weight > 0)
        hits = ops.logical_and(is_right, counts)
        self._num_right.assign_add(ops.sum(ops.cast(hits, "float32")))
        self._num_keypoints.assign_add(ops.sum(ops.cast(counts, "float32")))

    def result(self):
        return self._num_right / ops.maximum(self._num_keypoints, 1.0)

    def get_config(self):
        return super().get_config() | {"threshold": self.threshold}


def keypoint_hits(y_true, y_pred, threshold=0.5):
    """Compares arg-max positions: two (B, H, W, K) -> is_right and counts, (B, K) bool."""
    height, width, num_keypoints = y_true.shape[1:]
    target = _peaks(y_true, height, width, num_keypoints)
    predicted = _peaks(y_pred, height, width, num_keypoints)
    offset = (predicted - target) / (
        0.1 * ops.convert_to_tensor([width, height], "float32")
    )
    distance = ops.sqrt(ops.sum(ops.square(offset), axis=-1))
    return distance < threshold, ops.all(target > 1, axis=-1)


def _peaks(heatmaps, height, width, num_keypoints):
    """Returns the (B, K, 2) float32 arg-max (x, y); 0 where the maximum is not positive."""
    flat = ops.reshape(heatmaps, (-1, height * width, num_keypoints))
    best = ops.argmax(flat, axis=1)
    xy = ops.cast(ops.stack([best % width, best // width], axis=-1), "float32")
    return xy * ops.cast(ops.max(flat, axis=1) > 0, "float32")[..., None]
