from itertools import pairwise

import numpy as np
import pytest

from keras_pose.pictures.drawing import (
    CENTER_COLOR,
    LEFT_COLOR,
    RIGHT_COLOR,
    contact_sheet,
    draw_heatmaps,
    draw_poses,
    limb_colors,
    side_by_side,
    track_color,
)
from keras_pose.pictures.structures import NO_TRACK, Poses
from keras_pose.skeleton import COCO_17, Skeleton

STICK = Skeleton(
    name="stick",
    names=("left_hand", "left_foot"),
    limbs=(("left_hand", "left_foot"),),
)
GRAY = np.full((100, 120, 3), 128, np.uint8)
BOX = [[10.0, 10.0, 60.0, 80.0]]


def stick(start_xy=(20.0, 20.0), end_xy=(20.0, 80.0), scores=(1.0, 1.0)):
    return Poses(BOX, [[start_xy, end_xy]], [scores], [1.0], STICK)


def test_a_limb_has_the_color_of_its_side_and_the_image_stays_as_it_was():
    drawn = draw_poses(GRAY, stick())

    np.testing.assert_array_equal(drawn[50, 20], LEFT_COLOR)
    assert (GRAY == 128).all()


def test_nothing_is_drawn_far_from_the_person():
    drawn = draw_poses(GRAY, stick())
    np.testing.assert_array_equal(drawn[:, 40:], GRAY[:, 40:])


@pytest.mark.parametrize(
    "poses",
    [
        pytest.param(stick(scores=(0.1, 0.2)), id="low_scores"),
        pytest.param(stick((-900.0, 20.0), (-900.0, 80.0)), id="outside_the_image"),
        pytest.param(stick((np.nan, 20.0), (np.nan, 80.0)), id="not_a_number"),
        pytest.param(
            Poses(np.zeros((0, 4)), np.zeros((0, 2, 2)), np.zeros((0, 2)), [], STICK),
            id="nobody",
        ),
    ],
)
def test_what_cannot_be_seen_leaves_no_trace(poses):
    np.testing.assert_array_equal(draw_poses(GRAY, poses, threshold=0.2), GRAY)


def test_a_limb_ends_with_its_hidden_keypoint():
    drawn = draw_poses(GRAY, stick(scores=(1.0, 0.0)))

    np.testing.assert_array_equal(drawn[20, 20], LEFT_COLOR)  # the dot stays
    np.testing.assert_array_equal(drawn[50, 20], GRAY[50, 20])


def test_doubtful_keypoints_are_paler():
    strength = [
        np.abs(draw_poses(GRAY, stick(scores=(score, score))).astype(int) - 128).sum()
        for score in (0.25, 0.5, 1.0)
    ]
    assert strength[0] < strength[1] < strength[2]


def test_hidden_keypoints_fade_and_those_outside_are_left_out():
    visible, hidden, outside = np.eye(3)
    strength = [
        np.abs(draw_poses(GRAY, stick().replace(visibility=[each])).astype(int) - 128).sum()
        for each in ([visible, visible], [hidden, hidden], [visible, outside])
    ]
    assert strength[0] > 1.5 * strength[1]
    beyond = draw_poses(GRAY, stick().replace(visibility=[[visible, outside]]))
    np.testing.assert_array_equal(beyond[20, 20], LEFT_COLOR)  # the dot stays
    np.testing.assert_array_equal(beyond[50, 20], GRAY[50, 20])


def test_lines_are_placed_to_a_fraction_of_a_pixel():
    drawn = draw_poses(GRAY, stick())
    moved = draw_poses(GRAY, stick((20.25, 20.0), (20.25, 80.0)))

    assert (drawn[50] != moved[50]).any()


def test_line_width_follows_the_size_of_the_person():
    canvas = np.zeros((800, 800, 3), np.uint8)
    widths = [
        (draw_poses(canvas, stick((400, 0), (400, length)))[length // 2] > 60).any(-1).sum()
        for length in (100, 400, 790)
    ]
    assert widths[0] < widths[1] < widths[2]


def test_boxes_are_drawn_on_request():
    drawn = draw_poses(GRAY, stick(scores=(0.0, 0.0)), draw_boxes=True)
    assert (drawn[40, 58:63] != 128).any()


def test_limbs_across_the_body_have_the_color_of_the_middle():
    colors = dict(zip(COCO_17.limbs, limb_colors(COCO_17), strict=True))

    assert colors["left_shoulder", "right_shoulder"] == CENTER_COLOR
    assert colors["nose", "left_eye"] == LEFT_COLOR
    assert colors["right_elbow", "right_wrist"] == RIGHT_COLOR


def test_drawing_refuses_images_of_another_type():
    with pytest.raises(ValueError, match=r"uint8 RGB images, got \(100, 120, 3\) float64"):
        draw_poses(GRAY / 255, stick())


def test_a_contact_sheet_is_as_large_as_its_cells():
    images = [GRAY, GRAY[:50], GRAY]

    sheet = contact_sheet(images, 2, ["a", "b", "c"], cell_hw=(100, 120), gap=10)

    caption_height = 30
    assert sheet.shape == (2 * (100 + caption_height) + 3 * 10, 2 * 120 + 3 * 10, 3)
    np.testing.assert_array_equal(sheet[10:110, 10:130], GRAY)


def test_side_by_side_scales_to_one_height():
    sheet = side_by_side([GRAY, np.zeros((50, 50, 3), np.uint8)], height=100, gap=0)
    assert sheet.shape == (100, 120 + 100, 3)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (([], 2), "is empty"),
        (([GRAY], 0), "at least one column"),
        (([GRAY], 1, ["a", "b"]), "2 captions for 1 images"),
    ],
)
def test_what_cannot_be_laid_out_is_refused(arguments, message):
    with pytest.raises(ValueError, match=message):
        contact_sheet(*arguments)


def test_people_with_tracks_bear_their_numbers_in_colours_of_their_own():
    gray = np.full((300, 300, 3), 128, np.uint8)
    person = stick((150, 100), (150, 250))

    one = draw_poses(gray, person.replace(track_ids=[1]))
    two = draw_poses(gray, person.replace(track_ids=[2]))

    above = np.s_[60:95, 135:165]
    assert (one[above] == track_color(1)).all(-1).any()
    assert (two[above] == track_color(2)).all(-1).any()
    for tracks in ([NO_TRACK], None):
        plain = draw_poses(gray, person.replace(track_ids=tracks))
        np.testing.assert_array_equal(plain[above], gray[above])
    hidden = draw_poses(gray, person.replace(track_ids=[1]), draw_tracks=False)
    np.testing.assert_array_equal(hidden[above], gray[above])


@pytest.mark.parametrize("image_hw", [(1, 1), (5, 200), (300, 4)])
@pytest.mark.parametrize("at", [-1e6, 0.0, 1e6])
def test_numbers_stay_within_the_image(image_hw, at):
    image = np.full((*image_hw, 3), 128, np.uint8)
    person = stick((at, at), (at + 100, at + 100)).replace(track_ids=[123456])
    assert draw_poses(image, person).shape == image.shape


def test_neighbouring_tracks_have_colors_that_differ():
    colors = np.array([track_color(i) for i in range(100)], int)
    for step in (1, 2, 3):
        assert np.abs(colors[step:] - colors[:-step]).max(axis=-1).min() > 60


def test_heatmaps_lie_where_they_belong():
    heatmaps = np.zeros((20, 30, 2), np.float32)
    heatmaps[5, 10, 1] = 1
    to_image = np.array([[2.0, 0, 7], [0, 3.0, 4]])

    drawn = draw_heatmaps(GRAY, heatmaps, to_image)

    changed = np.abs(drawn.astype(int) - 128).max(axis=-1)
    assert np.unravel_index(changed.argmax(), changed.shape) == (3 * 5 + 4, 2 * 10 + 7)
    # Linear interpolation reaches to the next heatmap pixels and no further.
    changed[4 + 12 : 4 + 19, 7 + 18 : 7 + 23] = 0
    assert changed.max() == 0
    assert (GRAY == 128).all()


def test_heatmaps_of_another_shape_are_refused():
    with pytest.raises(ValueError, match=r"got \(20, 30\) and \(2, 3\)"):
        draw_heatmaps(GRAY, np.zeros((20, 30)), np.eye(3)[:2])


def crowd_of_dots(num, gap, limbs):
    """A row of keypoints, `gap` pixels apart."""
    names = tuple(f"left_{i}" for i in range(num))
    pairs = tuple(pairwise(names)) if limbs else ()
    xy = np.stack([10 + gap * np.arange(num), np.full(num, 50.0)], axis=1)
    skeleton = Skeleton("row", names, limbs=pairs)
    return Poses(BOX, xy[None], np.ones((1, num)), [1.0], skeleton)


def height(poses):
    """Counts the rows of pixels that a drawing changes by a third of a dark outline."""
    drawn = draw_poses(GRAY, poses)[:, 30:90].astype(int)
    return int((np.abs(drawn - 128).max(axis=(1, 2)) > 40).sum())


def test_keypoints_that_are_close_are_drawn_as_a_thin_line():
    dots = height(crowd_of_dots(50, gap=2.0, limbs=False))
    assert height(crowd_of_dots(50, gap=2.0, limbs=True)) < dots
    # With room for them, dots stand on the line.
    assert height(crowd_of_dots(10, gap=10.0, limbs=True)) >= dots


def test_fingers_stay_apart_at_the_root_of_a_hand():
    names = ("elbow", "wrist", "hand_root", *(f"finger{i}" for i in range(5)))
    fingers = tuple(("hand_root", name) for name in names[3:])
    skeleton = Skeleton("arm", names, limbs=(names[:2], *fingers))
    tips = [(250 + 12 * i, 440) for i in range(-2, 3)]
    xy = np.array([(250, 20), (250, 400), (250, 400), *tips], float)
    gray = np.full((500, 500, 3), 128, np.uint8)
    drawn = draw_poses(gray, Poses(BOX, xy[None], np.ones((1, 8)), [1.0], skeleton))

    is_free = (np.abs(drawn[433].astype(int) - 128) < 20).all(axis=-1)
    is_start = is_free & ~np.concatenate([[False], is_free[:-1]])
    assert is_start.sum() == 6  # four gaps, and both sides


def test_a_point_upon_another_does_not_make_it_smaller():
    names = ("left_elbow", "left_wrist", "left_hand_root")
    xy = np.array([(20.0, 20.0), (20.0, 80.0), (20.0, 80.0)])
    skeleton = Skeleton("arm", names, limbs=(names[:2], names[1:]))
    drawn = draw_poses(GRAY, Poses(BOX, xy[None], np.ones((1, 3)), [1.0], skeleton))

    # A dot of half the size would differ by the outline's colour, more than 50.
    expected = draw_poses(GRAY, stick())[70:].astype(int)
    np.testing.assert_allclose(drawn[70:], expected, atol=8)
