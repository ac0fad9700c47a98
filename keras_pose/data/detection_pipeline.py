"""The tf.data pipeline of detectors: images -> zoomed, cropped, mirrored -> batches.

As in `data.pipeline`, order and every random draw depend on (seed, position in the
stream) alone, and all is TensorFlow ops. Zoom, crop and mirror are one map, so pixels
are interpolated once.
"""

from __future__ import annotations

from dataclasses import dataclass

import tensorflow as tf

from keras_pose.data.image_decoding import decode_image
from keras_pose.data.person_boxes import BoxSource
from keras_pose.data.pipeline import WHOLE, Part, plain_order, positions_of
from keras_pose.data.transforms import jitter_of_batch
from keras_pose.losses.detection_losses import IGNORED, PADDING
from keras_pose.pictures.boxes import PAD_VALUE
from keras_pose.pictures.normalization import Normalization

# Of a box that a crop cuts, this much must be seen to be asked for, and so many pixels
# of either side; less is no reproach to the network, whatever it says.
MIN_VISIBLE_SHARE = 0.2
MIN_SIDE = 2.0


@dataclass(frozen=True)
class BoxAugmentation:
    """Strengths of random changes; the default is RTMDet's second stage without colours.

    Attributes:
        min_zoom: smallest factor on the size that just fills the input.
        max_zoom: largest; what then sticks out is cropped at random.
        flip_probability: share of images that are mirrored.
        color: strength of colour changes, see `data.transforms.Augmentation`.
    """

    min_zoom: float = 0.5
    max_zoom: float = 2.0
    flip_probability: float = 0.5
    color: float = 0.3

    def __post_init__(self) -> None:
        if not 0 < self.min_zoom <= self.max_zoom:
            raise ValueError(
                f"Zooms must be 0 < min_zoom <= max_zoom, got {self.min_zoom} and "
                f"{self.max_zoom}."
            )


def training_boxes(
    source: BoxSource,
    normalization: Normalization,
    augmentation: BoxAugmentation,
    input_hw,
    batch_size: int,
    *,
    seed: int = 0,
    start_batch: int = 0,
    part: Part = WHOLE,
    every: int = 1,
) -> tf.data.Dataset:
    """Yields endless shuffled, augmented batches.

    Args:
        source: labelled images to draw samples from.
        normalization: applied to the images.
        augmentation: strength of the random changes.
        input_hw: (height, width) of the input, pixels.
        batch_size: images a batch, over all devices together.
        seed: seed of order and augmentation.
        start_batch: number of batches already taken by an interrupted run.
        part: share of each batch that is made, a batch for each of its replicas.
        every: step from one batch to the next; others come from elsewhere.

    Returns:
        Dataset of (images, truth): (B, *input_hw, 3) float32 normalised, and (B, M, 5)
        float32 as `losses.detection_losses.BoxLoss` takes it.
    """
    load, index_at = _loader(source), plain_order(len(source), seed)

    def sample_at(position):
        sample_seed = tf.stack([tf.constant(seed, tf.int64), position])
        image, boxes = load(index_at(position))
        return *augment(image, boxes, augmentation, input_hw, sample_seed), position

    def finish(images, is_free, truth, positions):
        images = jitter_of_batch(images, augmentation.color, seed, positions, batch_size)
        # The grey beside an image is always the same grey, as it is for a detector.
        images = tf.where(is_free, float(PAD_VALUE), images)
        return normalization(images), truth

    positions = positions_of(batch_size, start_batch, part, every)
    dataset = positions.map(sample_at, num_parallel_calls=tf.data.AUTOTUNE)
    size = batch_size // part.count // part.replicas
    dataset = dataset.batch(size, drop_remainder=True)
    return dataset.map(finish, num_parallel_calls=tf.data.AUTOTUNE).prefetch(2)


def _loader(source: BoxSource):
    """Returns a function from an index to an image and its boxes, of TensorFlow ops."""
    source = source.trainable()
    is_encoded = isinstance(source.images[0], bytes)
    images = tf.constant(source.images if is_encoded else [str(p) for p in source.images])
    boxes = tf.constant(source.boxes)

    def load(index):
        encoded = images[index] if is_encoded else tf.io.read_file(images[index])
        return decode_image(encoded), boxes[index]

    return load


def augment(image, boxes, augmentation: BoxAugmentation, input_hw, seed):
    """Zooms, crops and mirrors an image with its boxes.

    Args:
        image: (H, W, 3) uint8.
        boxes: (M, 5) float32, see `BoxSource`.
        augmentation: strength of the random changes.
        input_hw: (height, width) to return, pixels.
        seed: (2,) int64.

    Returns:
        image: (*input_hw, 3) float32, at the top left, grey where it does not reach.
        is_free: (*input_hw, 1) bool, where it does not reach.
        boxes: (M, 5) float32, input pixels, within the input. Those of which too little
            is seen are `IGNORED`, those of which nothing is are `PADDING`.
    """
    seeds = tf.random.split(seed, 4)
    height, width = (tf.cast(size, tf.float32) for size in tf.unstack(tf.shape(image)[:2]))
    fit = tf.minimum(input_hw[0] / height, input_hw[1] / width)
    low, high = augmentation.min_zoom, augmentation.max_zoom
    zoom = fit * tf.random.stateless_uniform([], seeds[0], low, high)
    content_wh = tf.maximum(tf.round(tf.stack([width, height]) * zoom), 1.0)
    zoom_xy = content_wh / tf.stack([width, height])
    input_wh = tf.constant(input_hw[::-1], tf.float32)
    room = tf.maximum(content_wh - input_wh, 0.0)
    offset = tf.floor(tf.random.stateless_uniform([2], seeds[1]) * (room + 1))
    is_mirrored = tf.random.stateless_uniform([], seeds[2]) < augmentation.flip_probability
    seen_wh = tf.minimum(content_wh, input_wh)
    warped = _warp(image, zoom_xy, offset, is_mirrored, content_wh, input_hw)
    is_free = _is_free(seen_wh, input_hw)
    boxes = _move(boxes, zoom_xy, offset, is_mirrored, content_wh)
    return tf.where(is_free, float(PAD_VALUE), warped), is_free, _crop(boxes, seen_wh)


def _warp(image, zoom_xy, offset, is_mirrored, content_wh, input_hw):
    """Reads the image at each input pixel, bilinearly, as `cv2.resize` does.

    Pixel centres lie at half numbers there, so `x = (x' + 1/2) / zoom - 1/2`.
    """
    step = 1 / zoom_xy
    start = (offset + 0.5) * step - 0.5
    mirrored_start = (content_wh[0] - offset[0] - 0.5) * step[0] - 0.5
    step_x = tf.where(is_mirrored, -step[0], step[0])
    start_x = tf.where(is_mirrored, mirrored_start, start[0])
    zero = tf.constant(0.0)
    row = tf.stack([step_x, zero, start_x, zero, step[1], start[1], zero, zero])
    warped = tf.raw_ops.ImageProjectiveTransformV3(
        images=tf.cast(image, tf.float32)[None],
        transforms=row[None],
        output_shape=input_hw,
        fill_value=0.0,
        interpolation="BILINEAR",
        fill_mode="NEAREST",
    )
    return tf.ensure_shape(warped[0], (*input_hw, 3))


def _is_free(seen_wh, input_hw):
    columns, rows = tf.range(input_hw[1]), tf.range(input_hw[0])
    is_right = tf.cast(columns, tf.float32)[None] >= seen_wh[0]
    is_below = tf.cast(rows, tf.float32)[:, None] >= seen_wh[1]
    return (is_right | is_below)[..., None]


def _move(boxes, zoom_xy, offset, is_mirrored, content_wh):
    """Takes boxes along with the pixels."""
    x1, y1, x2, y2, label = tf.unstack(boxes, axis=-1)
    x1, x2 = x1 * zoom_xy[0], x2 * zoom_xy[0]
    x1, x2 = (
        tf.where(is_mirrored, content_wh[0] - x2, x1) - offset[0],
        tf.where(is_mirrored, content_wh[0] - x1, x2) - offset[0],
    )
    y1, y2 = y1 * zoom_xy[1] - offset[1], y2 * zoom_xy[1] - offset[1]
    return tf.stack([x1, y1, x2, y2, label], axis=-1)


def _crop(boxes, seen_wh):
    """Clips boxes to what is seen of the image, and says which are no longer asked for."""
    corners, label = boxes[:, :4], boxes[:, 4]
    clipped = tf.clip_by_value(corners, 0.0, tf.tile(seen_wh, [2]))
    sides = clipped[:, 2:] - clipped[:, :2]
    whole = corners[:, 2:] - corners[:, :2]
    share = tf.reduce_prod(sides, -1) / tf.maximum(tf.reduce_prod(whole, -1), 1e-6)
    is_gone = tf.reduce_min(sides, -1) <= 0
    is_little = (share < MIN_VISIBLE_SHARE) | (tf.reduce_min(sides, -1) < MIN_SIDE)
    label = tf.where((label >= 0) & is_little, float(IGNORED), label)
    label = tf.where(is_gone, float(PADDING), label)
    return tf.concat([clipped, label[:, None]], axis=-1)
