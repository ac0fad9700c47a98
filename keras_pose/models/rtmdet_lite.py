"""Boxes for phones from an ImageNet trunk. Our own design.

EfficientNet-Lite's features at the strides 8 to 32, a path down and back up over them (Liu
et al. 2018, arXiv:1803.01534, sec. 3.1), and RTMDet's outputs. ReLU6 and sums in the place
of RTMDet's SiLU and concatenations: int8 keeps them.
"""

from __future__ import annotations

import keras
from keras import layers

from keras_pose.models.efficientnet_lite import conv_bn_relu6, efficientnet_lite
from keras_pose.models.layers import image_input, upsample_nearest
from keras_pose.models.rtmdet import box_distances, class_logits

NUM_STACKED = 2


def build_rtmdet_lite(num_classes, input_hw, width, depth, channels, name="rtmdet_lite"):
    """Builds the detector.

    Args:
        num_classes: classes to tell apart, N.
        input_hw: model input (height, width), pixels, multiples of 32.
        width: factor on the trunk's channels.
        depth: factor on the trunk's blocks.
        channels: channels of the neck and the head.
        name: model name.

    Returns:
        A model from (B, H, W, 3) to a list of six, as `rtmdet.build_rtmdet`.
    """
    image = image_input(input_hw)
    _, *features = efficientnet_lite(image, width, depth)
    levels = _neck(features, channels)
    classes = [_tower(x, f"head-cls-{level}") for level, x in enumerate(levels)]
    boxes = [_tower(x, f"head-reg-{level}") for level, x in enumerate(levels)]
    logits = [class_logits(x, num_classes, level) for level, x in enumerate(classes)]
    distances = [box_distances(x, False, level) for level, x in enumerate(boxes)]
    return keras.Model(image, logits + distances, name=name)


def _neck(features, channels):
    """Mixes three resolutions, from the lowest to the highest and back."""
    levels = [
        conv_bn_relu6(x, channels, 1, f"neck-reduce{level}", f"neck-reduce{level}-bn")
        for level, x in enumerate(features)
    ]
    for level in (1, 0):
        low = upsample_nearest(levels[level + 1], 2, f"neck-enlarge{level}")
        x = layers.Add(name=f"neck-down{level}-add")([levels[level], low])
        levels[level] = separable(x, channels, f"neck-down{level}")
    for level in (1, 2):
        low = separable(levels[level - 1], channels, f"neck-shrink{level}", strides=2)
        x = layers.Add(name=f"neck-up{level}-add")([levels[level], low])
        levels[level] = separable(x, channels, f"neck-up{level}")
    return levels


def _tower(x, name):
    for index in range(NUM_STACKED):
        x = separable(x, x.shape[-1], f"{name}-{index}")
    return x


def separable(x, filters, name, strides=1):
    """Convolves 3x3 channel by channel, then 1x1; batch norms, one rectifier."""
    x = layers.DepthwiseConv2D(
        3,
        strides=strides,
        padding="same",
        use_bias=False,
        depthwise_initializer="he_normal",
        name=f"{name}-depthwise",
    )(x)
    x = layers.BatchNormalization(momentum=0.9, name=f"{name}-depthwise-bn")(x)
    return conv_bn_relu6(x, filters, 1, f"{name}-pointwise", f"{name}-pointwise-bn")
