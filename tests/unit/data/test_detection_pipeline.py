"""What zoom, crop and mirror do to pixels and boxes."""

import io

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from keras_pose.data.detection_pipeline import BoxAugmentation, augment, training_boxes
from keras_pose.data.person_boxes import BoxSource, pad_boxes
from keras_pose.data.pipeline import WHOLE, Part
from keras_pose.losses.detection_losses import IGNORED, PADDING
from keras_pose.pictures.boxes import letterbox
from keras_pose.pictures.normalization import Normalization

INPUT_HW = (64, 96)
STILL = BoxAugmentation(min_zoom=1.0, max_zoom=1.0, flip_probability=0.0, color=0.0)
PIXELS = Normalization((0, 0, 0), (1 / 255,) * 3)  # leaves pixels as they are


def _picture(height, width, box):
    """Dark, with one bright box."""
    image = np.full((height, width, 3), 20, np.uint8)
    x1, y1, x2, y2 = box
    image[y1:y2, x1:x2] = 220
    return image


def _augment(image, boxes, augmentation, seed=0):
    boxes = tf.constant(pad_boxes([boxes])[0])
    result = augment(
        tf.constant(image), boxes, augmentation, INPUT_HW, tf.constant([0, seed], tf.int64)
    )
    return [x.numpy() for x in result]


@pytest.mark.parametrize("image_hw", [(40, 80), (100, 60), (64, 96), (200, 311), (1, 1)])
def test_without_augmentation_it_is_the_letterbox(image_hw):
    image = np.random.default_rng(0).integers(0, 256, (*image_hw, 3), np.uint8)

    actual, is_free, _ = _augment(image, [], STILL)

    expected, _ = letterbox(image, INPUT_HW)
    # cv2 rounds to whole grey levels, and its weights to 1 / 2048.
    np.testing.assert_allclose(actual, expected, atol=1.01)
    assert (actual[is_free[..., 0]] == 114).all()


@pytest.mark.parametrize("seed", range(12))
def test_boxes_go_with_the_pixels(seed):
    box = (30, 20, 70, 60)
    image = _picture(80, 120, box)
    augmentation = BoxAugmentation(min_zoom=0.6, max_zoom=1.7, flip_probability=0.5)

    actual, _, boxes = _augment(image, [[*box, 0]], augmentation, seed)

    assert boxes[0, 4] == 0
    rows, columns = np.nonzero(actual[..., 0] > 120)
    seen = [columns.min(), rows.min(), columns.max() + 1, rows.max() + 1]
    np.testing.assert_allclose(boxes[0, :4], seen, atol=1.0)


def test_mirroring_is_as_frequent_as_asked():
    image = _picture(64, 96, (0, 0, 10, 64))
    augmentation = BoxAugmentation(1.0, 1.0, flip_probability=0.5)

    is_mirrored = [
        _augment(image, [], augmentation, s)[0][0, -1, 0] > 120 for s in range(60)
    ]

    assert 15 < sum(is_mirrored) < 45  # 4 standard deviations


def test_people_of_whom_little_is_seen_are_ignored_and_others_gone():
    image = np.zeros((64, 96, 3), np.uint8)
    # At zoom 1 the whole image is seen; boxes beyond its edge are cut there.
    rows = [
        [90, 0, 190, 60, 0],
        [100, 0, 120, 60, 0],
        [10, 10, 11, 60, 0],
        [5, 5, 50, 50, 0],
    ]

    _, _, boxes = _augment(image, rows, STILL)

    assert boxes[:4, 4].tolist() == [IGNORED, PADDING, IGNORED, 0]


def _source(count):
    rng = np.random.default_rng(0)
    images, rows = [], []
    for _ in range(count):
        file = io.BytesIO()
        pixels = rng.integers(0, 256, (50, 70, 3), np.uint8)
        Image.fromarray(pixels).save(file, "PNG")
        images.append(file.getvalue())
        rows.append([[5.0, 5.0, 45.0, 45.0, 0.0]])
    return BoxSource(images, list(range(count)), pad_boxes(rows))


def _batches(count, **options):
    dataset = training_boxes(_source(5), PIXELS, BoxAugmentation(), INPUT_HW, 2, **options)
    return list(dataset.take(count).as_numpy_iterator())


def test_a_stream_that_goes_on_is_the_stream_that_went_on():
    whole, resumed = _batches(4, seed=3), _batches(2, seed=3, start_batch=2)

    for expected, actual in zip(whole[2:], resumed, strict=True):
        np.testing.assert_array_equal(expected[0], actual[0])
        np.testing.assert_array_equal(expected[1], actual[1])
    assert np.abs(_batches(1, seed=4)[0][0] - whole[0][0]).max() > 1


def test_parts_of_a_batch_are_the_whole_batch():
    def batches(count, part=WHOLE, **options):
        changes = BoxAugmentation(color=0.5)
        return training_boxes(
            _source(5), PIXELS, changes, INPUT_HW, 4, seed=3, part=part, **options
        ).take(count)

    whole = list(batches(3))
    parts = [batch for index in range(2) for batch in batches(2, Part(index, 2, 2))]
    for expected, *found in zip(whole[0], *parts, strict=True):
        assert [len(each) for each in found] == [1] * 4
        np.testing.assert_allclose(np.concatenate(found), expected, atol=1e-3)
    # Servers that take turns make every other batch.
    _, second = batches(2, every=2)
    for expected, found in zip(whole[2], second, strict=True):
        np.testing.assert_array_equal(found, expected)


def test_batches_have_static_shapes_and_grey_borders():
    dataset = training_boxes(
        _source(3), PIXELS, BoxAugmentation(0.4, 0.5, color=1.0), INPUT_HW, 2
    )
    images, truth = next(iter(dataset))

    assert dataset.element_spec[0].shape == (2, *INPUT_HW, 3)
    assert dataset.element_spec[1].shape == truth.shape == (2, 8, 5)
    np.testing.assert_allclose(images[:, -1, -1], 114, atol=1e-3)


def test_zooms_must_be_a_range():
    with pytest.raises(ValueError, match="min_zoom"):
        BoxAugmentation(min_zoom=2.0, max_zoom=1.0)
