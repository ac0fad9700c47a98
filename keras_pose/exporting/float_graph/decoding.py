"""Decoding in the graph: what a codec does to outputs, in ops that TFLite and ONNX have.

Each function is the twin of its codec's NumPy `decode`, whose rules and sources it follows.
Differences are those of float32 against float64: below 0.01 pixel where a peak has a
curvature to speak of. Maps are (B, H, W, C) float32.

Values at a position are gathered from flat tensors, so that no op needs more than one
index; blurs are depthwise convolutions with constant kernels.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import tensorflow as tf

from keras_pose.codecs import (
    Codec,
    DarkHeatmapCodec,
    DecodedCodec,
    GaussianHeatmapCodec,
    RegressionCodec,
    SimccCodec,
    UdpHeatmapCodec,
    UdpOffsetCodec,
)
from keras_pose.codecs.dark import LOG_FLOOR
from keras_pose.codecs.peaks import gaussian_kernel
from keras_pose.codecs.udp import LOG_LIMITS
from keras_pose.contracts.bottom_up import BottomUpContract
from keras_pose.contracts.crowd_fields import CrowdContract
from keras_pose.contracts.detector import ModelContract
from keras_pose.contracts.fields import TensorSpec
from keras_pose.contracts.pose import Contract


def decoded_contract(contract: ModelContract) -> Contract:
    """Returns the contract of a model whose file decodes in its graph.

    Raises:
        ValueError: for a detector and a one-stage network, whose boxes need NMS, and for a
            bottom-up network, whose people need matching.
    """
    if isinstance(contract, BottomUpContract):
        raise ValueError(
            "Only files of top-down networks decode in their graph; the limbs of "
            f"{contract.model} are matched to people by steps whose number depends on the "
            "picture. Programs parse its maps (mobile_demo/SPEC.md)."
        )
    if isinstance(contract, CrowdContract):
        raise ValueError(
            f"Files of {contract.model} give people in any case, several of whom may be "
            "one person; programs tell them apart (mobile_demo/SPEC.md). Leave decoding in "
            "the graph out."
        )
    if not isinstance(contract, Contract):
        raise ValueError(
            f"Only files of top-down networks decode in their graph; {contract.model} is a "
            "detector."
        )
    codec = DecodedCodec(
        contract.input_hw,
        decoded_by=contract.codec.kind,
        is_unbiased=contract.codec.is_unbiased,
    )
    shape = (contract.output.shape[0], *codec.output_shape(contract.skeleton.num_keypoints))
    output = TensorSpec(codec.output_name, shape, "float32")
    return replace(contract, codec=codec, output=output)


def decode_in_graph(codec: Codec, outputs):
    """Finds keypoints.

    Args:
        codec: codec of the outputs.
        outputs: (B, *codec.output_shape(K)) float32 tensor, B fixed.

    Returns:
        (B, K, 3) float32: x and y in input pixels, and the score.

    Raises:
        ValueError: for a codec that is not known here.
    """
    decode = _DECODERS.get(codec.kind)
    if decode is None:
        raise ValueError(
            f"Codec {codec.kind!r} cannot be decoded in the graph; those that can are "
            f"{sorted(_DECODERS)}."
        )
    x, y, scores = decode(codec, outputs)
    return tf.stack([x, y, scores], axis=-1)


def _gaussian(codec: GaussianHeatmapCodec, maps):
    column, row, scores = _find_peaks(maps)
    step_x, step_y = _quarter_steps(maps, column, row)
    return _to_pixels(codec, column, row, step_x, step_y, scores)


def _quarter_steps(maps, column, row):
    """Steps a quarter pixel towards the higher neighbour, within the outer two."""
    height, width = maps.shape[1:3]
    is_inside = _within(column, 2, width - 2) * _within(row, 2, height - 2)

    def at(dx, dy):
        return _values_at(maps, _clip(column + dx, width), _clip(row + dy, height))

    step_x = 0.25 * _sign(at(1, 0) - at(-1, 0)) * is_inside
    return step_x, 0.25 * _sign(at(0, 1) - at(0, -1)) * is_inside


def _dark(codec: DarkHeatmapCodec, maps):
    height, width = maps.shape[1:3]
    column, row, scores = _find_peaks(maps)
    blurred = _blur(maps, codec.smoothing_side, "CONSTANT")
    logs = tf.math.log(tf.maximum(_rescaled(blurred, scores), LOG_FLOOR))

    def at(dx, dy):
        return _values_at(logs, _clip(column + dx, width), _clip(row + dy, height))

    top = at(0, 0)
    slopes = (at(1, 0) - at(-1, 0)) / 2, (at(0, 1) - at(0, -1)) / 2
    bends = (
        (at(2, 0) - 2 * top + at(-2, 0)) / 4,
        (at(0, 2) - 2 * top + at(0, -2)) / 4,
        (at(1, 1) - at(1, -1) - at(-1, 1) + at(-1, -1)) / 4,
    )
    is_inside = _within(column, 2, width - 3) * _within(row, 2, height - 3)
    step_x, step_y = _newton_step(*slopes, *bends)
    return _to_pixels(codec, column, row, step_x * is_inside, step_y * is_inside, scores)


def _udp(codec: UdpHeatmapCodec, maps):
    height, width = maps.shape[1:3]
    column, row, scores = _find_peaks(maps)
    logs = tf.math.log(tf.clip_by_value(_smoothed(codec, maps, scores), *LOG_LIMITS))

    def at(dx, dy):
        # Beyond the map is what stands at its edge.
        return _values_at(logs, _clip(column + dx, width), _clip(row + dy, height))

    top, right, left, below, above = at(0, 0), at(1, 0), at(-1, 0), at(0, 1), at(0, -1)
    tiny = np.finfo(np.float32).eps
    around = right + below + left + above
    step_x, step_y = _newton_step(
        (right - left) / 2,
        (below - above) / 2,
        right - 2 * top + left + tiny,
        below - 2 * top + above + tiny,
        (at(1, 1) + at(-1, -1) + 2 * top - around) / 2,
    )
    return _to_pixels(codec, column, row, step_x, step_y, scores)


def _smoothed(codec: UdpHeatmapCodec, maps, scores):
    if not codec.stretches:
        return _rescaled(_blur(maps, codec.blur_kernel, "CONSTANT"), scores)
    blurred = _blur(maps, codec.blur_kernel, "REFLECT")
    low = tf.reduce_min(blurred, axis=(1, 2), keepdims=True)
    span = tf.reduce_max(blurred, axis=(1, 2), keepdims=True) - low
    return (blurred - low) * (scores[:, None, None] / _or_one(span))


def _udp_offset(codec: UdpOffsetCodec, maps):
    blurred = _blur(maps[..., ::3], codec.blur_kernel, "REFLECT")
    column, row, scores = _find_peaks(blurred)
    steps = [
        _values_at(
            _blur(maps[..., axis::3], codec.offset_blur_kernel, "REFLECT"), column, row
        )
        for axis in (1, 2)
    ]
    step_x, step_y = (codec.radius * step for step in steps)
    return _to_pixels(codec, column, row, step_x, step_y, scores)


def _simcc(codec: SimccCodec, vectors):
    num_x = codec.num_bins_xy[0]
    parts = vectors[..., :num_x], vectors[..., num_x:]
    scores = tf.minimum(*(tf.reduce_max(part, axis=-1) for part in parts))
    is_found = _is_positive(scores)
    # One bin below 0 where nothing was found.
    x, y = (((_argmax(part, -1) + 1) * is_found - 1) / codec.split_ratio for part in parts)
    return x, y, scores


def _regression(codec: RegressionCodec, keypoints):
    height, width = codec.input_hw
    x, y = keypoints[..., 0] * width, keypoints[..., 1] * height
    return x, y, tf.ones_like(x)


_DECODERS: dict[str, Callable] = {
    GaussianHeatmapCodec.kind: _gaussian,
    DarkHeatmapCodec.kind: _dark,
    UdpHeatmapCodec.kind: _udp,
    UdpOffsetCodec.kind: _udp_offset,
    SimccCodec.kind: _simcc,
    RegressionCodec.kind: _regression,
}


def _find_peaks(maps):
    """Returns columns, rows and heights of the first maxima, (B, C) float32 each."""
    batch, height, width, channels = maps.shape
    flat = tf.reshape(maps, [batch, height * width, channels])
    index = _argmax(flat, 1)
    # In float32, which holds whole numbers this small exactly.
    row = tf.floor((index + 0.5) / width)
    return index - row * width, row, tf.reduce_max(flat, axis=1)


def _argmax(values, axis: int):
    return tf.cast(tf.argmax(values, axis=axis, output_type=tf.int32), tf.float32)


def _values_at(maps, column, row):
    """Returns (B, C): what each map holds at its own position."""
    batch, height, width, channels = maps.shape
    first = np.arange(batch)[:, None] * (height * width * channels) + np.arange(channels)
    step = tf.cast((row * width + column) * channels, tf.int32)
    return tf.gather(tf.reshape(maps, [-1]), step + first.astype(np.int32))


def _blur(maps, size: int, border: str):
    """Blurs by OpenCV's Gaussian of a size, with 0 beyond the border or mirrored there."""
    radius, channels = size // 2, maps.shape[-1]
    padding = [[0, 0], [radius, radius], [radius, radius], [0, 0]]
    x = tf.pad(maps, padding, border)
    weights = np.float32(gaussian_kernel(size))
    for shape in ((size, 1, 1, 1), (1, size, 1, 1)):
        kernel = np.tile(weights.reshape(shape), (1, 1, channels, 1))
        x = tf.nn.depthwise_conv2d(x, kernel, [1, 1, 1, 1], "VALID")
    return x


def _rescaled(blurred, scores):
    """Scales blurred maps back to their old maxima."""
    highest = tf.reduce_max(blurred, axis=(1, 2), keepdims=True)
    return blurred * (scores[:, None, None] / _or_one(highest))


def _newton_step(slope_x, slope_y, bend_xx, bend_yy, bend_xy):
    """Steps to where a parabola has no slope; not at all where it has no curvature."""
    determinant = bend_xx * bend_yy - bend_xy * bend_xy
    is_regular = tf.cast(tf.not_equal(determinant, 0), tf.float32)
    inverse = is_regular / (determinant + (1 - is_regular))
    step_x = (bend_xy * slope_y - bend_yy * slope_x) * inverse
    return step_x, (bend_xy * slope_x - bend_xx * slope_y) * inverse


def _to_pixels(codec, column, row, step_x, step_y, scores):
    """From map pixels to input pixels; to (0, 0) where the maximum is not positive."""
    (size_x, size_y), is_found = codec.pixel_xy, _is_positive(scores)
    # Where nothing was found, a step may be infinite: it is left out, not multiplied by 0.
    x = tf.where(is_found > 0, (column + step_x) * size_x, 0.0)
    y = tf.where(is_found > 0, (row + step_y) * size_y, 0.0)
    return x, y, scores


def _within(values, first: int, last: int):
    """1 from `first` to `last`, both included, else 0."""
    inside = tf.logical_and(values > first - 0.5, values < last + 0.5)
    return tf.cast(inside, tf.float32)


def _clip(values, size: int):
    return tf.clip_by_value(values, 0.0, float(size - 1))


def _sign(values):
    """Does what `tf.sign` does, which became a TFLite op in 2023 only."""
    return _is_positive(values) - _is_positive(-values)


def _is_positive(values):
    return tf.cast(values > 0, tf.float32)


def _or_one(values):
    """Replaces what is not positive by 1, to divide by."""
    return tf.where(values > 0, values, 1.0)
