"""Stacked Hourglass in the form of its authors' group.

Source: Newell et al. 2016 (arXiv:1603.06937), sec. 3; reference code
princeton-vl/pytorch_stacked_hourglass, `models/posenet.py` and `models/layers.py`. It
differs from `models.hourglass` (bearpaw's) in the stem, which widens to 256 channels one
residual later, as the original does, and in its names.

Every residual of the reference holds a 1x1 convolution for its shortcut, and applies it
only where the channels change. We build those alone: `weights` leaves the rest out.
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


def build_hourglass_princeton(
    num_keypoints, input_hw, num_stacks, name="hourglass_princeton"
):
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
        features = _hourglass(x, DEPTH, f"hgs-{stack}-0")
        features = _residual(features, FEATURES, f"features-{stack}-0")
        features = _conv_bn_relu(features, FEATURES, 1, f"features-{stack}-1")
        score = heatmap_conv(
            features, num_keypoints, f"outs-{stack}-conv", **torch_start(FEATURES)
        )
        heatmaps.append(score)
        if stack < num_stacks - 1:
            features = _torch_conv(features, FEATURES, 1, f"merge_features-{stack}-conv")
            score = _torch_conv(score, FEATURES, 1, f"merge_preds-{stack}-conv")
            x = layers.Add(name=f"merge-{stack}-add")([x, score, features])
    outputs = heatmaps if num_stacks > 1 else heatmaps[0]
    return keras.Model(image, outputs, name=name)


def _stem(image):
    """Newell et al. 2016, sec. 3.2: down to (B, H / 4, W / 4, 256)."""
    x = _conv_bn_relu(image, 64, 7, "pre-0", strides=2)
    x = _residual(x, 128, "pre-1")
    x = layers.MaxPooling2D(2, name="pre-2")(x)
    x = _residual(x, 128, "pre-3")
    return _residual(x, FEATURES, "pre-4")


def _hourglass(x, depth, name):
    """Pools, recurs, and comes back up; a skip keeps this resolution.

    Source: Newell et al. 2016, sec. 3.1, fig. 3.

    Args:
        x: (B, H, W, 256) tensor, H and W multiples of 2**depth.
        depth: poolings to come.
        name: prefix of the layer names.

    Returns:
        A tensor of the shape of `x`.
    """
    skip = _residual(x, FEATURES, f"{name}-up1")
    low = layers.MaxPooling2D(2, name=f"{name}-pool1")(x)
    low = _residual(low, FEATURES, f"{name}-low1")
    if depth > 1:
        low = _hourglass(low, depth - 1, f"{name}-low2")
    else:
        low = _residual(low, FEATURES, f"{name}-low2")
    low = _residual(low, FEATURES, f"{name}-low3")
    up = upsample_nearest(low, 2, f"{name}-up2")
    return layers.Add(name=f"{name}-add")([skip, up])


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
        x = _torch_conv(x, filters, 1, f"{name}-skip_layer")
    return layers.Add(name=f"{name}-add")([residual, x])


def _conv_bn_relu(x, filters, kernel_size, name, strides=1):
    x = _torch_conv(x, filters, kernel_size, name, strides)
    return _bn_relu(x, f"{name}-bn")


def _bn_relu(x, name):
    x = batch_norm(x, name)
    return layers.ReLU(name=f"{name}-relu")(x)


def _torch_conv(x, filters, kernel_size, name, strides=1):
    """The reference wraps every convolution, hence the "conv" at the end of its name."""
    options = torch_start(kernel_size**2 * x.shape[-1])
    return conv(x, filters, kernel_size, f"{name}-conv", strides, **options)
