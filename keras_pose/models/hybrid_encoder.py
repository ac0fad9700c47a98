"""The hybrid encoder: attention at the lowest resolution, convolutions between all.

Source: Lv et al. 2023 (arXiv:2304.08069), sec. 4.2; layer names as in mmpose,
`models/necks/hybrid_encoder.py`, `models/utils/transformer.py` and `reparam_layers.py`.
"""

from __future__ import annotations

import keras
from keras import layers

from keras_pose.models.cspnext import bare_conv, conv_bn_silu
from keras_pose.models.layers import batch_norm, upsample_nearest
from keras_pose.models.one_stage_layers import PlacedProjection
from keras_pose.models.own_layers import LayerNorm, SelfAttention

NUM_HEADS = 8
HIDDEN_RATIO = 4
NUM_BLOCKS = 3
LAYER_NORM_EPSILON = 1e-5


def hybrid_encoder(features, channels, width, depth):
    """Mixes three resolutions, from the lowest to the highest and back.

    Args:
        features: three tensors, each half as high and wide as the one before.
        channels: channels of each resolution, a multiple of 8.
        width: factor on the channels inside of stages.
        depth: factor on the blocks of stages.

    Returns:
        Three tensors (B, H, W, channels) of the sizes of `features`.
    """
    projected = [
        conv_bn(x, channels, 1, f"neck-input_proj-{level}")
        for level, x in enumerate(features)
    ]
    lowest = _attend(projected[-1], "neck-encoder-0-layers-0")
    hidden, num_blocks = int(channels * width), round(NUM_BLOCKS * depth)
    inner = _top_down([*projected[:-1], lowest], hidden, num_blocks)
    x, *lower = inner
    outer = [x]
    for index, low in enumerate(lower):
        name = f"neck-downsample_convs-{index}"
        x = conv_bn_silu(x, channels, 3, name, strides=2)
        name = f"neck-pan_blocks-{index}"
        x = layers.Concatenate(name=f"{name}-join")([x, low])
        x = _stage(x, x.shape[-1] // 2, hidden, num_blocks, name)
        outer.append(x)
    return outer


def _top_down(features, hidden, num_blocks):
    """Adds what is seen at low resolution to the higher ones."""
    inner = [features[-1]]
    for index, high in enumerate(reversed(features[:-1])):
        name = f"neck-lateral_convs-{index}"
        inner[0] = conv_bn_silu(inner[0], features[-1].shape[-1], 1, name)
        name = f"neck-fpn_blocks-{index}"
        x = upsample_nearest(inner[0], 2, f"{name}-upsample")
        x = layers.Concatenate(name=f"{name}-join")([x, high])
        inner.insert(0, _stage(x, x.shape[-1] // 2, hidden, num_blocks, name))
    return inner


def _stage(x, channels, hidden, num_blocks, name):
    """Sends one projection through blocks, and adds another one to it."""
    main = conv_bn_silu(x, hidden, 1, f"{name}-conv1")
    for index in range(num_blocks):
        main = _two_kernels(main, f"{name}-bottlenecks-{index}")
    short = conv_bn_silu(x, hidden, 1, f"{name}-conv2")
    x = layers.Add(name=f"{name}-add")([main, short])
    if hidden == channels:
        return x
    return conv_bn_silu(x, channels, 1, f"{name}-conv3")


def _two_kernels(x, name):
    """Adds up a 3x3 and a 1x1 convolution: RepVGG's block (arXiv:2101.03697, sec. 3.2)."""
    channels = x.shape[-1]
    large = conv_bn(x, channels, 3, f"{name}-branch_3x3")
    small = conv_bn(x, channels, 1, f"{name}-branch_1x1")
    x = layers.Add(name=f"{name}-add")([large, small])
    return layers.Activation("silu", name=f"{name}-act")(x)


def conv_bn(x, filters, kernel_size, name):
    """Convolves and normalises."""
    return batch_norm(bare_conv(x, filters, kernel_size, name), f"{name}-bn")


def _attend(x, name):
    """Lets all places look at each other; norms come last.

    Source: Vaswani et al. 2017 (arXiv:1706.03762), sec. 3.1; places are added to queries
    and keys, as in Carion et al. 2020 (arXiv:2005.12872), sec. A.3.
    """
    height, width, channels = x.shape[1:]
    x = layers.Reshape((height * width, channels), name=f"{name}-tokens")(x)
    attention = f"{name}-self_attn-attn"
    y = PlacedProjection((height, width), name=attention)(x)
    y = SelfAttention(NUM_HEADS, name=f"{attention}-mix")(y)
    y = _dense(y, channels, f"{attention}-out_proj")
    x = layers.Add(name=f"{name}-add1")([x, y])
    x = LayerNorm(epsilon=LAYER_NORM_EPSILON, name=f"{name}-norms-0")(x)
    y = _dense(x, HIDDEN_RATIO * channels, f"{name}-ffn-layers-0-0")
    y = layers.Activation("gelu", name=f"{name}-ffn-layers-0-1")(y)
    y = _dense(y, channels, f"{name}-ffn-layers-1")
    x = layers.Add(name=f"{name}-add2")([x, y])
    x = LayerNorm(epsilon=LAYER_NORM_EPSILON, name=f"{name}-norms-1")(x)
    return layers.Reshape((height, width, channels), name=f"{name}-features")(x)


def _dense(x, units, name):
    start = keras.initializers.GlorotUniform()
    return layers.Dense(units, kernel_initializer=start, name=name)(x)
