"""RTMO: people and their keypoints in one step, without a detector.

Cells of two resolutions propose people: a score, a box, how visible each keypoint is, and
features of the pose. Of the best cells' features, a classifier over bins that lie in the
cell's own box makes keypoints.

Source: Lu et al. 2023 (arXiv:2312.07526), sec. 3; layer names as in mmpose,
`mmpose/models/heads/hybrid_heads/rtmo_head.py`. What only training uses (a proxy that
regresses keypoints, and deviations) is left out.
"""

from __future__ import annotations

import math

import keras
from keras import layers

from keras_pose.models.csp_darknet import EPSILON, csp_darknet
from keras_pose.models.cspnext import conv_bn_silu
from keras_pose.models.hybrid_encoder import conv_bn, hybrid_encoder
from keras_pose.models.layers import batch_norm, conv, image_input
from keras_pose.models.one_stage_layers import (
    AxisClassifier,
    BestCells,
    BoxCorners,
    CellBoxes,
    KeypointAttention,
)
from keras_pose.models.own_layers import ChannelSlice, ScaleNorm, ScaleResidual

STRIDES = (16, 32)
NECK_CHANNELS = 256
NUM_STACKED = 2
NUM_GROUPS = 8
GROUP_CHANNELS = 36
BRANCH_CHANNELS = 256
POSE_CHANNELS = 512
# Of the classifier of coordinates.
KEYPOINT_CHANNELS = 128
EXPANDED = 256
ATTENTION = 128
NUM_BINS_XY = (192, 256)
# Every cell starts as certain as this that it sees a person.
START_SCORE = 0.01
# Cells that keypoints are made for. The reference makes them for all that NMS keeps, whose
# number a graph of fixed shapes cannot have before; to take all cells would be ten times
# the work.
NUM_PEOPLE = 200
# Kinds of maps, and the reference's modules that give them.
MAP_MODULES = {
    "score": "out_cls",
    "box": "out_bbox",
    "visibility": "out_kpt_vis",
    "pose": "out_pose",
}


def build_rtmo(
    num_keypoints, input_hw, width, depth, neck_channels=NECK_CHANNELS, name="rtmo"
):
    """Builds an RTMO.

    Args:
        num_keypoints: keypoints to predict, K.
        input_hw: model input (height, width), pixels, multiples of 32.
        width: factor on the channels.
        depth: factor on the blocks.
        neck_channels: channels of each resolution of the neck, a multiple of 8.
        name: model name.

    Returns:
        A model from (B, H, W, 3) to a list of four, for the N best cells by falling score
        (`NUM_PEOPLE`, or all if there are fewer): scores (B, N) in [0, 1]; boxes (B, N, 4),
        x1, y1, x2, y2; keypoints (B, N, 2 K), x and y of each; visibility (B, N, K) in
        [0, 1]. Boxes and keypoints are in input pixels. Several cells see one person: NMS
        is left to do.
    """
    image = image_input(input_hw)
    features = csp_darknet(image, width, depth)
    features = hybrid_encoder(features, neck_channels, width, depth)
    maps = [_level(x, num_keypoints, width, level) for level, x in enumerate(features[1:])]
    return keras.Model(image, _people(maps, num_keypoints), name=name)


def map_names() -> list[str]:
    """Returns the names of the layers that give the maps, level by level."""
    return [
        f"head_module-{module}-{level}"
        for level in range(len(STRIDES))
        for module in MAP_MODULES.values()
    ]


def _level(x, num_keypoints, width, level):
    """Predicts the maps of one level: score, box, visibility, pose features."""
    branch = int(BRANCH_CHANNELS * width)
    x = conv_bn(x, 2 * branch, 1, f"neck-projector-convs-{level}")
    scores = ChannelSlice(0, branch, name=f"split-cls-{level}")(x)
    poses = ChannelSlice(branch, 2 * branch, name=f"split-pose-{level}")(x)
    for index in range(NUM_STACKED):
        name = f"head_module-conv_cls-{level}-{index}"
        scores = conv_bn_silu(scores, branch, 3, name, epsilon=EPSILON)
    channels = NUM_GROUPS * int(GROUP_CHANNELS * width)
    for index in range(2 * NUM_STACKED):
        name = f"head_module-conv_pose-{level}-{index}"
        groups = NUM_GROUPS if index else 1
        poses = conv_bn_silu(poses, channels, 3, name, groups=groups, epsilon=EPSILON)
    start = keras.initializers.Constant(-math.log(1 / START_SCORE - 1))
    sizes = (4, num_keypoints, int(POSE_CHANNELS * width))
    _, *names = (f"head_module-{module}-{level}" for module in MAP_MODULES.values())
    return [
        _predict(scores, 1, f"head_module-out_cls-{level}", bias_initializer=start),
        *(_predict(poses, size, name) for size, name in zip(sizes, names, strict=True)),
    ]


def _predict(x, filters, name, **options):
    """Convolves 1x1 in float32: half precision would round boxes."""
    start = keras.initializers.RandomNormal(stddev=0.01)
    options = {"use_bias": True, "dtype": "float32", "kernel_initializer": start} | options
    return conv(x, filters, 1, name, **options)


def _people(maps, num_keypoints):
    """Makes people of the best cells of all levels."""
    rows = [
        layers.Concatenate(name=f"rows-{level}", dtype="float32")(each)
        for level, each in enumerate(maps)
    ]
    best = BestCells(STRIDES, NUM_PEOPLE, name="best")(rows)
    ends = [0]
    for size in (*(x.shape[-1] for x in maps[0]), 3):
        ends.append(ends[-1] + size)
    logits, deltas, visibility, features, points = (
        ChannelSlice(start, end, name=f"best-{kind}", dtype="float32")(best)
        for start, end, kind in zip(ends, ends[1:], (*MAP_MODULES, "points"), strict=False)
    )
    boxes = CellBoxes(name="middles", dtype="float32")([deltas, points])
    keypoints = _describe(features, num_keypoints)
    coordinates = [
        AxisClassifier(axis, bins, name=f"dcc-{letter}_fc")([keypoints, boxes, points])
        for axis, (bins, letter) in enumerate(zip(NUM_BINS_XY, "xy", strict=True))
    ]
    count = points.shape[1]
    x, y = (
        layers.Reshape((count, num_keypoints, 1), name=f"{letter}s", dtype="float32")(each)
        for letter, each in zip("xy", coordinates, strict=True)
    )
    xy = layers.Concatenate(name="xy", dtype="float32")([x, y])
    logits = layers.Reshape((count,), name="logits", dtype="float32")(logits)
    return [
        layers.Activation("sigmoid", name="scores", dtype="float32")(logits),
        BoxCorners(name="boxes", dtype="float32")(boxes),
        layers.Reshape((count, 2 * num_keypoints), name="keypoints", dtype="float32")(xy),
        layers.Activation("sigmoid", name="visibility", dtype="float32")(visibility),
    ]


def _describe(features, num_keypoints):
    """Turns pose features (B, N, C) into a description of each keypoint."""
    x = _dense(features, num_keypoints * KEYPOINT_CHANNELS, "dcc-pose_to_kpts-0", True)
    x = batch_norm(x, "dcc-pose_to_kpts-1")
    shape = (x.shape[1], num_keypoints, KEYPOINT_CHANNELS)
    x = layers.Reshape(shape, name="dcc-keypoints", dtype="float32")(x)
    y = ScaleNorm(name="dcc-gau-ln")(x)
    y = _dense(y, 2 * EXPANDED + ATTENTION, "dcc-gau-uv")
    y = layers.Activation("silu", name="dcc-gau-act_fn", dtype="float32")(y)
    y = KeypointAttention(EXPANDED, ATTENTION, name="dcc")(y)
    y = _dense(y, KEYPOINT_CHANNELS, "dcc-gau-o")
    shortcut = ScaleResidual(name="dcc-gau-res_scale", dtype="float32")(x)
    return layers.Add(name="dcc-gau-add", dtype="float32")([shortcut, y])


def _dense(x, units, name, use_bias=False):
    return layers.Dense(units, use_bias=use_bias, name=name, dtype="float32")(x)
