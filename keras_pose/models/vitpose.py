"""ViTPose: a plain vision transformer and a small head.

Source: Xu et al. 2022 (arXiv:2204.12484), sec. 3.1 and 3.2; layer names as in mmpose's
checkpoints, whose backbone is mmpretrain's `VisionTransformer`. The reference also drops
whole residuals while it trains (stochastic depth); here none are.
"""

from __future__ import annotations

import keras
from keras import layers

from keras_pose.models.layers import (
    batch_norm,
    conv,
    heatmap_conv,
    image_input,
    small_normal,
    upsample_bilinear,
)
from keras_pose.models.own_layers import LayerNorm, PositionEmbedding, SelfAttention

PATCH_SIZE = 16
# Patches begin this far outside the image, so the last pixels right and below are cut off.
PATCH_PADDING = 2
LAYER_NORM_EPSILON = 1e-6
HIDDEN_RATIO = 4
HEAD_CHANNELS = 256
NUM_DECONVS = 2
HEADS = ("classic", "simple")


def build_vitpose(
    num_keypoints,
    input_hw,
    channels,
    num_heads,
    num_blocks=12,
    head="classic",
    name="vitpose",
):
    """Builds a ViTPose.

    There is a position embedding for every patch, so weights fit only the number of
    patches they were trained for, unless they are interpolated.

    Args:
        num_keypoints: heatmaps to predict, K.
        input_hw: model input (height, width), pixels, multiples of 16.
        channels: channels of the transformer.
        num_heads: attention heads.
        num_blocks: transformer blocks.
        head: "classic" for two transposed convolutions, "simple" for one enlargement.
        name: model name.

    Returns:
        A model from (B, H, W, 3) to (B, H / 4, W / 4, K).

    Raises:
        ValueError: if `head` is unknown.
    """
    if head not in HEADS:
        raise ValueError(f"head must be one of {HEADS}, got {head!r}.")
    image = image_input(input_hw)
    x = _embed_patches(image, channels)
    height, width = x.shape[1:3]
    x = layers.Reshape((height * width, channels), name="tokens")(x)
    x = PositionEmbedding(name="pos_embed")(x)
    for block in range(num_blocks):
        x = _transformer_block(x, num_heads, f"layers-{block}")
    x = _layer_norm(x, "ln1")
    x = layers.Reshape((height, width, channels), name="features")(x)
    predict = _classic_head if head == "classic" else _simple_head
    return keras.Model(image, predict(x, num_keypoints), name=name)


def _embed_patches(image, channels):
    """Describes each patch of 16 x 16 pixels: (B, H / 16, W / 16, channels)."""
    x = layers.ZeroPadding2D(PATCH_PADDING, name="patch_embed-pad")(image)
    return layers.Conv2D(
        channels,
        PATCH_SIZE,
        strides=PATCH_SIZE,
        kernel_initializer="lecun_normal",
        name="patch_embed-projection",
    )(x)


def _transformer_block(x, num_heads, name):
    """Attends, then computes for each token by itself; norms come first.

    Source: Dosovitskiy et al. 2021 (arXiv:2010.11929), sec. 3.1, eq. 2 and 3.

    Args:
        x: (B, N, C) tensor.
        num_heads: attention heads.
        name: prefix of the layer names.

    Returns:
        (B, N, C) tensor.
    """
    channels = x.shape[-1]
    y = _layer_norm(x, f"{name}-ln1")
    y = _dense(y, 3 * channels, f"{name}-attn-qkv")
    y = SelfAttention(num_heads, name=f"{name}-attn")(y)
    y = _dense(y, channels, f"{name}-attn-proj")
    x = layers.Add(name=f"{name}-add1")([x, y])
    y = _layer_norm(x, f"{name}-ln2")
    y = _dense(y, HIDDEN_RATIO * channels, f"{name}-ffn-layers-0-0")
    y = layers.Activation("gelu", name=f"{name}-ffn-layers-0-1")(y)
    y = _dense(y, channels, f"{name}-ffn-layers-1")
    return layers.Add(name=f"{name}-add2")([x, y])


def _classic_head(x, num_keypoints):
    """Doubles the resolution twice by transposed convolutions; Xu et al. 2022, eq. 2."""
    for step in range(NUM_DECONVS):
        index = 3 * step
        # For kernel 4 and stride 2, Keras "same" is PyTorch's padding 1.
        x = layers.Conv2DTranspose(
            HEAD_CHANNELS,
            4,
            strides=2,
            padding="same",
            use_bias=False,
            kernel_initializer=small_normal(),
            name=f"deconv_layers-{index}",
        )(x)
        x = batch_norm(x, f"deconv_layers-{index + 1}")
        x = layers.ReLU(name=f"deconv_layers-{index + 2}")(x)
    return heatmap_conv(x, num_keypoints, "final_layer")


def _simple_head(x, num_keypoints):
    """Enlarges four times and convolves once; Xu et al. 2022, eq. 3."""
    x = layers.ReLU(name="relu")(x)
    x = upsample_bilinear(x, 4, "upsample")
    return conv(x, num_keypoints, 3, "final_layer", use_bias=True, dtype="float32")


def _dense(x, units, name):
    start = keras.initializers.TruncatedNormal(stddev=0.02)
    return layers.Dense(units, kernel_initializer=start, name=name)(x)


def _layer_norm(x, name):
    return LayerNorm(epsilon=LAYER_NORM_EPSILON, name=name)(x)
