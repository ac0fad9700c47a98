"""Maps of everybody for phones, from an ImageNet trunk. Our own design.

EfficientNet-Lite's features, brought back to stride 8 by a feature pyramid (Lin et al.
2017, arXiv:1612.03144, sec. 3), and OpenPose's heatmaps and part affinity fields in two
stages. The second sees the maps of the first through convolutions that are added up, where
OpenPose concatenates: a concatenation gives all its parts one scale in int8. Channels mean
what `models.openpose_channels` says.
"""

from __future__ import annotations

import keras
from keras import layers

from keras_pose.models.efficientnet_lite import conv_bn_relu6, efficientnet_lite
from keras_pose.models.layers import heatmap_conv, image_input
from keras_pose.models.slim import merge_upwards

KERNEL_SIZE = 5
BLOCKS_PER_STAGE = 2


def build_openpose_lite(
    num_keypoints,
    input_hw,
    num_limbs,
    width,
    depth,
    pyramid_channels,
    name="openpose_lite",
):
    """Builds the lite network that sees everybody at once.

    Args:
        num_keypoints: K; there is one more heatmap, the background.
        input_hw: model input (height, width), pixels, multiples of 32.
        num_limbs: L; every limb has an x- and a y-field.
        width: factor on the trunk's channels.
        depth: factor on the trunk's blocks.
        pyramid_channels: decoder channels at the strides 16 and 8.
        name: model name.

    Returns:
        A model from (B, H, W, 3) to a list of float32 tensors: heatmaps
        (B, H / 8, W / 8, K + 1) and fields (B, H / 8, W / 8, 2 L) of both stages.
    """
    image = image_input(input_hw)
    _, *skips, x = efficientnet_lite(image, width, depth)
    for level, channels in enumerate(pyramid_channels):
        x = merge_upwards(x, skips.pop(), channels, f"pyramid{level}")
    channels = (num_keypoints + 1, 2 * num_limbs)
    first = _heads(_stage(x, "stage0"), channels, "stage0")
    seen = [
        conv_bn_relu6(maps, x.shape[-1], 1, f"stage1-seen{index}", f"stage1-seen{index}-bn")
        for index, maps in enumerate(first)
    ]
    x = layers.Add(name="stage1-add")([x, *seen])
    return keras.Model(
        image, first + _heads(_stage(x, "stage1"), channels, "stage1"), name=name
    )


def _stage(x, name):
    for index in range(BLOCKS_PER_STAGE):
        x = _block(x, f"{name}-block{index}")
    return x


def _block(x, name):
    """Looks further around each cell, and adds what it sees."""
    seen = layers.DepthwiseConv2D(
        KERNEL_SIZE,
        padding="same",
        use_bias=False,
        depthwise_initializer="he_normal",
        name=f"{name}-depthwise",
    )(x)
    seen = layers.BatchNormalization(momentum=0.9, name=f"{name}-depthwise-bn")(seen)
    seen = conv_bn_relu6(seen, x.shape[-1], 1, f"{name}-pointwise", f"{name}-pointwise-bn")
    return layers.Add(name=f"{name}-add")([x, seen])


def _heads(x, channels, name):
    """Predicts heatmaps and fields, each by a 1x1 convolution of its own before."""
    outputs = []
    for head, count in zip(("heatmaps", "fields"), channels, strict=True):
        y = conv_bn_relu6(x, x.shape[-1], 1, f"{name}-{head}-before", f"{name}-{head}-bn")
        outputs.append(heatmap_conv(y, count, f"{name}-{head}"))
    return outputs
