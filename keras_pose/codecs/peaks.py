"""Peaks of many heatmaps at once, and what lies around them. NumPy and OpenCV only.

Maps are (N, H, W, K): N people, channels last, as networks give them. Transposing
them would take longer than all that is done here, so nothing does.
"""

from __future__ import annotations

from functools import lru_cache

import cv2
import numpy as np

# People at a time: their maps should stay in the processor's cache between passes.
PEOPLE_AT_A_TIME = 16
# OpenCV 5 takes images of no more than 128 channels.
_MAX_CHANNELS = 128


def find_peaks(maps):
    """Finds the first maximum of every map, in row-major order.

    Args:
        maps: (N, H, W, K) float32.

    Returns:
        xy: (N, K, 2) int, positions.
        values: (N, K) float32.
    """
    num_people, height, width, channels = maps.shape
    columns = maps.reshape(num_people, height, width * channels).max(axis=1)
    columns = columns.reshape(num_people, width, channels)
    x = columns.argmax(axis=1)
    n, k = np.arange(num_people)[:, None], np.arange(channels)
    values = columns[n, x, k]
    y = maps[n, :, x, k].argmax(axis=-1)
    # The same maximum in several columns: the first row wins, not the first column.
    n, k = np.nonzero((columns == values[:, None]).sum(axis=1) > 1)
    if len(n):
        index = maps[n, :, :, k].reshape(len(n), -1).argmax(axis=1)
        y[n, k], x[n, k] = np.divmod(index, width)
    return np.stack([x, y], axis=-1), values


def gaussian_kernel(size: int):
    """Returns the (size,) float64 kernel that OpenCV takes where no sigma is given."""
    return cv2.getGaussianKernel(size, 0)[:, 0]


@lru_cache
def _sliding_kernel(size: int, reach: int):
    """Returns (2 reach + 1, 2 reach + size): one kernel a row, each a step further."""
    rows = np.zeros((2 * reach + 1, 2 * reach + size))
    for i, row in enumerate(rows):
        row[i : i + size] = gaussian_kernel(size)
    rows.setflags(write=False)
    return rows


def blur_around(maps, n, k, xy, size: int, reach: int, border: int):
    """Blurs maps, but only near some positions.

    Args:
        maps: (N, H, W, K) float32.
        n: (M,) index of the person.
        k: (M,) index of the channel.
        xy: (M, 2) int positions.
        size: side of the Gaussian kernel, odd.
        reach: distance from the positions that is blurred, pixels.
        border: `cv2.BORDER_CONSTANT` (0 beyond the map) or `cv2.BORDER_REFLECT_101`.

    Returns:
        (M, 2 reach + 1, 2 reach + 1) float64, rows first; positions beyond the map
        hold what the blur of the extended map would.
    """
    height, width = maps.shape[1:3]
    radius = reach + size // 2
    steps = np.arange(-radius, radius + 1)
    x, x_inside = _extend(xy[:, :1] + steps, width, border)
    y, y_inside = _extend(xy[:, 1:] + steps, height, border)
    channels = maps.shape[3]
    start = n * (height * width * channels) + k
    index = (start[:, None] + y * (width * channels))[:, :, None] + (x * channels)[:, None]
    windows = maps.reshape(-1).take(index)
    if border == cv2.BORDER_CONSTANT and not (x_inside.all() and y_inside.all()):
        windows *= y_inside[:, :, None] & x_inside[:, None]
    kernel = _sliding_kernel(size, reach)
    # One large product instead of one per window, along x and then along y.
    blurred = windows.reshape(-1, 2 * radius + 1).astype(np.float64) @ kernel.T
    blurred = blurred.reshape(len(xy), 2 * radius + 1, len(kernel)).transpose(0, 2, 1)
    blurred = blurred.reshape(-1, 2 * radius + 1) @ kernel.T
    return blurred.reshape(len(xy), len(kernel), len(kernel)).transpose(0, 2, 1)


def _extend(index, size, border):
    """Returns which pixels stand for `index`, and whether they do so within the map."""
    is_inside = (index >= 0) & (index < size)
    if border == cv2.BORDER_REFLECT_101:
        index = np.abs(index)
        index = np.where(index < size, index, 2 * (size - 1) - index)
    return np.clip(index, 0, size - 1), is_inside


def blur(maps, size: int, border: int):
    """Blurs whole maps: (N, H, W, K) float -> the same shape and type."""
    blurred = np.empty(maps.shape, maps.dtype)
    for image, output in zip(maps, blurred, strict=True):
        for start in range(0, maps.shape[-1], _MAX_CHANNELS):
            part = np.ascontiguousarray(image[..., start : start + _MAX_CHANNELS])
            part = cv2.GaussianBlur(part, (size, size), 0, borderType=border)
            # OpenCV drops the axis of a single channel.
            output[..., start : start + _MAX_CHANNELS] = part.reshape(*maps.shape[1:3], -1)
    return blurred


def log_around(maps, n, k, xy, size: int, reach: int, limits):
    """Takes the logarithm of blurred maps near their peaks.

    The blurred maps, 0 beyond the border, are scaled back to their old maxima and
    clipped to `limits`. Differences of logarithms do not see the scale, which is 1 or
    more; so it is only worked out, from the whole map, where clipping could show it.

    Args:
        maps: (N, H, W, K) float32.
        n: (M,) index of the person.
        k: (M,) index of the channel.
        xy: (M, 2) int positions of the maxima, which are positive.
        size: side of the Gaussian kernel, odd.
        reach: distance from the positions that is computed, pixels.
        limits: (low, high) bounds of the values before the logarithm.

    Returns:
        (M, 2 reach + 1, 2 reach + 1) float64, rows first; up to a constant per map.
    """
    low, high = limits
    near = blur_around(maps, n, k, xy, size, reach, cv2.BORDER_CONSTANT)
    peaks = maps[n, xy[:, 1], xy[:, 0], k].astype(np.float64)
    is_clipped = (near <= low).any(axis=(1, 2)) | (peaks > high)
    if is_clipped.any():
        whole = maps[n[is_clipped], :, :, k[is_clipped]].astype(np.float64)[..., None]
        highest = blur(whole, size, cv2.BORDER_CONSTANT).max(axis=(1, 2, 3))
        scale = peaks[is_clipped] / np.where(highest > 0, highest, 1)
        near[is_clipped] *= scale[:, None, None]
    return np.log(np.clip(near, low, high))
