"""PP-TinyPose: a Lite-HRNet without weights for channels, of ShuffleNet V2's units.

Source: PaddleDetection, `configs/keypoint/tiny_pose` and
`ppdet/modeling/backbones/lite_hrnet.py` ("wider_naive"); Yu et al. 2021
(arXiv:2104.06403), sec. 3.1. Layer names as in mmpose's `litehrnet.py` ("NAIVE"), from
which PaddleDetection's differ by words only.
"""

from __future__ import annotations

from keras_pose.models.lite_hrnet import (
    BLOCKS_PER_MODULE,
    build_of_blocks,
    conv_bn,
    depthwise_bn,
    halves,
    shuffle,
)


def build_tiny_pose(num_keypoints, input_hw, num_modules, name="tiny_pose"):
    """Builds a PP-TinyPose.

    Args:
        num_keypoints: heatmaps to predict, K.
        input_hw: model input (height, width), pixels, multiples of 32.
        num_modules: modules of the stages with 2, 3 and 4 branches.
        name: model name.

    Returns:
        A model from (B, H, W, 3) to (B, H / 4, W / 4, K).
    """
    return build_of_blocks(_shuffle_units, num_keypoints, input_hw, num_modules, name)


def _shuffle_units(branches, name):
    """Puts each branch through units of its own."""
    outputs = []
    for i, x in enumerate(branches):
        for unit in range(BLOCKS_PER_MODULE):
            x = _shuffle_unit(x, f"{name}-{i}-{unit}")
        outputs.append(x)
    return outputs


def _shuffle_unit(x, name):
    """Convolves one half of the channels and mixes it with the other.

    Source: Ma et al. 2018 (arXiv:1807.11164), fig. 3 (c).

    Args:
        x: (B, H, W, C) tensor, C even.
        name: prefix of the layer names.

    Returns:
        A tensor of the same shape.
    """
    first, second = halves(x, name)
    channels = second.shape[-1]
    second = conv_bn(second, channels, 1, f"{name}-branch2-0", activation="relu")
    second = depthwise_bn(second, f"{name}-branch2-1")
    second = conv_bn(second, channels, 1, f"{name}-branch2-2", activation="relu")
    return shuffle(first, second, f"{name}-shuffle")
