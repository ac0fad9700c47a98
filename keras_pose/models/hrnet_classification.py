"""HRNet for classes of pictures: what ImageNet training gives the pose networks.

Source: Wang et al. 2020 (arXiv:1908.07919), appendix on ImageNet classification;
reference code HRNet/HRNet-Image-Classification, `lib/models/cls_hrnet.py`.
"""

from __future__ import annotations

import keras
from keras import layers

from keras_pose.models.hrnet import hrnet_trunk
from keras_pose.models.layers import batch_norm, bottleneck_block, conv, image_input

# Channels of the bottlenecks after each resolution, which return four times as many.
HEAD_CHANNELS = (32, 64, 128, 256)
NUM_FEATURES = 2048


def build_hrnet_classification(num_classes, input_hw, width, name="hrnet_classification"):
    """Builds a classifier on HRNet's four resolutions.

    Args:
        num_classes: classes of pictures: 1000 for ImageNet.
        input_hw: model input (height, width), pixels, multiples of 32.
        width: channels of the highest resolution.
        name: model name.

    Returns:
        A model from (B, H, W, 3) to (B, num_classes) logits, float32.
    """
    image = image_input(input_hw)
    branches = [
        bottleneck_block(x, channels, f"incre_modules-{index}-0")
        for index, (x, channels) in enumerate(
            zip(hrnet_trunk(image, width), HEAD_CHANNELS, strict=True)
        )
    ]
    x = branches[0]
    for index, lower in enumerate(branches[1:]):
        down = _conv_bn_relu(x, lower.shape[-1], 3, f"downsamp_modules-{index}", strides=2)
        x = layers.Add(name=f"head-add{index}")([lower, down])
    x = _conv_bn_relu(x, NUM_FEATURES, 1, "final_layer")
    x = layers.GlobalAveragePooling2D(name="pool")(x)
    # Half precision would tie the scores of similar classes.
    logits = layers.Dense(num_classes, name="classifier", dtype="float32")(x)
    return keras.Model(image, logits, name=name)


def _conv_bn_relu(x, filters, kernel_size, name, strides=1):
    x = conv(x, filters, kernel_size, f"{name}-0", strides, use_bias=True)
    x = batch_norm(x, f"{name}-1")
    return layers.ReLU(name=f"{name}-2")(x)
