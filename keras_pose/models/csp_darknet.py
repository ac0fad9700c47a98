"""CSPDarknet: the backbone of YOLOX, and of RTMO.

Source: Ge et al. 2021 (arXiv:2107.08430), sec. 2.1, and Bochkovskiy et al. 2020
(arXiv:2004.10934); layer names and order as in mmpose, `models/backbones/csp_darknet.py`
and `models/utils/csp_layer.py`.
"""

from __future__ import annotations

from keras import layers

from keras_pose.models.cspnext import conv_bn_silu, spatial_pyramid_pooling
from keras_pose.models.one_stage_layers import Focus

# Of batch norm, as in YOLOX; most of this package has PyTorch's 1e-5.
EPSILON = 1e-3
STEM_CHANNELS = 64
STAGE_CHANNELS = (128, 256, 512, 1024)
STAGE_BLOCKS = (3, 9, 9, 3)


def csp_darknet(image, width, depth):
    """Computes features at three resolutions.

    Args:
        image: (B, H, W, 3) tensor, H and W multiples of 32.
        width: factor on the channels.
        depth: factor on the blocks of each stage.

    Returns:
        Three tensors (B, H / s, W / s, int(32 * s * width)), for strides s = 8, 16, 32.
    """
    x = Focus(name="stem-focus")(image)
    x = _conv(x, int(STEM_CHANNELS * width), 3, "stem-conv")
    features = []
    last = len(STAGE_CHANNELS)
    for stage, (channels, blocks) in enumerate(
        zip(STAGE_CHANNELS, STAGE_BLOCKS, strict=True), start=1
    ):
        name, channels = f"stage{stage}", int(channels * width)
        x = _conv(x, channels, 3, f"{name}-0", strides=2)
        if stage == last:
            x = spatial_pyramid_pooling(x, f"{name}-1", EPSILON)
        x = _csp_layer(
            x,
            num_blocks=max(round(blocks * depth), 1),
            name=f"{name}-{2 if stage == last else 1}",
            adds_identity=stage != last,
        )
        features.append(x)
    return features[1:]


def _csp_layer(x, num_blocks, name, adds_identity):
    """Sends one half of the channels through blocks, and mixes it with the other half."""
    channels = x.shape[-1]
    short = _conv(x, channels // 2, 1, f"{name}-short_conv")
    main = _conv(x, channels // 2, 1, f"{name}-main_conv")
    for index in range(num_blocks):
        block = f"{name}-blocks-{index}"
        y = _conv(main, channels // 2, 1, f"{block}-conv1")
        y = _conv(y, channels // 2, 3, f"{block}-conv2")
        main = layers.Add(name=f"{block}-add")([y, main]) if adds_identity else y
    x = layers.Concatenate(name=f"{name}-concat")([main, short])
    return _conv(x, channels, 1, f"{name}-final_conv")


def _conv(x, filters, kernel_size, name, strides=1):
    return conv_bn_silu(x, filters, kernel_size, name, strides, epsilon=EPSILON)
