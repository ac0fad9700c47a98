"""EfficientNet-Lite: an ImageNet classifier made for integers.

Source: Tan and Le 2019 (arXiv:1905.11946), sec. 4, table 1, and the Lite variants of
tensorflow/tpu, `models/official/efficientnet/lite/efficientnet_lite_builder.py`: ReLU6 in
the place of swish, no squeeze-and-excite, stem and last convolution of fixed width.
Padding is TensorFlow's "same", which the published weights were trained with: at stride 2
it lies at the bottom and the right only. Layers have the names of the PyTorch port's
modules without their leading underscores.
"""

from __future__ import annotations

import math

import keras
from keras import layers

from keras_pose.models.layers import image_input

STEM_CHANNELS = 32
NUM_FEATURES = 1280
BATCH_NORM_EPSILON = 1e-3
# Channels are rounded to multiples of it.
CHANNEL_DIVISOR = 8
# Blocks, kernel size, stride of the first block, expansion, channels.
STAGES = (
    (1, 3, 1, 1, 16),
    (2, 3, 2, 6, 24),
    (2, 5, 2, 6, 40),
    (3, 3, 2, 6, 80),
    (3, 5, 1, 6, 112),
    (4, 5, 2, 6, 192),
    (1, 3, 1, 6, 320),
)
# The last stages at the strides 4, 8, 16 and 32.
PYRAMID_STAGES = (1, 2, 4, 6)


def build_efficientnet_lite(num_classes, input_hw, width, depth, name="efficientnet_lite"):
    """Builds the ImageNet classifier.

    Args:
        num_classes: number of classes, N.
        input_hw: model input (height, width), pixels, multiples of 32.
        width: factor on the channels.
        depth: factor on the blocks.
        name: model name.

    Returns:
        A model from (B, H, W, 3) to (B, N) logits.
    """
    image = image_input(input_hw)
    x = efficientnet_lite(image, width, depth)[-1]
    x = conv_bn_relu6(x, NUM_FEATURES, 1, "conv_head", "bn1")
    x = layers.GlobalAveragePooling2D(name="avg_pooling")(x)
    logits = layers.Dense(num_classes, dtype="float32", name="fc")(x)
    return keras.Model(image, logits, name=name)


def efficientnet_lite(image, width, depth):
    """Computes features at four resolutions.

    Args:
        image: (B, H, W, 3) tensor, H and W multiples of 32.
        width: factor on the channels.
        depth: factor on the blocks.

    Returns:
        Four (B, H / s, W / s, C) tensors for the strides s = 4, 8, 16, 32.
    """
    x = conv_bn_relu6(image, STEM_CHANNELS, 3, "conv_stem", "bn0", strides=2)
    index, outputs = 0, []
    for stage, (count, kernel_size, first_strides, expansion, channels) in enumerate(
        STAGES
    ):
        for block in range(_num_blocks(stage, count, depth)):
            x = _inverted_residual(
                x,
                _num_channels(channels, width),
                kernel_size,
                first_strides if block == 0 else 1,
                expansion,
                f"blocks-{index}",
            )
            index += 1
        outputs.append(x)
    return [outputs[stage] for stage in PYRAMID_STAGES]


def _num_blocks(stage, count, depth):
    """Returns the number of blocks of a stage; first and last keep theirs."""
    if stage in (0, len(STAGES) - 1):
        return count
    return math.ceil(depth * count)


def _num_channels(channels, width):
    """Rounds to a multiple of the divisor, by no more than a tenth downwards."""
    wanted = channels * width
    nearest = int(wanted + CHANNEL_DIVISOR / 2) // CHANNEL_DIVISOR * CHANNEL_DIVISOR
    rounded = max(CHANNEL_DIVISOR, nearest)
    return rounded if rounded >= 0.9 * wanted else rounded + CHANNEL_DIVISOR


def _inverted_residual(x, channels, kernel_size, strides, expansion, name):
    """Widens, convolves each channel, and narrows without rectifying.

    Source: Sandler et al. 2018 (arXiv:1801.04381), sec. 3.3.
    """
    residual = x
    if expansion > 1:
        residual = conv_bn_relu6(
            x, expansion * x.shape[-1], 1, f"{name}-expand_conv", f"{name}-bn0"
        )
    residual = layers.DepthwiseConv2D(
        kernel_size,
        strides=strides,
        padding="same",
        use_bias=False,
        depthwise_initializer="he_normal",
        name=f"{name}-depthwise_conv",
    )(residual)
    residual = _bn_relu6(residual, f"{name}-bn1")
    residual = _conv(residual, channels, 1, f"{name}-project_conv")
    residual = _batch_norm(residual, f"{name}-bn2")
    if strides > 1 or x.shape[-1] != channels:
        return residual
    return layers.Add(name=f"{name}-add")([x, residual])


def conv_bn_relu6(x, filters, kernel_size, name, norm_name, strides=1):
    """Convolves, normalises and rectifies up to 6; "same" padding as TensorFlow's."""
    return _bn_relu6(_conv(x, filters, kernel_size, name, strides), norm_name)


def _conv(x, filters, kernel_size, name, strides=1):
    return layers.Conv2D(
        filters,
        kernel_size,
        strides=strides,
        padding="same",
        use_bias=False,
        kernel_initializer="he_normal",
        name=name,
    )(x)


def _bn_relu6(x, name):
    return layers.ReLU(max_value=6, name=f"{name}-relu")(_batch_norm(x, name))


def _batch_norm(x, name):
    # The published statistics moved by 0.99; short trainings need to follow faster.
    return layers.BatchNormalization(momentum=0.9, epsilon=BATCH_NORM_EPSILON, name=name)(x)
