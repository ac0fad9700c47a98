"""Skeletons of hands, faces and feet, and the whole bodies made of them.

Names are those of mmpose's configurations, so that sets share keypoints by name; a side
stands in front where there are two of a part. Faces count from the person's right.
"""

from __future__ import annotations

from collections.abc import Sequence

from keras_pose.skeleton.base import Skeleton
from keras_pose.skeleton.builtin import COCO_17

SIDES = ("left", "right")
_FINGERS = ("thumb", "forefinger", "middle_finger", "ring_finger", "pinky_finger")
_JOINTS = tuple(f"{finger}{joint}" for finger in _FINGERS for joint in range(1, 5))


def _hand_limbs(root: str, prefix: str = "") -> tuple[tuple[str, str], ...]:
    """Joins the root of a hand to its fingers, and the joints of each finger."""
    return tuple(
        (f"{prefix}{finger}{joint - 1}" if joint > 1 else root, f"{prefix}{finger}{joint}")
        for finger in _FINGERS
        for joint in range(1, 5)
    )


def _contours(prefix: str, chains: Sequence[range], loops: Sequence[range]):
    """Joins numbered points that follow each other, and closes the loops."""
    joined = [(i, i + 1) for points in (*chains, *loops) for i in points[:-1]]
    closed = [(points[-1], points[0]) for points in loops]
    return tuple((f"{prefix}_{a}", f"{prefix}_{b}") for a, b in joined + closed)


def _facing(prefix: str, pairs: Sequence[tuple[range, range]]):
    """Pairs the numbered points of two ranges, one by one."""
    return tuple(
        (f"{prefix}_{a}", f"{prefix}_{b}")
        for first, second in pairs
        for a, b in zip(first, second, strict=True)
    )


# Wrist, then four joints a finger from the palm to the tip: the order of OneHand10K,
# FreiHAND and each hand of COCO-WholeBody. A mirrored hand is a hand of the other side, so
# nothing changes places.
HAND_21 = Skeleton("hand_21", ("wrist", *_JOINTS), limbs=_hand_limbs("wrist"))

# The 68 points of 300-W (Sagonas et al. 2016): jaw, brows, nose, eyes, lips.
FACE_68 = Skeleton(
    "face_68",
    tuple(f"face_{i}" for i in range(68)),
    mirrored=_facing(
        "face",
        (
            (range(0, 8), range(16, 8, -1)),
            (range(17, 22), range(26, 21, -1)),
            (range(31, 33), range(35, 33, -1)),
            (range(36, 40), range(45, 41, -1)),
            (range(40, 42), range(47, 45, -1)),
            (range(48, 51), range(54, 51, -1)),
            (range(55, 57), range(59, 57, -1)),
            (range(60, 62), range(64, 62, -1)),
            (range(65, 66), range(67, 66, -1)),
        ),
    ),
    limbs=_contours(
        "face",
        (range(0, 17), range(17, 22), range(22, 27), range(27, 31), range(31, 36)),
        (range(36, 42), range(42, 48), range(48, 60), range(60, 68)),
    ),
)

# The 98 points of WFLW (Wu et al. 2018); the last two are the pupils.
WFLW_98 = Skeleton(
    "wflw_98",
    tuple(f"wflw_{i}" for i in range(98)),
    mirrored=_facing(
        "wflw",
        (
            (range(0, 16), range(32, 16, -1)),
            (range(33, 38), range(46, 41, -1)),
            (range(38, 42), range(50, 46, -1)),
            (range(55, 57), range(59, 57, -1)),
            (range(60, 65), range(72, 67, -1)),
            (range(65, 68), range(75, 72, -1)),
            (range(76, 79), range(82, 79, -1)),
            (range(83, 85), range(87, 85, -1)),
            (range(88, 90), range(92, 90, -1)),
            (range(93, 94), range(95, 94, -1)),
            (range(96, 97), range(97, 98)),
        ),
    ),
    limbs=_contours(
        "wflw",
        (range(0, 33), range(51, 55), range(55, 60)),
        (
            *(range(33, 42), range(42, 51), range(60, 68), range(68, 76)),
            *(range(76, 88), range(88, 96)),
        ),
    ),
)

_TOES = ("big_toe", "small_toe", "heel")
_FEET = tuple(f"{side}_{part}" for side in SIDES for part in _TOES)
_FOOT_LIMBS = tuple((f"{side}_ankle", f"{side}_{toe}") for side in SIDES for toe in _TOES)
_HANDS = tuple(f"{side}_{part}" for side in SIDES for part in ("hand_root", *_JOINTS))
_ON_THE_LEFT = tuple(name for name in (*_FEET, *_HANDS) if name.startswith("left_"))

# OKS sigmas of COCO-WholeBody's own evaluation (jin-s13/COCO-WholeBody,
# evaluation/myeval_wholebody.py); both hands have the same.
_FOOT_SIGMAS = (0.068, 0.066, 0.066, 0.092, 0.094, 0.094)
_FACE_SIGMAS = (
    *(0.042, 0.043, 0.044, 0.043, 0.040, 0.035, 0.031, 0.025, 0.020, 0.023, 0.029),
    *(0.032, 0.037, 0.038, 0.043, 0.041, 0.045),
    *(0.013, 0.012, 0.011, 0.011, 0.012, 0.012, 0.011, 0.011, 0.013, 0.015),
    *(0.009, 0.007, 0.007, 0.007, 0.012, 0.009, 0.008, 0.016, 0.010),
    *(0.017, 0.011, 0.009, 0.011, 0.009, 0.007, 0.013, 0.008, 0.011, 0.012, 0.010, 0.034),
    *(0.008, 0.008, 0.009, 0.008, 0.008, 0.007, 0.010, 0.008, 0.009, 0.009, 0.009, 0.007),
    *(0.007, 0.008, 0.011, 0.008, 0.008, 0.008, 0.010, 0.008),
)
_HAND_SIGMAS = (
    0.029,
    *(0.022, 0.035, 0.037, 0.047),
    *(0.026, 0.025, 0.024, 0.035),
    *(0.018, 0.024, 0.022, 0.026),
    *(0.017, 0.021, 0.021, 0.032),
    *(0.020, 0.019, 0.022, 0.031),
)

# Body, feet, face, left and right hand of Jin et al. 2020 (arXiv:2007.11858).
COCO_WHOLEBODY_133 = Skeleton(
    "coco_wholebody_133",
    (*COCO_17.names, *_FEET, *FACE_68.names, *_HANDS),
    mirrored=(
        *COCO_17.mirrored,
        *((name, name.replace("left_", "right_")) for name in _ON_THE_LEFT),
        *FACE_68.mirrored,
    ),
    limbs=(
        *COCO_17.limbs,
        *_FOOT_LIMBS,
        *FACE_68.limbs,
        *((f"{side}_wrist", f"{side}_hand_root") for side in SIDES),
        *(limb for side in SIDES for limb in _hand_limbs(f"{side}_hand_root", f"{side}_")),
    ),
    upper_body=(*COCO_17.upper_body, *FACE_68.names, *_HANDS),
    oks_sigmas=(
        *COCO_17.oks_sigmas,
        *_FOOT_SIGMAS,
        *_FACE_SIGMAS,
        *_HAND_SIGMAS,
        *_HAND_SIGMAS,
    ),
)
# Where the parts lie, under the words of the annotation files' fields.
WHOLEBODY_PARTS = {
    "keypoints": slice(0, 17),
    "foot_kpts": slice(17, 23),
    "face_kpts": slice(23, 91),
    "lefthand_kpts": slice(91, 112),
    "righthand_kpts": slice(112, 133),
}

# Halpe's torso goes through neck and pelvis in place of COCO's frame.
_TORSO = (("neck", "shoulder"), ("pelvis", "hip"))
_FRAME = tuple(f"{side}_{part}" for side in SIDES for part in ("shoulder", "hip"))
_HALPE_FEET = tuple(f"{side}_{part}" for part in _TOES for side in SIDES)

# The first 26 of Halpe-FullBody's 136 (Fang et al. 2022, arXiv:2211.03375), with the
# OKS sigmas of its own evaluation (halpecocotools). Its "head" is the top of the head, its
# "hip" the pelvis.
HALPE_26 = Skeleton(
    "halpe_26",
    (*COCO_17.names, "head_top", "neck", "pelvis", *_HALPE_FEET),
    mirrored=(
        *COCO_17.mirrored,
        *((f"left_{part}", f"right_{part}") for part in _TOES),
    ),
    limbs=(
        *(limb for limb in COCO_17.limbs if not set(limb) <= set(_FRAME)),
        ("head_top", "neck"),
        ("neck", "pelvis"),
        *((center, f"{side}_{part}") for side in SIDES for center, part in _TORSO),
        *_FOOT_LIMBS,
    ),
    upper_body=(*COCO_17.upper_body, "head_top", "neck"),
    oks_sigmas=(*COCO_17.oks_sigmas, 0.026, 0.026, 0.066, *(0.079,) * 6),
)
