"""Augmentation of samples, as TensorFlow ops: dicts in, changed copies out.

A sample on its way holds

    center_xy     (2,) float32, crop centre, image pixels
    crop_width    () float32, image pixels
    angle_degrees () float32, rotation of the crop
    is_mirrored   () bool, whether the crop is flipped left-right
    keypoints_xy  (K, 2) float32, image pixels, later input pixels
    visibility    (K,) int32 COCO flags
    bounds        (4,) float32, x and y of the first and of the last pixel of the picture
                  that the crop may see; only where pictures are cut
    confidence    (K,) float32, how much labels weigh, where that is not 1

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
from keras_pose.pictures.structures import HIDDEN, OUTSIDE, UNKNOWN, VISIBLE
from keras_pose.skeleton import Skeleton

# Sides at which pictures end: below, above, left, right; where the next share begins.
_CUT_SIDES = (0.6, 0.7, 0.85)
# Pixels; where a picture ends that is not cut.
_FAR = 1e8
# Range of what a cut leaves of a person's box.
_CUT_SHARES = (0.3, 0.9)
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
        cut_probability: share of crops whose picture ends within the person, mostly below:
            what is beyond is black, and its keypoints are outside.
    """

    scale: float = 0.35
    rotation_degrees: float = 45.0
    rotation_probability: float = 0.6
    flip_probability: float = 0.5
    half_body_probability: float = 0.3
    half_body_min_keypoints: int = 8
    color: float = 0.0
    cut_probability: float = 0.0


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
    is_whole, is_turned, is_mirrored, cut = tf.unstack(draws.uniform, axis=-1)
    upper, zoom, angle, _ = tf.unstack(draws.normal, axis=-1)
    happens = is_whole < augmentation.half_body_probability
    if augmentation.cut_probability:
        is_cut = cut < augmentation.cut_probability
        side = cut / augmentation.cut_probability
        low, high = _CUT_SHARES
        # Digits of the number that the side does not depend on.
        share = low + (high - low) * (64 * side - tf.floor(64 * side))
        sample = cut_pictures(sample, is_cut, side, share, input_hw)
        happens &= ~is_cut
    sample = _half_body(
        sample,
        augmentation,
        skeleton,
        input_hw,
        # The reference draws a normal number below 0.5, which is not one chance in two.
        upper < 0.5,
        happens,
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


def cut_pictures(sample, is_cut, side, share, input_hw):
    """Ends pictures within people, and moves their crops to what is left of the box.

    Args:
        sample: N samples with whole crops, see `whole_crop`.
        is_cut: (N,) bool, the samples that change.
        side: (N,) float32 in [0, 1), which chooses the side: below, above, left, right.
        share: (N,) float32, what is left of the box's height or width.
        input_hw: model input (height, width), pixels.
    """
    x, y, width, height = tf.unstack(tf.cast(sample["box_xywh"], tf.float32), axis=-1)
    far = tf.fill(tf.shape(x), _FAR)
    below, above, left = (side < end for end in _CUT_SIDES)
    is_below, is_above = is_cut & below, is_cut & ~below & above
    is_left, is_right = is_cut & ~above & left, is_cut & ~left
    # The first pixel's centre is at 0: a box ends half a pixel before x + width.
    bounds = [
        tf.where(is_left, x + (1 - share) * width, -far),
        tf.where(is_above, y + (1 - share) * height, -far),
        tf.where(is_right, x + share * width, far),
        tf.where(is_below, y + share * height, far),
    ]
    first_x, first_y = tf.maximum(x, bounds[0]), tf.maximum(y, bounds[1])
    last_x = tf.minimum(x + width, bounds[2])
    last_y = tf.minimum(y + height, bounds[3])
    aspect = input_hw[1] / input_hw[0]
    side_x, side_y = last_x - first_x, last_y - first_y
    # Chosen by `where`: with oneDNN, TensorFlow makes another function of a maximum of one
    # number and a multiple of another here.
    covered = tf.where(side_x > side_y * aspect, side_x, side_y * aspect)
    whole = tf.where(width > height * aspect, width, height * aspect)
    center = tf.stack([first_x + side_x / 2, first_y + side_y / 2], axis=-1)
    return sample | {
        "center_xy": tf.where(is_cut[..., None], center, sample["center_xy"]),
        "crop_width": sample["crop_width"] * tf.where(is_cut, covered / whole, 1.0),
        "bounds": tf.stack(bounds, axis=-1),
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
        The sample with keypoints in input pixels, "reach" and "inverse" of
        `warping.place_window`, and "kinds", see `kinds_of`. Keypoints behind the end of a
        picture that was cut have the flag 0.
    """
    matrix = crop_matrix_tf(sample, input_hw, is_unbiased)
    linear, shift = matrix[..., :2], matrix[..., None, :, 2]
    points_xy = tf.linalg.matmul(sample["keypoints_xy"], linear, transpose_b=True) + shift
    visibility, permutation = sample["visibility"], skeleton.mirror_permutation
    bounds, kinds = sample.get("bounds"), kinds_of(sample, points_xy, input_hw)
    if bounds is not None:
        visibility = tf.where(_is_beyond(sample["keypoints_xy"], bounds), 0, visibility)
    is_mirrored = sample["is_mirrored"][..., None]
    if "confidence" in sample:
        weights = sample["confidence"]
        mirrored = tf.gather(weights, permutation, axis=-1)
        sample |= {"confidence": tf.where(is_mirrored, mirrored, weights)}
    reach, inverse = place_window(matrix, input_hw, bounds)
    return sample | {
        "reach": reach,
        "inverse": inverse,
        "keypoints_xy": tf.where(
            is_mirrored[..., None], tf.gather(points_xy, permutation, axis=-2), points_xy
        ),
        "visibility": tf.where(
            is_mirrored, tf.gather(visibility, permutation, axis=-1), visibility
        ),
        "kinds": tf.where(is_mirrored, tf.gather(kinds, permutation, axis=-1), kinds),
    }


def kinds_of(sample, points_xy, input_hw):
    """Says of keypoints whether they are visible, hidden, or outside.

    Args:
        sample: keypoints and flags, before a mirror exchanges them; "says_hidden", (N,)
            bool: whether the flags of the person's data set tell hidden keypoints from
            visible ones (absent: they do).
        points_xy: (N, K, 2) the keypoints in the input, pixels.
        input_hw: model input (height, width), pixels.

    Returns:
        (N, K) int32: `VISIBLE`, `HIDDEN`, `OUTSIDE`; `UNKNOWN` for keypoints that are not
        labelled, and for those inside whose flags say no more than that.
    """
    flags = sample["visibility"]
    last = tf.constant([input_hw[1] - 0.5, input_hw[0] - 0.5], tf.float32)
    is_outside = tf.reduce_any((points_xy < -0.5) | (points_xy > last), axis=-1)
    if "bounds" in sample:
        is_outside |= _is_beyond(sample["keypoints_xy"], sample["bounds"])
    inside = tf.where(flags == 2, VISIBLE, HIDDEN)
    if "says_hidden" in sample:
        inside = tf.where(sample["says_hidden"][..., None], inside, UNKNOWN)
    kinds = tf.where(is_outside, OUTSIDE, inside)
    return tf.where(flags > 0, kinds, UNKNOWN)


def _is_beyond(keypoints_xy, bounds):
    """Returns (N, K) bool: keypoints where a picture that was cut has no pixels."""
    first, last = bounds[..., None, :2], bounds[..., None, 2:]
    return tf.reduce_any((keypoints_xy < first) | (keypoints_xy > last), axis=-1)


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


def jitter_of_batch(images, strength: float, seed: int, positions, batch_size: int):
    """Changes the colours of part of a batch as those of the whole are changed.

    Args:
        images: (N, H, W, 3) float32 in [0, 255].
        strength: strength of the changes, that of `Augmentation.color`.
        seed: seed of the training.
        positions: (N,) int64, places of the images in the stream.
        batch_size: images of the whole batch.
    """
    first = positions[0] // batch_size * batch_size
    # One more than the seeds of samples have, so never one of theirs.
    color_seed = tf.stack([tf.constant(seed + 1, tf.int64), first])
    numbers = tf.random.stateless_uniform([batch_size, 6], color_seed)
    numbers = tf.gather(numbers, positions - first)
    return change_colors(images, color_changes(numbers, strength))
