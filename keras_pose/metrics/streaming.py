"""Metrics that Keras shows while training. Reported numbers come from the evaluator."""

from __future__ import annotations

import keras
from keras import ops

from keras_pose.codecs import Codec, codec_from_dict


@keras.saving.register_keras_serializable("keras_pose")
class StreamingPCK(keras.metrics.Metric):
    """Share of keypoints that a network puts near the target, whatever its codec.

    A keypoint is right when the distance of the two positions, each axis divided by a
    tenth of the input's size, is below `threshold`. Positions are coarse: the arg-max of
    maps and vectors, without the codec's refinement. Counted over keypoints with weight
    above 0; on maps, only those whose target lies beyond column and row 1.

    Source: `accuracy` of the HRNet code (`lib/core/evaluate.py`), which averages per
    joint within a batch, and divides x by the height and y by the width; here all
    keypoints count alike, so that the number does not depend on the batch size.

    Attributes:
        codec: says what outputs mean.
        threshold: in tenths of the input's size.
    """

    def __init__(self, codec: Codec | dict, threshold=0.5, name="pck", **kwargs):
        """Takes a codec, or what its `to_dict` wrote."""
        super().__init__(name=name, **kwargs)
        self.codec = codec if isinstance(codec, Codec) else codec_from_dict(codec)
        self.threshold = threshold
        self._num_right = self.add_weight(name="num_right", initializer="zeros")
        self._num_keypoints = self.add_weight(name="num_keypoints", initializer="zeros")

    def update_state(self, y_true, y_pred, sample_weight=None):
        """Takes two (B, *codec.output_shape(K)) tensors and (B, K) weights."""
        is_right, counts = keypoint_hits(self.codec, y_true, y_pred, self.threshold)
        if sample_weight is not None:
            counts = ops.logical_and(counts, sample_weight > 0)
        hits = ops.logical_and(is_right, counts)
        self._num_right.assign_add(ops.sum(ops.cast(hits, "float32")))
        self._num_keypoints.assign_add(ops.sum(ops.cast(counts, "float32")))

    def result(self):
        return self._num_right / ops.maximum(self._num_keypoints, 1.0)

    def get_config(self):
        return super().get_config() | {
            "codec": self.codec.to_dict(),
            "threshold": self.threshold,
        }


def keypoint_hits(codec: Codec, y_true, y_pred, threshold=0.5):
    """Compares coarse positions; returns is_right and counts, (B, K) bool."""
    target, size = _coarse_positions(codec, y_true)
    predicted, _ = _coarse_positions(codec, y_pred)
    offset = (predicted - target) / (0.1 * ops.convert_to_tensor(size, "float32"))
    distance = ops.sqrt(ops.sum(ops.square(offset), axis=-1))
    # HRNet's rule for maps; other outputs have no dead corner.
    first = 1 if codec.output_name == "heatmaps" else -1
    return distance < threshold, ops.all(target > first, axis=-1)


def _coarse_positions(codec, outputs):
    """Returns (B, K, 2) float32 positions (x, y), and the (x, y) size of their grid."""
    match codec.output_name:
        case "heatmaps":
            size = codec.heatmap_hw[1], codec.heatmap_hw[0]
            if codec.kind == "udp_offset":
                return _disc_positions(outputs, codec.radius), size
            return _peaks(outputs)[0], size
        case "simcc":
            num_x, num_y = codec.num_bins_xy
            bins = [
                ops.argmax(outputs[..., :num_x], axis=-1),
                ops.argmax(outputs[..., num_x:], axis=-1),
            ]
            return ops.cast(ops.stack(bins, axis=-1), "float32"), (num_x, num_y)
        case "keypoints":
            return ops.cast(outputs, "float32"), (1, 1)
    raise ValueError(f"No positions are known for outputs {codec.output_name!r}.")


def _peaks(heatmaps):
    """Returns the (B, K, 2) float32 arg-max (x, y), and its (B, K) flat index.

    The position is 0 where the maximum is not positive.
    """
    height, width, num_keypoints = heatmaps.shape[1:]
    flat = ops.reshape(heatmaps, (-1, height * width, num_keypoints))
    best = ops.argmax(flat, axis=1)
    xy = ops.cast(ops.stack([best % width, best // width], axis=-1), "float32")
    return xy * ops.cast(ops.max(flat, axis=1) > 0, "float32")[..., None], best


def _disc_positions(maps, radius):
    """Adds to the arg-max of discs the offset there: a disc has its first pixel on top."""
    xy, best = _peaks(maps[..., ::3])
    height, width, channels = maps.shape[1:]
    flat = ops.reshape(maps, (-1, height * width, channels // 3, 3))
    there = ops.take_along_axis(flat, best[:, None, :, None], axis=1)[:, 0]
    return xy + radius * there[..., 1:]
