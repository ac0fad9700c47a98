"""The tf.data pipeline of bottom-up networks: pictures -> zoomed, turned -> maps.

As in `data.pipeline`, order and every random draw depend on (seed, position in the stream)
alone, and all is TensorFlow ops. Maps are drawn at a cost that follows keypoints and limbs.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import tensorflow as tf

from keras_pose.codecs.part_affinity import PartAffinityCodec
from keras_pose.data.crowds import CrowdSource
from keras_pose.data.image_decoding import decode_image
from keras_pose.data.pipeline import WHOLE, Part, plain_order, positions_of
from keras_pose.data.transforms import crop_matrix_tf, jitter_of_batch
from keras_pose.data.warping import warp_crop
from keras_pose.pictures.boxes import PAD_VALUE
from keras_pose.pictures.normalization import Normalization
from keras_pose.skeleton import Skeleton


@dataclass(frozen=True)
class CrowdAugmentation:
    """Strengths of the random changes of pictures around one of their people.

    The defaults are lightweight OpenPose's (`train.py`, `datasets/transformations.py`).

    Attributes:
        height_share: height of a person at a zoom of 1, as a share of the input's height.
        min_zoom: smallest factor on that size.
        max_zoom: largest factor on that size.
        rotation_degrees: largest angle to either side, degrees.
        shift: largest distance of the person from the middle of the input, input pixels.
        flip_probability: share of pictures that are mirrored.
        color: strength of colour changes, see `data.transforms.Augmentation`.
    """

    height_share: float = 0.6
    min_zoom: float = 0.5
    max_zoom: float = 1.1
    rotation_degrees: float = 40.0
    shift: float = 40.0
    flip_probability: float = 0.5
    color: float = 0.0

    def __post_init__(self) -> None:
        if not 0 < self.min_zoom <= self.max_zoom or self.height_share <= 0:
            raise ValueError(
                "Zooms must be 0 < min_zoom <= max_zoom, and height_share above 0, got "
                f"{self.min_zoom}, {self.max_zoom} and {self.height_share}."
            )


def training_crowds(
    source: CrowdSource,
    codec: PartAffinityCodec,
    normalization: Normalization,
    augmentation: CrowdAugmentation,
    batch_size: int,
    outputs: Sequence[int],
    *,
    seed: int = 0,
    start_batch: int = 0,
    part: Part = WHOLE,
    every: int = 1,
) -> tf.data.Dataset:
    """Yields endless shuffled, augmented batches; an epoch has every picture once.

    Args:
        source: pictures, each with somebody in it.
        codec: draws the targets; also gives the input size.
        normalization: applied to the pictures.
        augmentation: strength of the random changes.
        batch_size: pictures a batch, over all devices together.
        outputs: channels of each output of the network, which tell heatmaps from fields.
        seed: seed of order and augmentation.
        start_batch: number of batches already taken by an interrupted run.
        part: share of each batch that is made, a batch for each of its replicas.
        every: step from one batch to the next; others come from elsewhere.

    Returns:
        Dataset of (images, targets, weights): (B, H, W, 3) float32 normalised; for each
        output (B, h, w, C) float32 maps, and (B, h, w) float32, 0 for cells in regions in
        which people are not labelled.
    """
    load, index_at = _loader(source), plain_order(len(source), seed)
    skeleton = source.skeleton

    def sample_at(position):
        sample_seed = tf.stack([tf.constant(seed, tf.int64), position])
        sample = augment_picture(
            load(index_at(position)), augmentation, codec.input_hw, sample_seed
        )
        sample = cut_picture(sample, skeleton, codec)
        maps = codec.encode_tf(sample["keypoints_xy"], sample["visibility"], skeleton)
        return sample["image"], *maps, sample["mask"], position

    def finish(images, heatmaps, fields, mask, positions):
        if augmentation.color:
            images = jitter_of_batch(
                images, augmentation.color, seed, positions, batch_size
            )
        is_heatmap = [channels == skeleton.num_keypoints + 1 for channels in outputs]
        targets = tuple(heatmaps if is_one else fields for is_one in is_heatmap)
        return normalization(images), targets, (mask,) * len(targets)

    positions = positions_of(batch_size, start_batch, part, every)
    dataset = positions.map(sample_at, num_parallel_calls=tf.data.AUTOTUNE)
    size = batch_size // part.count // part.replicas
    dataset = dataset.batch(size, drop_remainder=True)
    return dataset.map(finish, num_parallel_calls=tf.data.AUTOTUNE).prefetch(2)


def _loader(source: CrowdSource):
    """Returns a function from an index to a picture with its people, of TensorFlow ops."""
    source = source.trainable()
    is_encoded = isinstance(source.images[0], bytes)
    images = tf.constant(source.images if is_encoded else [str(p) for p in source.images])
    starts, ignored_starts = tf.constant(source.starts), tf.constant(source.ignored_starts)
    people = {
        "keypoints_xy": tf.constant(source.keypoints_xy),
        "visibility": tf.constant(source.visibility),
        "boxes_xywh": tf.constant(source.boxes_xywh),
    }
    ignored_xyxy = tf.constant(source.ignored_xyxy)

    def load(index):
        encoded = images[index] if is_encoded else tf.io.read_file(images[index])
        rows = slice(starts[index], starts[index + 1])
        sample = {name: values[rows] for name, values in people.items()}
        regions = ignored_xyxy[ignored_starts[index] : ignored_starts[index + 1]]
        return sample | {"image": decode_image(encoded), "ignored_xyxy": regions}

    return load


def augment_picture(sample, augmentation: CrowdAugmentation, input_hw, seed):
    """Chooses one of the people, and what of the picture around them will be cut.

    Args:
        sample: "boxes_xywh" (P, 4), P at least 1, and what else there is.
        augmentation: strength of the random changes.
        input_hw: (height, width) of the input, pixels.
        seed: (2,) int64.

    Returns:
        The sample with "center_xy", "crop_width", "angle_degrees" and "is_mirrored" of
        `data.transforms`.
    """
    seeds = tf.random.split(seed, 5)
    count = tf.shape(sample["boxes_xywh"])[0]
    chosen = tf.random.stateless_uniform([], seeds[0], 0, count, tf.int32)
    box = sample["boxes_xywh"][chosen]
    low, high = augmentation.min_zoom, augmentation.max_zoom
    height = augmentation.height_share * input_hw[0]
    height *= tf.random.stateless_uniform([], seeds[1], low, high)
    # Input pixels per image pixel. A box may be a line.
    zoom = height / tf.maximum(box[3], 1.0)
    limit = augmentation.rotation_degrees
    angle = tf.random.stateless_uniform([], seeds[2], -limit, limit)
    shift = tf.random.stateless_uniform([2], seeds[3], -1.0, 1.0) * augmentation.shift
    is_mirrored = tf.random.stateless_uniform([], seeds[4]) < augmentation.flip_probability
    return sample | {
        "center_xy": box[:2] + box[2:] / 2 + shift / zoom,
        "crop_width": input_hw[1] / zoom,
        "angle_degrees": angle,
        "is_mirrored": is_mirrored,
    }


def cut_picture(sample, skeleton: Skeleton, codec: PartAffinityCodec):
    """Warps picture and people into the input, and says which cells count.

    Bilinear, grey outside, as letterboxed pictures have it. Mirrored pictures get left and
    right keypoints swapped.

    Returns:
        The sample with "image" (*input_hw, 3) float32, "keypoints_xy" in input pixels and
        "mask" (h, w) float32: 0 for cells in a region in which people are not labelled.
    """
    matrix = crop_matrix_tf(sample, codec.input_hw)
    image = warp_crop(sample["image"], matrix, codec.input_hw, float(PAD_VALUE))
    linear, shift = matrix[:, :2], matrix[:, 2]
    points_xy = tf.einsum("pki,ji->pkj", sample["keypoints_xy"], linear) + shift
    visibility, permutation = sample["visibility"], skeleton.mirror_permutation
    is_mirrored = sample["is_mirrored"]
    swapped_xy = tf.gather(points_xy, permutation, axis=1)
    swapped = tf.gather(visibility, permutation, axis=1)
    return sample | {
        "image": image,
        "keypoints_xy": tf.where(is_mirrored, swapped_xy, points_xy),
        "visibility": tf.where(is_mirrored, swapped, visibility),
        "mask": _counted_cells(sample["ignored_xyxy"], linear, shift, codec),
    }


def _counted_cells(regions, linear, shift, codec):
    """Returns (h, w) float32: 0 for cells whose middles lie in a region of the picture."""
    height, width = codec.map_hw
    columns = codec.to_input(tf.range(width, dtype=tf.float32))
    rows = codec.to_input(tf.range(height, dtype=tf.float32))
    cells_xy = tf.stack(tf.meshgrid(columns, rows), axis=-1)  # (h, w, 2) input pixels
    image_xy = tf.einsum("hwi,ji->hwj", cells_xy - shift, tf.linalg.inv(linear))
    near, far = regions[:, None, None, :2], regions[:, None, None, 2:]
    is_inside = tf.reduce_all((image_xy >= near) & (image_xy <= far), axis=-1)
    return 1 - tf.cast(tf.reduce_any(is_inside, axis=0), tf.float32)
