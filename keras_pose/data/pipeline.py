"""The tf.data target generator: source -> crop -> augment -> encode -> batches.

The order of samples and every random draw depend on (seed, position in the
stream) alone, never on threads. So a run is repeatable, and a resumed run, which
starts the stream where the interrupted one stopped, sees what it would have seen.
"""

from __future__ import annotations

import numpy as np
import tensorflow as tf

from keras_pose.codecs import Codec
from keras_pose.data import transforms
from keras_pose.data.sources import PersonSource
from keras_pose.pictures.geometry import BOX_PADDING
from keras_pose.pictures.normalization import Normalization


def training_dataset(
    source: PersonSource,
    codec: Codec,
    normalization: Normalization,
    augmentation: transforms.Augmentation,
    batch_size: int,
    *,
    box_padding: float = BOX_PADDING,
    seed: int = 0,
    start_batch: int = 0,
    num_outputs: int = 1,
) -> tf.data.Dataset:
    """Yields endless shuffled, augmented batches.

    Args:
        source: labelled people to draw samples from.
        codec: maker of the targets; also gives the input size and the crop's map.
        normalization: applied to the crops.
        augmentation: strength of the random changes.
        batch_size: samples a batch, over all devices together.
        box_padding: factor from person box to crop, that of the model's contract.
        seed: seed of order and augmentation.
        start_batch: number of batches already taken by an interrupted run.
        num_outputs: number of stacks; targets are repeated for each.

    Returns:
        Dataset of (images, targets, weights): (B, H, W, 3) float32 normalised,
        (B, *codec.output_shape(K)) float32 and (B, K) float32; targets and weights are
        tuples where `num_outputs` is over 1.
    """
    load, index_at = _loader(source), person_order(source, seed)

    def sample_at(position):
        sample = transforms.whole_crop(
            load(index_at(position)), codec.input_hw, box_padding
        )
        sample_seed = tf.stack([tf.constant(seed, tf.int64), position])
        sample = transforms.augment_crop(
            sample, augmentation, source.skeleton, codec.input_hw, sample_seed
        )
        sample = _cut(sample, source, codec)
        return sample | {"position": position}

    def color(batch):
        # One more than the seeds of samples have, so never one of theirs.
        color_seed = tf.stack([tf.constant(seed + 1, tf.int64), batch["position"][0]])
        return batch | {
            "image": transforms.jitter_color(batch["image"], augmentation.color, color_seed)
        }

    positions = tf.data.Dataset.counter(start_batch * batch_size)
    dataset = positions.map(sample_at, num_parallel_calls=tf.data.AUTOTUNE)
    dataset = dataset.batch(batch_size)
    if augmentation.color:
        dataset = dataset.map(color, num_parallel_calls=tf.data.AUTOTUNE)
    return _finish(dataset, codec, normalization, num_outputs)


def indices_of_batch(index_at, number: int, batch_size: int) -> np.ndarray:
    """Returns which samples a training batch holds.

    Args:
        index_at: function from a position in the stream to the index of a sample, such as
            `person_order` gives.
        number: number of the batch, counted from 0 over all epochs.
        batch_size: samples a batch, over all devices together.

    Returns:
        (batch_size,) int64.
    """
    positions = tf.range(number * batch_size, (number + 1) * batch_size, dtype=tf.int64)
    return tf.map_fn(index_at, positions).numpy()


def person_order(source: PersonSource, seed: int):
    """Returns a function from a position in the stream to the index of a person.

    An epoch of one data set holds every sample once. An epoch of a mix takes its
    quota of each data set, in shuffled turns; each data set goes through all of its
    people before any comes again, over the ends of epochs.
    """
    if source.set_index is None:
        return plain_order(len(source), seed)
    quotas, sizes = source.set_quotas, source.set_sizes
    turn_ends = tf.constant(np.cumsum(quotas), tf.int64)
    starts = tf.constant(np.cumsum(sizes) - sizes, tf.int64)
    quotas, sizes = tf.constant(quotas, tf.int64), tf.constant(sizes, tf.int64)

    def index_at(position):
        turn = shuffled(position, source.epoch_size, seed)
        which = tf.searchsorted(turn_ends, turn[None], side="right")[0]
        epoch = position // source.epoch_size
        number = turn - (turn_ends - quotas)[which]
        own_position = epoch * quotas[which] + number
        # Another order for each data set, and none of them that of the turns.
        own_seed = tf.constant(seed, tf.int64) + 1 + tf.cast(which, tf.int64)
        return starts[which] + shuffled(own_position, sizes[which], own_seed)

    return index_at


def plain_order(size: int, seed: int):
    """Returns the same for samples that all come once an epoch."""
    return lambda position: shuffled(position, size, seed)


def shuffled(position, size, seed):
    """Returns where `position` stands when each run of `size` positions is shuffled."""
    size = tf.cast(size, tf.int64)
    epoch, offset = position // size, position % size
    order_seed = tf.stack([tf.cast(seed, tf.int64), epoch])
    return tf.random.experimental.index_shuffle(
        offset, tf.cast(order_seed, tf.int32), size - 1
    )


def validation_dataset(
    source: PersonSource,
    codec: Codec,
    normalization: Normalization,
    batch_size: int,
    *,
    box_padding: float = BOX_PADDING,
    num_outputs: int = 1,
    num_replicas: int = 1,
) -> tf.data.Dataset:
    """Yields samples once, in order, not augmented; else as `training_dataset`.

    Every batch can be shared out evenly among `num_replicas`, because Keras cannot
    build from uneven shares, and an empty one makes the loss NaN. So up to
    `num_replicas - 1` samples at the end are left out (or the first come again,
    where there are too few for one each).
    """
    load = _loader(source)
    size = len(source)

    def sample_at(index):
        sample = transforms.whole_crop(load(index % size), codec.input_hw, box_padding)
        return _cut(sample, source, codec)

    count = max(num_replicas, size // num_replicas * num_replicas)
    dataset = tf.data.Dataset.range(count)
    dataset = dataset.map(sample_at, num_parallel_calls=tf.data.AUTOTUNE)
    return _finish(dataset.batch(batch_size), codec, normalization, num_outputs)


def _cut(sample, source, codec):
    return transforms.cut_crop(sample, source.skeleton, codec.input_hw, codec.is_unbiased)


def _loader(source):
    """Returns a function from an index to a sample, of TensorFlow ops alone."""
    source = source.trainable()
    is_encoded = isinstance(source.images[0], bytes)
    images = tf.constant(source.images if is_encoded else [str(p) for p in source.images])
    image_index = tf.constant(source.image_index)
    labels = {
        "box_xywh": tf.constant(source.boxes_xywh),
        "keypoints_xy": tf.constant(source.keypoints_xy),
        "visibility": tf.constant(source.visibility),
    }

    def load(index):
        encoded = images[image_index[index]]
        if not is_encoded:
            encoded = tf.io.read_file(encoded)
        sample = {name: values[index] for name, values in labels.items()}
        return sample | {"image": decode_image(encoded)}

    return load


def decode_image(encoded):
    """Decodes an image that `data.pictures.is_plain`.

    Returns:
        (H, W, 3) uint8 RGB, the pixels that `read_image` gives.
    """
    image = tf.cond(
        tf.io.is_jpeg(encoded),
        # TensorFlow's default is a faster transform, up to 3 grey levels off.
        lambda: tf.io.decode_jpeg(encoded, 3, dct_method="INTEGER_ACCURATE"),
        lambda: tf.io.decode_png(encoded, 3),
    )
    return tf.ensure_shape(image, (None, None, 3))


def _finish(dataset, codec, normalization, num_outputs):
    """Makes (images, targets, weights) of batches of samples."""

    def finish(batch):
        targets, weights = codec.encode_tf(batch["keypoints_xy"], batch["visibility"])
        if num_outputs > 1:
            targets, weights = (targets,) * num_outputs, (weights,) * num_outputs
        return normalization(batch["image"]), targets, weights

    return dataset.map(finish, num_parallel_calls=tf.data.AUTOTUNE).prefetch(2)
