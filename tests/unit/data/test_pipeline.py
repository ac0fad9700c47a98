"""The heatmap generator: what comes out, in which order, and what it survives."""

import numpy as np
import pytest
from PIL import Image

from keras_pose.codecs import GaussianHeatmapCodec
from keras_pose.data.pipeline import training_dataset, validation_dataset
from keras_pose.data.records import PersonRecord
from keras_pose.data.sources import PersonSample, RecordSource, SyntheticSource
from keras_pose.data.transforms import Augmentation
from keras_pose.images import ImageError
from keras_pose.normalization import IMAGENET
from keras_pose.skeleton import COCO_17

CODEC = GaussianHeatmapCodec((64, 64))
STILL = Augmentation(0, 0, 0, 0, 0)


class CountedSource:
    """Sample i is an image of the one grey level i."""

    skeleton = COCO_17

    def __init__(self, size):
        self._size = size

    def __len__(self):
        return self._size

    def load(self, index):
        points = np.random.default_rng(index).uniform(5, 45, (17, 2)).astype("float32")
        return PersonSample(
            np.full((50, 50, 3), index, np.uint8),
            np.array([0, 0, 50, 50], np.float32),
            points,
            np.full(17, 2, np.uint8),
        )


def _batches(count, source=None, **options):
    dataset = training_dataset(
        source or CountedSource(10), CODEC, IMAGENET, STILL, 4, **options
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


def test_heatmaps_are_those_of_the_numpy_twin():
    source = CountedSource(3)
    _, heatmaps, weights = next(iter(validation_dataset(source, CODEC, IMAGENET, 3)))
    for index in range(3):
        # A box of 50 pixels, padded to 62.5, fills 64 pixels of input.
        points = (source.load(index).keypoints_xy - 25) * (64 / 62.5) + 32
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


def test_validation_comes_once_in_order():
    dataset = validation_dataset(CountedSource(6), CODEC, IMAGENET, 4)
    batches = [[part.numpy() for part in batch] for batch in dataset]
    assert _levels(batches) == list(range(6))


def test_one_sample_is_a_data_set_too():
    assert _levels(_batches(2, CountedSource(1))) == [0] * 8


def test_stacks_get_a_target_each():
    _, heatmaps, weights = next(
        iter(validation_dataset(CountedSource(2), CODEC, IMAGENET, 2, num_outputs=3))
    )
    assert len(heatmaps) == len(weights) == 3
    np.testing.assert_array_equal(heatmaps[0], heatmaps[2])


def _records(folder, good, bad):
    records = []
    for name in (*good, *bad):
        path = folder / f"{name}.png"
        if name in good:
            Image.fromarray(np.full((50, 50, 3), 100, np.uint8)).save(path)
        else:
            path.write_bytes(b"\x89PNG not really")
        sample = CountedSource(1).load(0)
        record = PersonRecord(
            path, 1, 1, sample.box_xywh, sample.keypoints_xy, sample.visibility, 900.0
        )
        records.append(record)
    return records


def test_unreadable_images_are_skipped_and_counted(tmp_path):
    source = RecordSource(_records(tmp_path, ("a", "b"), ("broken", "worse")), COCO_17)
    with pytest.warns(
        UserWarning, match=r"Skipped image \d: .*(broken|worse)\.png"
    ) as caught:
        assert _levels(_batches(3, source)) == [100] * 12
    assert source.num_skipped_images == 2
    assert len([w for w in caught if "Skipped" in str(w.message)]) == 2


def test_a_data_set_without_one_readable_image_is_an_error(tmp_path):
    source = RecordSource(_records(tmp_path, (), ("broken",)), COCO_17)
    with (
        pytest.warns(UserWarning, match="Skipped"),
        pytest.raises(ImageError, match="None of the 1 images"),
    ):
        source.load(0)


def test_people_drawn_on_the_fly_repeat_by_seed_and_differ_by_split():
    first, again = (SyntheticSource(4, seed=0).load(2) for _ in range(2))
    other = SyntheticSource(4, seed=0, split="val").load(2)
    np.testing.assert_array_equal(first.image, again.image)
    assert first.visibility.any()
    assert not np.array_equal(first.image, other.image)
