"""The tf.data target generator: source -> crop -> augment -> encode -> batches.

The order of samples and every random draw depend on (seed, position in the
stream) alone, never on threads. So a run is repeatable, and a resumed run, which
starts the stream where the interrupted one stopped, sees what it would have seen.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass

import numpy as np
import tensorflow as tf

from keras_pose.codecs import Codec
from keras_pose.data import transforms
from keras_pose.data.sources import PersonSource
from keras_pose.data.warping import can_compile, cut_crop
from keras_pose.pictures.geometry import BOX_PADDING
from keras_pose.pictures.normalization import Normalization


@dataclass(frozen=True)
class Part:
    """One worker's share of every batch: each makes only what its own devices see.

    Attributes:
        index: number of the worker.
        count: workers.
        replicas: devices of each worker, which take a batch of their own in turn.
    """

    index: int = 0
    count: int = 1
    replicas: int = 1

    def of(self, batch_size: int) -> tuple[int, int]:
        """Returns the worker's first place in a batch of all, and its number of samples.

        Raises:
            ValueError: for a batch that cannot be shared out evenly.
        """
        check_divides(batch_size, self.count * self.replicas)
        share = batch_size // self.count
        return self.index * share, share


WHOLE = Part()


def check_divides(batch_size: int, num_replicas: int) -> None:
    """Raises ValueError unless a batch can be shared out evenly."""
    if batch_size % num_replicas:
        raise ValueError(
            f"A batch of {batch_size} cannot be shared out evenly among {num_replicas} "
            f"devices: take a number of devices that divides it."
        )


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
    with_kinds: bool = False,
    part: Part = WHOLE,
    every: int = 1,
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
        with_kinds: put the kinds of keypoints first, for a head for visibility.
        part: share of each batch that is made, a batch for each of its replicas.
        every: step from one batch to the next; others come from elsewhere.

    Returns:
        Dataset of (images, targets, weights): (B, H, W, 3) float32 normalised,
        (B, *codec.output_shape(K)) float32 and (B, K) float32; targets and weights are
        tuples where `num_outputs` is over 1, or kinds are before them: (B, K) int32 of
        `transforms.kinds_of`, with weights of 0 where they are not known.
    """
    source = source.trainable()
    draw = sample_drawer(source, codec, augmentation, box_padding, seed)
    first, share = part.of(batch_size)
    batches = tf.data.Dataset.counter(start_batch, every).map(
        lambda number: draw(number * batch_size + first, share), tf.data.AUTOTUNE
    )
    samples = batches.unbatch()
    size = share // part.replicas
    return _finish(
        samples,
        source,
        codec,
        normalization,
        size,
        num_outputs,
        with_kinds,
        is_endless=True,
    )


def positions_of(batch_size: int, start_batch: int, part: Part, every: int):
    """Returns the positions in the stream of a worker's samples, an endless data set.

    Args:
        batch_size, start_batch, part, every: as `training_dataset` takes them.
    """
    first, share = part.of(batch_size)
    if share == batch_size and every == 1:
        return tf.data.Dataset.counter(start_batch * batch_size)
    batches = tf.data.Dataset.counter(start_batch, every)
    return batches.flat_map(
        lambda number: tf.data.Dataset.range(share).map(
            lambda place: number * batch_size + first + place
        )
    )


def indices_of_batch(index_at, number: int, batch_size: int) -> np.ndarray:
    """Returns which samples a training batch holds.

    Args:
        index_at: function from positions in the stream to indices of samples, such as
            `person_order` gives.
        number: number of the batch, counted from 0 over all epochs.
        batch_size: samples a batch, over all devices together.

    Returns:
        (batch_size,) int64.
    """
    positions = tf.range(number * batch_size, (number + 1) * batch_size, dtype=tf.int64)
    return index_at(positions).numpy()


def person_order(source: PersonSource, seed: int):
    """Returns a function from positions in the stream to the indices of people.

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
        which = tf.reduce_sum(tf.cast(turn[..., None] >= turn_ends, tf.int32), axis=-1)
        epoch = position // source.epoch_size
        number = turn - tf.gather(turn_ends - quotas, which)
        own_position = epoch * tf.gather(quotas, which) + number
        # Another order for each data set, and none of them that of the turns.
        own_seed = tf.constant(seed, tf.int64) + 1 + tf.cast(which, tf.int64)
        size = tf.gather(sizes, which)
        return tf.gather(starts, which) + shuffled(own_position, size, own_seed)

    return index_at


def plain_order(size: int, seed: int):
    """Returns the same for samples that all come once an epoch."""
    return lambda position: shuffled(position, size, seed)


def shuffled(position, size, seed):
    """Returns where positions stand when each run of `size` positions is shuffled.

    Args:
        position: () or (N,) int64.
        size: length of a run, of the shape of `position` or ().
        seed: the same.
    """
    size = tf.cast(size, tf.int64)
    epoch, offset = position // size, position % size
    seed = tf.broadcast_to(tf.cast(seed, tf.int64), tf.shape(epoch))
    # As `tf.random.experimental.index_shuffle`, which takes one seed for all positions.
    start = tf.fill(tf.shape(epoch), tf.constant(498247692, tf.int64))
    order_seed = tf.stack([start, seed, epoch], axis=-1)
    return tf.raw_ops.RandomIndexShuffle(
        index=offset, seed=tf.cast(order_seed, tf.int32), max_index=size - 1, rounds=4
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
    with_kinds: bool = False,
    cuts_pictures: bool = False,
    part: Part = WHOLE,
) -> tf.data.Dataset:
    """Yields samples once, in order, not augmented; else as `training_dataset`.

    With `cuts_pictures` every other picture ends at the middle of its person's box: what
    keypoints outside look like.

    Every batch can be shared out evenly among `num_replicas`, because Keras cannot
    build from uneven shares, and an empty one makes the loss NaN. So up to
    `num_replicas - 1` samples at the end are left out (or the first come again,
    where there are too few for one each). A part of several workers has batches for one
    replica each, of a stretch of the samples for each replica.
    """
    source = source.trainable()
    size = len(source)
    count = max(num_replicas, size // num_replicas * num_replicas)
    table = _labels(source)

    def place(positions):
        sample = _whole_crops(table, positions % size, codec, box_padding)
        if cuts_pictures:
            below = tf.zeros(tf.shape(positions))
            is_cut = positions % 2 == 1
            sample = transforms.cut_pictures(
                sample, is_cut, below, below + 0.5, codec.input_hw
            )
        return _placed(sample, source, codec)

    def finished(first, count, batch_size):
        positions = tf.data.Dataset.range(first, first + count)
        batches = positions.batch(batch_size).map(place, tf.data.AUTOTUNE)
        # Keras warns at the end of what it could not count before.
        samples = batches.unbatch().apply(tf.data.experimental.assert_cardinality(count))
        return _finish(
            samples, source, codec, normalization, batch_size, num_outputs, with_kinds
        )

    if part == WHOLE:
        return finished(0, count, batch_size)
    stretch, size_of_one = count // num_replicas, batch_size // num_replicas
    firsts = [(part.index * part.replicas + i) * stretch for i in range(part.replicas)]
    stretches = [finished(first, stretch, size_of_one) for first in firsts]
    num_batches = -(-stretch // size_of_one)
    turns = tf.data.Dataset.range(part.replicas).repeat(num_batches)
    return tf.data.Dataset.choose_from_datasets(stretches, turns).apply(
        tf.data.experimental.assert_cardinality(num_batches * part.replicas)
    )


def sample_drawer(
    source: PersonSource,
    codec: Codec,
    augmentation: transforms.Augmentation,
    box_padding: float,
    seed: int,
):
    """Returns a function that draws samples of training, without their pixels.

    Args:
        source, codec, augmentation, box_padding, seed: as `training_dataset` takes them.

    Returns:
        Function from the position of a first sample and a number of samples to those:
        "image_index"; "reach", "inverse", "keypoints_xy", "visibility" and "kinds" as
        `transforms.place_crop` makes them; "color_changes" where colours change.
    """
    table, index_at = _labels(source), person_order(source, seed)

    def draw(first, count):
        indices = index_at(first + tf.range(count, dtype=tf.int64))
        sample = _whole_crops(table, indices, codec, box_padding)
        draws = transforms.draw_changes(seed, first, count)
        sample = transforms.augment_crop(
            sample, augmentation, source.skeleton, codec.input_hw, draws
        )
        sample = _placed(sample, source, codec)
        if augmentation.color:
            changes = transforms.color_changes(draws.color, augmentation.color)
            sample["color_changes"] = changes
        return sample

    return draw


def _labels(source):
    """Returns the columns of a source, of which samples are rows."""
    table = {
        "image_index": tf.constant(source.image_index),
        "box_xywh": tf.constant(source.boxes_xywh),
        "keypoints_xy": tf.constant(source.keypoints_xy),
        "visibility": tf.constant(source.visibility),
        "says_hidden": tf.constant(source.says_hidden),
    }
    if source.confidence is not None:
        table["confidence"] = tf.constant(source.confidence)
    return table


def _whole_crops(table, indices, codec, box_padding):
    sample = {name: tf.gather(values, indices) for name, values in table.items()}
    return transforms.whole_crop(sample, codec.input_hw, box_padding)


def _placed(sample, source, codec):
    sample = transforms.place_crop(
        sample, source.skeleton, codec.input_hw, codec.is_unbiased
    )
    kept = ["image_index", "reach", "inverse", "keypoints_xy", "visibility", "kinds"]
    kept += ["confidence"]
    return {name: sample[name] for name in kept if name in sample}


def image_reader(source: PersonSource):
    """Returns a function from the number of an image to its encoded bytes."""
    is_encoded = isinstance(source.images[0], bytes)
    images = tf.constant(source.images if is_encoded else [str(p) for p in source.images])
    return lambda index: images[index] if is_encoded else tf.io.read_file(images[index])


def _finish(
    samples,
    source,
    codec,
    normalization,
    batch_size,
    num_outputs,
    with_kinds=False,
    is_endless=False,
):
    """Makes batches of (images, targets, weights) of samples without pixels.

    Of an endless stream all batches are full, and say so: a step is traced for their size.
    """
    read = image_reader(source)

    def cut(sample):
        encoded = read(sample["image_index"])
        image = cut_crop(encoded, sample, codec.input_hw, normalization)
        confidence = [sample[name] for name in ("confidence",) if name in sample]
        return (
            image,
            sample["keypoints_xy"],
            sample["visibility"],
            sample["kinds"],
            *confidence,
        )

    encode_targets = _target_encoder(codec)

    def encode(images, keypoints_xy, visibility, kinds, confidence=None):
        targets, weights = encode_targets(keypoints_xy, visibility)
        if confidence is not None:
            weights *= confidence
        if num_outputs > 1 or with_kinds:
            targets, weights = (targets,) * num_outputs, (weights,) * num_outputs
        if with_kinds:
            is_known = tf.cast(kinds != transforms.UNKNOWN, tf.float32)
            targets, weights = (kinds, *targets), (is_known, *weights)
        return images, targets, weights

    dataset = samples.map(cut, tf.data.AUTOTUNE)
    dataset = dataset.batch(batch_size, drop_remainder=is_endless)
    return dataset.map(encode, tf.data.AUTOTUNE).prefetch(2)


@functools.cache
def _target_encoder(codec: Codec):
    """Returns a codec's `encode_tf`, compiled."""
    return tf.function(codec.encode_tf, jit_compile=can_compile())
