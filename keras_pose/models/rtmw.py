"""RTMW: RTMPose for whole bodies, which sees hands and faces at twice the resolution.

Source: Jiang et al. 2024 (arXiv:2407.08634), sec. 3; layer names as in mmpose,
`mmpose/models/heads/coord_cls_heads/rtmw_head.py` and `models/necks/cspnext_pafpn.py`.
"""

from __future__ import annotations

import keras
from keras import layers

from keras_pose.models.cspnext import cspnext, path_aggregation
from keras_pose.models.layers import batch_norm, conv, image_input, small_normal
from keras_pose.models.own_layers import PixelShuffle
from keras_pose.models.rtmpose import (
    FINAL_KERNEL,
    HIDDEN,
    classify_keypoints,
    describe_keypoints,
    tokens,
)

NECK_BLOCKS = 2


def build_rtmw(num_keypoints, input_hw, width, depth, name="rtmw"):
    """Builds an RTMW.

    As in RTMPose, weights fit only the input size that they were trained for.

    Args:
        num_keypoints: keypoints to predict, K.
        input_hw: model input (height, width), pixels, multiples of 32.
        width: factor on the backbone's channels.
        depth: factor on the backbone's blocks.
        name: model name.

    Returns:
        A model from (B, H, W, 3) to (B, K, 2 W + 2 H): the columns' bins, then the rows'.
        These are what mmpose returns as two tensors.
    """
    image = image_input(input_hw)
    features = cspnext(image, width, depth)
    _, fine, coarse = path_aggregation(features, NECK_BLOCKS)
    channels = coarse.shape[-1]
    enlarged = PixelShuffle(2, name="ps")(coarse)
    enlarged = _conv_bn_relu(enlarged, channels // 4, "conv_dec")
    fine = layers.Concatenate(name="enc_b")([enlarged, fine])
    halves = [
        describe_keypoints(
            tokens(_conv_bn_relu(maps, num_keypoints, layer), f"tokens-{mlp}"),
            HIDDEN // 2,
            mlp,
        )
        for maps, layer, mlp in (
            (coarse, "final_layer", "mlp"),
            (fine, "final_layer2", "mlp2"),
        )
    ]
    x = layers.Concatenate(name="feats")(halves)
    return keras.Model(image, classify_keypoints(x, input_hw), name=name)


def _conv_bn_relu(x, filters, name):
    """Convolves 7x7, normalises and rectifies."""
    x = conv(x, filters, FINAL_KERNEL, f"{name}-conv", kernel_initializer=small_normal())
    return layers.ReLU(name=f"{name}-activate")(batch_norm(x, f"{name}-bn"))
