"""DARK: heatmaps whose centres are not rounded, decoded to a fraction of a pixel.

What rounding costs grows with the share of a pixel in the person, so small inputs
need this most: at 128x96 a heatmap has 32x24 pixels.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from keras_pose.codecs.gaussian import GaussianHeatmapCodec
from keras_pose.codecs.peaks import log_around

# Of heatmaps, before the logarithm.
LOG_FLOOR = 1e-10


@dataclass(frozen=True)
class DarkHeatmapCodec(GaussianHeatmapCodec):
    """Gaussian heatmaps without rounding.

    The centre of a target is where the keypoint is. Decoding smooths the heatmap,
    takes its logarithm, which makes a Gaussian a parabola, and steps from the
    arg-max to the parabola's top.

    Source: Zhang et al. 2020 (arXiv:1910.06278), sec. 3; digits as in the DarkPose
    code (`generate_target`, `taylor` and `gaussian_blur`).

    Attributes:
        blur_kernel: side of the smoothing kernel, heatmap pixels, odd; None for the
            authors' 11 at sigma 2 and 17 at sigma 3, and in proportion for others.
    """

    blur_kernel: int | None = None

    kind = "dark"

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.blur_kernel is not None and self.blur_kernel % 2 != 1:
            raise ValueError(f"blur_kernel must be odd, got {self.blur_kernel}.")

    @property
    def smoothing_side(self) -> int:
        """Side of the smoothing kernel, heatmap pixels."""
        return self.blur_kernel or 2 * int(3 * self.sigma) - 1

    def _center(self, exact, rounded):
        return exact, exact

    @property
    def _reach(self) -> float:
        return np.inf

    def _refine(self, maps, xy, scores):
        """Steps to the top of the parabola; derivatives are central differences.

        Not within the outer two pixels, and not where the curvature is singular.
        """
        height, width = maps.shape[1:3]
        inside = ((xy > 1) & (xy < (width - 2, height - 2))).all(axis=-1) & (scores > 0)
        n, k = np.nonzero(inside)
        logs = log_around(
            maps, n, k, xy[inside], self.smoothing_side, 2, (LOG_FLOOR, np.inf)
        )
        top = logs[:, 2, 2]
        slope_x = (logs[:, 2, 3] - logs[:, 2, 1]) / 2
        slope_y = (logs[:, 3, 2] - logs[:, 1, 2]) / 2
        # Second derivatives over two pixels each way, as in the source.
        bend_xx = (logs[:, 2, 4] - 2 * top + logs[:, 2, 0]) / 4
        bend_yy = (logs[:, 4, 2] - 2 * top + logs[:, 0, 2]) / 4
        bend_xy = logs[:, 3, 3] - logs[:, 1, 3] - logs[:, 3, 1] + logs[:, 1, 1]
        bend_xy = bend_xy / 4
        determinant = bend_xx * bend_yy - bend_xy**2
        is_regular = determinant != 0
        determinant = np.where(is_regular, determinant, 1)
        step_x = (bend_xy * slope_y - bend_yy * slope_x) / determinant
        step_y = (bend_xy * slope_x - bend_xx * slope_y) / determinant
        offset_xy = np.zeros(xy.shape)
        offset_xy[inside] = np.stack([step_x, step_y], axis=1) * is_regular[:, None]
        return offset_xy
