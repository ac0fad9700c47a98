"""Gaussian heatmaps: the target of HRNet, Simple Baselines and Hourglass.

Coordinates are those of `keras_pose.geometry`. `encode` (NumPy) and `encode_tf`
(TensorFlow ops, for `tf.data`) are twins; a test compares them.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

import numpy as np

from keras_pose.codecs.base import Codec

# Losses of `keras_pose.losses` that take heatmaps.
HEATMAP_LOSSES = ("joints_mse", "focused_mse", "ohkm")


@dataclass(frozen=True)
class GaussianHeatmapCodec(Codec):
    """Turns keypoints into heatmaps for training, and heatmaps into keypoints.

    The centre of a target is rounded to a heatmap pixel ("biased"), and decoding
    moves the arg-max a quarter pixel towards its higher neighbour.

    Source: Xiao et al. 2018 (arXiv:1804.06208), sec. 2; digits as in the HRNet
    reference code (`generate_target` of `lib/dataset/JointsDataset.py`,
    `get_final_preds` of `lib/core/inference.py`).

    Attributes:
        input_hw: model input (height, width), pixels.
        stride: input pixels per heatmap pixel.
        sigma: Gaussian standard deviation, heatmap pixels.
    """

    stride: int = 4
    sigma: float = 2.0

    kind = "gaussian"
    output_name = "heatmaps"
    losses = HEATMAP_LOSSES

    def __post_init__(self) -> None:
        if self.sigma <= 0 or self.stride < 1:
            raise ValueError(
                f"A codec needs sigma > 0 and stride >= 1, got sigma={self.sigma}, "
                f"stride={self.stride}."
            )
        if any(size % self.stride for size in self.input_hw):
            raise ValueError(
                f"The codec's input_hw must be multiples of stride {self.stride}, "
                f"got {self.input_hw}."
            )

    @classmethod
    def for_input(cls, input_hw, stride: int = 4) -> Self:
        """Returns the usual codec of an input size.

        Sigma grows with the height as in the official configurations: 2 for 256
        pixels, 3 for 384; never below 1, where the arg-max would lose its slope.
        """
        sigma = max(1.0, input_hw[0] / 128)
        return cls((int(input_hw[0]), int(input_hw[1])), stride, sigma)

    @property
    def heatmap_hw(self) -> tuple[int, int]:
        return self.input_hw[0] // self.stride, self.input_hw[1] // self.stride

    @property
    def radius(self) -> int:
        """Half the side of the square that a Gaussian is drawn in, heatmap pixels."""
        return int(3 * self.sigma)

    def output_shape(self, num_keypoints: int) -> tuple[int, ...]:
        return (*self.heatmap_hw, num_keypoints)

    def count_keypoints(self, output_shape) -> int:
        return output_shape[-1]

    def encode(self, keypoints_xy, visibility):
        """Draws one Gaussian of height 1 per labelled keypoint.

        Args:
            keypoints_xy: (..., K, 2) input pixels.
            visibility: (..., K) COCO flags: 0 not labelled, 1 occluded, 2 visible.
                Occluded keypoints are trained on.

        Returns:
            heatmaps: (..., H, W, K) float32 in [0, 1], cut off outside `radius`.
            weights: (..., K) float32; 0 for keypoints that are not labelled or
                whose Gaussian lies wholly outside.
        """
        keypoints_xy = np.asarray(keypoints_xy, np.float64)
        height, width = self.heatmap_hw
        center = self._center(keypoints_xy / self.stride)
        # The reference's corners of the square, of which the second is exclusive.
        first, last = center - self.radius, center + self.radius + 1
        # Truncation toward zero: above -1 is 0 or more.
        reaches = (first < (width, height)) & (last > -1)
        weights = ((np.asarray(visibility) > 0) & reaches.all(-1)).astype(np.float32)
        columns = self._bump(np.arange(width) - center[..., :1])
        rows = self._bump(np.arange(height) - center[..., 1:])
        # A 2D Gaussian is the outer product of two 1D ones, which are cheaper.
        heatmaps = np.einsum("...kh,...kw,...k->...hwk", rows, columns, weights)
        return heatmaps.astype(np.float32), weights

    def _center(self, heatmap_xy):
        # int() of the reference truncates toward zero, and so must we.
        return np.trunc(heatmap_xy + 0.5)

    def _bump(self, offset):
        bump = np.exp(-(offset**2) / (2 * self.sigma**2))
        return bump * (np.abs(offset) <= self._reach)

    @property
    def _reach(self) -> float:
        """How far from its centre a bump is drawn, heatmap pixels."""
        return self.radius

    def encode_tf(self, keypoints_xy, visibility):
        """Does what `encode` does, with TensorFlow ops: one person or a batch."""
        # Here and not above: decoding must run where TensorFlow is not installed.
        import tensorflow as tf

        height, width = self.heatmap_hw
        # In double precision, as the twin: exact halves are rounded.
        center = self._center_tf(tf.cast(keypoints_xy, tf.float64) / self.stride)
        center = tf.cast(center, tf.float32)
        size = tf.constant([width, height], tf.float32)
        first, last = center - self.radius, center + self.radius + 1
        # Truncation toward zero: above -1 is 0 or more.
        reaches = (first < size) & (last > -1)
        weights = tf.cast((visibility > 0) & tf.reduce_all(reaches, -1), tf.float32)

        def bump(offset):
            inside = tf.cast(tf.abs(offset) <= self._reach, tf.float32)
            return inside * tf.exp(-tf.square(offset) / (2 * self.sigma**2))

        columns = bump(tf.range(width, dtype=tf.float32) - center[..., :1])
        rows = bump(tf.range(height, dtype=tf.float32) - center[..., 1:])
        return tf.einsum("...kh,...kw,...k->...hwk", rows, columns, weights), weights

    def _center_tf(self, heatmap_xy):
        import tensorflow as tf

        return tf.cast(heatmap_xy + 0.5, tf.int32)

    def decode(self, heatmaps):
        """Finds keypoints: arg-max, then part of a pixel, see `_refine`.

        As the reference: coordinates are 0 where the maximum is not positive, and
        peaks near the border are not refined.

        Args:
            heatmaps: (..., H, W, K) float array.

        Returns:
            keypoints_xy: (..., K, 2) float32, input pixels.
            scores: (..., K) float32, the maxima.
        """
        heatmaps = np.asarray(heatmaps, np.float32)
        *batch, height, width, num_keypoints = heatmaps.shape
        if (height, width) != self.heatmap_hw:
            raise ValueError(
                f"The codec expects heatmaps of (height, width) {self.heatmap_hw}, "
                f"got {(height, width)}."
            )
        flat = np.moveaxis(heatmaps, -1, -3).reshape(-1, height * width)
        best, index = flat.argmax(axis=1), np.arange(len(flat))
        scores = flat[index, best]
        xy = np.stack([best % width, best // width], axis=-1)
        offset_xy = self._refine(flat.reshape(-1, height, width), xy)
        xy = (xy + offset_xy) * (scores > 0)[:, None]
        shape = (*batch, num_keypoints)
        keypoints_xy = (xy * self.stride).astype(np.float32)
        return keypoints_xy.reshape(*shape, 2), scores.reshape(shape)

    def _refine(self, maps, xy):
        """Moves a quarter pixel towards the higher neighbour, within the outer two.

        Args:
            maps: (N, H, W) float32.
            xy: (N, 2) int positions of the maxima.

        Returns:
            (N, 2) offsets, heatmap pixels.
        """
        height, width = maps.shape[1:]
        inside = ((xy > 1) & (xy < (width - 1, height - 1))).all(axis=1)
        i, (x, y) = np.flatnonzero(inside), xy[inside].T
        offset_xy = np.zeros(xy.shape)
        offset_xy[inside, 0] = 0.25 * np.sign(maps[i, y, x + 1] - maps[i, y, x - 1])
        offset_xy[inside, 1] = 0.25 * np.sign(maps[i, y + 1, x] - maps[i, y - 1, x])
        return offset_xy

    def flip_back(self, outputs, mirror_permutation):
        """Mirrors heatmaps, exchanges left and right, and moves them one column right.

        Source: `flip_back` of the HRNet code, with the shift of its
        `TEST.SHIFT_HEATMAP`: mirroring moves pixel centres by one heatmap pixel
        less than the stride would, so the map goes one column right; column 0 stays.
        """
        flipped = np.asarray(outputs)[..., ::-1, :][..., mirror_permutation]
        return np.concatenate([flipped[..., :1, :], flipped[..., :-1, :]], axis=-2)
