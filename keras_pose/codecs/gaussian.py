"""Gaussian heatmaps: the target of HRNet, Simple Baselines and Hourglass.

Coordinates are those of `keras_pose.pictures.geometry`. `encode` (NumPy) and `encode_tf`
(TensorFlow ops, for `tf.data`) are twins; a test compares them.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

import numpy as np

from keras_pose.codecs.heatmaps import HeatmapCodec
from keras_pose.codecs.peaks import find_peaks


@dataclass(frozen=True)
class GaussianHeatmapCodec(HeatmapCodec):
    """Heatmaps with a Gaussian of height 1 per keypoint.

    The centre of a target is rounded to a heatmap pixel ("biased"), and decoding
    moves the arg-max a quarter pixel towards its higher neighbour.

    Source: Xiao et al. 2018 (arXiv:1804.06208), sec. 2; digits as in the HRNet
    reference code (`generate_target` of `lib/dataset/JointsDataset.py`,
    `get_final_preds` of `lib/core/inference.py`).

    Attributes:
        sigma: Gaussian standard deviation, heatmap pixels.
    """

    sigma: float = 2.0

    kind = "gaussian"
    losses = ("joints_mse", "focused_mse", "ohkm", "adaptive_wing")

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.sigma <= 0:
            raise ValueError(f"A codec needs sigma > 0, got sigma={self.sigma}.")

    @classmethod
    def for_input(cls, input_hw, stride: int = 4) -> Self:
        """Returns the usual codec of an input size.

        Sigma grows with the height as in the official configurations: 2 for 256
        pixels, 3 for 384; never below 1, where the arg-max would lose its slope.
        """
        sigma = max(1.0, input_hw[0] / 128)
        return cls((int(input_hw[0]), int(input_hw[1])), stride, sigma)

    @property
    def radius(self) -> int:
        """Half the side of the square that a Gaussian is drawn in, heatmap pixels."""
        return int(3 * self.sigma)

    def encode(self, keypoints_xy, visibility):
        """Draws one Gaussian of height 1 per labelled keypoint; see `Codec.encode`.

        Weights are 0 as well where the square a Gaussian is drawn in lies wholly
        outside.
        """
        height, width = self.heatmap_hw
        heatmap_xy = np.asarray(keypoints_xy, np.float64) / self.pixel_xy
        rounded_xy = np.trunc(heatmap_xy + 0.5)
        center, middle = self._center(heatmap_xy, rounded_xy)
        # The reference's corners of the square, of which the second is exclusive.
        first, last = middle - self.radius, middle + self.radius + 1
        # Truncation toward zero: above -1 is 0 or more.
        reaches = (first < (width, height)) & (last > -1)
        weights = ((np.asarray(visibility) > 0) & reaches.all(-1)).astype(np.float32)

        def profile(grid, axis):
            bump = np.exp(-((grid - center[..., axis]) ** 2) / (2 * self.sigma**2))
            return bump * (np.abs(grid - middle[..., axis]) <= self._reach)

        columns = profile(np.arange(width), slice(0, 1))
        rows = profile(np.arange(height), slice(1, 2))
        # A 2D Gaussian is the outer product of two 1D ones, which are cheaper.
        heatmaps = np.einsum("...kh,...kw,...k->...hwk", rows, columns, weights)
        return heatmaps.astype(np.float32), weights

    def _center(self, exact, rounded):
        """Picks where a Gaussian has its top, and its square the middle."""
        # int() of the reference truncates toward zero, and so must `rounded`.
        return rounded, rounded

    @property
    def _reach(self) -> float:
        """Half the side of the square that a Gaussian is drawn in, heatmap pixels."""
        return self.radius

    def encode_tf(self, keypoints_xy, visibility):
        """Does what `encode` does, with TensorFlow ops: one person or a batch."""
        # Here and not above: decoding must run where TensorFlow is not installed.
        import tensorflow as tf

        height, width = self.heatmap_hw
        # In double precision, as the twin: exact halves are rounded.
        heatmap_xy = tf.cast(keypoints_xy, tf.float64) / self.pixel_xy
        rounded_xy = tf.cast(tf.cast(heatmap_xy + 0.5, tf.int32), tf.float32)
        center, middle = self._center(tf.cast(heatmap_xy, tf.float32), rounded_xy)
        size = tf.constant([width, height], tf.float32)
        first, last = middle - self.radius, middle + self.radius + 1
        # Truncation toward zero: above -1 is 0 or more.
        reaches = (first < size) & (last > -1)
        weights = tf.cast((visibility > 0) & tf.reduce_all(reaches, -1), tf.float32)

        def profile(size, axis):
            grid = tf.range(size, dtype=tf.float32)[:, None]
            square = tf.square(grid - center[..., None, :, axis])
            inside = tf.abs(grid - middle[..., None, :, axis]) <= self._reach
            inside &= weights[..., None, :] > 0
            # Within the exponent, a mask is not computed again for every heatmap pixel.
            return tf.exp(tf.where(inside, -square / (2 * self.sigma**2), -np.inf))

        # (..., W, K) and (..., H, K); keypoints last, as in the product.
        columns, rows = profile(width, 0), profile(height, 1)
        return rows[..., :, None, :] * columns[..., None, :, :], weights

    def _locate(self, maps):
        xy, scores = find_peaks(maps)
        return xy + self._refine(maps, xy, scores), scores

    def _refine(self, maps, xy, scores):
        """Moves a quarter pixel towards the higher neighbour, within the outer two.

        Args:
            maps: (N, H, W, K) float32.
            xy: (N, K, 2) int positions of the maxima.
            scores: (N, K) the maxima.

        Returns:
            (N, K, 2) offsets, heatmap pixels.
        """
        height, width = maps.shape[1:3]
        inside = ((xy > 1) & (xy < (width - 1, height - 1))).all(axis=-1)
        (n, k), (x, y) = np.nonzero(inside), xy[inside].T
        offset_xy = np.zeros(xy.shape)
        slope_x = maps[n, y, x + 1, k] - maps[n, y, x - 1, k]
        slope_y = maps[n, y + 1, x, k] - maps[n, y - 1, x, k]
        offset_xy[inside] = 0.25 * np.sign(np.stack([slope_x, slope_y], axis=-1))
        return offset_xy
