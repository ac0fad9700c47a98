"""Losses in `keras` alone: of keypoints by name (`LOSSES`), and of detectors."""

from keras_pose.losses.pose_losses import (
    L1,
    L2,
    LOSSES,
    OHKM,
    AdaptiveWing,
    FocusedMSE,
    HeatmapLoss,
    JointsMSE,
    MaskedMaps,
    SimccKL,
    SmoothL1,
    VisibilityCrossEntropy,
)

__all__ = [
    "L1",
    "L2",
    "LOSSES",
    "OHKM",
    "AdaptiveWing",
    "FocusedMSE",
    "HeatmapLoss",
    "JointsMSE",
    "MaskedMaps",
    "SimccKL",
    "SmoothL1",
    "VisibilityCrossEntropy",
]
