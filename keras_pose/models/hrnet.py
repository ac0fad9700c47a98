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
    upsample_bilinear,
    upsample_nearest,
)

STEM_CHANNELS = 64
NUM_STEM_BLOCKS = 4
# Exchange modules of the stages with 2, 3 and 4 branches.
NUM_MODULES = (1, 4, 3)
BLOCKS_PER_BRANCH = 4
# Units of the branches, and how many times their channels they return.
BLOCKS = {"basic": (basic_block, 1), "bottleneck": (bottleneck_block, 4)}
UPSAMPLINGS = {"nearest": upsample_nearest, "bilinear": upsample_bilinear}
# Factor of UDP-Pose's last fusion on the channels.
WIDENING = 4


def build_hrnet(
    num_keypoints,
    input_hw,
    width,
    block="basic",
    upsampling="nearest",
    widens_last_fusion=False,
    maps_per_keypoint=1,
    num_modules=None,
    blocks_per_branch=None,
    name="hrnet",
):
    """Builds HRNet.

    Args:
        num_keypoints: keypoints to predict, K.
        input_hw: model input (height, width), pixels, multiples of 32.
        width: channels of the highest resolution: 32 for HRNet-W32.
        block: unit of the branches, a key of `BLOCKS`.
        upsampling: interpolation of low resolutions on their way up, a key of
            `UPSAMPLINGS`.
        widens_last_fusion: the last fusion returns 4 times the channels, as in UDP-Pose
            (Huang et al. 2020, arXiv:1911.07524; the widening stands in its code alone).
        maps_per_keypoint: 3 to predict a map and the two offsets of UDP-Pose, in this
            order for each keypoint.
        num_modules: exchange modules of the stages with 2, 3 and 4 branches; None for
            `NUM_MODULES`.
        blocks_per_branch: units of each branch of a module; None for
            `BLOCKS_PER_BRANCH`.
        name: model name.

    Returns:
        A model from (B, H, W, 3) to (B, H / 4, W / 4, K * maps_per_keypoint).

    Raises:
        ValueError: if `block` or `upsampling` is unknown.
    """
    image = image_input(input_hw)
    # Only the highest resolution is read at the end.
    [x] = hrnet_trunk(
        image,
        width,
        block,
        upsampling,
        1,
        widens_last_fusion,
        num_modules,
        blocks_per_branch,
    )
    heatmaps = heatmap_conv(x, num_keypoints * maps_per_keypoint, "final_layer")
    return keras.Model(image, heatmaps, name=name)


def hrnet_trunk(
    image,
    width,
    block="basic",
    upsampling="nearest",
    num_outputs=4,
    widens_last_fusion=False,
    num_modules=None,
    blocks_per_branch=None,
):
    """Computes features in up to four resolutions, from the highest down.

    Args:
        image: (B, H, W, 3) tensor, H and W multiples of 32.
        width: channels of the highest resolution; of bottleneck units, a quarter of it.
        block: unit of the branches, a key of `BLOCKS`.
        upsampling: interpolation of low resolutions on their way up, a key of
            `UPSAMPLINGS`.
        num_outputs: number of resolutions to return.
        widens_last_fusion: returns 4 times the channels, see `build_hrnet`.
        num_modules: exchange modules of the stages with 2, 3 and 4 branches; None for
            `NUM_MODULES`.
        blocks_per_branch: units of each branch of a module; None for
            `BLOCKS_PER_BRANCH`.

    Returns:
        A list of (B, H / 4 / 2**i, W / 4 / 2**i, C * 2**i) tensors, i = 0, 1, ...

    Raises:
        ValueError: if `block` or `upsampling` is unknown.
    """
    _check_choice("block", block, BLOCKS)
    _check_choice("upsampling", upsampling, UPSAMPLINGS)
    _, expansion = BLOCKS[block]
    branches = [_stem(image)]
    num_blocks = blocks_per_branch or BLOCKS_PER_BRANCH
    for num_branches, modules in enumerate(num_modules or NUM_MODULES, start=2):
        name = f"transition{num_branches - 1}"
        branches = _transition(branches, width * expansion, name)
        for module in range(modules):
            prefix = f"stage{num_branches}-{module}"
            branches = [
                _branch(x, block, num_blocks, f"{prefix}-branches-{index}")
                for index, x in enumerate(branches)
            ]
            is_last = num_branches == 4 and module == modules - 1
            num_targets = num_outputs if is_last else num_branches
            widening = WIDENING if is_last and widens_last_fusion else 1
            branches = _fuse(branches, num_targets, prefix, upsampling, widening)
    return branches


def _check_choice(name, value, known):
    if value not in known:
        raise ValueError(f"{name} must be one of {sorted(known)}, got {value!r}.")


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


def _branch(x, block, num_blocks, name):
    unit, expansion = BLOCKS[block]
    for index in range(num_blocks):
        x = unit(x, x.shape[-1] // expansion, f"{name}-{index}")
    return x


def _fuse(branches, num_targets, prefix, upsampling, widening):
    """Adds every branch into the others, at each target's resolution.

    Source: Sun et al. 2019, sec. 3 "Repeated multi-scale fusion", fig. 3.

    Args:
        branches: list of (B, H / 2**i, W / 2**i, C * 2**i) tensors, i = 0, 1, ...
        num_targets: number of branches that go on, from the highest resolution.
        prefix: prefix of the layer names.
        upsampling: a key of `UPSAMPLINGS`.
        widening: factor on the channels of the branches.

    Returns:
        The first `num_targets` branches, fused, in their shapes but for the channels.
    """
    fused = []
    for target in range(num_targets):
        channels = widening * branches[target].shape[-1]
        name = f"{prefix}-fuse_layers-{target}"
        terms = [
            _resample(x, target - source, channels, f"{name}-{source}", upsampling)
            for source, x in enumerate(branches)
        ]
        total = layers.Add(name=f"{prefix}-add{target}")(terms)
        fused.append(layers.ReLU(name=f"{prefix}-relu{target}")(total))
    return fused


def _resample(x, levels_down, channels, name, upsampling):
    """Halves the resolution `levels_down` times; doubles it where that is negative."""
    if levels_down == 0:
        # UDP-Pose widens here without batch norm.
        return x if x.shape[-1] == channels else conv(x, channels, 1, f"{name}-0")
    if levels_down < 0:
        x = conv(x, channels, 1, f"{name}-0")
        x = batch_norm(x, f"{name}-1")
        return UPSAMPLINGS[upsampling](x, 2**-levels_down, f"{name}-2")
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
