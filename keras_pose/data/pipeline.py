"""The tf.data heatmap generator: source -> crop -> augment -> encode -> batches.

The order of samples and every random draw depend on (seed, position in the
stream) alone, never on threads. So a run is repeatable, and a resumed run, which
starts the stream where the interrupted one stopped, sees what it would have seen.
"""

from __future__ import annotations

import numpy as np
import tensorflow as tf

from keras_pose.codecs import GaussianHeatmapCodec
from keras_pose.data import transforms
from keras_pose.data.sources import PersonSource
from keras_pose.normalization import Normalization


def training_dataset(
    source: PersonSource,
    codec: GaussianHeatmapCodec,
    normalization: Normalization,
    augmentation: transforms.Augmentation,
    batch_size: int,
    *,
    seed: int = 0,
    start_batch: int = 0,
    num_outputs: int = 1,
) -> tf.data.Dataset:
    """Yields endless shuffled, augmented batches.

    Args:
        source: where samples come from.
        codec: what targets look like; also gives the input size.
        normalization: applied to the crops.
        augmentation: how much samples vary.
        batch_size: samples a batch, over all devices together.
        seed: of order and augmentation.
        start_batch: number of batches already taken by an interrupted run.
        num_outputs: number of stacks; targets are repeated for each.

    Returns:
        Dataset of (images, heatmaps, weights): (B, H, W, 3) float32 normalised,
        (B, h, w, K) float32 and (B, K) float32; heatmaps and weights are tuples
        where `num_outputs` is over 1.
    """
    size = len(source)

    def sample_at(position):
        epoch, offset = position // size, position % size
        order_seed = tf.stack([tf.constant(seed, tf.int64), epoch])
        index = tf.random.experimental.index_shuffle(
            offset, tf.cast(order_seed, tf.int32), size - 1
        )
        sample = transforms.whole_crop(_load(source, index), codec.input_hw)
        sample_seeds = tf.random.split(tf.stack([tf.constant(seed, tf.int64), position]), 2)
        sample = transforms.augment_crop(
            sample, augmentation, source.skeleton, codec.input_hw, sample_seeds[0]
        )
        sample = transforms.cut_crop(sample, source.skeleton, codec.input_hw)
        if augmentation.color:
            image = transforms.jitter_color(
                sample["image"], augmentation.color, sample_seeds[1]
            )
            sample = sample | {"image": image}
        return _encode(sample, codec, normalization)

    positions = tf.data.Dataset.counter(start_batch * batch_size)
    dataset = positions.map(sample_at, num_parallel_calls=tf.data.AUTOTUNE)
    return _finish(dataset.batch(batch_size), num_outputs)


def validation_dataset(
    source: PersonSource,
    codec: GaussianHeatmapCodec,
    normalization: Normalization,
    batch_size: int,
    *,
    num_outputs: int = 1,
) -> tf.data.Dataset:
    """Yields every sample once, in order, not augmented; else as `training_dataset`."""

    def sample_at(index):
        sample = transforms.whole_crop(_load(source, index), codec.input_hw)
        sample = transforms.cut_crop(sample, source.skeleton, codec.input_hw)
        return _encode(sample, codec, normalization)

    dataset = tf.data.Dataset.range(len(source))
    dataset = dataset.map(sample_at, num_parallel_calls=tf.data.AUTOTUNE)
    return _finish(dataset.batch(batch_size), num_outputs)


def _load(source, index):
    """Calls `source.load` from the graph, and tells TensorFlow the shapes."""

    def load(index):
        sample = source.load(int(index))
        return (
            sample.image,
            sample.box_xywh.astype(np.float32),
            sample.keypoints_xy.astype(np.float32),
            sample.visibility.astype(np.int32),
        )

    types = (tf.uint8, tf.float32, tf.float32, tf.int32)
    image, box, points, visibility = tf.numpy_function(load, [index], types)
    num_keypoints = source.skeleton.num_keypoints
    return {
        "image": tf.ensure_shape(image, (None, None, 3)),
        "box_xywh": tf.ensure_shape(box, (4,)),
        "keypoints_xy": tf.ensure_shape(points, (num_keypoints, 2)),
        "visibility": tf.ensure_shape(visibility, (num_keypoints,)),
    }


def _encode(sample, codec, normalization):
    heatmaps, weights = codec.encode_tf(sample["keypoints_xy"], sample["visibility"])
    return normalization(sample["image"]), heatmaps, weights


def _finish(dataset, num_outputs):
    if num_outputs > 1:
        # After batching, so that the repeats share their memory.
        dataset = dataset.map(lambda x, y, w: (x, (y,) * num_outputs, (w,) * num_outputs))
    return dataset.prefetch(2)
