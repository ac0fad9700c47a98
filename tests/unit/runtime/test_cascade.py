"""The cascade's geometry: on people whose joints are dots of one colour each."""

import dataclasses

import numpy as np
import pytest

from keras_pose.codecs import GaussianHeatmapCodec, RegressionCodec
from keras_pose.contracts.fields import TensorSpec
from keras_pose.contracts.pose import Contract
from keras_pose.runtime.cascade import (
    Cascade,
    Displacements,
    Stage,
    draw_joint_samples,
    load_cascade,
    measure_displacements,
    pose_diameters,
    refine,
)
from keras_pose.skeleton import Skeleton

TORSO = Skeleton(
    name="torso",
    names=("left_shoulder", "right_shoulder", "left_hip", "right_hip"),
    mirrored=(("left_shoulder", "right_shoulder"), ("left_hip", "right_hip")),
)
SIDE = 64
JOINTS_XY = np.array([[130.0, 70.0], [90.0, 72.0], [125.0, 140.0], [95.0, 138.0]])
# Far apart, so that bilinear interpolation does not turn one into another.
COLORS = np.array([[255, 0, 0], [0, 255, 0], [0, 0, 255], [255, 255, 0]], np.uint8)


def make_contract(codec=None, skeleton=TORSO):
    codec = codec or RegressionCodec((SIDE, SIDE))
    return Contract(
        model="seer",
        input=TensorSpec("image", (1, SIDE, SIDE, 3), "uint8"),
        output=TensorSpec("keypoints", (1, *codec.output_shape(4)), "float32"),
        codec=codec,
        skeleton=skeleton,
    )


@pytest.fixture(scope="module")
def image():
    """Grey, with a disc of radius 3 at every joint."""
    picture = np.full((220, 220, 3), 110, np.uint8)
    rows, columns = np.mgrid[:220, :220]
    for (x, y), color in zip(JOINTS_XY, COLORS, strict=True):
        picture[(columns - x) ** 2 + (rows - y) ** 2 <= 9] = color
    return picture


def find_dots(crops):
    """Where each colour is, as shares of the crop; the middle where it is not."""
    away = np.abs(crops[:, None].astype(int) - COLORS[:, None, None]).sum(axis=-1)
    found = (away < 60).astype(float)  # (N, K, H, W)
    total = found.sum(axis=(2, 3))
    columns = (found * np.arange(SIDE)).sum(axis=(2, 3))
    rows = (found * np.arange(SIDE)[:, None]).sum(axis=(2, 3))
    middle = np.full((*total.shape, 2), SIDE / 2)
    centers = np.stack([columns, rows], axis=-1) / np.maximum(total, 1)[..., None]
    return (np.where(total[..., None] > 0, centers, middle) / SIDE).astype(np.float32)


def test_refining_moves_each_joint_to_what_is_seen_of_it(image):
    away = np.array([[5, -8], [-9, 4], [7, 7], [-3, -9.0]])
    start = np.stack([JOINTS_XY + away, JOINTS_XY - away])

    moved = refine(image, start, Stage(find_dots, make_contract()), crop_scale=0.8)

    assert moved.shape == (2, 4, 2)
    # A dot is 7 pixels wide, and its centre is known to a fraction of one.
    np.testing.assert_allclose(moved, np.stack([JOINTS_XY] * 2), atol=0.3)


def test_a_pose_that_collapsed_is_still_refined(image):
    start = np.repeat(JOINTS_XY[None, :1], 4, axis=1)

    moved = refine(image, start, Stage(find_dots, make_contract()), crop_scale=2.0)

    np.testing.assert_allclose(moved[0, 0], JOINTS_XY[0], atol=0.3)


def test_nobody_is_refined_to_nobody(image):
    nobody = np.zeros((0, 4, 2))
    assert refine(image, nobody, Stage(find_dots, make_contract()), 1.0).shape == (0, 4, 2)


def test_diameter_is_the_longest_distance_of_opposing_joints_that_are_known():
    known = np.array([[True] * 4, [True, True, True, False], [True, True, False, False]])
    poses = np.stack([JOINTS_XY] * 3)

    diameters = pose_diameters(poses, known, TORSO)

    falling = np.hypot(130 - 95, 138 - 70)  # left shoulder to right hip
    rising = np.hypot(125 - 90, 140 - 72)
    np.testing.assert_allclose(diameters, [max(falling, rising), rising, 0])


def test_samples_are_labelled_where_the_joint_is_seen(image):
    spread = Displacements(np.full((4, 2), 0.05), np.full((4, 2), 0.1))
    rng = np.random.default_rng(0)

    samples = draw_joint_samples(
        image, JOINTS_XY, [2, 2, 1, 2], spread, TORSO, (SIDE, SIDE), 64, rng, 0.8
    )

    assert samples.crops.shape == (64, SIDE, SIDE, 3)
    assert samples.crops.dtype == np.uint8
    assert ((samples.visibility > 0).sum(axis=1) == 1).all()
    seen = find_dots(samples.crops) * SIDE
    own = samples.visibility.argmax(axis=1)
    # Mirroring exchanges the sides' names, not their colours.
    names_of_colors = {True: TORSO.mirror_permutation, False: np.arange(4)}
    labels = samples.keypoints_xy[np.arange(64), own]
    matches = []
    for is_mirrored, order in names_of_colors.items():
        error = np.abs(seen[np.arange(64), order[own]] - labels).max(axis=1)
        matches.append(error < 0.5)
        assert (error < 0.5).sum() > 16, f"mirrored: {is_mirrored}"
    assert np.logical_or(*matches).all()


def test_samples_lie_as_the_stage_before_errs(image):
    """Sub-images are centred where that stage would have put the joint."""
    exact = Displacements(np.array([[0.2, -0.1]] * 4), np.zeros((4, 2)))
    one_sided = dataclasses.replace(TORSO, mirrored=())
    samples = draw_joint_samples(
        image,
        JOINTS_XY,
        [2] * 4,
        exact,
        one_sided,
        (SIDE, SIDE),
        8,
        np.random.default_rng(0),
        1.0,
    )

    own = samples.keypoints_xy[np.arange(8), samples.visibility.argmax(axis=1)]

    # A sub-image is one diameter wide: shares of it are diameters.
    np.testing.assert_allclose(own / SIDE, [[0.5 - 0.2, 0.5 + 0.1]] * 8)


def test_displacements_are_measured_in_diameters_of_labelled_joints():
    rng = np.random.default_rng(0)
    mean_xy, std_xy = rng.normal(size=(4, 2)) / 9, rng.uniform(0.1, 0.3, size=(4, 2))
    diameters = rng.uniform(20, 200, 4000)
    away = mean_xy + std_xy * rng.standard_normal((4000, 4, 2))
    is_known = rng.random((4000, 4)) < 0.7
    away[~is_known] = 1e3
    diameters[:10] = 0  # people who cannot be measured

    found = measure_displacements(
        away * np.maximum(diameters, 1)[:, None, None], 0, is_known, diameters
    )

    # Standard errors of mean and deviation of some 2800 draws.
    np.testing.assert_allclose(found.mean_xy, mean_xy, atol=4 * 0.3 / np.sqrt(2800))
    np.testing.assert_allclose(found.std_xy, std_xy, atol=4 * 0.3 / np.sqrt(5600))
    drawn = found.draw(np.repeat(np.arange(4), 5000), np.random.default_rng(1))
    drawn = drawn.reshape(4, 5000, 2)
    np.testing.assert_allclose(drawn.mean(axis=1), mean_xy, atol=0.03)
    np.testing.assert_allclose(drawn.std(axis=1), std_xy, atol=0.03)


def test_nobody_to_measure_is_an_error():
    nobody = np.ones((3, 4), bool)
    with pytest.raises(ValueError, match="none among 3"):
        measure_displacements(np.zeros((3, 4, 2)), 0, nobody, np.zeros(3))
    with pytest.raises(ValueError, match="opposite hip"):
        draw_joint_samples(
            np.zeros((9, 9, 3), np.uint8),
            JOINTS_XY,
            [2, 2, 0, 0],
            Displacements(np.zeros((4, 2)), np.zeros((4, 2))),
            TORSO,
            (SIDE, SIDE),
            2,
            np.random.default_rng(0),
        )


def test_a_cascade_refuses_networks_that_do_not_fit():
    stage = Stage(find_dots, make_contract())
    heatmaps = Stage(find_dots, make_contract(GaussianHeatmapCodec((SIDE, SIDE))))
    with pytest.raises(ValueError, match="give coordinates"):
        Cascade(stage, (heatmaps,))
    renamed = Skeleton("other", (*TORSO.names[:3], "tail"))
    with pytest.raises(ValueError, match="keypoints of the first"):
        Cascade(stage, (Stage(find_dots, make_contract(skeleton=renamed)),))
    tails = Stage(find_dots, make_contract(skeleton=Skeleton("tails", tuple("abcd"))))
    with pytest.raises(ValueError, match="shoulder and opposite hip"):
        Cascade(tails, ())


def test_a_folder_that_is_no_cascade_is_refused(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"cascade\.json"):
        load_cascade(tmp_path)
    (tmp_path / "cascade.json").write_text('{"crop_scale": 1}')
    with pytest.raises(ValueError, match="stages"):
        load_cascade(tmp_path)
