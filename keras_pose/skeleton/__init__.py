"""Skeletons: which keypoints a model predicts, and how they belong together."""

from keras_pose.skeleton.base import UNIFORM_SIGMA, Skeleton
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
from keras_pose.skeleton.by_name import (
    SKELETONS,
    default_skeleton,
    is_numbered,
    plain_skeleton,
)
from keras_pose.skeleton.parts import (
    COCO_WHOLEBODY_133,
    FACE_68,
    HALPE_26,
    HAND_21,
    WFLW_98,
    WHOLEBODY_PARTS,
)

__all__ = [
    "AIC_14",
    "COCO_17",
    "COCO_WHOLEBODY_133",
    "CROWDPOSE_14",
    "FACE_68",
    "FLIC_11",
    "H36M_17",
    "HALPE_26",
    "HAND_21",
    "JHMDB_15",
    "LSP_14",
    "MPII_16",
    "POSETRACK_17",
    "SKELETONS",
    "UNIFORM_SIGMA",
    "WFLW_98",
    "WHOLEBODY_PARTS",
    "Skeleton",
    "default_skeleton",
    "is_numbered",
    "plain_skeleton",
]
