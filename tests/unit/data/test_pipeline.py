"""The heatmap generator: what comes out, in which order, and what it survives."""

import io

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from keras_pose.codecs import GaussianHeatmapCodec
from keras_pose.data.pipeline import plain_order, training_dataset, validation_dataset
from keras_pose.data.records import PersonRecord
from keras_pose.data.sources import (
    PersonSource,
    mix_sources,
    records_source,
    synthetic_source,
)
from keras_pose.data.transforms import Augmentation
from keras_pose.pictures.images import ImageError, read_image
from keras_pose.pictures.normalization import IMAGENET
from keras_pose.skeleton import COCO_17

CODEC = GaussianHeatmapCodec((64, 64))
STILL = Augmentation(0, 0, 0, 0, 0)


def _counted_source(size):
    """Sample i is an image of the one grey level i."""
    points = np.random.default_rng(0).uniform(5, 45, (size, 17, 2)).astype("float32")
    return PersonSource(
        COCO_17,
        [_png(np.full((50, 50, 3), i, np.uint8)) for i in range(size)],
        np.arange(size, dtype=np.int32),
        np.tile(np.float32([0, 0, 50, 50]), (size, 1)),
        points,
        np.full((size, 17), 2, np.int32),
    )


def _png(image):
    buffer = io.BytesIO()
    Image.fromarray(image).save(buffer, "PNG")
    return buffer.getvalue()


def _batches(count, source=None, **options):
    dataset = training_dataset(
        source or _counted_source(10), CODEC, IMAGENET, STILL, 4, **options
    )
    return [[part.numpy() for part in batch] for batch in dataset.take(count)]


def _levels(batches):
    """Reads the samples' numbers back from their pixels."""
    images = np.concatenate([batch[0] for batch in batches])
    center = images[:, 32, 32, 0] * IMAGENET.std[0] + IMAGENET.mean[0]
    return np.rint(center * 255).astype(int).tolist()


def test_shapes_and_types():
    images, heatmaps, weights = _batches(1)[0]
    assert images.shape == (4, 64, 64, 3)
    assert heatmaps.shape == (4, 16, 16, 17)
    assert weights.shape == (4, 17)
    assert {part.dtype for part in (images, heatmaps, weights)} == {np.dtype("float32")}


@pytest.mark.parametrize("padding", [1.25, 1.5])
def test_heatmaps_are_those_of_the_numpy_twin(padding):
    source = _counted_source(3)
    batches = validation_dataset(source, CODEC, IMAGENET, 3, box_padding=padding)
    _, heatmaps, weights = next(iter(batches))
    for index in range(3):
        # A box of 50 pixels, padded, fills 64 pixels of input.
        points = (source.load(index).keypoints_xy - 25) * (64 / (50 * padding)) + 32
        expected, expected_weights = CODEC.encode(points, np.full(17, 2))
        np.testing.assert_allclose(heatmaps[index], expected, atol=1e-5)
        np.testing.assert_array_equal(weights[index], expected_weights)


def test_every_epoch_holds_every_sample_once_in_another_order():
    levels = _levels(_batches(5))
    first, second = levels[:10], levels[10:]
    assert sorted(first) == sorted(second) == list(range(10))
    assert first != second


def test_a_seed_repeats_everything():
    first, again, other = (_batches(3, seed=seed) for seed in (1, 1, 2))
    for batch, same in zip(first, again, strict=True):
        for part, same_part in zip(batch, same, strict=True):
            np.testing.assert_array_equal(part, same_part)
    assert _levels(first) != _levels(other)


def test_a_resumed_stream_goes_on_where_it_stopped():
    whole = _batches(5, seed=3)
    resumed = _batches(2, seed=3, start_batch=3)
    for batch, same in zip(whole[3:], resumed, strict=True):
        for part, same_part in zip(batch, same, strict=True):
            np.testing.assert_array_equal(part, same_part)


def test_order_is_that_of_tensorflows_shuffle():
    positions = np.arange(95, 130)
    expected = [
        tf.random.experimental.index_shuffle(
            int(p % 100), tf.constant([7, int(p // 100)], tf.int32), 99
        ).numpy()
        for p in positions
    ]
    many = plain_order(100, 7)(tf.constant(positions, tf.int64))
    np.testing.assert_array_equal(many, expected)
    one = plain_order(100, 7)(tf.constant(95, tf.int64))
    assert one == expected[0]


def test_changes_are_those_of_a_position_in_batches_of_any_size():
    source = _counted_source(10)
    strong, streams = Augmentation(color=1.0), []
    for size in (3, 4):
        batches = training_dataset(
            source, CODEC, IMAGENET, strong, size, seed=4, start_batch=12 // size
        )
        parts = zip(*batches.take(12 // size), strict=True)
        streams.append([np.concatenate(part) for part in parts])
    first, second = streams
    for part, same in zip(first, second, strict=True):
        np.testing.assert_array_equal(part, same)


def test_validation_comes_once_in_order():
    dataset = validation_dataset(_counted_source(6), CODEC, IMAGENET, 4)
    batches = [[part.numpy() for part in batch] for batch in dataset]
    assert _levels(batches) == list(range(6))


@pytest.mark.parametrize(("size", "sizes"), [(7, [4, 2]), (9, [4, 4]), (1, [2])])
def test_validation_batches_can_be_shared_out_evenly(size, sizes):
    source = _counted_source(size)
    dataset = validation_dataset(source, CODEC, IMAGENET, 4, num_replicas=2)
    assert [len(images) for images, _, _ in dataset] == sizes
    assert dataset.cardinality() == len(sizes)


def test_one_sample_is_a_data_set_too():
    assert _levels(_batches(2, _counted_source(1))) == [0] * 8


def test_stacks_get_a_target_each():
    _, heatmaps, weights = next(
        iter(validation_dataset(_counted_source(2), CODEC, IMAGENET, 2, num_outputs=3))
    )
    assert len(heatmaps) == len(weights) == 3
    np.testing.assert_array_equal(heatmaps[0], heatmaps[2])


def _records(folder, names):
    """Writes an image a name; those called broken are cut off in the middle."""
    records = []
    for name in names:
        path = folder / f"{name}.jpg"
        image = np.random.default_rng(1).integers(0, 255, (50, 50, 3), np.uint8)
        Image.fromarray(image).save(path)
        if name.startswith("broken"):
            path.write_bytes(path.read_bytes()[:-200])
        sample = _counted_source(1).load(0)
        record = PersonRecord(
            path, 1, 1, sample.box_xywh, sample.keypoints_xy, sample.visibility, 900.0
        )
        records.append(record)
    return records


def test_broken_images_are_left_out_named_and_counted(tmp_path):
    source = records_source(_records(tmp_path, ["a", "broken1", "b", "broken2"]), COCO_17)
    with pytest.warns(UserWarning, match=r"Skipped: Image .*broken\d\.jpg") as caught:
        whole = source.without_broken_images()
    assert [path.stem for path in (whole.images[i] for i in whole.image_index)] == [
        "a",
        "b",
    ]
    assert whole.num_skipped_images == len(caught) == 2
    assert len(_batches(2, whole)) == 2


def test_a_data_set_without_one_readable_image_is_an_error(tmp_path):
    source = records_source(_records(tmp_path, ["broken"]), COCO_17)
    with (
        pytest.warns(UserWarning, match="Skipped"),
        pytest.raises(ImageError, match="None of the 1 images"),
    ):
        source.without_broken_images()


def test_labels_on_the_turned_pixels_are_trained_on_with_those(tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 6
    path = tmp_path / "a.jpg"
    grey = np.tile(np.arange(50, dtype=np.uint8)[:, None, None] * 5, (1, 50, 3))
    Image.fromarray(grey).save(path, exif=exif, quality=95)
    sample = _counted_source(1).load(0)
    labels = (sample.box_xywh, sample.keypoints_xy, sample.visibility, 900.0)
    records = [
        PersonRecord(path, 1, 1, *labels, image_hw=(50, 50)),
        PersonRecord(path, 2, 2, *labels),
    ]
    source = records_source(records, COCO_17)
    mixed = mix_sources([source, source])

    images, *_ = next(iter(validation_dataset(mixed, CODEC, IMAGENET, 4)))
    upright, stored, *_ = images.numpy()

    # Away from the black border; a turn about pixel centres moves the crop by 0.02 pixels.
    inside = slice(16, 48)
    turned = np.rot90(stored, -1)[inside, inside]
    np.testing.assert_allclose(upright[inside, inside], turned, atol=0.05)
    assert np.ptp(stored[inside, 32, 0]) > 1
    assert np.ptp(upright[inside, 32, 0]) < 0.1
    np.testing.assert_array_equal(source.load(0).image, read_image(path))
    np.testing.assert_array_equal(source.load(1).image, read_image(path, False))


def test_drawn_people_repeat_by_seed_and_differ_by_split():
    first, again = (synthetic_source(3, seed=0) for _ in range(2))
    other = synthetic_source(3, seed=0, split="val")
    np.testing.assert_array_equal(first.load(2).image, again.load(2).image)
    assert len(first) >= 3
    assert (first.visibility > 0).any(axis=1).all()
    assert first.images != other.images
