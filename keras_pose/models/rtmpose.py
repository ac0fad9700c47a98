"""RTMPose: keypoints as two classifications, over the columns and over the rows.

Source: Jiang et al. 2023 (arXiv:2303.07399), sec. 3.3; layer names as in mmpose,
`mmpose/models/heads/coord_cls_heads/rtmcc_head.py` and `models/utils/rtmcc_block.py`.
"""

from __future__ import annotations

import keras
from keras import layers

from keras_pose.models.cspnext import cspnext
from keras_pose.models.layers import conv, image_input, small_normal
from keras_pose.models.own_layers import GatedAttention, ScaleNorm, ScaleResidual

# Bins per input pixel.
SPLIT_RATIO = 2
FINAL_KERNEL = 7
HIDDEN = 256
EXPANDED = 512
ATTENTION = 128


def build_rtmpose(num_keypoints, input_hw, width, depth, name="rtmpose"):
    """Builds an RTMPose.

    The shapes of the first dense layer and of the last ones depend on the input size, so
    weights fit only the size they were trained for.

    Args:
        num_keypoints: keypoints to predict, K.
        input_hw: model input (height, width), pixels, multiples of 32.
        width: factor on the backbone's channels.
        depth: factor on the backbone's blocks.
        name: model name.

    Returns:
        A model from (B, H, W, 3) to (B, K, 2 W + 2 H): the columns' bins, then the rows'.
        These are what mmpose returns as two tensors.
    """
    height, width_in_pixels = input_hw
    image = image_input(input_hw)
    features = cspnext(image, width, depth)[-1]
    maps = conv(
        features,
        num_keypoints,
        FINAL_KERNEL,
        "final_layer",
        use_bias=True,
        kernel_initializer=small_normal(),
    )
    x = describe_keypoints(tokens(maps, "tokens"), HIDDEN, "mlp")
    simcc = classify_keypoints(x, (height, width_in_pixels))
    return keras.Model(image, simcc, name=name)


def tokens(maps, name):
    """Turns maps (B, h, w, K) into one token a keypoint: (B, K, h * w)."""
    num_keypoints = maps.shape[-1]
    flat_name = "flatten" if name == "tokens" else f"{name}-flatten"
    x = layers.Reshape((-1, num_keypoints), name=flat_name)(maps)
    return layers.Permute((2, 1), name=name)(x)


def describe_keypoints(x, units, name):
    """Normalises tokens (B, K, N) and maps them to (B, K, units)."""
    x = ScaleNorm(name=f"{name}-0")(x)
    return _dense(x, units, f"{name}-1")


def classify_keypoints(x, input_hw):
    """Lets the keypoints look at each other, and classifies their columns and rows.

    Args:
        x: (B, K, HIDDEN) tensor.
        input_hw: model input (height, width), pixels.

    Returns:
        (B, K, 2 W + 2 H) float32 tensor: the columns' bins, then the rows'.
    """
    height, width = input_hw
    x = _gated_attention_unit(x, "gau")
    # Half precision would round the differences between neighbouring bins.
    columns = _dense(x, SPLIT_RATIO * width, "cls_x", dtype="float32")
    rows = _dense(x, SPLIT_RATIO * height, "cls_y", dtype="float32")
    return layers.Concatenate(name="simcc", dtype="float32")([columns, rows])


def _gated_attention_unit(x, name):
    """Lets the keypoints look at each other: Hua et al. 2022 (arXiv:2202.10447), sec. 3.

    Args:
        x: (B, K, HIDDEN) tensor.
        name: prefix of the layer names.

    Returns:
        (B, K, HIDDEN) tensor.
    """
    y = ScaleNorm(name=f"{name}-ln")(x)
    y = _dense(y, 2 * EXPANDED + ATTENTION, f"{name}-uv")
    y = layers.Activation("silu", name=f"{name}-act_fn")(y)
    y = GatedAttention(EXPANDED, ATTENTION, name=name)(y)
    y = _dense(y, x.shape[-1], f"{name}-o")
    shortcut = ScaleResidual(name=f"{name}-res_scale")(x)
    return layers.Add(name=f"{name}-add")([shortcut, y])


def _dense(x, units, name, **options):
    """Applies a dense layer without bias, which starts as mmpose's do."""
    start = keras.initializers.RandomNormal(stddev=0.01)
    return layers.Dense(
        units, use_bias=False, kernel_initializer=start, name=name, **options
    )(x)
