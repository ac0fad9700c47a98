"""MobileNetV2: features at the price of a phone.

Source: Sandler et al. 2018 (arXiv:1801.04381), sec. 3, table 2; layer names and padding
as in mmpose, `mmpose/models/backbones/mobilenet_v2.py`.
"""

from __future__ import annotations

from keras import layers

from keras_pose.models.layers import batch_norm, conv, depthwise_conv

STEM_CHANNELS = 32
# Expansion, channels, blocks, stride of the first block.
STAGES = (
    (1, 16, 1, 1),
    (6, 24, 2, 2),
    (6, 32, 3, 2),
    (6, 64, 4, 2),
    (6, 96, 3, 1),
    (6, 160, 3, 2),
    (6, 320, 1, 1),
)
NUM_FEATURES = 1280


def mobilenet_v2(image):
    """Computes MobileNetV2 features.

    Args:
        image: (B, H, W, 3) tensor, H and W multiples of 32.

    Returns:
        (B, H / 32, W / 32, 1280) tensor.
    """
    x = _conv_bn_relu6(image, STEM_CHANNELS, 3, "conv1", strides=2)
    for stage, (expansion, channels, num_blocks, first_strides) in enumerate(STAGES):
        for block in range(num_blocks):
            strides = first_strides if block == 0 else 1
            name = f"layer{stage + 1}-{block}"
            x = _inverted_residual(x, channels, expansion, strides, name)
    return _conv_bn_relu6(x, NUM_FEATURES, 1, "conv2")


def _inverted_residual(x, channels, expansion, strides, name):
    """Widens, convolves each channel, and narrows without rectifying: fig. 4d.

    Args:
        x: (B, H, W, C) tensor.
        channels: channels of the result.
        expansion: factor on the channels for the depthwise convolution.
        strides: stride of the depthwise convolution.
        name: prefix of the layer names.

    Returns:
        (B, H / strides, W / strides, channels) tensor.
    """
    residual, index = x, 0
    if expansion > 1:
        wide = expansion * x.shape[-1]
        residual, index = _conv_bn_relu6(x, wide, 1, f"{name}-conv-0"), 1
    depthwise = f"{name}-conv-{index}"
    residual = depthwise_conv(
        residual, 3, f"{depthwise}-conv", strides, depthwise_initializer="he_normal"
    )
    residual = _bn_relu6(residual, depthwise)
    narrow = f"{name}-conv-{index + 1}"
    residual = _he_conv(residual, channels, 1, f"{narrow}-conv")
    residual = batch_norm(residual, f"{narrow}-bn")
    if strides > 1 or x.shape[-1] != channels:
        return residual
    return layers.Add(name=f"{name}-add")([x, residual])


def _conv_bn_relu6(x, filters, kernel_size, name, strides=1):
    x = _he_conv(x, filters, kernel_size, f"{name}-conv", strides)
    return _bn_relu6(x, name)


def _he_conv(x, filters, kernel_size, name, strides=1):
    return conv(x, filters, kernel_size, name, strides, kernel_initializer="he_normal")


def _bn_relu6(x, name):
    x = batch_norm(x, f"{name}-bn")
    return layers.ReLU(max_value=6, name=f"{name}-relu")(x)
