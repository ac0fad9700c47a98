"""Lightweight OpenPose: its maps from a MobileNet, real-time on a CPU.

Source: Osokin 2018 (arXiv:1811.12004), sec. 4; reference code
Daniil-Osokin/lightweight-human-pose-estimation.pytorch, `models/with_mobilenet.py`. What
the channels mean stands in `models.openpose_channels`; it is that of OpenPose on COCO.

It works at stride 8 on images normalised as `(image - 128) / 256`, blue first.
"""

from __future__ import annotations

import keras
from keras import layers

from keras_pose.models.layers import (
    batch_norm,
    conv,
    depthwise_conv,
    heatmap_conv,
    image_input,
    torch_start,
)

FEATURES = 128
# MobileNet v1 to conv5_5 (Howard et al. 2017, arXiv:1704.04861, table 1): channels,
# stride and dilation of each separable convolution. From the sixth on the stride of 2
# became a dilation (Osokin 2018, sec. 4.1).
SEPARABLE_CONVS = (
    (64, 1, 1),
    (128, 2, 1),
    (128, 1, 1),
    (256, 2, 1),
    (256, 1, 1),
    (512, 1, 1),
    (512, 1, 2),
    (512, 1, 1),
    (512, 1, 1),
    (512, 1, 1),
    (512, 1, 1),
)
BLOCKS_PER_REFINEMENT = 5


def build_openpose_light(
    num_keypoints, input_hw, num_limbs, num_refinements, name="openpose_light"
):
    """Builds a lightweight OpenPose.

    Args:
        num_keypoints: K; there is one more heatmap, the background.
        input_hw: model input (height, width), pixels, multiples of 8.
        num_limbs: L; every limb has an x- and a y-field.
        num_refinements: stages after the first.
        name: model name.

    Returns:
        A model from (B, H, W, 3) to a list of float32 tensors: heatmaps
        (B, H / 8, W / 8, K + 1) and fields (B, H / 8, W / 8, 2 L) of every stage.
    """
    image = image_input(input_hw)
    features = _features(image)
    channels = (num_keypoints + 1, 2 * num_limbs)
    x = features
    for index in range(3):
        x = _conv_relu(x, FEATURES, 3, f"initial_stage-trunk-{index}")
    outputs = _heads(x, channels, 4 * FEATURES, "initial_stage")
    for stage in range(num_refinements):
        name_of_stage = f"refinement_stages-{stage}"
        x = layers.Concatenate(name=f"{name_of_stage}-concat")([features, *outputs[-2:]])
        for block in range(BLOCKS_PER_REFINEMENT):
            x = _refinement_block(x, f"{name_of_stage}-trunk-{block}")
        outputs += _heads(x, channels, FEATURES, name_of_stage)
    return keras.Model(image, outputs, name=name)


def _features(image):
    """Computes MobileNet's features and narrows them: (B, H / 8, W / 8, 128)."""
    x = conv(image, 32, 3, "model-0-0", strides=2, **_start(image, 3, use_bias=False))
    x = _bn_relu(x, "model-0-1")
    for index, (filters, strides, dilation) in enumerate(SEPARABLE_CONVS, 1):
        x = _separable_bn_relu(x, filters, strides, dilation, f"model-{index}")
    x = _conv_relu(x, FEATURES, 1, "cpm-align")
    shortcut = x
    for index in range(3):
        x = _separable_elu(x, f"cpm-trunk-{index}")
    x = layers.Add(name="cpm-add")([shortcut, x])
    return _conv_relu(x, FEATURES, 3, "cpm-conv")


def _separable_bn_relu(x, filters, strides, dilation, name):
    x = _depthwise(x, f"{name}-0", strides, dilation)
    x = _bn_relu(x, f"{name}-1")
    x = conv(x, filters, 1, f"{name}-3", **_start(x, 1, use_bias=False))
    return _bn_relu(x, f"{name}-4")


def _separable_elu(x, name):
    x = _depthwise(x, f"{name}-0")
    x = layers.ELU(name=f"{name}-1")(x)
    x = conv(x, x.shape[-1], 1, f"{name}-2", **_start(x, 1, use_bias=False))
    return layers.ELU(name=f"{name}-3")(x)


def _depthwise(x, name, strides=1, dilation=1):
    start = torch_start(3**2)["kernel_initializer"]
    return depthwise_conv(
        x, 3, name, strides, dilation_rate=dilation, depthwise_initializer=start
    )


def _refinement_block(x, name):
    """Osokin 2018, fig. 4: three convolutions that see what a 7x7 one sees."""
    shortcut = _conv_relu(x, FEATURES, 1, f"{name}-initial")
    x = shortcut
    for index, dilation in enumerate((1, 2)):
        layer = f"{name}-trunk-{index}"
        x = conv(x, FEATURES, 3, f"{layer}-0", dilation_rate=dilation, **_start(x, 3))
        x = _bn_relu(x, f"{layer}-1")
    return layers.Add(name=f"{name}-add")([shortcut, x])


def _heads(x, channels, width, name):
    """Predicts heatmaps and fields, each by a 1x1 convolution of its own before."""
    outputs = []
    for head, count in zip(("heatmaps", "pafs"), channels, strict=True):
        y = _conv_relu(x, width, 1, f"{name}-{head}-0")
        outputs.append(heatmap_conv(y, count, f"{name}-{head}-1-0", **torch_start(width)))
    return outputs


def _conv_relu(x, filters, kernel_size, name):
    x = conv(x, filters, kernel_size, f"{name}-0", **_start(x, kernel_size))
    return layers.ReLU(name=f"{name}-1")(x)


def _bn_relu(x, name):
    x = batch_norm(x, name)
    return layers.ReLU(name=f"{name}-relu")(x)


def _start(x, kernel_size, use_bias=True):
    return torch_start(kernel_size**2 * x.shape[-1]) | {"use_bias": use_bias}
