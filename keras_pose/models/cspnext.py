"""CSPNeXt: the backbone of RTMDet, RTMPose and RTMW, and the neck of the first and last.

Source: Lyu et al. 2022 (arXiv:2212.07784), sec. 3.2; layer names and order as in mmdet,
`mmdet/models/backbones/cspnext.py`, `necks/cspnext_pafpn.py` and `layers/csp_layer.py`.
Batch norm has the epsilon 1e-5 of the configs, not the 1e-3 of those classes' defaults.
"""

from __future__ import annotations

from keras import layers

from keras_pose.models.layers import (
    BATCH_NORM_EPSILON,
    batch_norm,
    conv,
    depthwise_conv,
    grouped_conv,
    torch_start,
    upsample_nearest,
)

STEM_CHANNELS = 64
STAGE_CHANNELS = (128, 256, 512, 1024)
STAGE_BLOCKS = (3, 6, 6, 3)
POOL_SIZES = (5, 9, 13)
# The depthwise convolution of every block sees this many pixels.
LARGE_KERNEL = 5


def cspnext(image, width, depth, is_depthwise=False):
    """Computes features at three resolutions.

    Args:
        image: (B, H, W, 3) tensor, H and W multiples of 32.
        width: factor on the channels.
        depth: factor on the blocks of each stage.
        is_depthwise: True to make all 3x3 convolutions but the stem's separable.

    Returns:
        Three tensors (B, H / s, W / s, int(32 * s * width)), for strides s = 8, 16, 32.
    """
    x = _stem(image, int(STEM_CHANNELS * width))
    features = []
    last = len(STAGE_CHANNELS)
    for stage, (channels, blocks) in enumerate(
        zip(STAGE_CHANNELS, STAGE_BLOCKS, strict=True), start=1
    ):
        name, channels = f"stage{stage}", int(channels * width)
        x = spatial_conv(x, channels, f"{name}-0", is_depthwise, strides=2)
        if stage == last:
            x = spatial_pyramid_pooling(x, f"{name}-1")
        x = csp_layer(
            x,
            channels,
            num_blocks=max(round(blocks * depth), 1),
            name=f"{name}-{2 if stage == last else 1}",
            adds_identity=stage != last,
            has_attention=True,
            is_depthwise=is_depthwise,
        )
        features.append(x)
    return features[1:]


def csp_layer(
    x,
    filters,
    num_blocks,
    name,
    adds_identity=False,
    has_attention=False,
    is_depthwise=False,
):
    """Sends one half of the channels through blocks, and mixes it with the other half.

    Source: Wang et al. 2019 (arXiv:1911.11929), sec. 3.

    Args:
        x: (B, H, W, C) tensor.
        filters: channels to return; each half has half of them.
        num_blocks: number of blocks.
        name: prefix of the layer names.
        adds_identity: True to add each block's input to its result.
        has_attention: True to weigh channels before they are mixed.
        is_depthwise: True to make the blocks' 3x3 convolutions separable.

    Returns:
        (B, H, W, filters) tensor.
    """
    short = conv_bn_silu(x, filters // 2, 1, f"{name}-short_conv")
    main = conv_bn_silu(x, filters // 2, 1, f"{name}-main_conv")
    for index in range(num_blocks):
        main = _block(main, f"{name}-blocks-{index}", adds_identity, is_depthwise)
    x = layers.Concatenate(name=f"{name}-concat")([main, short])
    if has_attention:
        x = _channel_attention(x, f"{name}-attention")
    return conv_bn_silu(x, filters, 1, f"{name}-final_conv")


def path_aggregation(features, num_blocks, is_depthwise=False):
    """Mixes the resolutions, from the lowest to the highest and back.

    Source: Lyu et al. 2022, sec. 3.2; `CSPNeXtPAFPN` of mmdet and mmpose, without the last
    convolutions.

    Args:
        features: three tensors, each half as high and wide as the one before.
        num_blocks: blocks of each stage.
        is_depthwise: True to make 3x3 convolutions separable.

    Returns:
        Three tensors of the shapes of `features`.
    """
    inner = _top_down(features, num_blocks, is_depthwise)
    x = inner[0]
    outer = [x]
    for index, low in enumerate(inner[1:]):
        name = f"neck-downsamples-{index}"
        x = spatial_conv(x, x.shape[-1], name, is_depthwise, strides=2)
        name = f"neck-bottom_up_blocks-{index}"
        x = layers.Concatenate(name=f"{name}-join")([x, low])
        channels = features[index + 1].shape[-1]
        x = csp_layer(x, channels, num_blocks, name, is_depthwise=is_depthwise)
        outer.append(x)
    return outer


def _top_down(features, num_blocks, is_depthwise):
    """Adds what is seen at low resolution to the higher ones.

    Returns:
        Three tensors for the way back; all but the first have the channels of the
        feature one step higher up.
    """
    x = features[-1]
    reduced: list = []
    for index, high in enumerate(reversed(features[:-1])):
        channels = high.shape[-1]
        x = conv_bn_silu(x, channels, 1, f"neck-reduce_layers-{index}")
        reduced.insert(0, x)
        name = f"neck-top_down_blocks-{index}"
        x = upsample_nearest(x, 2, f"{name}-upsample")
        x = layers.Concatenate(name=f"{name}-join")([x, high])
        x = csp_layer(x, channels, num_blocks, name, is_depthwise=is_depthwise)
    return [x, *reduced]


def spatial_conv(x, filters, name, is_depthwise, strides=1):
    """Convolves 3x3, in full or by depth and by point; with batch norm and SiLU."""
    convolve = separable_conv if is_depthwise else conv_bn_silu
    return convolve(x, filters, 3, name, strides)


def separable_conv(x, filters, kernel_size, name, strides=1):
    """Convolves each channel, then mixes the channels; batch norm and SiLU after both."""
    name_in_depth = f"{name}-depthwise_conv"
    start = torch_start(kernel_size**2)
    x = depthwise_conv(
        x,
        kernel_size,
        f"{name_in_depth}-conv",
        strides,
        depthwise_initializer=start["kernel_initializer"],
    )
    x = bn_silu(x, name_in_depth)
    return conv_bn_silu(x, filters, 1, f"{name}-pointwise_conv")


def conv_bn_silu(
    x, filters, kernel_size, name, strides=1, groups=1, epsilon=BATCH_NORM_EPSILON
):
    """Convolves, normalises and activates: mmcv's ConvModule."""
    x = bare_conv(x, filters, kernel_size, name, strides, groups)
    return bn_silu(x, name, epsilon)


def bare_conv(x, filters, kernel_size, name, strides=1, groups=1):
    """Convolves without a bias, by weights that start as PyTorch's do; in groups without
    strides.
    """
    start = torch_start(kernel_size**2 * x.shape[-1] // groups) | {"use_bias": False}
    if groups > 1:
        return grouped_conv(x, filters, kernel_size, f"{name}-conv", groups, **start)
    return conv(x, filters, kernel_size, f"{name}-conv", strides, **start)


def bn_silu(x, name, epsilon=BATCH_NORM_EPSILON):
    """Normalises and activates."""
    x = batch_norm(x, f"{name}-bn", epsilon)
    return layers.Activation("silu", name=f"{name}-activate")(x)


def _stem(image, channels):
    """Halves the resolution in three convolutions."""
    x = conv_bn_silu(image, channels // 2, 3, "stem-0", strides=2)
    x = conv_bn_silu(x, channels // 2, 3, "stem-1")
    return conv_bn_silu(x, channels, 3, "stem-2")


def _block(x, name, adds_identity, is_depthwise):
    """Convolves 3x3, then separably 5x5; fig. 3 (b) of the paper."""
    channels = x.shape[-1]
    residual = spatial_conv(x, channels, f"{name}-conv1", is_depthwise)
    residual = separable_conv(residual, channels, LARGE_KERNEL, f"{name}-conv2")
    if not adds_identity:
        return residual
    return layers.Add(name=f"{name}-add")([residual, x])


def spatial_pyramid_pooling(x, name, epsilon=BATCH_NORM_EPSILON):
    """Joins the highest values of neighbourhoods of several sizes."""
    channels = x.shape[-1]
    x = conv_bn_silu(x, channels // 2, 1, f"{name}-conv1", epsilon=epsilon)
    pooled = [
        layers.MaxPooling2D(size, strides=1, padding="same", name=f"{name}-pool{size}")(x)
        for size in POOL_SIZES
    ]
    x = layers.Concatenate(name=f"{name}-concat")([x, *pooled])
    return conv_bn_silu(x, channels, 1, f"{name}-conv2", epsilon=epsilon)


def _channel_attention(x, name):
    """Weighs each channel by a number in [0, 1] that depends on all channels' means."""
    channels = x.shape[-1]
    weights = layers.GlobalAveragePooling2D(keepdims=True, name=f"{name}-mean")(x)
    weights = conv(weights, channels, 1, f"{name}-fc", **torch_start(channels))
    weights = layers.Activation("hard_sigmoid", name=f"{name}-act")(weights)
    return layers.Multiply(name=f"{name}-scale")([x, weights])
