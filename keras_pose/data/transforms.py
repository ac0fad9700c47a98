"""Augmentation of samples, as TensorFlow ops: dicts in, changed copies out.

A sample on its way holds

    center_xy     (2,) float32, crop centre, image pixels
    crop_width    () float32, image pixels
    angle_degrees () float32, rotation of the crop
    is_mirrored   () bool, whether the crop is flipped left-right
    keypoints_xy  (K, 2) float32, image pixels, later input pixels
    visibility    (K,) int32 COCO flags

or has an axis more in front, of a batch: many small ops a sample would cost more than the
arithmetic. Scale, rotation, flip and half-body only change the crop that will be cut, so
pixels are interpolated once, see `data.warping`. Order and distributions are those of the
HRNet code (`lib/dataset/JointsDataset.py`). All randomness comes from `draw_changes`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple

import tensorflow as tf

from keras_pose.data.warping import change_colors, place_window
from keras_pose.pictures.geometry import BOX_PADDING
from keras_pose.skeleton import Skeleton

# Half-body crops get more room than whole ones (`half_body_transform`).
_HALF_BODY_PADDING = 1.5


@dataclass(frozen=True)
class Augmentation:
    """Strengths of training's random changes; the defaults are HRNet's on COCO.

    Attributes:
        scale: standard deviation of the zoom; the factor stays in 1 +- scale.
        rotation_degrees: standard deviation; angles stay within twice that.
        rotation_probability: share of crops that are turned at all.
        flip_probability: share of crops that are mirrored.
        half_body_probability: share of crops that show only the upper or lower body.
        half_body_min_keypoints: people with no more labelled keypoints than this
            keep their whole crop.
        color: strength of brightness, contrast, saturation and tint changes;
            0 for none (as HRNet), 1 for strong.
    """

    scale: float = 0.35
    rotation_degrees: float = 45.0
    rotation_probability: float = 0.6
    flip_probability: float = 0.5
    half_body_probability: float = 0.3
    half_body_min_keypoints: int = 8
    color: float = 0.0


NO_AUGMENTATION = Augmentation(
    scale=0.0, rotation_probability=0.0, flip_probability=0.0, half_body_probability=0.0
)


class Draws(NamedTuple):
    """Random numbers of N samples, each a function of (seed, position in the stream).

    Attributes:
        normal: (N, 4) float32 of the standard normal distribution.
        uniform: (N, 4) float32 in [0, 1).
        color: (N, 8) float32 in [0, 1).
    """

    normal: Any
    uniform: Any
    color: Any


def draw_changes(seed: int, first, count) -> Draws:
    """Draws the numbers of samples that follow each other in the stream.

    Args:
        seed: seed of the augmentation.
        first: () int64, position of the first sample.
        count: number of samples.
    """
    ops = tf.raw_ops

    def draw(op, stream, size):
        # Philox gives four numbers a step of its counter: a sample has steps of its own.
        seeds = tf.constant([seed, stream], tf.int64)
        key, counter = ops.StatelessRandomGetKeyCounter(seed=seeds)
        start = tf.cast(first * (size // 4), tf.uint64)
        counter += tf.stack([start, tf.zeros([], tf.uint64)])
        return op(shape=[count, size], key=key, counter=counter, alg=1)

    return Draws(
        draw(ops.StatelessRandomNormalV2, 0, 4),
        draw(ops.StatelessRandomUniformV2, 1, 4),
        draw(ops.StatelessRandomUniformV2, 2, 8),
    )


def whole_crop(sample, input_hw, box_padding: float = BOX_PADDING):
    """Sets the crop around the box; the TensorFlow twin of `geometry.box_to_crop`."""
    box = tf.cast(sample["box_xywh"], tf.float32)
    aspect = input_hw[1] / input_hw[0]
    width = tf.maximum(box[..., 2], box[..., 3] * aspect) * box_padding
    return sample | {
        "center_xy": box[..., :2] + box[..., 2:] / 2,
        "crop_width": width,
        "angle_degrees": tf.zeros_like(width),
        "is_mirrored": tf.zeros_like(width, tf.bool),
    }


def augment_crop(
    sample, augmentation: Augmentation, skeleton: Skeleton, input_hw, draws: Draws
):
    """Varies crops: half body, then scale, rotation, flip.

    Flips are left out for a skeleton without mirror pairs, which could not say
    what becomes of its keypoints.

    Args:
        sample: N samples.
        augmentation: strength of the changes.
        skeleton: names and pairs of the keypoints.
        input_hw: model input (height, width), pixels.
        draws: random numbers of the N samples.
    """
    is_whole, is_turned, is_mirrored, _ = tf.unstack(draws.uniform, axis=-1)
    upper, zoom, angle, _ = tf.unstack(draws.normal, axis=-1)
    sample = _half_body(
        sample,
        augmentation,
        skeleton,
        input_hw,
        # The reference draws a normal number below 0.5, which is not one chance in two.
        upper < 0.5,
        is_whole < augmentation.half_body_probability,
    )
    scale, limit = augmentation.scale, 2 * augmentation.rotation_degrees
    zoom = tf.clip_by_value(1 + scale * zoom, 1 - scale, 1 + scale)
    angle = tf.clip_by_value(augmentation.rotation_degrees * angle, -limit, limit)
    can_flip = bool(skeleton.mirrored)
    return sample | {
        "crop_width": sample["crop_width"] * zoom,
        "angle_degrees": tf.where(
            is_turned < augmentation.rotation_probability, angle, 0.0
        ),
        "is_mirrored": can_flip & (is_mirrored < augmentation.flip_probability),
    }


def _half_body(sample, augmentation, skeleton, input_hw, wants_upper, happens):
    """Moves crops to the upper or the lower body, if enough of it is labelled."""
    labelled = sample["visibility"] > 0
    upper_mask = tf.constant(skeleton.upper_body_mask)
    upper, lower = labelled & upper_mask, labelled & ~upper_mask
    takes_upper = (wants_upper & (_count(upper) > 2)) | (_count(lower) <= 2)
    chosen = tf.where(takes_upper[..., None], upper, lower)
    count = _count(chosen)
    is_enough = _count(labelled) > augmentation.half_body_min_keypoints
    xy, chosen = sample["keypoints_xy"], chosen[..., None]
    far = tf.constant(float("inf"))
    extent = tf.reduce_max(tf.where(chosen, xy, -far), -2)
    extent -= tf.reduce_min(tf.where(chosen, xy, far), -2)
    aspect = input_hw[1] / input_hw[0]
    width = tf.maximum(extent[..., 0], extent[..., 1] * aspect) * _HALF_BODY_PADDING
    # Two keypoints at one place would give a crop of no size.
    applies = happens & is_enough & (count >= 2) & (width > 1)
    mean_xy = tf.reduce_sum(tf.where(chosen, xy, 0.0), -2)
    mean_xy /= tf.cast(tf.maximum(count, 1), tf.float32)[..., None]
    return sample | {
        "center_xy": tf.where(applies[..., None], mean_xy, sample["center_xy"]),
        "crop_width": tf.where(applies, width, sample["crop_width"]),
    }


def _count(mask):
    return tf.reduce_sum(tf.cast(mask, tf.int32), axis=-1)


def crop_matrix_tf(sample, input_hw, is_unbiased: bool = False):
    """Builds the (..., 2, 3) float32 map image -> input; `geometry.crop_matrix`'s twin.

    Mirroring acts before the rotation and about the crop's centre, as flipping
    the image first does (`x' = W - x - 1`, for the centre, too).
    """
    height, width = input_hw
    target_wh = tf.constant([width - is_unbiased, height - is_unbiased], tf.float32)
    zoom_xy = target_wh / (width, height) * width / sample["crop_width"][..., None]
    angle = sample["angle_degrees"] * (3.141592653589793 / 180)
    cosine, sine = tf.cos(angle), tf.sin(angle)
    mirror = tf.where(sample["is_mirrored"], -1.0, 1.0)
    rows = [cosine * mirror, sine], [-sine * mirror, cosine]
    rotation = tf.stack([tf.stack(row, axis=-1) for row in rows], axis=-2)
    linear = zoom_xy[..., None] * rotation
    shift = target_wh / 2 - tf.linalg.matvec(linear, sample["center_xy"])
    return tf.concat([linear, shift[..., None]], axis=-1)


def place_crop(sample, skeleton: Skeleton, input_hw, is_unbiased: bool = False):
    """Takes keypoints into the input, and says what of the image the crop needs.

    Mirrored crops get left and right keypoints swapped.

    Returns:
        The sample with keypoints in input pixels, and "reach" and "inverse" of
        `warping.place_window`.
    """
    matrix = crop_matrix_tf(sample, input_hw, is_unbiased)
    linear, shift = matrix[..., :2], matrix[..., None, :, 2]
    points_xy = tf.linalg.matmul(sample["keypoints_xy"], linear, transpose_b=True) + shift
    visibility, permutation = sample["visibility"], skeleton.mirror_permutation
    is_mirrored = sample["is_mirrored"][..., None]
    reach, inverse = place_window(matrix, input_hw)
    return sample | {
        "reach": reach,
        "inverse": inverse,
        "keypoints_xy": tf.where(
            is_mirrored[..., None], tf.gather(points_xy, permutation, axis=-2), points_xy
        ),
        "visibility": tf.where(
            is_mirrored, tf.gather(visibility, permutation, axis=-1), visibility
        ),
    }


def color_changes(numbers, strength: float):
    """Makes colour changes of random numbers.

    Args:
        numbers: (..., 6 or more) float32 in [0, 1).
        strength: strength of the changes, that of `Augmentation.color`.

    Returns:
        (..., 5) float32, see `warping.change_colors`.
    """
    draws = strength * (2 * numbers - 1)
    contrast, saturation = 1 + 0.4 * draws[..., :1], 1 + 0.6 * draws[..., 1:2]
    gain = (1 + 0.4 * draws[..., 2:3]) * (1 + 0.15 * draws[..., 3:6])
    return tf.concat([contrast, saturation, gain], axis=-1)


def jitter_color(images, strength: float, seed):
    """Changes the colours of a batch, differently for each image.

    Args:
        images: (B, H, W, 3) float32 in [0, 255].
        strength: strength of the changes, that of `Augmentation.color`.
        seed: (2,).

    Returns:
        (B, H, W, 3) float32 in [0, 255].
    """
    numbers = tf.random.stateless_uniform([tf.shape(images)[0], 6], seed)
    return change_colors(images, color_changes(numbers, strength))
