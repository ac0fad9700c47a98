"""Stacked Hourglass, with intermediate supervision.

Source: Newell et al. 2016 (arXiv:1603.06937), sec. 3; reference code
bearpaw/pytorch-pose, `pose/models/hourglass.py`, with one residual per place, as in its
published checkpoints. It differs from the original in one block: the second residual
after the stem widens to 256 channels, not to 128.
"""

from __future__ import annotations

import keras
from keras import layers

from keras_pose.models.layers import (
    batch_norm,
    conv,
    heatmap_conv,
    image_input,
    torch_start,
    upsample_nearest,
)

FEATURES = 256
DEPTH = 4


def build_hourglass(num_keypoints, input_hw, num_stacks, name="hourglass"):
    """Builds a stack of hourglasses.

    Args:
        num_keypoints: heatmaps to predict, K.
        input_hw: model input (height, width), pixels, multiples of 64.
        num_stacks: hourglasses, one after the other.
        name: model name.

    Returns:
        A model from (B, H, W, 3) to a list of `num_stacks` (B, H / 4, W / 4, K)
        tensors, one per stack, the last being the best; to the tensor itself for a
        single stack.
    """
    image = image_input(input_hw)
    x = _stem(image)
    heatmaps = []
    for stack in range(num_stacks):
        y = _hourglass(x, DEPTH, f"hg-{stack}-hg")
        y = _residual(y, FEATURES, f"res-{stack}-0")
        y = _torch_conv(y, FEATURES, 1, f"fc-{stack}-0")
        y = _bn_relu(y, f"fc-{stack}-1")
        score = heatmap_conv(y, num_keypoints, f"score-{stack}", **torch_start(FEATURES))
        heatmaps.append(score)
        if stack < num_stacks - 1:
            x = _feed_back(x, y, score, stack)
    outputs = heatmaps if num_stacks > 1 else heatmaps[0]
    return keras.Model(image, outputs, name=name)


def _stem(image):
    """Newell et al. 2016, sec. 3.2: down to (B, H / 4, W / 4, 256)."""
    x = _torch_conv(image, 64, 7, "conv1", strides=2)
    x = _bn_relu(x, "bn1")
    x = _residual(x, 128, "layer1-0")
    x = layers.MaxPooling2D(2, name="maxpool")(x)
    x = _residual(x, FEATURES, "layer2-0")
    return _residual(x, FEATURES, "layer3-0")


def _hourglass(x, depth, name):
    """Pools, recurs, and comes back up; a skip keeps this resolution.

    Source: Newell et al. 2016, sec. 3.1, fig. 3.

    Args:
        x: (B, H, W, 256) tensor, H and W multiples of 2**depth.
        depth: poolings to come.
        name: prefix of the layer names; level depth - 1 is the outermost.

    Returns:
        A tensor of the shape of `x`.
    """
    level = f"{name}-{depth - 1}"
    skip = _residual(x, FEATURES, f"{level}-0-0")
    low = layers.MaxPooling2D(2, name=f"{level}-maxpool")(x)
    low = _residual(low, FEATURES, f"{level}-1-0")
    if depth > 1:
        low = _hourglass(low, depth - 1, name)
    else:
        low = _residual(low, FEATURES, f"{level}-3-0")
    low = _residual(low, FEATURES, f"{level}-2-0")
    up = upsample_nearest(low, 2, f"{level}-upsample")
    return layers.Add(name=f"{level}-add")([skip, up])


def _residual(x, filters, name):
    """Adds a pre-activated bottleneck to `x`.

    Source: He et al. 2016 (arXiv:1603.05027), fig. 1b.
    """
    narrow = filters // 2
    residual = _bn_relu(x, f"{name}-bn1")
    residual = _torch_conv(residual, narrow, 1, f"{name}-conv1")
    residual = _bn_relu(residual, f"{name}-bn2")
    residual = _torch_conv(residual, narrow, 3, f"{name}-conv2")
    residual = _bn_relu(residual, f"{name}-bn3")
    residual = _torch_conv(residual, filters, 1, f"{name}-conv3")
    if x.shape[-1] != filters:
        x = _torch_conv(x, filters, 1, f"{name}-downsample-0")
    return layers.Add(name=f"{name}-add")([residual, x])


def _feed_back(x, features, score, stack):
    """Gives the next hourglass this one's features and heatmaps.

    Source: Newell et al. 2016, sec. 3.3 "Stacked Hourglass with Intermediate
    Supervision", fig. 4.
    """
    features = _torch_conv(features, FEATURES, 1, f"fc_-{stack}")
    score = _torch_conv(score, FEATURES, 1, f"score_-{stack}")
    return layers.Add(name=f"feedback-{stack}-add")([x, features, score])


def _bn_relu(x, name):
    x = batch_norm(x, name)
    return layers.ReLU(name=f"{name}-relu")(x)


def _torch_conv(x, filters, kernel_size, name, strides=1):
    options = torch_start(kernel_size**2 * x.shape[-1])
    return conv(x, filters, kernel_size, name, strides, **options)
