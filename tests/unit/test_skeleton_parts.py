"""Whole bodies, hands and faces: order, mirror images and sigmas of their sources."""

import numpy as np
import pytest

from keras_pose.skeleton import (
    COCO_17,
    COCO_WHOLEBODY_133,
    FACE_68,
    HALPE_26,
    HAND_21,
    SKELETONS,
    WFLW_98,
    WHOLEBODY_PARTS,
    default_skeleton,
)

# Places of mmpose's configurations, read off by hand.
PLACES = {
    "coco_wholebody_133": {
        "left_big_toe": 17,
        "right_heel": 22,
        "face_0": 23,
        "left_hand_root": 91,
        "left_pinky_finger4": 111,
        "right_hand_root": 112,
        "right_thumb1": 113,
        "right_pinky_finger4": 132,
    },
    "halpe_26": {
        "head_top": 17,
        "pelvis": 19,
        "left_big_toe": 20,
        "right_big_toe": 21,
        "left_heel": 24,
        "right_heel": 25,
    },
    "hand_21": {"wrist": 0, "thumb4": 4, "middle_finger1": 9, "pinky_finger4": 20},
}
SWAPS = {
    "coco_wholebody_133": {18: 21, 23: 39, 40: 49, 54: 58, 63: 70, 88: 90, 92: 113, 85: 85},
    "face_68": {8: 8, 7: 9, 17: 26, 32: 34, 39: 42, 41: 46, 50: 52, 55: 59, 61: 63, 65: 67},
    "wflw_98": {15: 17, 37: 42, 38: 50, 41: 47, 56: 58, 64: 68, 67: 73, 93: 95, 96: 97},
    "halpe_26": {17: 17, 20: 21, 24: 25},
    "hand_21": {0: 0, 4: 4},
}  # fmt: skip


@pytest.mark.parametrize("name", PLACES)
def test_order_is_that_of_the_data_set(name):
    skeleton = SKELETONS[name]
    assert {part: skeleton.index(part) for part in PLACES[name]} == PLACES[name]


@pytest.mark.parametrize("name", SWAPS)
def test_mirror_image_swaps_what_the_data_set_swaps(name):
    permutation = SKELETONS[name].mirror_permutation
    assert {i: int(permutation[i]) for i in SWAPS[name]} == SWAPS[name]
    np.testing.assert_array_equal(permutation[permutation], np.arange(len(permutation)))


def test_every_point_off_the_middle_of_a_face_has_a_partner():
    middle = {
        skeleton.name: np.flatnonzero(
            skeleton.mirror_permutation == np.arange(skeleton.num_keypoints)
        ).tolist()
        for skeleton in (FACE_68, WFLW_98)
    }
    assert middle == {
        "face_68": [8, 27, 28, 29, 30, 33, 51, 57, 62, 66],
        "wflw_98": [16, 51, 52, 53, 54, 57, 79, 85, 90, 94],
    }


def test_sigmas_of_a_whole_body_are_the_evaluations():
    sigmas = np.array(COCO_WHOLEBODY_133.oks_sigmas)
    sums = {part: round(float(sigmas[place].sum()), 3) for part, place in PARTS}
    # Summed from the lists of evaluation/myeval_wholebody.py.
    assert sums == {
        "keypoints": 1.138,
        "foot_kpts": 0.480,
        "face_kpts": 1.137,
        "lefthand_kpts": 0.553,
        "righthand_kpts": 0.553,
    }
    assert sigmas[:17].tolist() == list(COCO_17.oks_sigmas)
    assert sigmas[70] == 0.034


PARTS = tuple(WHOLEBODY_PARTS.items())


def test_parts_fill_a_whole_body_without_gap():
    places = np.concatenate([np.r_[place] for _, place in PARTS])
    np.testing.assert_array_equal(places, np.arange(133))
    assert COCO_WHOLEBODY_133.names[WHOLEBODY_PARTS["face_kpts"]] == FACE_68.names


def test_fingers_begin_at_their_hand():
    left = [b for a, b in COCO_WHOLEBODY_133.limbs if a == "left_hand_root"]
    assert left == [f"left_{b}" for a, b in HAND_21.limbs if a == "wrist"]
    assert len(HAND_21.limbs) == 20


def test_hundred_thirty_three_keypoints_are_a_whole_body():
    assert default_skeleton(133) is COCO_WHOLEBODY_133
    assert HALPE_26.num_keypoints == 26
