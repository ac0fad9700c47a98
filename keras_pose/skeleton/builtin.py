"""The skeletons of the data sets."""

from __future__ import annotations

from keras_pose.skeleton.base import Skeleton

COCO_17 = Skeleton(
    name="coco_17",
    names=(
        "nose",
        "left_eye",
        "right_eye",
        "left_ear",
        "right_ear",
        "left_shoulder",
        "right_shoulder",
        "left_elbow",
        "right_elbow",
        "left_wrist",
        "right_wrist",
        "left_hip",
        "right_hip",
        "left_knee",
        "right_knee",
        "left_ankle",
        "right_ankle",
    ),
    mirrored=(
        ("left_eye", "right_eye"),
        ("left_ear", "right_ear"),
        ("left_shoulder", "right_shoulder"),
        ("left_elbow", "right_elbow"),
        ("left_wrist", "right_wrist"),
        ("left_hip", "right_hip"),
        ("left_knee", "right_knee"),
        ("left_ankle", "right_ankle"),
    ),
    limbs=(
        ("left_ankle", "left_knee"),
        ("left_knee", "left_hip"),
        ("right_ankle", "right_knee"),
        ("right_knee", "right_hip"),
        ("left_hip", "right_hip"),
        ("left_shoulder", "left_hip"),
        ("right_shoulder", "right_hip"),
        ("left_shoulder", "right_shoulder"),
        ("left_shoulder", "left_elbow"),
        ("right_shoulder", "right_elbow"),
        ("left_elbow", "left_wrist"),
        ("right_elbow", "right_wrist"),
        ("left_eye", "right_eye"),
        ("nose", "left_eye"),
        ("nose", "right_eye"),
        ("left_eye", "left_ear"),
        ("right_eye", "right_ear"),
        ("left_ear", "left_shoulder"),
        ("right_ear", "right_shoulder"),
    ),
    upper_body=(
        "nose",
        "left_eye",
        "right_eye",
        "left_ear",
        "right_ear",
        "left_shoulder",
        "right_shoulder",
        "left_elbow",
        "right_elbow",
        "left_wrist",
        "right_wrist",
    ),
    oks_sigmas=(
        0.026,
        0.025,
        0.025,
        0.035,
        0.035,
        0.079,
        0.079,
        0.072,
        0.072,
        0.062,
        0.062,
        0.107,
        0.107,
        0.087,
        0.087,
        0.089,
        0.089,
    ),
)

MPII_16 = Skeleton(
    name="mpii_16",
    names=(
        "right_ankle",
        "right_knee",
        "right_hip",
        "left_hip",
        "left_knee",
        "left_ankle",
        "pelvis",
        "thorax",
        "upper_neck",
        "head_top",
        "right_wrist",
        "right_elbow",
        "right_shoulder",
        "left_shoulder",
        "left_elbow",
        "left_wrist",
    ),
    mirrored=(
        ("right_ankle", "left_ankle"),
        ("right_knee", "left_knee"),
        ("right_hip", "left_hip"),
        ("right_wrist", "left_wrist"),
        ("right_elbow", "left_elbow"),
        ("right_shoulder", "left_shoulder"),
    ),
    limbs=(
        ("right_ankle", "right_knee"),
        ("right_knee", "right_hip"),
        ("right_hip", "pelvis"),
        ("left_hip", "pelvis"),
        ("left_knee", "left_hip"),
        ("left_ankle", "left_knee"),
        ("pelvis", "thorax"),
        ("thorax", "upper_neck"),
        ("upper_neck", "head_top"),
        ("right_wrist", "right_elbow"),
        ("right_elbow", "right_shoulder"),
        ("right_shoulder", "thorax"),
        ("left_shoulder", "thorax"),
        ("left_elbow", "left_shoulder"),
        ("left_wrist", "left_elbow"),
    ),
    upper_body=(
        "thorax",
        "upper_neck",
        "head_top",
        "right_wrist",
        "right_elbow",
        "right_shoulder",
        "left_shoulder",
        "left_elbow",
        "left_wrist",
    ),
)

_ARMS = (
    ("left_shoulder", "left_elbow"),
    ("left_elbow", "left_wrist"),
    ("right_shoulder", "right_elbow"),
    ("right_elbow", "right_wrist"),
)
_LEGS = (
    ("left_hip", "left_knee"),
    ("left_knee", "left_ankle"),
    ("right_hip", "right_knee"),
    ("right_knee", "right_ankle"),
)
_SHOULDERS_TO_HIPS = (("left_shoulder", "left_hip"), ("right_shoulder", "right_hip"))
_BELOW = ("hip", "knee", "ankle")
_BODY = ("shoulder", "elbow", "wrist", "hip", "knee", "ankle")
_LEFT_RIGHT = tuple(f"{side}_{part}" for part in _BODY for side in ("left", "right"))


def _skeleton(name, names, limbs, oks_sigmas=()):
    """Derives mirror pairs and upper body from names that start with their side."""
    mirrored = tuple(
        (left, left.replace("left_", "right_"))
        for left in names
        if left.startswith("left_")
    )
    lower = (*(f"{side}_{part}" for side in ("left", "right") for part in _BELOW), "pelvis")
    upper_body = tuple(part for part in names if part not in (*lower, "belly", "spine"))
    return Skeleton(name, names, mirrored, limbs, upper_body, oks_sigmas)


# Of Leeds Sports Poses, also the extended set. "neck" is between neck and collarbone.
LSP_14 = _skeleton(
    "lsp_14",
    (
        "right_ankle",
        "right_knee",
        "right_hip",
        "left_hip",
        "left_knee",
        "left_ankle",
        "right_wrist",
        "right_elbow",
        "right_shoulder",
        "left_shoulder",
        "left_elbow",
        "left_wrist",
        "neck",
        "head_top",
    ),
    (
        *_ARMS,
        *_LEGS,
        ("left_hip", "right_hip"),
        *_SHOULDERS_TO_HIPS,
        ("neck", "left_shoulder"),
        ("neck", "right_shoulder"),
        ("neck", "head_top"),
    ),
)

# The parts of FLIC that were labelled by hand.
FLIC_11 = _skeleton(
    "flic_11",
    (
        "left_shoulder",
        "left_elbow",
        "left_wrist",
        "right_shoulder",
        "right_elbow",
        "right_wrist",
        "left_hip",
        "right_hip",
        "left_eye",
        "right_eye",
        "nose",
    ),
    (
        *_ARMS,
        ("left_shoulder", "right_shoulder"),
        *_SHOULDERS_TO_HIPS,
        ("left_hip", "right_hip"),
        ("nose", "left_eye"),
        ("nose", "right_eye"),
    ),
)

# 17 of the 32 joints of Human3.6M; its "foot" is an ankle, its "head" the top.
H36M_17 = _skeleton(
    "h36m_17",
    (
        "pelvis",
        "right_hip",
        "right_knee",
        "right_ankle",
        "left_hip",
        "left_knee",
        "left_ankle",
        "spine",
        "thorax",
        "neck_base",
        "head_top",
        "left_shoulder",
        "left_elbow",
        "left_wrist",
        "right_shoulder",
        "right_elbow",
        "right_wrist",
    ),
    (
        *_ARMS,
        *_LEGS,
        ("pelvis", "left_hip"),
        ("pelvis", "right_hip"),
        ("pelvis", "spine"),
        ("spine", "thorax"),
        ("thorax", "neck_base"),
        ("neck_base", "head_top"),
        ("thorax", "left_shoulder"),
        ("thorax", "right_shoulder"),
    ),
)

# PoseTrack's "head_bottom" is MPII's upper neck. Ears are listed and never labelled.
POSETRACK_17 = _skeleton(
    "posetrack_17",
    ("nose", "upper_neck", "head_top", "left_ear", "right_ear", *_LEFT_RIGHT),
    (
        *_ARMS,
        *_LEGS,
        ("left_hip", "right_hip"),
        *_SHOULDERS_TO_HIPS,
        ("upper_neck", "left_shoulder"),
        ("upper_neck", "right_shoulder"),
        ("upper_neck", "nose"),
        ("nose", "head_top"),
    ),
    # For OKS-NMS only; mmpose's `posetrack18.py` takes COCO's numbers as they are.
    oks_sigmas=COCO_17.oks_sigmas,
)

# The sigmas are those of the challenge's own evaluation script.
AIC_14 = _skeleton(
    "aic_14",
    (
        "right_shoulder",
        "right_elbow",
        "right_wrist",
        "left_shoulder",
        "left_elbow",
        "left_wrist",
        "right_hip",
        "right_knee",
        "right_ankle",
        "left_hip",
        "left_knee",
        "left_ankle",
        "head_top",
        "neck",
    ),
    LSP_14.limbs,
    (
        0.01388152,
        0.01515228,
        0.01057665,
        0.01417709,
        0.01497891,
        0.01402144,
        0.03909642,
        0.03686941,
        0.01981803,
        0.03843971,
        0.03412318,
        0.02415081,
        0.01291456,
        0.01236173,
    ),
)

# CrowdPose calls the top of the head "head".
CROWDPOSE_14 = _skeleton(
    "crowdpose_14",
    (*_LEFT_RIGHT, "head_top", "neck"),
    LSP_14.limbs,
    (
        *(0.079, 0.079, 0.072, 0.072, 0.062, 0.062),
        *(0.107, 0.107, 0.087, 0.087, 0.089, 0.089, 0.079, 0.079),
    ),
)

# JHMDB's "head" is the middle of the face, so no other set's keypoint.
JHMDB_15 = _skeleton(
    "jhmdb_15",
    (
        "neck",
        "belly",
        "head",
        "right_shoulder",
        "left_shoulder",
        "right_hip",
        "left_hip",
        "right_elbow",
        "left_elbow",
        "right_knee",
        "left_knee",
        "right_wrist",
        "left_wrist",
        "right_ankle",
        "left_ankle",
    ),
    (
        *_ARMS,
        *_LEGS,
        ("neck", "head"),
        ("neck", "belly"),
        ("neck", "left_shoulder"),
        ("neck", "right_shoulder"),
        ("belly", "left_hip"),
        ("belly", "right_hip"),
    ),
)
