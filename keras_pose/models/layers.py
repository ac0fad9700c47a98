"""Layers that several families share: convolutions that agree with PyTorch to the digit."""

from __future__ import annotations

import math

import keras
from keras import layers

from keras_pose.models.own_layers import GroupedConv2D

BATCH_NORM_EPSILON = 1e-5
# PyTorch's momentum 0.1 weighs the new batch, Keras' 0.9 the old average.
BATCH_NORM_MOMENTUM = 0.9


def image_input(input_hw):
    """Returns the (B, H, W, 3) input every pose network starts from."""
    return keras.Input((*input_hw, 3), name="image", dtype="float32")


def conv(x, filters, kernel_size, name, strides=1, **options):
    """Convolves with padding (kernel_size - 1) / 2 on every side, as PyTorch does.

    Args:
        x: (B, H, W, C) tensor.
        filters: output channels.
        kernel_size: odd number.
        name: layer name, that of the module in the reference with dashes for dots.
        strides: stride in both directions.
        options: arguments for `keras.layers.Conv2D`. Without them there is no bias, and the
            weights start as those of HRNet and Simple Baselines do.

    Returns:
        (B, ceil(H / strides), ceil(W / strides), filters) tensor.
    """
    padding = "same"
    if strides > 1 and kernel_size > 1:
        # Keras "same" pads bottom-right only; PyTorch weights expect both sides.
        x = layers.ZeroPadding2D(kernel_size // 2, name=f"{name}_pad")(x)
        padding = "valid"
    options = {"use_bias": False, "kernel_initializer": small_normal()} | options
    return layers.Conv2D(
        filters, kernel_size, strides=strides, padding=padding, name=name, **options
    )(x)


def depthwise_conv(x, kernel_size, name, strides=1, **options):
    """Convolves every channel by itself, padded as `conv` pads.

    Args:
        x: (B, H, W, C) tensor.
        kernel_size: odd number.
        name: layer name, that of the module in the reference with dashes for dots.
        strides: stride in both directions.
        options: arguments for `keras.layers.DepthwiseConv2D`. Without them there is no
            bias.

    Returns:
        (B, ceil(H / strides), ceil(W / strides), C) tensor.
    """
    padding = "same"
    if strides > 1:
        x = layers.ZeroPadding2D(kernel_size // 2, name=f"{name}_pad")(x)
        padding = "valid"
    options = {"use_bias": False} | options
    return layers.DepthwiseConv2D(
        kernel_size, strides=strides, padding=padding, name=name, **options
    )(x)


def grouped_conv(x, filters, kernel_size, name, groups, **options):
    """Convolves equal groups of channels by themselves, padded as `conv` pads."""
    return GroupedConv2D(
        filters, kernel_size, padding="same", groups=groups, name=name, **options
    )(x)


def batch_norm(x, name, epsilon=BATCH_NORM_EPSILON):
    """Normalises with PyTorch's constants."""
    return layers.BatchNormalization(
        momentum=BATCH_NORM_MOMENTUM, epsilon=epsilon, name=name
    )(x)


def heatmap_conv(x, num_keypoints, name, **options):
    """Predicts one linear heatmap per keypoint with a 1x1 convolution, in float32.

    Half precision would quantise the peaks on which sub-pixel decoding rests.
    """
    options = {"use_bias": True, "dtype": "float32"} | options
    return conv(x, num_keypoints, 1, name, **options)


def upsample_nearest(x, factor, name):
    """Repeats every pixel `factor` times in both directions."""
    return layers.UpSampling2D(factor, interpolation="nearest", name=name)(x)


def upsample_bilinear(x, factor, name):
    """Enlarges `factor` times; corners of images meet, as with align_corners=False."""
    return layers.UpSampling2D(factor, interpolation="bilinear", name=name)(x)


def small_normal():
    """N(0, 0.001), the start of HRNet's and Simple Baselines' convolutions."""
    return keras.initializers.RandomNormal(stddev=0.001)


def torch_start(fan_in):
    """Returns the options of a convolution that starts as PyTorch's do by default.

    Weights and bias are uniform within 1 / sqrt(fan_in), with fan_in the numbers that
    one output is made of.
    """
    limit = 1 / math.sqrt(fan_in)
    return {
        "use_bias": True,
        "kernel_initializer": keras.initializers.RandomUniform(-limit, limit),
        "bias_initializer": keras.initializers.RandomUniform(-limit, limit),
    }


def basic_block(x, filters, name, strides=1):
    """Adds two 3x3 convolutions to `x`.

    Source: He et al. 2016 (arXiv:1512.03385), fig. 5 left.

    Args:
        x: (B, H, W, C) tensor.
        filters: channels.
        name: prefix of the layer names.
        strides: stride of the first convolution.

    Returns:
        (B, H / strides, W / strides, filters) tensor.
    """
    residual = conv(x, filters, 3, f"{name}-conv1", strides)
    residual = batch_norm(residual, f"{name}-bn1")
    residual = layers.ReLU(name=f"{name}-relu1")(residual)
    residual = conv(residual, filters, 3, f"{name}-conv2")
    residual = batch_norm(residual, f"{name}-bn2")
    return _add_shortcut(x, residual, name, strides)


def bottleneck_block(x, filters, name, strides=1, strided_conv=2):
    """Adds a 1x1, a 3x3 and a 1x1 convolution to `x`.

    Source: He et al. 2016 (arXiv:1512.03385), fig. 5 right.

    Args:
        x: (B, H, W, C) tensor.
        filters: channels of the 3x3 convolution.
        name: prefix of the layer names.
        strides: stride of one of the convolutions.
        strided_conv: which one: 2, the 3x3, as in torchvision; 1, as in the paper and its
            Caffe models. Both have the same weights, but they are two functions.

    Returns:
        (B, H / strides, W / strides, 4 * filters) tensor.
    """
    first, second = (strides, 1) if strided_conv == 1 else (1, strides)
    residual = conv(x, filters, 1, f"{name}-conv1", first)
    residual = batch_norm(residual, f"{name}-bn1")
    residual = layers.ReLU(name=f"{name}-relu1")(residual)
    residual = conv(residual, filters, 3, f"{name}-conv2", second)
    residual = batch_norm(residual, f"{name}-bn2")
    residual = layers.ReLU(name=f"{name}-relu2")(residual)
    residual = conv(residual, 4 * filters, 1, f"{name}-conv3")
    residual = batch_norm(residual, f"{name}-bn3")
    return _add_shortcut(x, residual, name, strides)


def _add_shortcut(x, residual, name, strides):
    """Adds `x`, projected where its shape differs from the residual's, and rectifies."""
    if strides > 1 or x.shape[-1] != residual.shape[-1]:
        x = conv(x, residual.shape[-1], 1, f"{name}-downsample-0", strides)
        x = batch_norm(x, f"{name}-downsample-1")
    total = layers.Add(name=f"{name}-add")([residual, x])
    return layers.ReLU(name=f"{name}-relu")(total)
