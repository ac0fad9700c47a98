"""OpenPose: belief maps and part affinity fields of everybody in a picture at once.

Source: Cao et al. 2017 (arXiv:1611.08050) for the two-branch form of COCO and MPI, Cao et
al. 2019 (arXiv:1812.08008), sec. 3 for BODY_25; reference code
CMU-Perceptual-Computing-Lab/openpose, `models/pose/{coco,mpi}/pose_deploy_linevec.prototxt`
and `models/pose/body_25/pose_deploy.prototxt`. Layers bear Caffe's names, "L1" and "L2"
being the branches. What the channels mean stands in `models.openpose_channels`.

All work at stride 8 on images normalised as `image / 256 - 0.5`, blue first.
"""

from __future__ import annotations

import keras
from keras import layers

from keras_pose.models.layers import conv, heatmap_conv, image_input

# Channels of VGG-19's convolutions up to stride 8 (Simonyan and Zisserman 2015, table 1,
# column E); poolings stand between the groups.
VGG_CHANNELS = ((64, 64), (128, 128), (256, 256, 256, 256), (512, 512))
FEATURES = 128
NUM_STAGES = 6
# BODY_25: channels of every stage's five dense blocks and of the convolution after them.
BODY_25_FIELD_STAGES = ((96, 256), (128, 512), (128, 512), (128, 512))
BODY_25_HEATMAP_STAGES = ((96, 256), (128, 512))
NUM_DENSE_BLOCKS = 5


def build_openpose(
    num_keypoints, input_hw, num_limbs, relu_heatmaps=False, name="openpose"
):
    """Builds the form of COCO and MPI: both kinds of maps side by side, six stages.

    Args:
        num_keypoints: K; there is one more heatmap, the background.
        input_hw: model input (height, width), pixels, multiples of 8.
        num_limbs: L; every limb has an x- and a y-field.
        relu_heatmaps: rectify the last heatmaps, as Hzzone/pytorch-openpose does (its
            list of layers without ReLU names the last field twice instead).
        name: model name.

    Returns:
        A model from (B, H, W, 3) to a list of twelve float32 tensors: fields
        (B, H / 8, W / 8, 2 L) and heatmaps (B, H / 8, W / 8, K + 1) of every stage.
    """
    image = image_input(input_hw)
    features = _features(image, _conv_relu)
    channels = (2 * num_limbs, num_keypoints + 1)
    outputs = [
        _first_stage(features, count, branch) for branch, count in enumerate(channels, 1)
    ]
    for stage in range(2, NUM_STAGES + 1):
        x = layers.Concatenate(name=f"concat_stage{stage}")([*outputs[-2:], features])
        outputs += [
            _later_stage(x, count, f"stage{stage}_L{branch}")
            for branch, count in enumerate(channels, 1)
        ]
    if relu_heatmaps:
        outputs[-1] = layers.ReLU(name="heatmaps-relu", dtype="float32")(outputs[-1])
    return keras.Model(image, outputs, name=name)


def build_openpose_body25(num_keypoints, input_hw, num_limbs, name="openpose_body25"):
    """Builds the form of BODY_25: four stages of fields first, then two of heatmaps.

    Args:
        num_keypoints: K; there is one more heatmap, the background.
        input_hw: model input (height, width), pixels, multiples of 8.
        num_limbs: L; every limb has an x- and a y-field.
        name: model name.

    Returns:
        A model from (B, H, W, 3) to a list of six float32 tensors: four of fields
        (B, H / 8, W / 8, 2 L), then two of heatmaps (B, H / 8, W / 8, K + 1).
    """
    image = image_input(input_hw)
    features = _features(image, _conv_prelu)
    fields: list = []
    heatmaps: list = []
    for stage, widths in enumerate(BODY_25_FIELD_STAGES):
        seen = [features, *fields[-1:]]
        fields.append(_dense_stage(seen, 2 * num_limbs, f"stage{stage}_L2", *widths))
    for stage, widths in enumerate(BODY_25_HEATMAP_STAGES):
        seen = [features, *heatmaps[-1:], fields[-1]]
        heatmaps.append(_dense_stage(seen, num_keypoints + 1, f"stage{stage}_L1", *widths))
    return keras.Model(image, [*fields, *heatmaps], name=name)


def _features(image, conv_of_ours):
    """Computes VGG-19's features to conv4_2, and two convolutions: (B, H / 8, W / 8, 128).

    Args:
        image: (B, H, W, 3) tensor.
        conv_of_ours: makes the last three, the ones that were not VGG's to begin with.
    """
    x = image
    for group, channels in enumerate(VGG_CHANNELS, 1):
        for number, filters in enumerate(channels, 1):
            is_last = group == len(VGG_CHANNELS) and number == len(channels)
            make = conv_of_ours if is_last else _conv_relu
            x = make(x, filters, 3, f"conv{group}_{number}")
        if group < len(VGG_CHANNELS):
            x = layers.MaxPooling2D(2, name=f"pool{group}_stage1")(x)
    x = conv_of_ours(x, 2 * FEATURES, 3, "conv4_3_CPM")
    return conv_of_ours(x, FEATURES, 3, "conv4_4_CPM")


def _first_stage(x, num_channels, branch):
    for number in (1, 2, 3):
        x = _conv_relu(x, FEATURES, 3, f"conv5_{number}_CPM_L{branch}")
    x = _conv_relu(x, 4 * FEATURES, 1, f"conv5_4_CPM_L{branch}")
    return heatmap_conv(x, num_channels, f"conv5_5_CPM_L{branch}")


def _later_stage(x, num_channels, name):
    for number in range(1, 6):
        x = _conv_relu(x, FEATURES, 7, f"Mconv{number}_{name}")
    x = _conv_relu(x, FEATURES, 1, f"Mconv6_{name}")
    return heatmap_conv(x, num_channels, f"Mconv7_{name}")


def _dense_stage(tensors, num_channels, name, width, last_width):
    """Refines by five blocks of three 3x3 convolutions, whose outputs are all kept.

    Source: Cao et al. 2019, sec. 3.2, fig. 3: they see what a 7x7 convolution sees, for
    half its work.

    Args:
        tensors: inputs of the stage, (B, h, w, C_i) each.
        num_channels: channels of the result.
        name: name of the stage, as in `Mconv1_<name>_0`.
        width: channels of every 3x3 convolution.
        last_width: channels of the 1x1 convolution before the result.

    Returns:
        (B, h, w, num_channels) float32 tensor.
    """
    x = tensors[0]
    if len(tensors) > 1:
        x = layers.Concatenate(name=f"concat_{name}")(tensors)
    for block in range(1, NUM_DENSE_BLOCKS + 1):
        parts = []
        for index in range(3):
            x = _conv_prelu(x, width, 3, f"Mconv{block}_{name}_{index}")
            parts.append(x)
        x = layers.Concatenate(name=f"Mconv{block}_{name}_concat")(parts)
    x = _conv_prelu(x, last_width, 1, f"Mconv6_{name}")
    return heatmap_conv(x, num_channels, f"Mconv7_{name}")


def _conv_relu(x, filters, kernel_size, name):
    x = _caffe_conv(x, filters, kernel_size, name)
    return layers.ReLU(name=f"{name}-relu")(x)


def _conv_prelu(x, filters, kernel_size, name):
    """A slope per channel below zero (He et al. 2015, arXiv:1502.01852)."""
    x = _caffe_conv(x, filters, kernel_size, name)
    return layers.PReLU(
        shared_axes=[1, 2],
        alpha_initializer=keras.initializers.Constant(0.25),
        name=name.replace("conv", "prelu"),
    )(x)


def _caffe_conv(x, filters, kernel_size, name):
    # The reference starts from VGG-19; without it and without batch norm, this one keeps
    # the image's contrast through all layers.
    return conv(
        x, filters, kernel_size, name, use_bias=True, kernel_initializer="he_normal"
    )
