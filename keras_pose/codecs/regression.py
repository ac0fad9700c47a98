"""Coordinates straight from the network, as DeepPose has it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

import numpy as np

from keras_pose.codecs.codec import Codec


@dataclass(frozen=True)
class RegressionCodec(Codec):
    """Keypoints as shares of the input: x / width, y / height.

    A network that gives coordinates and nothing else does not say how sure it is, so
    every keypoint scores 1. People are then ranked by the scores of their boxes alone.

    Source: Toshev & Szegedy 2014 (arXiv:1312.4659), sec. 3.1, who measure from the
    centre of the box; digits as in mmpose (`RegressionLabel`).
    """

    kind = "regression"
    output_name = "keypoints"
    losses = ("smooth_l1", "l1", "l2")

    @classmethod
    def for_input(cls, input_hw, stride: int = 4) -> Self:
        return cls((int(input_hw[0]), int(input_hw[1])))

    @property
    def _size_xy(self) -> tuple[int, int]:
        return self.input_hw[1], self.input_hw[0]

    def output_shape(self, num_keypoints: int) -> tuple[int, ...]:
        return num_keypoints, 2

    def count_keypoints(self, output_shape) -> int:
        return output_shape[-2]

    def encode(self, keypoints_xy, visibility):
        """Divides by the input's size; see `Codec.encode`.

        Weights are 0 as well for keypoints that are not on the input's pixels.
        """
        points_xy = np.asarray(keypoints_xy, np.float64)
        limit = np.array(self._size_xy) - 1
        inside = ((points_xy >= 0) & (points_xy <= limit)).all(-1)
        weights = ((np.asarray(visibility) > 0) & inside).astype(np.float32)
        return (points_xy / self._size_xy).astype(np.float32), weights

    def encode_tf(self, keypoints_xy, visibility):
        """Does what `encode` does, with TensorFlow ops: one person or a batch."""
        import tensorflow as tf

        points_xy = tf.cast(keypoints_xy, tf.float32)
        size = tf.constant(self._size_xy, tf.float32)
        inside = tf.reduce_all((points_xy >= 0) & (points_xy <= size - 1), -1)
        return points_xy / size, tf.cast((visibility > 0) & inside, tf.float32)

    def decode(self, outputs):
        """Multiplies by the input's size; every score is 1."""
        outputs = np.asarray(outputs, np.float32)
        if outputs.shape[-1] != 2:
            raise ValueError(
                f"The codec expects x and y per keypoint, got {outputs.shape[-1]} numbers."
            )
        keypoints_xy = outputs * np.array(self._size_xy, np.float32)
        return keypoints_xy, np.ones(outputs.shape[:-1], np.float32)

    def flip_back(self, outputs, mirror_permutation):
        """Exchanges left and right, and mirrors x about the middle of the pixels.

        Column x of a mirrored image is column width - 1 - x of the image. Source:
        `flip_coordinates` of mmpose with `shift_coords`, its setting for DeepPose.
        """
        outputs = np.asarray(outputs)[..., mirror_permutation, :]
        last = 1 - 1 / self.input_hw[1]
        return np.stack([last - outputs[..., 0], outputs[..., 1]], axis=-1)
