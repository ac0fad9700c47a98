"""The slim family: heatmaps for phones, trained on laptops. Our own design.

A residual encoder of dense 3x3 convolutions (strides 4 to 32) and a feature-pyramid
decoder (Lin et al. 2017, arXiv:1612.03144, sec. 3) back to stride 4. Dense rather than
depthwise: a training step on a CPU is twice as fast at 1.7 times the
multiply-accumulates. Convolution, batch norm (which folds into it), ReLU, addition and
bilinear resize are all there is; int8 runtimes take every one of them.
"""

from __future__ import annotations

import keras
from keras import layers

from keras_pose.models.layers import batch_norm, heatmap_conv, image_input

STEM_CHANNELS = 16
# Encoder stages, from stride 4 to stride 32.
STAGE_CHANNELS = (32, 64, 128, 192)
STAGE_BLOCKS = (1, 1, 2, 1)
# Decoder levels, from stride 16 back to stride 4.
PYRAMID_CHANNELS = (96, 64, 32)


def build_slim(
    num_keypoints,
    input_hw,
    stem_channels=STEM_CHANNELS,
    stage_channels=STAGE_CHANNELS,
    stage_blocks=STAGE_BLOCKS,
    pyramid_channels=PYRAMID_CHANNELS,
    num_stacks=1,
    name="pose_slim",
):
    """Builds a slim network.

    Args:
        num_keypoints: heatmaps to predict, K.
        input_hw: model input (height, width), pixels, multiples of the last stage's stride.
        stem_channels: channels at stride 2.
        stage_channels: channels of each encoder stage, from stride 4 on.
        stage_blocks: residual blocks of each encoder stage.
        pyramid_channels: channels of each decoder level; one less than there are stages.
        num_stacks: heatmaps given one after the other, each made of those before it.
        name: model name.

    Returns:
        A model from (B, H, W, 3) to (B, H / 4, W / 4, K), or to a list of that, one per
        stack, the last being the best.
    """
    image = image_input(input_hw)
    x = _conv_bn_relu(image, stem_channels, 3, "stem", strides=2)
    features = []
    stages = zip(stage_channels, stage_blocks, strict=True)
    for number, (channels, num_blocks) in enumerate(stages, start=1):
        x = _conv_bn_relu(x, channels, 3, f"stage{number}-down", strides=2)
        for block in range(num_blocks):
            x = _residual_block(x, f"stage{number}-block{block}")
        features.append(x)

    skips = reversed(features[:-1])
    for level, (channels, skip) in enumerate(zip(pyramid_channels, skips, strict=True)):
        x = merge_upwards(x, skip, channels, f"pyramid{level}")
    outputs = [heatmap_conv(x, num_keypoints, "heatmaps")]
    for stack in range(1, num_stacks):
        seen = _conv_bn(outputs[-1], x.shape[-1], 1, f"stack{stack}-seen")
        x = layers.Add(name=f"stack{stack}-add")([x, seen])
        x = _conv_bn_relu(x, x.shape[-1], 3, f"stack{stack}-smooth")
        outputs.append(heatmap_conv(x, num_keypoints, f"stack{stack}-heatmaps"))
    return keras.Model(image, outputs if num_stacks > 1 else outputs[0], name=name)


def _conv_bn(x, filters, kernel_size, name, strides=1):
    """Convolves and normalises; "same" padding, which needs no extra op on device."""
    x = layers.Conv2D(
        filters,
        kernel_size,
        strides=strides,
        padding="same",
        use_bias=False,
        kernel_initializer="he_normal",
        name=f"{name}-conv",
    )(x)
    return batch_norm(x, f"{name}-bn")


def _conv_bn_relu(x, filters, kernel_size, name, strides=1):
    x = _conv_bn(x, filters, kernel_size, name, strides)
    return layers.ReLU(name=f"{name}-relu")(x)


def _residual_block(x, name):
    """He et al. 2016 (arXiv:1512.03385), fig. 2: two 3x3 convolutions and a shortcut."""
    channels = x.shape[-1]
    residual = _conv_bn_relu(x, channels, 3, f"{name}-first")
    residual = _conv_bn(residual, channels, 3, f"{name}-second")
    total = layers.Add(name=f"{name}-add")([x, residual])
    return layers.ReLU(name=f"{name}-relu")(total)


def merge_upwards(x, skip, channels, name):
    """Brings `x` to the resolution of `skip`, which is twice its own, and adds it."""
    # The 1x1 convolution comes first: it is four times cheaper there.
    x = _conv_bn(x, channels, 1, f"{name}-up")
    x = layers.UpSampling2D(interpolation="bilinear", name=f"{name}-resize")(x)
    skip = _conv_bn(skip, channels, 1, f"{name}-skip")
    total = layers.Add(name=f"{name}-add")([x, skip])
    total = layers.ReLU(name=f"{name}-relu")(total)
    return _conv_bn_relu(total, channels, 3, f"{name}-smooth")
