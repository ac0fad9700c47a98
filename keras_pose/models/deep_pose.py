"""DeepPose: coordinates by regression, with no heatmaps between.

Source: Toshev and Szegedy 2014 (arXiv:1312.4659), in two forms:

- `build_deep_pose_alexnet`, the paper's own network (sec. 3.1, fig. 2).
- `build_deep_pose_resnet`, a ResNet, the mean of its features, and one dense layer, as
  open-mmlab/mmpose's `RegressionHead` (`fc`) has it.

Both give plain x / width and y / height of the crop, so an untrained one that answers 0.5
means the middle. One such network is also a stage of the cascade (`runtime.cascade`).
"""

from __future__ import annotations

import keras
from keras import layers, ops

from keras_pose.models.layers import conv, image_input, small_normal
from keras_pose.models.simple_baseline import backbone_features

# Channels, kernel and stride of each convolution; fig. 2 of the paper.
ALEXNET_CONVS = ((96, 11, 4), (256, 5, 1), (384, 3, 1), (384, 3, 1), (256, 3, 1))
# Convolutions, counted from 1, after which responses are normalised; and pooled.
NORMALIZED = (1, 2)
POOLED = (1, 2, 5)
ALEXNET_WIDTH = 4096
DROPOUT = 0.6


@keras.saving.register_keras_serializable(package="keras_pose")
class LocalResponseNorm(layers.Layer):
    """Divides every response by those of its neighbour channels at the same place.

    `x / (bias + alpha * sum of squares over `size` channels) ** beta`, with the numbers
    of Krizhevsky et al. 2012 ("ImageNet classification with deep convolutional neural
    networks"), sec. 3.3.

    Attributes:
        size: channels that are summed over, odd; fewer at both ends.
        bias, alpha, beta: constants of the formula.
    """

    def __init__(self, size=5, bias=2.0, alpha=1e-4, beta=0.75, **options):
        super().__init__(**options)
        self.size = size
        self.bias = bias
        self.alpha = alpha
        self.beta = beta

    def call(self, x):
        """Returns a tensor of the shape and type of `x`, (..., C)."""
        # Squares of ordinary responses overflow half precision.
        wide = ops.cast(x, "float32")
        radius = self.size // 2
        no_padding = [[0, 0]] * (len(x.shape) - 1)
        squares = ops.pad(ops.square(wide), [*no_padding, [radius, radius]])
        channels = x.shape[-1]
        total = sum(squares[..., i : i + channels] for i in range(self.size))
        scale = ops.power(self.bias + self.alpha * total, -self.beta)
        return ops.cast(wide * scale, x.dtype)

    def compute_output_shape(self, input_shape):
        return input_shape

    def get_config(self):
        numbers = ("size", "bias", "alpha", "beta")
        return super().get_config() | {name: getattr(self, name) for name in numbers}


def build_deep_pose_alexnet(num_keypoints, input_hw, name="deep_pose_alexnet"):
    """Builds the network of the paper.

    Its sizes are those of fig. 2 (55, 27 and 13 pixels at an input of 220); with the
    channels given there it has 58 million parameters, the text says "about 40M".

    Args:
        num_keypoints: K.
        input_hw: model input (height, width), pixels, at least 60 each.
        name: model name.

    Returns:
        A model from (B, H, W, 3) to (B, K, 2) float32: x / W and y / H.
    """
    image = image_input(input_hw)
    x = image
    for number, (filters, kernel_size, strides) in enumerate(ALEXNET_CONVS, 1):
        x = conv(
            x,
            filters,
            kernel_size,
            f"conv{number}",
            strides,
            use_bias=True,
            kernel_initializer="he_normal",
        )
        x = layers.ReLU(name=f"conv{number}-relu")(x)
        if number in NORMALIZED:
            x = LocalResponseNorm(name=f"norm{number}")(x)
        if number in POOLED:
            x = layers.MaxPooling2D(3, strides=2, name=f"pool{number}")(x)
    x = layers.Flatten(name="flatten")(x)
    for number in (6, 7):
        x = layers.Dense(
            ALEXNET_WIDTH, "relu", kernel_initializer="he_normal", name=f"fc{number}"
        )(x)
        x = layers.Dropout(DROPOUT, name=f"dropout{number}")(x)
    return keras.Model(image, _coordinates(x, num_keypoints, "fc8"), name=name)


def build_deep_pose_resnet(num_keypoints, input_hw, backbone, name="deep_pose_resnet"):
    """Builds the modern form.

    Args:
        num_keypoints: K.
        input_hw: model input (height, width), pixels, multiples of 32.
        backbone: one of `simple_baseline.BACKBONES`.
        name: model name.

    Returns:
        A model from (B, H, W, 3) to (B, K, 2) float32: x / W and y / H.

    Raises:
        ValueError: for an unknown backbone.
    """
    image = image_input(input_hw)
    x = backbone_features(image, backbone)
    x = layers.GlobalAveragePooling2D(name="avgpool")(x)
    return keras.Model(image, _coordinates(x, num_keypoints, "fc"), name=name)


def _coordinates(x, num_keypoints, name):
    """Regresses (B, K, 2) from (B, C), starting at the middle of the crop, in float32."""
    x = layers.Dense(
        2 * num_keypoints,
        kernel_initializer=small_normal(),
        bias_initializer=keras.initializers.Constant(0.5),
        dtype="float32",
        name=name,
    )(x)
    shape = (num_keypoints, 2)
    return layers.Reshape(shape, dtype="float32", name="coordinates")(x)
