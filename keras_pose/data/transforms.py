"""Augmentation of one sample, as TensorFlow ops: dicts in, changed copies out.

A sample on its way holds

    image         (H, W, 3) float32 RGB in [0, 255]
    center_xy     (2,) float32, crop centre, image pixels
    crop_width    () float32, image pixels
    angle_degrees () float32, rotation of the crop
    is_mirrored   () bool, whether the crop is flipped left-right
    keypoints_xy  (K, 2) float32, image pixels, later input pixels
    visibility    (K,) int32 COCO flags

Scale, rotation, flip and half-body only change the crop that will be cut, so
pixels are interpolated once. Order and distributions are those of the HRNet code
(`lib/dataset/JointsDataset.py`). All randomness comes from a `seed` of shape (2,).
"""

from __future__ import annotations

from dataclasses import dataclass

import tensorflow as tf

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


def whole_crop(sample, input_hw, box_padding: float = BOX_PADDING):
    """Sets the crop around the box; the TensorFlow twin of `geometry.box_to_crop`."""
    box = tf.cast(sample["box_xywh"], tf.float32)
    aspect = input_hw[1] / input_hw[0]
    width = tf.maximum(box[2], box[3] * aspect) * box_padding
    return sample | {
        "center_xy": box[:2] + box[2:] / 2,
        "crop_width": width,
        "angle_degrees": tf.constant(0.0),
        "is_mirrored": tf.constant(False),
    }


def augment_crop(sample, augmentation: Augmentation, skeleton: Skeleton, input_hw, seed):
    """Varies the crop: half body, then scale, rotation, flip.

    Flips are left out for a skeleton without mirror pairs, which could not say
    what becomes of its keypoints.
    """
    seeds = tf.random.split(seed, 5)
    sample = _half_body(sample, augmentation, skeleton, input_hw, seeds[0])
    zoom = 1 + augmentation.scale * tf.random.stateless_normal([], seeds[1])
    zoom = tf.clip_by_value(zoom, 1 - augmentation.scale, 1 + augmentation.scale)
    limit = 2 * augmentation.rotation_degrees
    angle = augmentation.rotation_degrees * tf.random.stateless_normal([], seeds[2])
    is_turned = _happens(augmentation.rotation_probability, seeds[3])
    can_flip = bool(skeleton.mirrored)
    is_mirrored = can_flip and _happens(augmentation.flip_probability, seeds[4])
    return sample | {
        "crop_width": sample["crop_width"] * zoom,
        "angle_degrees": tf.where(is_turned, tf.clip_by_value(angle, -limit, limit), 0.0),
        "is_mirrored": tf.convert_to_tensor(is_mirrored),
    }


def _happens(probability, seed):
    return tf.random.stateless_uniform([], seed) < probability


def _half_body(sample, augmentation, skeleton, input_hw, seed):
    """Moves the crop to the upper or the lower body, if enough of it is labelled."""
    seeds = tf.random.split(seed, 2)
    labelled = sample["visibility"] > 0
    upper_mask = tf.constant(skeleton.upper_body_mask)
    upper, lower = labelled & upper_mask, labelled & ~upper_mask
    # The reference draws a normal number below 0.5, which is not one chance in two.
    wants_upper = tf.random.stateless_normal([], seeds[0]) < 0.5
    takes_upper = (wants_upper & (_count(upper) > 2)) | (_count(lower) <= 2)
    chosen = tf.where(takes_upper, upper, lower)
    applies = (
        (_count(labelled) > augmentation.half_body_min_keypoints)
        & (_count(chosen) >= 2)
        & _happens(augmentation.half_body_probability, seeds[1])
    )
    points_xy = tf.boolean_mask(sample["keypoints_xy"], tf.where(applies, chosen, True))
    extent = tf.reduce_max(points_xy, 0) - tf.reduce_min(points_xy, 0)
    aspect = input_hw[1] / input_hw[0]
    width = tf.maximum(extent[0], extent[1] * aspect) * _HALF_BODY_PADDING
    # Two keypoints at one place would give a crop of no size.
    applies = applies & (width > 1)
    center_xy = tf.where(applies, tf.reduce_mean(points_xy, 0), sample["center_xy"])
    crop_width = tf.where(applies, width, sample["crop_width"])
    return sample | {"center_xy": center_xy, "crop_width": crop_width}


def _count(mask):
    return tf.reduce_sum(tf.cast(mask, tf.int32))


def crop_matrix_tf(sample, input_hw, is_unbiased: bool = False):
    """Builds the (2, 3) float32 map image -> input; twin of `geometry.crop_matrix`.

    Mirroring acts before the rotation and about the crop's centre, as flipping
    the image first does (`x' = W - x - 1`, for the centre, too).
    """
    height, width = input_hw
    target_wh = tf.constant([width - is_unbiased, height - is_unbiased], tf.float32)
    zoom_xy = target_wh / (width, height) * width / sample["crop_width"]
    angle = sample["angle_degrees"] * (3.141592653589793 / 180)
    cosine, sine = tf.cos(angle), tf.sin(angle)
    mirror = tf.where(sample["is_mirrored"], -1.0, 1.0)
    rotation = tf.stack([[cosine * mirror, sine], [-sine * mirror, cosine]])
    linear = zoom_xy[:, None] * rotation
    shift = target_wh / 2 - tf.linalg.matvec(linear, sample["center_xy"])
    return tf.concat([linear, shift[:, None]], axis=1)


def cut_crop(sample, skeleton: Skeleton, input_hw, is_unbiased: bool = False):
    """Warps image and keypoints into the model input.

    Bilinear, black outside; the twin of `geometry.warp_image` but for its rounding
    to whole grey levels. Mirrored crops get left and right keypoints swapped.
    """
    matrix = crop_matrix_tf(sample, input_hw, is_unbiased)
    image = warp_crop(sample["image"], matrix, input_hw)
    points_xy = tf.linalg.matmul(sample["keypoints_xy"], matrix[:, :2], transpose_b=True)
    points_xy = points_xy + matrix[:, 2]
    visibility = sample["visibility"]
    permutation = skeleton.mirror_permutation
    return sample | {
        "image": image,
        "keypoints_xy": tf.where(
            sample["is_mirrored"], tf.gather(points_xy, permutation), points_xy
        ),
        "visibility": tf.where(
            sample["is_mirrored"], tf.gather(visibility, permutation), visibility
        ),
    }


def warp_crop(image, matrix, output_hw):
    """Resamples an image through a (2, 3) map, bilinearly; 0 outside."""
    inverse = tf.linalg.inv(matrix[:, :2])
    shift = -tf.linalg.matvec(inverse, matrix[:, 2])
    rows = tf.concat([inverse, shift[:, None]], axis=1)
    warped = tf.raw_ops.ImageProjectiveTransformV3(
        images=tf.cast(image, tf.float32)[None],
        transforms=tf.concat([tf.reshape(rows, [1, 6]), tf.zeros([1, 2])], axis=1),
        output_shape=output_hw,
        fill_value=0.0,
        interpolation="BILINEAR",
        fill_mode="CONSTANT",
    )
    return tf.ensure_shape(warped[0], (*output_hw, 3))


def jitter_color(images, strength: float, seed):
    """Changes brightness, contrast, saturation and tint, differently for each image.

    Black borders of a crop change with the rest: they are part of the picture, as
    they are for the network on a phone.

    Args:
        images: (B, H, W, 3) float32 in [0, 255]; a batch, because many small ops a
            sample would cost more than the arithmetic.
        strength: strength of the changes, that of `Augmentation.color`.
        seed: (2,).

    Returns:
        (B, H, W, 3) float32 in [0, 255].
    """
    seeds = tf.random.split(seed, 4)
    size = tf.shape(images)[0]

    def draw(number, channels=1):
        shape = [size, 1, 1, channels]
        return strength * tf.random.stateless_uniform(shape, seeds[number], -1, 1)

    contrast, saturation = 1 + 0.4 * draw(0), 1 + 0.6 * draw(1)
    gain = (1 + 0.4 * draw(2)) * (1 + 0.15 * draw(3, channels=3))
    mean = tf.reduce_mean(images, axis=(1, 2, 3), keepdims=True)
    images = mean + contrast * (images - mean)
    grey = tf.reduce_mean(images, axis=-1, keepdims=True)
    images = grey + saturation * (images - grey)
    return tf.clip_by_value(images * gain, 0.0, 255.0)
