"""Augmentation against its NumPy twins, eagerly and inside tf.data."""

import cv2
import numpy as np
import pytest
import tensorflow as tf

from keras_pose.data import transforms
from keras_pose.data.transforms import Augmentation
from keras_pose.data.warping import warp_crop
from keras_pose.pictures import geometry
from keras_pose.skeleton import COCO_17, Skeleton

INPUT_HW = (128, 96)
STILL = Augmentation(
    scale=0, rotation_probability=0, flip_probability=0, half_body_probability=0
)


def _sample(rng, **changes):
    # Smooth, so that a hundredth of a pixel is a hundredth of a grey level.
    image = cv2.GaussianBlur(rng.integers(0, 256, (150, 200, 3), np.uint8), (9, 9), 3)
    sample = {
        "image": image,
        "box_xywh": np.array([60, 30, 50, 90], np.float32),
        "keypoints_xy": rng.uniform([60, 30], [110, 120], (17, 2)).astype("float32"),
        "visibility": np.full(17, 2, np.int32),
    }
    return {name: tf.constant(value) for name, value in (sample | changes).items()}


def _cut(sample, is_unbiased=False):
    """Returns the sample with its crop as "image"."""
    matrix = transforms.crop_matrix_tf(sample, INPUT_HW, is_unbiased)
    image = warp_crop(sample["image"], matrix, INPUT_HW)
    placed = transforms.place_crop(sample, COCO_17, INPUT_HW, is_unbiased)
    return placed | {"image": image}


def _run_eagerly(function, sample):
    return function(sample)


def _run_in_tf_data(function, sample):
    dataset = tf.data.Dataset.from_tensors(sample).map(function)
    return next(iter(dataset))


@pytest.fixture(params=[_run_eagerly, _run_in_tf_data])
def run(request):
    return request.param


@pytest.mark.parametrize("padding", [{}, {"padding": 1.1}])
def test_whole_crop_is_that_of_geometry(run, padding):
    sample = _sample(np.random.default_rng(0))
    box_xywh = sample["box_xywh"].numpy()
    center_xy, size_wh = geometry.box_to_crop(box_xywh, INPUT_HW, **padding)

    result = run(lambda s: transforms.whole_crop(s, INPUT_HW, *padding.values()), sample)

    np.testing.assert_allclose(result["center_xy"], center_xy, rtol=1e-6)
    np.testing.assert_allclose(result["crop_width"], size_wh[0], rtol=1e-6)


@pytest.mark.parametrize("is_unbiased", [False, True])
@pytest.mark.parametrize("angle", [0.0, 30.0, -75.0])
def test_crop_and_keypoints_are_those_of_geometry(run, angle, is_unbiased):
    sample = _sample(np.random.default_rng(1))

    def cut(sample):
        sample = transforms.whole_crop(sample, INPUT_HW) | {"angle_degrees": angle}
        return _cut(sample, is_unbiased)

    result = run(cut, sample)

    center_xy, size_wh = geometry.box_to_crop(sample["box_xywh"].numpy(), INPUT_HW)
    matrix = geometry.crop_matrix(center_xy, size_wh[0], INPUT_HW, angle, is_unbiased)
    expected = geometry.warp_image(sample["image"].numpy(), matrix, INPUT_HW)
    # OpenCV rounds to whole grey levels; float32 matrices add a little.
    np.testing.assert_allclose(result["image"], expected, atol=0.6)
    expected_xy = geometry.transform_points(matrix, sample["keypoints_xy"].numpy())
    np.testing.assert_allclose(result["keypoints_xy"], expected_xy, atol=1e-3)


def test_a_mirrored_crop_is_the_crop_of_the_mirrored_image():
    sample = _sample(np.random.default_rng(2))
    mirrored = transforms.whole_crop(sample, INPUT_HW) | {
        "is_mirrored": tf.constant(True),
        "angle_degrees": 20.0,
    }
    result = _cut(mirrored)

    # The reference flips image, joints and centre first: x' = W - x - 1.
    width = sample["image"].shape[1]
    flipped_xy = sample["keypoints_xy"].numpy() * [-1, 1] + [width - 1, 0]
    center_xy, size_wh = geometry.box_to_crop(sample["box_xywh"].numpy(), INPUT_HW)
    center_xy = center_xy * [-1, 1] + [width - 1, 0]
    matrix = geometry.crop_matrix(center_xy, size_wh[0], INPUT_HW, 20.0)
    flipped = np.ascontiguousarray(sample["image"].numpy()[:, ::-1])
    expected = geometry.warp_image(flipped, matrix, INPUT_HW)
    expected_xy = geometry.transform_points(matrix, flipped_xy)[COCO_17.mirror_permutation]
    np.testing.assert_allclose(result["image"], expected, atol=0.6)
    np.testing.assert_allclose(result["keypoints_xy"], expected_xy, atol=1e-3)


def test_visibility_changes_sides_with_its_keypoint():
    visibility = np.zeros(17, np.int32)
    visibility[COCO_17.index("left_wrist")] = 2
    sample = transforms.whole_crop(
        _sample(np.random.default_rng(3), visibility=visibility), INPUT_HW
    )
    result = transforms.place_crop(
        sample | {"is_mirrored": tf.constant(True)}, COCO_17, INPUT_HW
    )
    assert np.flatnonzero(result["visibility"]) == [COCO_17.index("right_wrist")]


def _augmented(augmentation, skeleton=COCO_17, count=400):
    sample = transforms.whole_crop(_sample(np.random.default_rng(4)), INPUT_HW)

    many = {name: tf.stack([value] * count) for name, value in sample.items()}
    draws = transforms.draw_changes(5, 0, count)
    changed = transforms.augment_crop(many, augmentation, skeleton, INPUT_HW, draws)
    kept = ("crop_width", "angle_degrees", "is_mirrored", "center_xy")
    result = {name: changed[name].numpy() for name in kept}
    return sample, result


def test_no_augmentation_changes_nothing():
    sample, result = _augmented(STILL, count=5)
    np.testing.assert_allclose(result["crop_width"], [sample["crop_width"]] * 5)
    assert not result["angle_degrees"].any()
    assert not result["is_mirrored"].any()


def test_augmentation_stays_within_the_reference_limits():
    sample, result = _augmented(Augmentation(half_body_probability=0))
    zoom = result["crop_width"] / sample["crop_width"].numpy()
    assert 0.65 - 1e-6 <= zoom.min() < 0.75
    assert 1.25 < zoom.max() <= 1.35 + 1e-6
    assert 60 < abs(result["angle_degrees"]).max() <= 90
    # Shares of 400 draws lie within 4 standard deviations of their probability.
    assert abs((result["angle_degrees"] != 0).mean() - 0.6) < 0.1
    assert abs(result["is_mirrored"].mean() - 0.5) < 0.1


def test_half_body_moves_the_crop_to_upper_or_lower_keypoints():
    augmentation = Augmentation(0, 0, 0, 0, half_body_probability=1.0)
    sample, result = _augmented(augmentation)
    points = sample["keypoints_xy"].numpy()
    upper = points[COCO_17.upper_body_mask].mean(axis=0)
    lower = points[~COCO_17.upper_body_mask].mean(axis=0)
    is_upper = np.isclose(result["center_xy"], upper, atol=1e-3).all(axis=1)
    is_lower = np.isclose(result["center_xy"], lower, atol=1e-3).all(axis=1)
    assert (is_upper | is_lower).all()
    # A normal number is below 0.5 in 69 % of draws.
    assert abs(is_upper.mean() - 0.69) < 0.1


def test_half_body_leaves_people_with_few_keypoints_alone():
    augmentation = Augmentation(
        0, 0, 0, 0, half_body_probability=1.0, half_body_min_keypoints=17
    )
    sample, result = _augmented(augmentation, count=20)
    np.testing.assert_allclose(result["center_xy"], [sample["center_xy"]] * 20)


def test_a_skeleton_without_mirror_pairs_is_never_flipped():
    plain = Skeleton("plain", COCO_17.names)
    _, result = _augmented(Augmentation(flip_probability=1.0), plain, count=20)
    assert not result["is_mirrored"].any()


def test_color_jitter_keeps_the_range_and_varies_by_image():
    image = np.random.default_rng(6).uniform(0, 255, (8, 8, 3)).astype("float32")
    changed = transforms.jitter_color(tf.stack([image] * 20), 1.0, [0, 1]).numpy()
    assert changed.min() >= 0
    assert changed.max() <= 255
    assert changed.mean(axis=(1, 2, 3)).std() > 10
    unchanged = transforms.jitter_color(tf.stack([image] * 2), 0.0, [0, 1])
    np.testing.assert_allclose(unchanged, [image] * 2, atol=1e-3)


def test_a_cut_picture_is_black_beyond_its_end_and_its_keypoints_are_outside(run):
    sample = _sample(
        np.random.default_rng(0),
        image=np.full((150, 200, 3), 200, np.uint8),
        keypoints_xy=np.array([[80, 40], [80, 74], [80, 77], [80, 110]], np.float32),
        visibility=np.array([2, 1, 2, 0], np.int32),
    )
    four = Skeleton("four", ("a", "b", "c", "d"))

    def cut(sample):
        whole = transforms.whole_crop(sample, INPUT_HW)
        below, half = tf.constant(0.0), tf.constant(0.5)
        ended = transforms.cut_pictures(whole, tf.constant(True), below, half, INPUT_HW)
        placed = transforms.place_crop(ended, four, INPUT_HW)
        return placed | {"half": ended["crop_width"] / whole["crop_width"]}

    result = {name: value.numpy() for name, value in run(cut, sample).items()}

    # The box, 50 wide and 90 high from (60, 30) on, ends at y = 75.
    expected = [transforms.VISIBLE, transforms.HIDDEN, transforms.OUTSIDE, -1]
    np.testing.assert_array_equal(result["kinds"], expected)
    np.testing.assert_array_equal(result["visibility"], [2, 1, 0, 0])
    assert result["half"] == pytest.approx(50 / (90 * 96 / 128))
    rows, _ = result["reach"][1] - result["reach"][0]
    assert result["reach"][1, 0] == 76
    assert rows > 0


def test_flags_that_call_nothing_hidden_say_nothing_of_what_is_inside():
    sample = _sample(np.random.default_rng(0)) | {"says_hidden": tf.constant(False)}
    points = np.zeros((17, 2), "float32")
    points[0] = 96, 5  # a pixel right of the last one

    kinds = transforms.kinds_of(sample, points, INPUT_HW).numpy()

    assert kinds.tolist() == [transforms.OUTSIDE] + 16 * [transforms.UNKNOWN]
