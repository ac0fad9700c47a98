"""The lite family: heatmaps for phones from an ImageNet trunk. Our own design.

EfficientNet-Lite's features at the strides 4 to 32 and a feature-pyramid decoder (Lin et
al. 2017, arXiv:1612.03144, sec. 3) back to stride 4. Convolutions, depthwise ones, batch
norms that fold into them, ReLU, ReLU6, sums and bilinear enlargement: int8 runtimes and
GPU delegates take all of it.
"""

from __future__ import annotations

import keras

from keras_pose.models.efficientnet_lite import efficientnet_lite
from keras_pose.models.layers import heatmap_conv, image_input
from keras_pose.models.slim import merge_upwards


def build_pose_lite(
    num_keypoints, input_hw, width, depth, pyramid_channels, name="pose_lite"
):
    """Builds the lite network.

    Args:
        num_keypoints: heatmaps to predict, K.
        input_hw: model input (height, width), pixels, multiples of 32.
        width: factor on the trunk's channels.
        depth: factor on the trunk's blocks.
        pyramid_channels: decoder channels at the strides 16, 8 and 4.
        name: model name.

    Returns:
        A model from (B, H, W, 3) to (B, H / 4, W / 4, K).
    """
    image = image_input(input_hw)
    *skips, x = efficientnet_lite(image, width, depth)
    for level, channels in enumerate(pyramid_channels):
        x = merge_upwards(x, skips.pop(), channels, f"pyramid{level}")
    return keras.Model(image, heatmap_conv(x, num_keypoints, "heatmaps"), name=name)
