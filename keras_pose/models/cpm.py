"""Convolutional Pose Machines: six stages of large convolutions, each correcting the last.

Source: Wei et al. 2016 (arXiv:1602.00134), sec. 3, in two forms:

- `build_cpm`, mmpose's: batch norm, no centre map. Reference code open-mmlab/mmpose,
  `models/backbones/cpm.py`.
- `build_cpm_mpii`, the authors' own: shihenw/convolutional-pose-machines-release,
  `model/_trained_MPI/pose_deploy_centerMap.prototxt`. A Gaussian at the person's centre
  is a fourth input channel there, and every belief map has a background channel.

Both work at stride 8.
"""

from __future__ import annotations

import keras
import numpy as np
from keras import layers, ops

from keras_pose.models.layers import batch_norm, conv, heatmap_conv, image_input

NUM_STAGES = 6
FEATURES = 128
# Convolutions of a refining stage that see 11x11 pixels at stride 8 each.
LARGE_CONVS = 3
# `param.model(1).sigma` and `.boxsize` in testing/config.m of the authors' code, pixels.
CENTER_SIGMA = 21
CENTER_BOX_SIZE = 368


@keras.saving.register_keras_serializable(package="keras_pose")
class CenterMap(layers.Layer):
    """A constant image: a Gaussian of height 1 in the middle, where the person is.

    Source: `produceCenterLabelMap` in testing/src/applyModel.m of the authors' code. As
    everywhere in this package the middle of a crop is (W / 2, H / 2), with pixel centres
    at integers; the authors' crops have it one pixel further up and left.

    Attributes:
        sigma: standard deviation, pixels.
    """

    def __init__(self, sigma, **options):
        super().__init__(**options)
        self.sigma = sigma

    def call(self, image):
        """Returns (B, H, W, 1) for (B, H, W, C), of which only the shape counts."""
        height, width = image.shape[1:3]
        rows = np.exp(-((np.arange(height) - height / 2) ** 2) / (2 * self.sigma**2))
        columns = np.exp(-((np.arange(width) - width / 2) ** 2) / (2 * self.sigma**2))
        center_map = ops.convert_to_tensor(np.outer(rows, columns), self.compute_dtype)
        shape = (ops.shape(image)[0], height, width, 1)
        return ops.broadcast_to(center_map[None, :, :, None], shape)

    def compute_output_shape(self, input_shape):
        return (*input_shape[:3], 1)

    def get_config(self):
        return super().get_config() | {"sigma": self.sigma}


def build_cpm(num_keypoints, input_hw, name="cpm"):
    """Builds mmpose's form.

    Args:
        num_keypoints: heatmaps to predict, K.
        input_hw: model input (height, width), pixels, multiples of 8.
        name: model name.

    Returns:
        A model from (B, H, W, 3) to a list of six (B, H / 8, W / 8, K) tensors, one per
        stage, the last being the best.
    """
    image = image_input(input_hw)
    x = _pooled_features(image, "stem")
    x = _conv_bn_relu(x, 32, 5, "stem-6")
    x = _conv_bn_relu(x, 512, 9, "stem-7")
    x = _conv_bn_relu(x, 512, 1, "stem-8")
    heatmaps = [heatmap_conv(x, num_keypoints, "stem-9-conv")]
    features = _pooled_features(image, "middle")
    for stage in range(NUM_STAGES - 1):
        seen = _conv_bn_relu(features, 32, 5, f"middle_conv-{stage}-0")
        x = layers.Concatenate(name=f"concat-{stage}")([heatmaps[-1], seen])
        for index in range(LARGE_CONVS):
            x = _conv_bn_relu(x, FEATURES, 11, f"cpm_stages-{stage}-model-{index}")
        x = _conv_bn_relu(x, FEATURES, 1, f"out_convs-{stage}-0")
        heatmaps.append(heatmap_conv(x, num_keypoints, f"out_convs-{stage}-1-conv"))
    return keras.Model(image, heatmaps, name=name)


def _pooled_features(image, name):
    """Wei et al. 2016, fig. 2: three 9x9 convolutions, each halved by max pooling."""
    x = image
    for index in (0, 2, 4):
        x = _conv_bn_relu(x, FEATURES, 9, f"{name}-{index}")
        # PyTorch pads with -inf; after a ReLU zeros never win either.
        x = layers.ZeroPadding2D(1, name=f"{name}-{index + 1}_pad")(x)
        x = layers.MaxPooling2D(3, strides=2, name=f"{name}-{index + 1}")(x)
    return x


def _conv_bn_relu(x, filters, kernel_size, name):
    x = conv(x, filters, kernel_size, f"{name}-conv")
    x = batch_norm(x, f"{name}-bn")
    return layers.ReLU(name=f"{name}-activate")(x)


def build_cpm_mpii(num_keypoints, input_hw, name="cpm_mpii"):
    """Builds the authors' form, with the centre map made inside.

    The stages hand the background channel on to each other; it is cut off the outputs.

    Args:
        num_keypoints: heatmaps to predict, K; the authors' 14 leave out the chest.
        input_hw: model input (height, width), pixels, multiples of 8.
        name: model name.

    Returns:
        A model from (B, H, W, 3) to a list of six (B, H / 8, W / 8, K) tensors, one per
        stage, the last being the best.
    """
    image = image_input(input_hw)
    # People fill a crop as they fill the authors' box, whatever its size.
    sigma = CENTER_SIGMA * input_hw[0] / CENTER_BOX_SIZE
    center_map = CenterMap(sigma, name="center_map")(image)
    beliefs = cpm_mpii_stages(image, center_map, num_keypoints + 1)
    heatmaps = [
        layers.Identity(name=f"heatmaps_stage{stage}", dtype="float32")(
            belief[..., :num_keypoints]
        )
        for stage, belief in enumerate(beliefs, 1)
    ]
    return keras.Model(image, heatmaps, name=name)


def cpm_mpii_stages(image, center_map, num_channels):
    """Computes the belief maps of the authors' form.

    Args:
        image: (B, H, W, 3) tensor.
        center_map: (B, H, W, 1) tensor.
        num_channels: keypoints and background.

    Returns:
        A list of six (B, H / 8, W / 8, num_channels) tensors.
    """
    # Caffe rounds the sizes of pooled maps up, and averages real pixels only: as "same".
    center = layers.AveragePooling2D(9, 8, padding="same", name="pool_center_lower")(
        center_map
    )
    x = _caffe_pooled_features(image, "stage1")
    x = _caffe_conv_relu(x, 32, 5, "conv4_stage1")
    x = _caffe_conv_relu(x, 512, 9, "conv5_stage1")
    x = _caffe_conv_relu(x, 512, 1, "conv6_stage1")
    beliefs = [heatmap_conv(x, num_channels, "conv7_stage1")]
    features = _caffe_pooled_features(image, "stage2")
    for stage in range(2, NUM_STAGES + 1):
        # Stage 2 computes the features that all later ones share, hence its other number.
        seen = _caffe_conv_relu(
            features, 32, 5, f"conv{4 if stage == 2 else 1}_stage{stage}"
        )
        x = layers.Concatenate(name=f"concat_stage{stage}")([seen, beliefs[-1], center])
        for number in range(1, LARGE_CONVS + 1):
            x = _caffe_conv_relu(x, FEATURES, 11, f"Mconv{number}_stage{stage}")
        x = _caffe_conv_relu(x, FEATURES, 1, f"Mconv4_stage{stage}")
        beliefs.append(heatmap_conv(x, num_channels, f"Mconv5_stage{stage}"))
    return beliefs


def _caffe_pooled_features(image, stage):
    x = image
    for number in (1, 2, 3):
        x = _caffe_conv_relu(x, FEATURES, 9, f"conv{number}_{stage}")
        x = layers.MaxPooling2D(3, 2, padding="same", name=f"pool{number}_{stage}")(x)
    return x


def _caffe_conv_relu(x, filters, kernel_size, name):
    # Without batch norm a start at 0.001 would leave nothing of the image.
    x = conv(x, filters, kernel_size, name, use_bias=True, kernel_initializer="he_normal")
    return layers.ReLU(name=f"{name}-relu")(x)
