"""RTMDet: boxes in one step.

Source: Lyu et al. 2022 (arXiv:2212.07784), sec. 3; layer names as in mmdet,
`mmdet/models/necks/cspnext_pafpn.py` and `models/dense_heads/rtmdet_head.py`.
"""

from __future__ import annotations

import math

import keras
from keras import layers

from keras_pose.models.cspnext import (
    bn_silu,
    cspnext,
    path_aggregation,
    separable_conv,
    spatial_conv,
)
from keras_pose.models.layers import conv, image_input

STRIDES = (8, 16, 32)
NUM_STACKED = 2
# Every place starts as certain as this that it sees an object.
START_SCORE = 0.01


def build_rtmdet(
    num_classes,
    input_hw,
    width,
    depth,
    neck_blocks=1,
    is_depthwise=False,
    has_exponential=False,
    name="rtmdet",
):
    """Builds an RTMDet.

    Args:
        num_classes: classes to tell apart, N.
        input_hw: model input (height, width), pixels, multiples of 32.
        width: factor on the channels.
        depth: factor on the backbone's blocks.
        neck_blocks: blocks of each stage of the neck.
        is_depthwise: True to make 3x3 convolutions separable; then each level of the head
            has its own, else the levels share them.
        has_exponential: True to take the exponentials of the predictions, so that distances
            are positive.
        name: model name.

    Returns:
        A model from (B, H, W, 3) to a list of six: class logits (B, H / s, W / s, N) for
        the strides s = 8, 16, 32, then the distances (B, H / s, W / s, 4) from the point
        (column * s, row * s) to a box's left, top, right and bottom side, input pixels.
    """
    image = image_input(input_hw)
    features = cspnext(image, width, depth, is_depthwise)
    levels = _neck(features, neck_blocks, is_depthwise)
    tower = _separate_tower if is_depthwise else _shared_tower
    classes = tower(levels, "bbox_head-cls_convs")
    boxes = tower(levels, "bbox_head-reg_convs")
    logits = [class_logits(x, num_classes, level) for level, x in enumerate(classes)]
    distances = [box_distances(x, has_exponential, level) for level, x in enumerate(boxes)]
    return keras.Model(image, logits + distances, name=name)


def _neck(features, num_blocks, is_depthwise):
    """Mixes the resolutions, and gives them the channels of the first."""
    channels = features[0].shape[-1]
    return [
        spatial_conv(x, channels, f"neck-out_convs-{level}", is_depthwise)
        for level, x in enumerate(path_aggregation(features, num_blocks, is_depthwise))
    ]


def _separate_tower(levels, name):
    """Convolves each level by itself."""
    outputs = []
    for level, x in enumerate(levels):
        for index in range(NUM_STACKED):
            x = separable_conv(x, x.shape[-1], 3, f"{name}-{level}-{index}")
        outputs.append(x)
    return outputs


def _shared_tower(levels, name):
    """Convolves all levels with the same kernels; each has batch norms of its own."""
    for index in range(NUM_STACKED):
        convolution = layers.Conv2D(
            levels[0].shape[-1],
            3,
            padding="same",
            use_bias=False,
            kernel_initializer=_start(),
            name=f"{name}-0-{index}-conv",
        )
        levels = [
            bn_silu(convolution(x), f"{name}-{level}-{index}")
            for level, x in enumerate(levels)
        ]
    return levels


def class_logits(x, num_classes, level):
    """Adds the convolution that gives the logits of the classes at every place.

    Args:
        x: (B, H, W, C) tensor of one level.
        num_classes: classes to tell apart, N.
        level: number of the level, 0 for stride 8.

    Returns:
        (B, H, W, N) tensor.
    """
    bias = keras.initializers.Constant(-math.log(1 / START_SCORE - 1))
    name = f"bbox_head-rtm_cls-{level}"
    return _predict(x, num_classes, name, bias_initializer=bias)


def box_distances(x, has_exponential, level):
    """Adds the convolution that gives the distances to a box's sides, in input pixels.

    Args:
        x: (B, H, W, C) tensor of one level.
        has_exponential: True to take the exponentials of the predictions, so that distances
            are positive.
        level: number of the level, 0 for stride 8.

    Returns:
        (B, H, W, 4) tensor: left, top, right, bottom.
    """
    x = _predict(x, 4, f"bbox_head-rtm_reg-{level}")
    if has_exponential:
        x = layers.Activation("exponential", dtype="float32", name=f"exp-{level}")(x)
    return layers.Rescaling(STRIDES[level], dtype="float32", name=f"distances-{level}")(x)


def _predict(x, filters, name, **options):
    """Convolves 1x1 in float32: half precision has steps of half a pixel from 512 on."""
    options = {"use_bias": True, "dtype": "float32"} | options
    return conv(x, filters, 1, name, kernel_initializer=_start(), **options)


def _start():
    return keras.initializers.RandomNormal(stddev=0.01)
