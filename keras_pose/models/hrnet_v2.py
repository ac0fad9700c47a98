"""HRNetV2 and V2p: all resolutions of HRNet brought together.

Source: Wang et al. 2020 (arXiv:1908.07919), sec. 3.3 "Representation head", fig. 4b and
4c; reference code HRNet/HRNet-Semantic-Segmentation, `lib/models/seg_hrnet.py`,
HRNet/HRNet-Facial-Landmark-Detection, `lib/models/hrnet.py`, and for V2p mmdetection's
`HRFPN`.
"""

from __future__ import annotations

import keras
from keras import layers

from keras_pose.models.hrnet import hrnet_trunk
from keras_pose.models.layers import (
    batch_norm,
    conv,
    heatmap_conv,
    image_input,
    upsample_bilinear,
)

PYRAMID_CHANNELS = 256
PYRAMID_LEVELS = 5


def build_hrnet_v2_segmentation(num_classes, input_hw, width, name="hrnet_v2"):
    """Builds HRNetV2 for classes of pixels.

    Args:
        num_classes: classes: 19 for Cityscapes.
        input_hw: model input (height, width), pixels, multiples of 32.
        width: channels of the highest resolution.
        name: model name.

    Returns:
        A model from (B, H, W, 3) to (B, H / 4, W / 4, num_classes) logits, float32.
    """
    return _build_hrnet_v2(num_classes, input_hw, width, "last_layer", name)


def build_hrnet_v2_landmarks(num_keypoints, input_hw, width, name="hrnet_v2"):
    """Builds HRNetV2 for keypoints, such as those of faces.

    Args:
        num_keypoints: heatmaps to predict, K.
        input_hw: model input (height, width), pixels, multiples of 32.
        width: channels of the highest resolution.
        name: model name.

    Returns:
        A model from (B, H, W, 3) to (B, H / 4, W / 4, K).
    """
    return _build_hrnet_v2(num_keypoints, input_hw, width, "head", name)


def build_hrnet_v2p(input_hw, width, name="hrnet_v2p"):
    """Builds HRNetV2p: a pyramid of features, for detectors.

    Args:
        input_hw: model input (height, width), pixels, multiples of 64.
        width: channels of the highest resolution.
        name: model name.

    Returns:
        A model from (B, H, W, 3) to a list of five (B, H / 4 / 2**i, W / 4 / 2**i, 256)
        float32 tensors, i = 0, 1, ...
    """
    image = image_input(input_hw)
    x = concatenate_upsampled(hrnet_trunk(image, width))
    x = conv(x, PYRAMID_CHANNELS, 1, "reduction_conv-conv", **_xavier_start())
    return keras.Model(image, pool_to_pyramid(x), name=name)


def concatenate_upsampled(branches):
    """Stacks the channels of all resolutions, at the highest one.

    Args:
        branches: list of (B, H / 2**i, W / 2**i, C_i) tensors, i = 0, 1, ...

    Returns:
        (B, H, W, sum of C_i) tensor.
    """
    highest, *lower = branches
    upsampled = [
        upsample_bilinear(x, 2**level, f"upsample{level}")
        for level, x in enumerate(lower, start=1)
    ]
    return layers.Concatenate(name="concatenate")([highest, *upsampled])


def pool_to_pyramid(x):
    """Averages features down to five levels, and convolves each.

    Args:
        x: (B, H, W, 256) tensor, H and W multiples of 16.

    Returns:
        A list of five (B, H / 2**i, W / 2**i, 256) float32 tensors, i = 0, 1, ...
    """
    pyramid = []
    for level in range(PYRAMID_LEVELS):
        pooled = x
        if level > 0:
            pooled = layers.AveragePooling2D(2**level, name=f"pool{level}")(x)
        name = f"fpn_convs-{level}-conv"
        features = conv(pooled, PYRAMID_CHANNELS, 3, name, **_xavier_start())
        cast = layers.Activation("linear", dtype="float32", name=f"level{level}")
        pyramid.append(cast(features))
    return pyramid


def _build_hrnet_v2(num_outputs, input_hw, width, head, name):
    image = image_input(input_hw)
    x = concatenate_upsampled(hrnet_trunk(image, width, upsampling="bilinear"))
    x = conv(x, x.shape[-1], 1, f"{head}-0", use_bias=True)
    x = batch_norm(x, f"{head}-1")
    x = layers.ReLU(name=f"{head}-2")(x)
    return keras.Model(image, heatmap_conv(x, num_outputs, f"{head}-3"), name=name)


def _xavier_start():
    """mmdetection's start, Caffe2's "Xavier": uniform, of variance 1 / fan_in."""
    return {"use_bias": True, "kernel_initializer": "lecun_uniform"}
