"""Simple Baselines: a classifier's features and three transposed convolutions.

Source: Xiao et al. 2018 (arXiv:1804.06208), sec. 2; reference code
microsoft/human-pose-estimation.pytorch, `lib/models/pose_resnet.py`. The head that
resizes is ours: phones' GPU and NPU delegates reject transposed convolutions, or leave
them to the CPU.
"""

from __future__ import annotations

import keras
from keras import layers

from keras_pose.models.layers import (
    basic_block,
    batch_norm,
    bottleneck_block,
    conv,
    heatmap_conv,
    image_input,
    small_normal,
    upsample_bilinear,
    upsample_nearest,
)
from keras_pose.models.mobilenet_v2 import mobilenet_v2

STEM_CHANNELS = 64
# Block, blocks per stage (He et al. 2016, table 1).
RESNETS = {
    "resnet18": (basic_block, (2, 2, 2, 2)),
    "resnet34": (basic_block, (3, 4, 6, 3)),
    "resnet50": (bottleneck_block, (3, 4, 6, 3)),
    "resnet101": (bottleneck_block, (3, 4, 23, 3)),
    "resnet152": (bottleneck_block, (3, 8, 36, 3)),
}
# Which convolution of a bottleneck has the stride.
STRIDED_CONVS = {"torch": 2, "caffe": 1}
BACKBONES = (*RESNETS, "mobilenet_v2")
HEADS = ("deconv", "resize")
UPSAMPLINGS = {"nearest": upsample_nearest, "bilinear": upsample_bilinear}
# Every step of the head doubles the resolution.
NUM_HEAD_STEPS = 3


def build_simple_baseline(
    num_keypoints,
    input_hw,
    backbone,
    style="torch",
    head="deconv",
    head_channels=256,
    upsampling="bilinear",
    name="simple_baseline",
):
    """Builds a Simple Baseline.

    Args:
        num_keypoints: heatmaps to predict, K.
        input_hw: model input (height, width), pixels, multiples of 32.
        backbone: one of `BACKBONES`.
        style: "caffe" for ResNets whose bottlenecks have their stride in the first
            convolution, "torch" for all other networks.
        head: "deconv" for transposed convolutions as in the paper, "resize" for an
            enlargement and a 3x3 convolution in the place of each.
        head_channels: channels of the head's layers.
        upsampling: interpolation of the resizing head, "bilinear" or "nearest".
        name: model name.

    Returns:
        A model from (B, H, W, 3) to (B, H / 4, W / 4, K).

    Raises:
        ValueError: if an option is unknown, or `style` is "caffe" for a network without
            bottlenecks.
    """
    _check_choice("backbone", backbone, BACKBONES)
    _check_choice("style", style, tuple(STRIDED_CONVS))
    _check_choice("head", head, HEADS)
    _check_choice("upsampling", upsampling, tuple(UPSAMPLINGS))
    image = image_input(input_hw)
    x = backbone_features(image, backbone, style)
    for step in range(NUM_HEAD_STEPS):
        if head == "deconv":
            x = deconv_bn_relu(x, head_channels, 3 * step)
        else:
            x = _resize_conv_bn_relu(x, head_channels, upsampling, step)
    return keras.Model(image, heatmap_conv(x, num_keypoints, "final_layer"), name=name)


def _check_choice(name, value, known):
    if value not in known:
        raise ValueError(f"{name} must be one of {known}, got {value!r}.")


def backbone_features(image, backbone, style="torch"):
    """Computes the features of a classifier: (B, H / 32, W / 32, C)."""
    block, num_blocks = RESNETS.get(backbone, (None, None))
    if style == "caffe" and block is not bottleneck_block:
        raise ValueError(f"style='caffe' is for ResNets with bottlenecks, not {backbone}.")
    if backbone == "mobilenet_v2":
        return mobilenet_v2(image)
    options = {}
    if block is bottleneck_block:
        options["strided_conv"] = STRIDED_CONVS[style]
    return _resnet(image, block, num_blocks, options)


def _resnet(image, block, num_blocks, options):
    """Computes ResNet features: (B, H / 32, W / 32, C)."""
    x = conv(image, STEM_CHANNELS, 7, "conv1", strides=2)
    x = batch_norm(x, "bn1")
    x = layers.ReLU(name="relu")(x)
    # PyTorch pads with -inf; after a ReLU zeros never win either.
    x = layers.ZeroPadding2D(1, name="maxpool_pad")(x)
    x = layers.MaxPooling2D(3, strides=2, name="maxpool")(x)
    for stage, count in enumerate(num_blocks):
        channels = STEM_CHANNELS * 2**stage
        for index in range(count):
            strides = 2 if stage > 0 and index == 0 else 1
            x = block(x, channels, f"layer{stage + 1}-{index}", strides, **options)
    return x


def deconv_bn_relu(x, channels, index):
    """Doubles the resolution; `index` is the place in the reference's sequence."""
    # For kernel 4 and stride 2, Keras "same" is PyTorch's padding 1.
    x = layers.Conv2DTranspose(
        channels,
        4,
        strides=2,
        padding="same",
        use_bias=False,
        kernel_initializer=small_normal(),
        name=f"deconv_layers-{index}",
    )(x)
    x = batch_norm(x, f"deconv_layers-{index + 1}")
    return layers.ReLU(name=f"deconv_layers-{index + 2}")(x)


def _resize_conv_bn_relu(x, channels, upsampling, step):
    """Doubles the resolution, then convolves: the other way round the last step would
    add no detail, for the linear layer after it commutes with an enlargement.
    """
    x = UPSAMPLINGS[upsampling](x, 2, f"resize_layers-{step}-resize")
    x = conv(x, channels, 3, f"resize_layers-{step}-conv", kernel_initializer="he_normal")
    x = batch_norm(x, f"resize_layers-{step}-bn")
    return layers.ReLU(name=f"resize_layers-{step}-relu")(x)
