"""The base of all codecs of heatmaps: their grid, their mirror, arg-max decoding."""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass

import numpy as np

from keras_pose.codecs.codec import Codec
from keras_pose.codecs.peaks import PEOPLE_AT_A_TIME


@dataclass(frozen=True)
class HeatmapCodec(Codec):
    """A codec whose targets are maps.

    Attributes:
        stride: input pixels per heatmap pixel.
    """

    stride: int = 4

    output_name = "heatmaps"

    def __post_init__(self) -> None:
        if self.stride < 1:
            raise ValueError(f"A codec needs stride >= 1, got stride={self.stride}.")
        if any(size % self.stride for size in self.input_hw):
            raise ValueError(
                f"The codec's input_hw must be multiples of stride {self.stride}, "
                f"got {self.input_hw}."
            )

    @property
    def heatmap_hw(self) -> tuple[int, int]:
        return self.input_hw[0] // self.stride, self.input_hw[1] // self.stride

    @property
    def pixel_xy(self) -> tuple[float, float]:
        """(x, y) size of a heatmap pixel, input pixels.

        Unbiased maps have the centres of their outermost pixels where the input has
        those of its own.
        """
        x, y = (
            (size - self.is_unbiased) / (cells - self.is_unbiased)
            for size, cells in zip(self.input_hw[::-1], self.heatmap_hw[::-1], strict=True)
        )
        return x, y

    def output_shape(self, num_keypoints: int) -> tuple[int, ...]:
        return (*self.heatmap_hw, self.channels_per_keypoint * num_keypoints)

    def count_keypoints(self, output_shape) -> int:
        return output_shape[-1] // self.channels_per_keypoint

    def decode(self, outputs):
        """Finds keypoints: arg-max, then part of a pixel, as the class says.

        Coordinates are 0 where the maximum is not positive, as in the HRNet code.

        Args:
            outputs: (..., *output_shape(K)) float array.

        Returns:
            keypoints_xy: (..., K, 2) float32, input pixels.
            scores: (..., K) float32, the maxima.
        """
        maps = np.asarray(outputs, np.float32)
        num_keypoints = self.count_keypoints(maps.shape)
        if maps.shape[-3:] != self.output_shape(num_keypoints):
            raise ValueError(
                f"The codec expects heatmaps of (height, width) {self.heatmap_hw}, "
                f"got {maps.shape[-3:-1]} with {maps.shape[-1]} channels."
            )
        people = np.ascontiguousarray(maps.reshape(-1, *maps.shape[-3:]))
        xy = np.empty((len(people), num_keypoints, 2), np.float32)
        scores = np.empty(xy.shape[:2], np.float32)
        for start in range(0, len(people), PEOPLE_AT_A_TIME):
            part = slice(start, start + PEOPLE_AT_A_TIME)
            found_xy, scores[part] = self._locate(people[part])
            xy[part] = found_xy * self.pixel_xy * (scores[part] > 0)[..., None]
        shape = (*maps.shape[:-3], num_keypoints)
        return xy.reshape(*shape, 2), scores.reshape(shape)

    @abstractmethod
    def _locate(self, maps):
        """Maps (N, H, W, C) float32 to (N, K, 2) heatmap pixels and (N, K) scores."""

    def flip_back(self, outputs, mirror_permutation):
        """Mirrors heatmaps, exchanges left and right, and moves them one column right.

        Mirroring moves the centres of heatmap pixels by one less than the stride
        would, so the map goes one column right, and column 0 stays. Unbiased maps
        mirror onto themselves and stay where they are.

        Source: `flip_back` of the HRNet code, with its `TEST.SHIFT_HEATMAP`.
        """
        flipped = np.asarray(outputs)[..., ::-1, :][..., mirror_permutation]
        if self.is_unbiased:
            return flipped
        return np.concatenate([flipped[..., :1, :], flipped[..., :-1, :]], axis=-2)
