"""Pixels of crops in TensorFlow: resampled, coloured and normalised in one compiled step.

XLA makes one loop of what would be ten passes over float pictures. It compiles for shapes,
so the part of a picture that a crop needs is handed over as one row of bytes, filled up to
a power of two: a handful of sizes serves all pictures.
"""

from __future__ import annotations

import functools
import warnings

import numpy as np
import tensorflow as tf

from keras_pose.data.image_decoding import cut_window, decode_window
from keras_pose.pictures.normalization import Normalization

# Beyond the outermost pixels that bilinear interpolation reads: one that decoding may get
# wrong (see `decode_window`), and one for rounding.
_MARGIN = 2
# Rows of so many bytes are handed over.
_SIZES = 3 * 2 ** np.arange(14, 31, dtype=np.int64)


def inverse_of(matrix):
    """Inverts affine maps: (..., 2, 3) -> (..., 2, 3); `geometry.invert_matrix`'s twin."""
    (a, b, x), (c, d, y) = (tf.unstack(row, axis=-1) for row in tf.unstack(matrix, axis=-2))
    determinant = a * d - b * c
    rows = [d, -b, b * y - d * x], [-c, a, c * x - a * y]
    inverse = tf.stack([tf.stack(row, axis=-1) for row in rows], axis=-2)
    return inverse / determinant[..., None, None]


def place_window(matrix, output_hw, bounds=None):
    """Finds what a crop needs of an image, however large that is.

    Args:
        matrix: (..., 2, 3) map, image -> crop.
        output_hw: (height, width) of the crop, pixels.
        bounds: (..., 4) float32 x and y of the first pixel, then of the last, that the
            crop may see, as if the image ended there: finite numbers, also beyond the
            image. None for the whole image.

    Returns:
        reach: (..., 2, 2) int32, row and column of the first pixel, and of one beyond the
            last; neither is before the image, but both may lie behind it.
        inverse: (..., 2, 3) map, crop -> pixels counted from the first one of the reach.
    """
    inverse = inverse_of(matrix)
    last_xy = np.array([output_hw[1] - 1, output_hw[0] - 1], np.float32)
    # How far the image goes from the crop's first corner, along both of its sides.
    sides = inverse[..., :2] * last_xy
    corner_xy = inverse[..., 2]
    first_xy = corner_xy + tf.reduce_sum(tf.minimum(sides, 0.0), axis=-1)
    end_xy = corner_xy + tf.reduce_sum(tf.maximum(sides, 0.0), axis=-1)
    # What does not fit into integers lies beside every image.
    first_xy = tf.clip_by_value(tf.floor(first_xy) - _MARGIN, 0.0, 1e9)
    end_xy = tf.clip_by_value(tf.floor(end_xy) + 2 + _MARGIN, 1.0, 1e9 + 1e3)
    if bounds is not None:
        first_xy = tf.maximum(first_xy, tf.math.ceil(bounds[..., :2]))
        end_xy = tf.minimum(end_xy, tf.floor(bounds[..., 2:]) + 1)
        end_xy = tf.maximum(end_xy, first_xy + 1)
    reach = tf.cast(tf.stack([first_xy[..., ::-1], end_xy[..., ::-1]], -2), tf.int32)
    shift = (corner_xy - first_xy)[..., None]
    return reach, tf.concat([inverse[..., :2], shift], axis=-1)


def window_of(reach, image_hw):
    """Returns what of an image lies in the reach of a crop.

    Where that is nothing, it is a pixel, which the crop does not see: it would have to lie
    within a pixel of what it reads, and the reach begins `_MARGIN` before.

    Args:
        reach: (2, 2) int32, see `place_window`.
        image_hw: (2,) int32 (height, width) of the image.

    Returns:
        (4,) int32 (top, left, height, width).
    """
    first, end = tf.unstack(tf.minimum(reach, image_hw + np.array([[-1], [0]], np.int32)))
    return tf.concat([first, end - first], axis=0)


def warp_crop(image, matrix, output_hw, fill: float = 0.0):
    """Resamples an image through a map, bilinearly.

    Args:
        image: (H, W, 3) uint8.
        matrix: (2, 3) float32 map, image -> crop.
        output_hw: (height, width) of the crop, pixels.
        fill: grey level outside of the image.

    Returns:
        (*output_hw, 3) float32.
    """
    reach, inverse = place_window(matrix, output_hw)
    window = window_of(reach, tf.shape(image)[:2])
    return warp_window(cut_window(image, window), inverse, output_hw, fill)


def cut_crop(encoded, sample, output_hw, normalization: Normalization):
    """Decodes what a crop needs of an image, and makes it network input.

    Args:
        encoded: () string, an image that `data.pictures.is_plain`.
        sample: "reach" and "inverse" of `place_window`; "color_changes", see
            `change_colors`, or none.
        output_hw: (height, width) of the crop, pixels.
        normalization: applied to the crop.

    Returns:
        (*output_hw, 3) float32, normalised; black outside of the image, before colours.
    """
    pixels = decode_window(encoded, lambda image_hw: window_of(sample["reach"], image_hw))
    return warp_window(
        pixels,
        sample["inverse"],
        output_hw,
        normalization=normalization,
        changes=sample.get("color_changes"),
    )


def warp_window(
    pixels,
    inverse,
    output_hw,
    fill: float = 0.0,
    normalization: Normalization | None = None,
    changes=None,
):
    """Does what `warp_crop` does, from the part of an image, and finishes the crop.

    Args:
        pixels: (h, w, 3) uint8, the part.
        inverse: (2, 3) float32 map, crop -> pixels of the part.
        output_hw: (height, width) of the crop, pixels.
        fill: grey level outside of the image.
        normalization: applied to the crop; None for grey levels.
        changes: (5,) float32 colour changes, see `change_colors`; None for none.

    Returns:
        (*output_hw, 3) float32.
    """
    size = tf.size(pixels, tf.int64)
    room = tf.reduce_min(tf.where(size <= _SIZES, _SIZES, _SIZES[-1]))
    free = tf.zeros([room - size], tf.uint8)
    row = tf.concat([tf.reshape(pixels, [-1]), free], axis=0)
    finish = _finisher(tuple(output_hw), fill, normalization, changes is not None)
    return finish(row, tf.shape(pixels), inverse, *([] if changes is None else [changes]))


@functools.cache
def _finisher(output_hw, fill, normalization, has_changes):
    """Returns the compiled step from a row of pixels to a crop."""

    def finish(row, shape, inverse, changes=None):
        crop = _interpolate(row, shape, inverse, output_hw, fill)
        if has_changes:
            crop = change_colors(crop, changes)
        return crop if normalization is None else normalization(crop)

    return tf.function(finish, jit_compile=can_compile())


@functools.cache
def can_compile() -> bool:
    """Returns True if this TensorFlow has XLA for the CPU; warns if not."""
    try:
        tf.function(lambda x: x + 1, jit_compile=True)(tf.zeros([]))
    except (tf.errors.OpError, ValueError) as error:
        warnings.warn(f"Input is slower, for want of XLA: {error}", stacklevel=2)
        return False
    return True


def _interpolate(row, shape, inverse, output_hw, fill):
    """Reads a row of pixels, those of a picture of a shape, at each pixel of a crop."""
    height, width = tf.cast(shape[0], tf.float32), tf.cast(shape[1], tf.float32)
    columns = tf.range(output_hw[1], dtype=tf.float32)
    rows = tf.range(output_hw[0], dtype=tf.float32)[:, None]
    x = inverse[0, 0] * columns + inverse[0, 1] * rows + inverse[0, 2]
    y = inverse[1, 0] * columns + inverse[1, 1] * rows + inverse[1, 2]
    left = tf.clip_by_value(tf.floor(x), 0.0, tf.maximum(width - 2, 0))
    top = tf.clip_by_value(tf.floor(y), 0.0, tf.maximum(height - 2, 0))
    # Weights of two pixels that are always in the picture, so 0 for what is beyond.
    x_weights = _tents(x - left, width)
    y_weights = _tents(y - top, height)
    first = tf.cast(top, tf.int32) * shape[1] + tf.cast(left, tf.int32)
    pixels = tf.reshape(row, [-1, 3])

    def line(first):
        pair = (tf.cast(tf.gather(pixels, first + i), tf.float32) for i in (0, 1))
        return sum(p * weight[..., None] for p, weight in zip(pair, x_weights, strict=True))

    lines = line(first), line(first + shape[1])
    crop = sum(p * weight[..., None] for p, weight in zip(lines, y_weights, strict=True))
    if fill:
        seen = sum(x_weights) * sum(y_weights)
        crop += fill * (1 - seen[..., None])
    return crop


def _tents(offset, size):
    """Returns the weights of a pixel and the next, at an offset from the first."""
    # Of a side of one pixel there is no next one.
    has_next = tf.cast(size > 1, tf.float32)
    return tf.nn.relu(1 - tf.abs(offset)), has_next * tf.nn.relu(1 - tf.abs(offset - 1))


def change_colors(images, changes):
    """Changes brightness, contrast, saturation and tint of images.

    Black borders of a crop change with the rest: they are part of the picture, as
    they are for the network on a phone.

    Args:
        images: (..., H, W, 3) float32 in [0, 255].
        changes: (..., 5) float32: factors of contrast, around the mean of all channels, of
            saturation, around the grey of each pixel, and of red, green and blue.

    Returns:
        (..., H, W, 3) float32 in [0, 255].
    """
    changes = changes[..., None, None, :]
    contrast, saturation, gain = changes[..., :1], changes[..., 1:2], changes[..., 2:]
    mean = tf.reduce_mean(images, axis=(-3, -2, -1), keepdims=True)
    grey = tf.reduce_sum(images, axis=-1, keepdims=True) / 3
    shared = contrast * (1 - saturation) * grey + (1 - contrast) * mean
    return tf.clip_by_value(gain * (contrast * saturation * images + shared), 0.0, 255.0)
