"""HRNet: high resolution kept from end to end.

Source: Sun et al. 2019 (arXiv:1902.09212), sec. 3; reference code
leoxiaobin/deep-high-resolution-net.pytorch, `lib/models/pose_hrnet.py`.
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
    upsample_nearest,
)

STEM_CHANNELS = 64
NUM_STEM_BLOCKS = 4
# Exchange modules of the stages with 2, 3 and 4 branches.
NUM_MODULES = {2: 1, 3: 4, 4: 3}
BLOCKS_PER_BRANCH = 4


def build_hrnet(num_keypoints, input_hw, width, name="hrnet"):
    """Builds HRNet.

    Args:
        num_keypoints: heatmaps to predict, K.
        input_hw: model input (height, width), pixels, multiples of 32.
        width: channels of the highest resolution: 32 for HRNet-W32.
        name: model name.

    Returns:
        A model from (B, H, W, 3) to (B, H / 4, W / 4, K).
    """
    image = image_input(input_hw)
    branches = [_stem(image)]
    for num_branches, num_modules in NUM_MODULES.items():
        branches = _transition(branches, width, f"transition{num_branches - 1}")
        for module in range(num_modules):
            prefix = f"stage{num_branches}-{module}"
            is_last = num_branches == 4 and module == num_modules - 1
            branches = [
                _branch(x, f"{prefix}-branches-{index}") for index, x in enumerate(branches)
            ]
            # Only the highest resolution is read at the end.
            num_targets = 1 if is_last else num_branches
            branches = _fuse(branches, num_targets, prefix)
    heatmaps = heatmap_conv(branches[0], num_keypoints, "final_layer")
    return keras.Model(image, heatmaps, name=name)


def _stem(image):
    """Halves the resolution twice and refines it: (B, H / 4, W / 4, 256)."""
    x = image
    for number in (1, 2):
        x = conv(x, STEM_CHANNELS, 3, f"conv{number}", strides=2)
        x = batch_norm(x, f"bn{number}")
        x = layers.ReLU(name=f"relu{number}")(x)
    for block in range(NUM_STEM_BLOCKS):
        x = bottleneck_block(x, STEM_CHANNELS, f"layer1-{block}")
    return x


def _transition(branches, width, name):
    """Adds a branch of half the lowest resolution, and gives all their channels.

    Source: Sun et al. 2019, sec. 3 "Parallel multi-resolution subnetworks".

    Args:
        branches: list of (B, H / 2**i, W / 2**i, C_i) tensors.
        width: channels of the first branch; the next have twice as many each.
        name: prefix of the layer names.

    Returns:
        A list with one tensor more, of width * 2**i channels.
    """
    moved = []
    for index, x in enumerate(branches):
        channels = width * 2**index
        if x.shape[-1] != channels:
            x = _conv_bn_relu(x, channels, f"{name}-{index}")
        moved.append(x)
    index = len(branches)
    # One convolution, the first of the reference's sequence, hence the ".0".
    lowest = _conv_bn_relu(branches[-1], width * 2**index, f"{name}-{index}-0", strides=2)
    return [*moved, lowest]


def _branch(x, name):
    for block in range(BLOCKS_PER_BRANCH):
        x = basic_block(x, x.shape[-1], f"{name}-{block}")
    return x


def _fuse(branches, num_targets, prefix):
    """Adds every branch into the others, at each target's resolution.

    Source: Sun et al. 2019, sec. 3 "Repeated multi-scale fusion", fig. 3.

    Args:
        branches: list of (B, H / 2**i, W / 2**i, C * 2**i) tensors, i = 0, 1, ...
        num_targets: how many of the branches go on, from the highest resolution.
        prefix: of the layer names.

    Returns:
        The first `num_targets` branches, fused, in their shapes.
    """
    fused = []
    for target in range(num_targets):
        channels = branches[target].shape[-1]
        terms = [
            _resample(
                x, target - source, channels, f"{prefix}-fuse_layers-{target}-{source}"
            )
            for source, x in enumerate(branches)
        ]
        total = layers.Add(name=f"{prefix}-add{target}")(terms)
        fused.append(layers.ReLU(name=f"{prefix}-relu{target}")(total))
    return fused


def _resample(x, levels_down, channels, name):
    """Halves the resolution `levels_down` times; doubles it where that is negative."""
    if levels_down == 0:
        return x
    if levels_down < 0:
        x = conv(x, channels, 1, f"{name}-0")
        x = batch_norm(x, f"{name}-1")
        return upsample_nearest(x, 2**-levels_down, f"{name}-2")
    for step in range(levels_down - 1):
        x = _conv_bn_relu(x, x.shape[-1], f"{name}-{step}", strides=2)
    # The last one is not rectified: the sum is.
    last = f"{name}-{levels_down - 1}"
    x = conv(x, channels, 3, f"{last}-0", strides=2)
    return batch_norm(x, f"{last}-1")


def _conv_bn_relu(x, filters, name, strides=1):
    x = conv(x, filters, 3, f"{name}-0", strides)
    x = batch_norm(x, f"{name}-1")
    return layers.ReLU(name=f"{name}-2")(x)
