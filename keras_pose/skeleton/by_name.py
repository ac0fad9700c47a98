"""The built-in skeletons by name."""

from __future__ import annotations

from keras_pose.skeleton.base import Skeleton
from keras_pose.skeleton.builtin import (
    AIC_14,
    COCO_17,
    CROWDPOSE_14,
    FLIC_11,
    H36M_17,
    JHMDB_15,
    LSP_14,
    MPII_16,
    POSETRACK_17,
)
from keras_pose.skeleton.parts import (
    COCO_WHOLEBODY_133,
    FACE_68,
    HALPE_26,
    HAND_21,
    WFLW_98,
)

SKELETONS = {
    skeleton.name: skeleton
    for skeleton in (
        COCO_17,
        MPII_16,
        LSP_14,
        FLIC_11,
        H36M_17,
        POSETRACK_17,
        AIC_14,
        CROWDPOSE_14,
        JHMDB_15,
        COCO_WHOLEBODY_133,
        HALPE_26,
        HAND_21,
        FACE_68,
        WFLW_98,
    )
}
# Number of keypoints -> the skeleton it stands for where nothing else is said.
_DEFAULTS = {17: COCO_17, 16: MPII_16, 133: COCO_WHOLEBODY_133}


def default_skeleton(num_keypoints: int) -> Skeleton:
    """Returns COCO's 17 or 133 keypoints, MPII's 16, or else plain numbered ones.

    Plain ones have no mirror pairs, so they take no flip augmentation and no flip test.
    """
    if num_keypoints in _DEFAULTS:
        return _DEFAULTS[num_keypoints]
    return plain_skeleton(num_keypoints)


def plain_skeleton(num_keypoints: int) -> Skeleton:
    """Returns numbered keypoints, for a network of which only their number is known."""
    names = tuple(f"keypoint_{i}" for i in range(num_keypoints))
    return Skeleton(name=f"plain_{num_keypoints}", names=names)


def is_numbered(skeleton: Skeleton) -> bool:
    """Returns True for the keypoints of `plain_skeleton`, which nothing named."""
    return skeleton.names == plain_skeleton(skeleton.num_keypoints).names
