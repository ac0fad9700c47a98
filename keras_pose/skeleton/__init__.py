"""Skeletons: which keypoints a model predicts, and how they belong together."""

from keras_pose.skeleton.base import Skeleton
from keras_pose.skeleton.builtin import COCO_17, MPII_16, SKELETONS, default_skeleton

__all__ = ["COCO_17", "MPII_16", "SKELETONS", "Skeleton", "default_skeleton"]
