"""SimCC: two classifications a keypoint, over the columns and over the rows."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Self

import numpy as np

from keras_pose.codecs.codec import Codec


@dataclass(frozen=True)
class SimccCodec(Codec):
    """Vectors over columns and rows, finer than pixels, with a Gaussian in each.

    A network gives one tensor (B, K, X + Y): `split_ratio` bins per input column, then
    as many per input row. Bin i stands for `i / split_ratio` input pixels. The centre
    of a target is rounded to a bin, and decoding takes the highest bins.

    Source: Li et al. 2022 (arXiv:2107.03332), sec. 3; digits as in mmpose
    (`SimCCLabel`, `get_simcc_maximum`), settings of RTMPose (arXiv:2303.07399), which
    does not normalise targets.

    Attributes:
        sigma_xy: standard deviations along x and y, bins.
        split_ratio: bins per input pixel.
    """

    sigma_xy: tuple[float, float] = (4.9, 5.66)
    split_ratio: float = 2.0

    kind = "simcc"
    output_name = "simcc"
    losses = ("simcc_kl",)

    def __post_init__(self) -> None:
        if min(self.sigma_xy) <= 0 or self.split_ratio <= 0:
            raise ValueError(
                "A SimCC codec needs sigma_xy and split_ratio above 0, got "
                f"{self.sigma_xy} and {self.split_ratio}."
            )

    @classmethod
    def for_input(cls, input_hw, stride: int = 4) -> Self:
        """Returns the usual codec: sigma is sqrt(size / 8), rounded as RTMPose has it.

        So 4.9 and 5.66 at 256x192, 6 and 6.93 at 384x288.
        """
        height, width = int(input_hw[0]), int(input_hw[1])
        sigma_x, sigma_y = (round((size / 8) ** 0.5, 2) for size in (width, height))
        return cls((height, width), (sigma_x, sigma_y))

    @property
    def loss_settings(self) -> dict[str, Any]:
        return {"num_bins_x": self.num_bins_xy[0]}

    @property
    def num_bins_xy(self) -> tuple[int, int]:
        """Numbers of bins along x and along y."""
        height, width = self.input_hw
        return round(width * self.split_ratio), round(height * self.split_ratio)

    def output_shape(self, num_keypoints: int) -> tuple[int, ...]:
        return num_keypoints, sum(self.num_bins_xy)

    def count_keypoints(self, output_shape) -> int:
        return output_shape[-2]

    def encode(self, keypoints_xy, visibility):
        """Draws one Gaussian of height 1 per axis; see `Codec.encode`.

        Weights are 0 as well for keypoints that are three sigma outside along an axis.
        """
        center = np.round(np.asarray(keypoints_xy, np.float64) * self.split_ratio)
        reach = 3 * np.array(self.sigma_xy)
        reaches = (center - reach < self.num_bins_xy) & (center + reach + 1 >= 0)
        weights = ((np.asarray(visibility) > 0) & reaches.all(-1)).astype(np.float32)
        vectors = [
            np.exp(-((np.arange(size) - center[..., [axis]]) ** 2) / (2 * sigma**2))
            for axis, (size, sigma) in enumerate(
                zip(self.num_bins_xy, self.sigma_xy, strict=True)
            )
        ]
        targets = np.concatenate(vectors, axis=-1) * weights[..., None]
        return targets.astype(np.float32), weights

    def encode_tf(self, keypoints_xy, visibility):
        """Does what `encode` does, with TensorFlow ops: one person or a batch."""
        import tensorflow as tf

        # `tf.round` takes halves to the even number, as `np.round` does.
        exact = tf.cast(keypoints_xy, tf.float64) * self.split_ratio
        center = tf.cast(tf.round(exact), tf.float32)
        reach = 3 * tf.constant(self.sigma_xy, tf.float32)
        size = tf.constant(self.num_bins_xy, tf.float32)
        reaches = (center - reach < size) & (center + reach + 1 >= 0)
        weights = tf.cast((visibility > 0) & tf.reduce_all(reaches, -1), tf.float32)
        vectors = []
        for axis, sigma in enumerate(self.sigma_xy):
            bins = tf.range(self.num_bins_xy[axis], dtype=tf.float32)
            square = tf.square(bins - center[..., axis : axis + 1])
            vectors.append(tf.exp(-square / (2 * sigma**2)))
        return tf.concat(vectors, axis=-1) * weights[..., None], weights

    def decode(self, outputs):
        """Takes the highest bins; the score is the lower of the two maxima.

        Scores are raw outputs, not probabilities. Coordinates are one bin below 0
        where a score is not positive, as in the source.
        """
        outputs = np.asarray(outputs, np.float32)
        num_x, num_y = self.num_bins_xy
        if outputs.shape[-1] != num_x + num_y:
            raise ValueError(
                f"The codec expects {num_x} + {num_y} bins per keypoint, got "
                f"{outputs.shape[-1]}."
            )
        parts = outputs[..., :num_x], outputs[..., num_x:]
        bins_xy = np.stack([part.argmax(axis=-1) for part in parts], axis=-1)
        scores = np.minimum(*(part.max(axis=-1) for part in parts))
        bins_xy = np.where(scores[..., None] > 0, bins_xy, -1)
        return (bins_xy / self.split_ratio).astype(np.float32), scores

    def flip_back(self, outputs, mirror_permutation):
        """Exchanges left and right, and reverses the vectors over columns.

        There is no shift, although column i mirrors onto the bin after its own: the
        source has none.
        """
        outputs = np.asarray(outputs)[..., mirror_permutation, :]
        num_x = self.num_bins_xy[0]
        columns, rows = outputs[..., :num_x], outputs[..., num_x:]
        return np.concatenate([columns[..., ::-1], rows], axis=-1)
