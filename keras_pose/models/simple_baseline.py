"""Simple Baselines: a ResNet and three transposed convolutions.

Source: Xiao et al. 2018 (arXiv:1804.06208), sec. 2; reference code
microsoft/human-pose-estimation.pytorch, `lib/models/pose_resnet.py`, its PyTorch style
(stride on the 3x3 convolution of a bottleneck).
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
)

STEM_CHANNELS = 64
# ResNet depth -> block, blocks per stage (He et al. 2016, table 1).
RESNETS = {
    18: (basic_block, (2, 2, 2, 2)),
    34: (basic_block, (3, 4, 6, 3)),
    50: (bottleneck_block, (3, 4, 6, 3)),
    101: (bottleneck_block, (3, 4, 23, 3)),
    152: (bottleneck_block, (3, 8, 36, 3)),
}
NUM_DECONVS = 3
DECONV_CHANNELS = 256


def build_simple_baseline(num_keypoints, input_hw, depth, name="simple_baseline"):
    """Builds a Simple Baseline.

    Args:
        num_keypoints: heatmaps to predict, K.
        input_hw: model input (height, width), pixels, multiples of 32.
        depth: of the ResNet, a key of `RESNETS`.
        name: model name.

    Returns:
        A model from (B, H, W, 3) to (B, H / 4, W / 4, K).

    Raises:
        ValueError: if there is no ResNet of that depth.
    """
    if depth not in RESNETS:
        raise ValueError(f"depth must be one of {sorted(RESNETS)}, got {depth!r}.")
    image = image_input(input_hw)
    x = _resnet(image, depth)
    for index in range(NUM_DECONVS):
        x = _deconv_bn_relu(x, 3 * index)
    return keras.Model(image, heatmap_conv(x, num_keypoints, "final_layer"), name=name)


def _resnet(image, depth):
    """Computes ResNet features: (B, H / 32, W / 32, C)."""
    x = conv(image, STEM_CHANNELS, 7, "conv1", strides=2)
    x = batch_norm(x, "bn1")
    x = layers.ReLU(name="relu")(x)
    # PyTorch pads with -inf; after a ReLU zeros never win either.
    x = layers.ZeroPadding2D(1, name="maxpool_pad")(x)
    x = layers.MaxPooling2D(3, strides=2, name="maxpool")(x)
    block, num_blocks = RESNETS[depth]
    for stage, count in enumerate(num_blocks):
        for index in range(count):
            strides = 2 if stage > 0 and index == 0 else 1
            x = block(x, STEM_CHANNELS * 2**stage, f"layer{stage + 1}-{index}", strides)
    return x


def _deconv_bn_relu(x, index):
    """Doubles the resolution; `index` is the place in the reference's sequence."""
    # For kernel 4 and stride 2, Keras "same" is PyTorch's padding 1.
    x = layers.Conv2DTranspose(
        DECONV_CHANNELS,
        4,
        strides=2,
        padding="same",
        use_bias=False,
        kernel_initializer=small_normal(),
        name=f"deconv_layers-{index}",
    )(x)
    x = batch_norm(x, f"deconv_layers-{index + 1}")
    return layers.ReLU(name=f"deconv_layers-{index + 2}")(x)
