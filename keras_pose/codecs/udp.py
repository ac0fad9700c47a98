"""UDP: crops and heatmaps whose pixels mirror onto each other, so nothing is shifted.

Sizes are counted between the centres of the outermost pixels: a crop of width w is
w - 1 long, in the map that cuts it and in the grid of the heatmaps alike.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Self

import cv2
import numpy as np

from keras_pose.codecs.gaussian import GaussianHeatmapCodec
from keras_pose.codecs.heatmaps import HeatmapCodec
from keras_pose.codecs.peaks import blur, blur_around, find_peaks, log_around

# Bounds of values before the logarithm, in both codes.
LOG_LIMITS = (1e-3, 50.0)


@dataclass(frozen=True)
class UdpHeatmapCodec(GaussianHeatmapCodec):
    """Gaussian heatmaps by the rules of UDP.

    The Gaussian's top is where the keypoint is, its square around the rounded place.
    Decoding is DARK's, but derivatives are taken over one pixel, at the border too,
    and logarithms of no less than 0.001.

    Source: Huang et al. 2020 (arXiv:1911.07524), sec. 3; digits as in mmpose
    (`UDPHeatmap`, `refine_keypoints_dark_udp`). mmpose gives coordinates as
    `x / (W - 1) * w`, which its way back to the image undoes; ours are input pixels,
    `x / (W - 1) * (w - 1)`, and the same in the image. The authors' own code
    (UDP-Pose) smooths with a kernel of 7 and stretches the smoothed map from its
    minimum: `blur_kernel=7, stretches=True`.

    Attributes:
        blur_kernel: side of the smoothing kernel, heatmap pixels, odd.
        stretches: scale smoothed maps from [minimum, maximum] to [0, old maximum], and
            mirror them at the border; else from [0, maximum], 0 beyond the border.
    """

    blur_kernel: int = 11
    stretches: bool = False

    kind = "udp"
    is_unbiased = True

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.blur_kernel % 2 != 1:
            raise ValueError(f"blur_kernel must be odd, got {self.blur_kernel}.")

    def _center(self, exact, rounded):
        return exact, rounded

    def _refine(self, maps, xy, scores):
        """Steps to the top of the parabola, also at the border.

        Nothing but 1.2e-7, which the source adds to the curvature, bounds the step: a
        map that is flat on top can send a keypoint far off.
        """
        is_peak = scores > 0
        n, k = np.nonzero(is_peak)
        logs = self._logs(maps, n, k, xy[is_peak])
        logs = _repeat_edge(logs, xy[is_peak], maps.shape[1:3])
        top, right, below = logs[:, 1, 1], logs[:, 1, 2], logs[:, 2, 1]
        left, above = logs[:, 1, 0], logs[:, 0, 1]
        slope_x, slope_y = (right - left) / 2, (below - above) / 2
        tiny = np.finfo(np.float32).eps
        bend_xx, bend_yy = right - 2 * top + left + tiny, below - 2 * top + above + tiny
        around = right + below + left + above
        bend_xy = (logs[:, 2, 2] + logs[:, 0, 0] + 2 * top - around) / 2
        determinant = bend_xx * bend_yy - bend_xy**2
        step_x = (bend_xy * slope_y - bend_yy * slope_x) / determinant
        step_y = (bend_xy * slope_x - bend_xx * slope_y) / determinant
        offset_xy = np.zeros(xy.shape)
        offset_xy[is_peak] = np.stack([step_x, step_y], axis=1)
        return offset_xy

    def _logs(self, maps, n, k, xy):
        """Returns (M, 3, 3) logarithms of smoothed maps around (M, 2) positions."""
        if not self.stretches:
            return log_around(maps, n, k, xy, self.blur_kernel, 1, LOG_LIMITS)
        border = cv2.BORDER_REFLECT_101
        whole = blur(maps, self.blur_kernel, border)
        low, high = whole.min(axis=(1, 2))[n, k], whole.max(axis=(1, 2))[n, k]
        near = blur_around(maps, n, k, xy, self.blur_kernel, 1, border)
        # A constant map stays what it is: a flat one.
        scale = maps[n, xy[:, 1], xy[:, 0], k] / np.where(high > low, high - low, 1)
        near = (near - low[:, None, None]) * scale[:, None, None]
        return np.log(np.clip(near, *LOG_LIMITS))


def _repeat_edge(near, xy, heatmap_hw):
    """Replaces values beyond the map in (M, 3, 3) by those at its edge."""
    steps = np.arange(-1, 2)
    height, width = heatmap_hw
    x = np.clip(xy[:, :1] + steps, 0, width - 1) - xy[:, :1] + 1
    y = np.clip(xy[:, 1:] + steps, 0, height - 1) - xy[:, 1:] + 1
    return near[np.arange(len(near))[:, None, None], y[:, :, None], x[:, None]]


@dataclass(frozen=True)
class UdpOffsetCodec(HeatmapCodec):
    """A disc around each keypoint, and within it the way to the keypoint.

    Three channels a keypoint: 1 within `radius`, x and y offset to the keypoint over
    `radius`. Decoding smooths all three and adds the offset at the disc's arg-max.

    Source: Huang et al. 2020 (arXiv:1911.07524), sec. 3.3; digits as in the authors'
    code (UDP-Pose, `TARGET_TYPE: offset`, `LOSS.KPD`). mmpose's `UDPHeatmap` of type
    "combined" is radius 3.5 at 64x48 (0.0546875 of the longer side) with kernels of 23
    and 1: it leaves offsets as they are.

    Attributes:
        radius: radius of the disc, heatmap pixels.
        blur_kernel: side of the kernel that smooths discs, heatmap pixels, odd.
        offset_blur_kernel: side of the kernel that smooths offsets, heatmap pixels, odd.
    """

    radius: float = 4.0
    blur_kernel: int = 15
    offset_blur_kernel: int = 7

    kind = "udp_offset"
    losses = ("joints_mse", "focused_mse", "ohkm", "adaptive_wing")
    channels_per_keypoint = 3
    is_unbiased = True

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.radius <= 0:
            raise ValueError(f"A codec needs radius > 0, got radius={self.radius}.")
        for name in ("blur_kernel", "offset_blur_kernel"):
            if getattr(self, name) % 2 != 1:
                raise ValueError(f"{name} must be odd, got {getattr(self, name)}.")

    @classmethod
    def for_input(cls, input_hw, stride: int = 4) -> Self:
        """Returns the usual codec: the authors' for inputs of any size."""
        return cls((int(input_hw[0]), int(input_hw[1])), stride)

    @property
    def loss_settings(self) -> dict[str, Any]:
        return {"has_offsets": True}

    def encode(self, keypoints_xy, visibility):
        """Draws discs and offsets of labelled keypoints; see `Codec.encode`.

        Weights are 1 for labelled keypoints, also for those outside, whose maps are 0:
        so does the source.
        """
        height, width = self.heatmap_hw
        weights = (np.asarray(visibility) > 0).astype(np.float32)
        center = np.asarray(keypoints_xy, np.float64) / self.pixel_xy
        x = (center[..., :1] - np.arange(width)) / self.radius  # (..., K, W)
        y = (center[..., 1:] - np.arange(height)) / self.radius
        x, y = np.broadcast_arrays(x[..., None, :], y[..., None])  # (..., K, H, W)
        disc = (x**2 + y**2 <= 1) * weights[..., None, None]
        maps = np.stack([disc, disc * x, disc * y], axis=-3)  # (..., K, 3, H, W)
        maps = maps.reshape(*maps.shape[:-4], -1, height, width)
        return np.moveaxis(maps, -3, -1).astype(np.float32), weights

    def encode_tf(self, keypoints_xy, visibility):
        """Does what `encode` does, with TensorFlow ops: one person or a batch."""
        import tensorflow as tf

        height, width = self.heatmap_hw
        weights = tf.cast(visibility > 0, tf.float32)
        # In double precision, as the twin: a pixel is in the disc or is not.
        center = (tf.cast(keypoints_xy, tf.float64) / self.pixel_xy)[..., None, None, :, :]
        x = (center[..., 0] - tf.range(width, dtype=tf.float64)[:, None]) / self.radius
        y = center[..., 1] - tf.range(height, dtype=tf.float64)[:, None, None]
        y = y / self.radius
        inside = tf.cast(x**2 + y**2 <= 1, tf.float32)  # (..., H, W, K)
        disc = inside * weights[..., None, None, :]
        maps = [disc, disc * tf.cast(x, tf.float32), disc * tf.cast(y, tf.float32)]
        stacked = tf.stack(maps, axis=-1)  # (..., H, W, K, 3)
        shape = tf.concat([tf.shape(disc)[:-1], [3 * disc.shape[-1]]], 0)
        return tf.reshape(stacked, shape), weights

    def _locate(self, maps):
        border = cv2.BORDER_REFLECT_101  # OpenCV's default, and so the source's
        xy, scores = find_peaks(blur(maps[..., ::3], self.blur_kernel, border))
        n, k = (index.ravel() for index in np.indices(scores.shape))
        offsets = [
            blur_around(
                maps, n, 3 * k + 1 + axis, xy[n, k], self.offset_blur_kernel, 0, border
            )
            for axis in (0, 1)
        ]
        offset_xy = np.concatenate(offsets, axis=-1).reshape(xy.shape)
        return xy + self.radius * offset_xy, scores

    def flip_back(self, outputs, mirror_permutation):
        """Mirrors maps, exchanges left and right, and turns x offsets round.

        Source: `flip_back_offset` of UDP-Pose (`lib/utils/transforms.py`).
        """
        outputs = np.asarray(outputs)
        flipped = outputs[..., ::-1, :].reshape(*outputs.shape[:-1], -1, 3)
        flipped = flipped[..., mirror_permutation, :] * np.array([1, -1, 1], outputs.dtype)
        return flipped.reshape(outputs.shape)
