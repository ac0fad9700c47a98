"""Samples of bottom-up networks: pictures and maps that belong together."""

import itertools

import numpy as np
import pytest
import tensorflow as tf

from keras_pose.codecs.part_affinity import PartAffinityCodec
from keras_pose.data.crowd_pipeline import (
    CrowdAugmentation,
    augment_picture,
    cut_picture,
    training_crowds,
)
from keras_pose.data.crowds import crowds_of_people
from keras_pose.data.sources import synthetic_source
from keras_pose.losses import MaskedMaps
from keras_pose.pictures.normalization import IMAGENET
from keras_pose.skeleton import COCO_17

CODEC = PartAffinityCodec((64, 64))
STILL = CrowdAugmentation(0.5, 1.0, 1.0, 0.0, 0.0, 0.0)


@pytest.fixture(scope="module")
def source():
    return crowds_of_people(synthetic_source(2), COCO_17)


def batches(source, count, **values):
    dataset = training_crowds(
        source, CODEC, IMAGENET, CrowdAugmentation(), 2, [38, 18, 18], **values
    )
    return list(itertools.islice(dataset.as_numpy_iterator(), count))


@pytest.fixture(scope="module")
def first(source):
    return batches(source, 2)


def test_targets_stand_in_the_order_of_the_outputs(first):
    images, targets, weights = first[0]
    assert images.shape == (2, 64, 64, 3)
    assert [t.shape for t in targets] == [(2, 8, 8, 38), (2, 8, 8, 18), (2, 8, 8, 18)]
    assert [w.shape for w in weights] == [(2, 8, 8)] * 3
    assert np.isfinite(images).all()
    np.testing.assert_array_equal(targets[1], targets[2])
    assert targets[1][..., :-1].max() > 0.5


def test_the_stream_depends_on_its_place_alone(source, first):
    (images, targets, _), *_ = batches(source, 1, start_batch=1)
    np.testing.assert_array_equal(images, first[1][0])
    np.testing.assert_array_equal(targets[0], first[1][1][0])
    assert not np.array_equal(images, first[0][0])


def sample(is_mirrored=False, angle=0.0):
    """Returns a white pixel in black, where a person's nose is; both wrists beside it."""
    image = np.zeros((80, 100, 3), np.uint8)
    image[30, 60] = 255
    points = np.zeros((1, 17, 2), np.float32)
    points[0, [0, 9, 10]] = [60, 30], [70, 40], [20, 40]
    visibility = np.zeros((1, 17), np.int32)
    visibility[0, [0, 9, 10]] = 2
    return {
        "image": tf.constant(image),
        "keypoints_xy": tf.constant(points),
        "visibility": tf.constant(visibility),
        "ignored_xyxy": tf.constant([[0.0, 0.0, 32.0, 80.0]]),
        "center_xy": tf.constant([50.0, 40.0]),
        "crop_width": tf.constant(64.0),
        "angle_degrees": tf.constant(angle),
        "is_mirrored": tf.constant(is_mirrored),
    }


@pytest.mark.parametrize(("is_mirrored", "angle"), [(False, 0), (True, 0), (True, 30)])
def test_keypoints_go_with_their_pixels(is_mirrored, angle):
    cut = cut_picture(sample(is_mirrored, float(angle)), COCO_17, CODEC)
    bright = cut["image"].numpy().sum(axis=-1)
    bright[bright <= bright.mean() + 1] = 0  # grey outside
    y, x = np.unravel_index(bright.argmax(), bright.shape)
    np.testing.assert_allclose(cut["keypoints_xy"][0, 0], [x, y], atol=1)
    left, right = cut["keypoints_xy"][0, 9].numpy(), cut["keypoints_xy"][0, 10].numpy()
    # A mirror exchanges left and right, so the left wrist stays on its side.
    if angle == 0:
        assert left[0] > right[0]


def test_cells_in_regions_of_the_picture_do_not_count():
    still = cut_picture(sample(), COCO_17, CODEC)["mask"].numpy()
    # The crop begins at x = 18: middles at 18 + 3.5 and 18 + 11.5 are within 32.
    np.testing.assert_array_equal(still[0], [0, 0, 1, 1, 1, 1, 1, 1])
    mirrored = cut_picture(sample(is_mirrored=True), COCO_17, CODEC)["mask"].numpy()
    np.testing.assert_array_equal(mirrored, still[:, ::-1])


def test_without_variation_a_person_is_in_the_middle_at_its_share_of_the_height():
    given = {"boxes_xywh": tf.constant([[10.0, 20.0, 30.0, 40.0]])}
    chosen = augment_picture(given, STILL, (64, 64), tf.constant([0, 0], tf.int64))
    np.testing.assert_allclose(chosen["center_xy"], [25, 40])
    assert chosen["crop_width"] == 64 / (0.5 * 64 / 40)


def test_the_loss_is_the_references_and_masked_cells_are_no_loss():
    rng = np.random.default_rng(0)
    target, maps = rng.random((2, 3, 4, 4, 5)).astype(np.float32)
    mask = (rng.random((3, 4, 4)) > 0.5).astype(np.float32)
    # `l2_loss`: ((input - target) * mask) ** 2 / 2 / batch_size, added up.
    expected = (((maps - target) * mask[..., None]) ** 2).sum() / 2 / 3
    found = MaskedMaps()(target, maps, sample_weight=mask)
    np.testing.assert_allclose(found, expected, rtol=1e-5)


def test_zooms_out_of_range_are_refused():
    with pytest.raises(ValueError, match="0 < min_zoom <= max_zoom"):
        CrowdAugmentation(min_zoom=2.0)
