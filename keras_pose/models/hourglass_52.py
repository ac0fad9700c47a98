"""Hourglass-52 with one stack: CornerNet's hourglass, as mmpose uses it.

Source: Law and Deng 2018 (arXiv:1808.01244), sec. 3.5; reference code open-mmlab/mmpose,
`models/backbones/hourglass.py`, with `num_stacks=1`. It has ResNet's basic blocks where
Newell's hourglass has pre-activated bottlenecks, strided convolutions where that pools,
and more channels at lower resolutions: 95 million parameters against 3.6.

The reference's checkpoints hold a block `inters.0`, which only a second stack would use.
"""

from __future__ import annotations

import keras
from keras import layers

from keras_pose.models.layers import (
    basic_block,
    batch_norm,
    conv,
    heatmap_conv,
    image_input,
    upsample_nearest,
)

STEM_CHANNELS = 128
# Channels and blocks of every level, the outermost (H / 4) first.
LEVEL_CHANNELS = (256, 256, 384, 384, 384, 512)
LEVEL_BLOCKS = (2, 2, 2, 2, 2, 4)


def build_hourglass_52(num_keypoints, input_hw, name="hourglass_52"):
    """Builds one hourglass, 52 layers deep as CornerNet counts.

    Args:
        num_keypoints: heatmaps to predict, K.
        input_hw: model input (height, width), pixels, multiples of 128.
        name: model name.

    Returns:
        A model from (B, H, W, 3) to (B, H / 4, W / 4, K).
    """
    image = image_input(input_hw)
    x = _conv_bn_relu(image, STEM_CHANNELS, 7, "stem-0", strides=2)
    x = basic_block(x, LEVEL_CHANNELS[0], "stem-1-0", strides=2)
    x = _hourglass(x, LEVEL_CHANNELS, LEVEL_BLOCKS, "hourglass_modules-0")
    x = _conv_bn_relu(x, LEVEL_CHANNELS[0], 3, "out_convs-0")
    heatmaps = heatmap_conv(x, num_keypoints, "multi_final_layers-0")
    return keras.Model(image, heatmaps, name=name)


def _hourglass(x, channels, num_blocks, name):
    """Strides down, recurs, and comes back up; a skip keeps this resolution.

    Args:
        x: (B, H, W, channels[0]) tensor; H and W can be halved len(channels) - 1 times.
        channels: channels of this level and of those below.
        num_blocks: residual blocks of this level and of those below.
        name: prefix of the layer names.

    Returns:
        A tensor of the shape of `x`.
    """
    skip = _blocks(x, [channels[0]] * num_blocks[0], f"{name}-up1")
    low = _blocks(x, [channels[1]] * num_blocks[0], f"{name}-low1", strides=2)
    if len(channels) > 2:
        low = _hourglass(low, channels[1:], num_blocks[1:], f"{name}-low2")
    else:
        low = _blocks(low, [channels[1]] * num_blocks[1], f"{name}-low2")
    # The last block narrows, not the first.
    narrowing = [channels[1]] * (num_blocks[0] - 1) + [channels[0]]
    low = _blocks(low, narrowing, f"{name}-low3")
    up = upsample_nearest(low, 2, f"{name}-up2")
    return layers.Add(name=f"{name}-add")([skip, up])


def _blocks(x, channels, name, strides=1):
    for index, filters in enumerate(channels):
        x = basic_block(x, filters, f"{name}-{index}", strides if index == 0 else 1)
    return x


def _conv_bn_relu(x, filters, kernel_size, name, strides=1):
    x = conv(x, filters, kernel_size, f"{name}-conv", strides)
    x = batch_norm(x, f"{name}-bn")
    return layers.ReLU(name=f"{name}-activate")(x)
