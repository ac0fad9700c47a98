"""Decoding of plain pictures in TensorFlow: whole, or only the part that a crop needs."""

from __future__ import annotations

import tensorflow as tf

# TensorFlow's default is a faster transform, up to 3 grey levels off.
_DCT_METHOD = "INTEGER_ACCURATE"


def decode_image(encoded):
    """Decodes an image that `data.pictures.is_plain`.

    Returns:
        (H, W, 3) uint8 RGB, the pixels that `read_image` gives.
    """
    image = tf.cond(
        tf.io.is_jpeg(encoded),
        lambda: tf.io.decode_jpeg(encoded, 3, dct_method=_DCT_METHOD),
        lambda: tf.io.decode_png(encoded, 3),
    )
    return tf.ensure_shape(image, (None, None, 3))


def decode_window(encoded, window_of):
    """Decodes a part of an image that `data.pictures.is_plain`.

    Blocks of a JPEG outside of the part are neither transformed nor coloured, and rows
    below it are not even read.

    Args:
        encoded: () string.
        window_of: function from the (2,) int32 (height, width) of the image to the (4,)
            int32 (top, left, height, width) of the part, which lies inside.

    Returns:
        (h, w, 3) uint8 RGB, the pixels of `decode_image` but for the outermost on every
        side: there colours of a JPEG are not smoothed with those outside of the part.
    """

    def from_jpeg():
        window = window_of(tf.io.extract_jpeg_shape(encoded)[:2])
        return tf.io.decode_and_crop_jpeg(encoded, window, 3, dct_method=_DCT_METHOD)

    def from_png():
        image = tf.io.decode_png(encoded, 3)
        return cut_window(image, window_of(tf.shape(image)[:2]))

    pixels = tf.cond(tf.io.is_jpeg(encoded), from_jpeg, from_png)
    pixels.set_shape((None, None, 3))
    return pixels


def cut_window(image, window):
    """Returns the (h, w, 3) part of an image at (top, left, height, width)."""
    top, left, height, width = tf.unstack(window)
    return image[top : top + height, left : left + width]
