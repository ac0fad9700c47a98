"""Lite-HRNet: HRNet's branches, with weights for channels in place of 1x1 convolutions.

Source: Yu et al. 2021 (arXiv:2104.06403), sec. 3; layer names as in mmpose,
`mmpose/models/backbones/litehrnet.py`.
"""

from __future__ import annotations

import keras
from keras import layers

from keras_pose.models.layers import (
    batch_norm,
    conv,
    depthwise_conv,
    heatmap_conv,
    image_input,
    small_normal,
    upsample_nearest,
)
from keras_pose.models.own_layers import ChannelSlice, ResizeAlignedCorners

STEM_CHANNELS = 32
CHANNELS = (40, 80, 160, 320)
BLOCKS_PER_MODULE = 2
CROSS_RATIO = 8
SPATIAL_RATIO = 4


def build_lite_hrnet(num_keypoints, input_hw, num_modules, name="lite_hrnet"):
    """Builds a Lite-HRNet.

    Args:
        num_keypoints: heatmaps to predict, K.
        input_hw: model input (height, width), pixels, multiples of 32.
        num_modules: modules of the stages with 2, 3 and 4 branches.
        name: model name.

    Returns:
        A model from (B, H, W, 3) to (B, H / 4, W / 4, K).
    """
    return build_of_blocks(_weighting_blocks, num_keypoints, input_hw, num_modules, name)


def build_of_blocks(add_blocks, num_keypoints, input_hw, num_modules, name):
    """Builds the branches, fusions and head of a Lite-HRNet around other blocks.

    Args:
        add_blocks: function of a module's branches and a prefix of layer names; returns
            branches of the same shapes.
        num_keypoints: keypoints to predict, K.
        input_hw: model input (height, width), pixels, multiples of 32.
        num_modules: modules of the stages with 2, 3 and 4 branches.
        name: model name.

    Returns:
        A model from (B, H, W, 3) to (B, H / 4, W / 4, K).
    """
    image = image_input(input_hw)
    branches = [_stem(image)]
    for stage, count in enumerate(num_modules):
        branches = _transition(branches, f"transition{stage}")
        for module in range(count):
            prefix = f"stage{stage}-{module}"
            branches = add_blocks(branches, f"{prefix}-layers")
            branches = _fuse(branches, f"{prefix}-fuse_layers")
    x = _iterative_head(branches)
    return keras.Model(image, heatmap_conv(x, num_keypoints, "final_layer"), name=name)


def _stem(image):
    """Quarters the resolution: (B, H / 4, W / 4, STEM_CHANNELS)."""
    x = conv_bn(image, STEM_CHANNELS, 3, "stem-conv1", strides=2, activation="relu")
    first, second = halves(x, "stem")
    first = depthwise_bn(first, "stem-branch1-0", strides=2)
    first = conv_bn(first, STEM_CHANNELS // 2, 1, "stem-branch1-1", activation="relu")
    second = conv_bn(second, STEM_CHANNELS, 1, "stem-expand_conv", activation="relu")
    second = depthwise_bn(second, "stem-depthwise_conv", strides=2)
    second = conv_bn(second, STEM_CHANNELS // 2, 1, "stem-linear_conv", activation="relu")
    return shuffle(first, second, "stem-shuffle")


def _transition(branches, name):
    """Appends a branch of half the resolution; the first stage widens its branch, too."""
    last = branches[-1]
    index = len(branches)
    if last.shape[-1] != STEM_CHANNELS:
        new = _separable(last, CHANNELS[index], f"{name}-{index}-0", 2, "relu")
        return [*branches, new]
    return [
        _separable(last, CHANNELS[0], f"{name}-0", 1, "relu"),
        _separable(last, CHANNELS[1], f"{name}-1-0", 2, "relu"),
    ]


def _weighting_blocks(branches, name):
    """Weighs the channels of every branch by what all branches see, twice."""
    for block in range(BLOCKS_PER_MODULE):
        branches = _weighting_block(branches, f"{name}-{block}")
    return branches


def _weighting_block(branches, name):
    """Weighs one half of each branch's channels and mixes it with the other.

    Source: Yu et al. 2021, fig. 3 (b), sec. 3.2.

    Args:
        branches: list of (B, H / 2**i, W / 2**i, C * 2**i) tensors, i = 0, 1, ...
        name: prefix of the layer names.

    Returns:
        A list of tensors with the shapes of `branches`.
    """
    cut = [halves(x, f"{name}-{i}") for i, x in enumerate(branches)]
    weighed = _cross_resolution_weighting(
        [second for _, second in cut], f"{name}-cross_resolution_weighting"
    )
    outputs = []
    for i, ((first, _), x) in enumerate(zip(cut, weighed, strict=True)):
        x = depthwise_bn(x, f"{name}-depthwise_convs-{i}")
        x = _spatial_weighting(x, f"{name}-spatial_weighting-{i}")
        outputs.append(shuffle(first, x, f"{name}-shuffle-{i}"))
    return outputs


def _cross_resolution_weighting(branches, name):
    """Weighs each channel at each place by what all branches see there."""
    low = len(branches) - 1
    pooled = [
        layers.AveragePooling2D(2 ** (low - i), name=f"{name}-pool{i}")(x)
        for i, x in enumerate(branches[:-1])
    ]
    x = layers.Concatenate(name=f"{name}-concat")([*pooled, branches[-1]])
    channels = x.shape[-1]
    x = conv_bn(x, channels // CROSS_RATIO, 1, f"{name}-conv1", activation="relu")
    x = conv_bn(x, channels, 1, f"{name}-conv2", activation="sigmoid")
    outputs, start = [], 0
    for i, branch in enumerate(branches):
        stop = start + branch.shape[-1]
        weights = ChannelSlice(start, stop, name=f"{name}-weights{i}")(x)
        if i < low:
            weights = upsample_nearest(weights, 2 ** (low - i), f"{name}-upsample{i}")
        outputs.append(layers.Multiply(name=f"{name}-scale{i}")([branch, weights]))
        start = stop
    return outputs


def _spatial_weighting(x, name):
    """Weighs each channel by what is seen anywhere in its branch."""
    channels = x.shape[-1]
    weights = layers.GlobalAveragePooling2D(keepdims=True, name=f"{name}-mean")(x)
    for index, (filters, activation) in enumerate(
        ((channels // SPATIAL_RATIO, "relu"), (channels, "sigmoid")), start=1
    ):
        weights = conv(
            weights,
            filters,
            1,
            f"{name}-conv{index}-conv",
            use_bias=True,
            activation=activation,
        )
    return layers.Multiply(name=f"{name}-scale")([x, weights])


def _fuse(branches, name):
    """Adds every branch into every other one, as mmpose's code does.

    The official weights rely on a slip there: the first branch is summed up in place, so
    it counts twice, and the others receive its sum (not yet rectified), twice as well.
    The reference computes that path twice over; here its result is doubled.

    Args:
        branches: list of (B, H / 2**i, W / 2**i, C * 2**i) tensors, i = 0, 1, ...
        name: prefix of the layer names.

    Returns:
        A list of tensors with the shapes of `branches`.
    """
    sources = list(branches)
    fused = []
    for to, target in enumerate(branches):
        terms = [
            _resample(source, to - index, target.shape[-1], f"{name}-{to}-{index}")
            for index, source in enumerate(sources)
        ]
        total = layers.Add(name=f"{name}-{to}-add")([terms[0], *terms])
        if to == 0:
            sources[0] = total
        fused.append(layers.ReLU(name=f"{name}-{to}-relu")(total))
    return fused


def _resample(x, steps, channels, name):
    """Halves the resolution `steps` times; doubles it where steps are negative."""
    if steps < 0:
        x = _conv(x, channels, 1, f"{name}-0")
        x = batch_norm(x, f"{name}-1")
        return upsample_nearest(x, 2**-steps, f"{name}-2")
    for step in range(steps):
        is_last = step == steps - 1
        width = channels if is_last else x.shape[-1]
        activation = None if is_last else "relu"
        x = _separable(x, width, f"{name}-{step}", 2, activation)
    return x


def _iterative_head(branches):
    """Adds each branch into the next higher one, from the lowest on.

    Returns:
        (B, H / 4, W / 4, CHANNELS[0]) tensor.
    """
    x = None
    for index, branch in enumerate(reversed(branches)):
        name = f"head_layer-projects-{index}"
        if x is not None:
            x = ResizeAlignedCorners(branch.shape[1:3], name=f"{name}-resize")(x)
            x = layers.Add(name=f"{name}-add")([branch, x])
        else:
            x = branch
        channels = branches[max(len(branches) - 2 - index, 0)].shape[-1]
        x = depthwise_bn(x, f"{name}-depthwise_conv")
        x = conv_bn(x, channels, 1, f"{name}-pointwise_conv", activation="relu")
    return x


def _separable(x, filters, name, strides, activation):
    """Convolves each channel, then mixes them; layers are numbered as in a sequence."""
    x = _depthwise(x, f"{name}-0", strides)
    x = batch_norm(x, f"{name}-1")
    x = _conv(x, filters, 1, f"{name}-2")
    x = batch_norm(x, f"{name}-3")
    return layers.Activation(activation, name=f"{name}-4")(x) if activation else x


def conv_bn(x, filters, kernel_size, name, strides=1, activation=None):
    """Convolves and normalises; `activation` follows, if there is one."""
    x = _conv(x, filters, kernel_size, f"{name}-conv", strides)
    x = batch_norm(x, f"{name}-bn")
    return layers.Activation(activation, name=f"{name}-activate")(x) if activation else x


def depthwise_bn(x, name, strides=1):
    """Convolves each channel with a 3x3 kernel, and normalises."""
    return batch_norm(_depthwise(x, f"{name}-conv", strides), f"{name}-bn")


def _conv(x, filters, kernel_size, name, strides=1):
    return conv(x, filters, kernel_size, name, strides)


def _depthwise(x, name, strides):
    return depthwise_conv(x, 3, name, strides, depthwise_initializer=small_normal())


def halves(x, name):
    """Cuts the channels in two."""
    half = x.shape[-1] // 2
    return [
        ChannelSlice(0, half, name=f"{name}-first")(x),
        ChannelSlice(half, 2 * half, name=f"{name}-second")(x),
    ]


def shuffle(first, second, name):
    """Joins two tensors so that their channels take turns."""
    height, width, half = first.shape[1:]
    x = layers.Concatenate(name=f"{name}-concat")([first, second])
    # Rows and columns as one: phones' accelerators take four dimensions, not five.
    x = layers.Reshape((height * width, 2, half), name=f"{name}-split")(x)
    x = layers.Permute((1, 3, 2), name=f"{name}-permute")(x)
    return layers.Reshape((height, width, 2 * half), name=name)(x)
