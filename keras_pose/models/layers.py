"""What several families share: convolutions that agree with PyTorch to the digit."""

from __future__ import annotations

import keras
from keras import layers

BATCH_NORM_EPSILON = 1e-5
# PyTorch's momentum 0.1 weighs the new batch, Keras' 0.9 the old average.
BATCH_NORM_MOMENTUM = 0.9


def image_input(input_hw):
    """Returns the (B, H, W, 3) input every pose network starts from."""
    return keras.Input((*input_hw, 3), name="image", dtype="float32")


def conv(x, filters, kernel_size, name, strides=1, use_bias=False, kernel_initializer=None):
    """Convolves with padding (kernel_size - 1) / 2 on every side, as PyTorch does.

    Args:
        x: (B, H, W, C) tensor.
        filters: output channels.
        kernel_size: odd number.
        name: layer name, the prefix of its tensors in the reference.
        strides: the same in both directions.
        use_bias: whether a bias is added.
        kernel_initializer: None for He-normal by fan-out.

    Returns:
        (B, ceil(H / strides), ceil(W / strides), filters) tensor.
    """
    padding = "same"
    if strides > 1 and kernel_size > 1:
        # Keras "same" pads bottom-right only; PyTorch weights expect both sides.
        x = layers.ZeroPadding2D(kernel_size // 2, name=f"{name}_pad")(x)
        padding = "valid"
    return layers.Conv2D(
        filters,
        kernel_size,
        strides=strides,
        padding=padding,
        use_bias=use_bias,
        kernel_initializer=kernel_initializer or he_normal_by_fan_out(),
        name=name,
    )(x)


def batch_norm(x, name):
    """Normalises with PyTorch's constants."""
    return layers.BatchNormalization(
        momentum=BATCH_NORM_MOMENTUM, epsilon=BATCH_NORM_EPSILON, name=name
    )(x)


def heatmap_conv(x, num_keypoints, name, kernel_initializer=None):
    """Predicts one linear heatmap per keypoint with a 1x1 convolution, in float32.

    Half precision would quantise the peaks on which sub-pixel decoding rests.
    """
    return layers.Conv2D(
        num_keypoints,
        1,
        kernel_initializer=kernel_initializer or small_normal(),
        dtype="float32",
        name=name,
    )(x)


def small_normal():
    """N(0, 0.001), the start of pose layers in HRNet and Simple Baselines."""
    return keras.initializers.RandomNormal(stddev=0.001)


def he_normal_by_fan_out():
    """N(0, 2 / fan_out), the start of torchvision's ResNet convolutions."""
    return keras.initializers.VarianceScaling(
        scale=2.0, mode="fan_out", distribution="untruncated_normal"
    )
