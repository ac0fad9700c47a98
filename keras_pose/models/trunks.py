"""Simple Baselines on a trunk from elsewhere: any Keras model from a picture to features.

Source of the head: Xiao et al. 2018 (arXiv:1804.06208), sec. 2, with one transposed
convolution for each halving beyond the stride of the heatmaps.
"""

from __future__ import annotations

import keras

from keras_pose.models.layers import heatmap_conv, image_input
from keras_pose.models.simple_baseline import deconv_bn_relu

STRIDE = 4
# Input pixels per pixel of features that the head can enlarge.
TRUNK_STRIDES = (4, 8, 16, 32)
FINAL_LAYER = "final_layer"


def build_on_trunk(trunk, num_keypoints, input_hw, head_channels=256, name="trunk"):
    """Builds a Simple Baseline on a trunk.

    The trunk's layers are copied with their weights, so that training changes no other
    model that uses them.

    Args:
        trunk: functional Keras model, (B, H, W, 3) pictures -> (B, h, w, C) features; of
            several outputs, and of KerasHub's feature pyramids, the smallest is taken.
        num_keypoints: heatmaps to predict, K.
        input_hw: model input (height, width), pixels, multiples of the trunk's stride.
        head_channels: channels of the head's layers.
        name: model name.

    Returns:
        A model from (B, H, W, 3) to (B, H / 4, W / 4, K).

    Raises:
        ValueError: for a trunk that does not give features of a picture, or of a stride
            that is not one of `TRUNK_STRIDES`.
    """
    image = image_input(input_hw)
    x = trunk_features(trunk, image)
    stride = _checked_stride(trunk, x, input_hw)
    index = 0
    while stride > STRIDE:
        x = deconv_bn_relu(x, head_channels, 3 * index)
        stride, index = stride // 2, index + 1
    return keras.Model(image, heatmap_conv(x, num_keypoints, FINAL_LAYER), name=name)


def trunk_features(trunk, image):
    """Computes a copy of a trunk's features on a picture of a fixed size.

    Args:
        trunk: functional Keras model, as `build_on_trunk` takes it.
        image: (B, H, W, 3) input tensor.
    """
    if not isinstance(trunk, keras.Model) or not hasattr(trunk, "inputs"):
        raise ValueError(
            "A trunk is a functional Keras model from a picture to features, got "
            f"{type(trunk).__name__}."
        )
    if len(trunk.inputs) != 1 or len(trunk.inputs[0].shape) != 4:
        shapes = [tuple(tensor.shape) for tensor in trunk.inputs]
        raise ValueError(
            f"A trunk takes pictures, (B, H, W, 3), and nothing else; {trunk.name} takes "
            f"{shapes}."
        )
    features = keras.Model(trunk.inputs[0], _smallest(trunk))
    copy = keras.models.clone_model(features, input_tensors=image)
    copy.set_weights(features.get_weights())
    return copy.outputs[0]


def _smallest(trunk):
    """Returns the output with the largest stride."""
    pyramid = getattr(trunk, "pyramid_outputs", None)
    if pyramid:
        return pyramid[max(pyramid, key=lambda level: int(level[1:]))]
    return trunk.outputs[-1]


def _checked_stride(trunk, features, input_hw) -> int:
    shape = tuple(features.shape[1:])
    if len(shape) != 3 or None in shape:
        raise ValueError(
            f"A trunk gives features (B, h, w, C); those of {trunk.name} are "
            f"{tuple(features.shape)}: pooled, or tokens without a grid."
        )
    strides = {size / side for size, side in zip(input_hw, shape[:2], strict=True)}
    if len(strides) > 1 or not strides <= set(TRUNK_STRIDES):
        raise ValueError(
            f"The stride of a trunk must be one of {TRUNK_STRIDES} and divide the input; "
            f"{trunk.name} makes {shape[0]} x {shape[1]} features of {input_hw[0]} x "
            f"{input_hw[1]} pixels."
        )
    return int(strides.pop())


def with_new_head(model, num_keypoints: int):
    """Returns a model on the same body for another number of keypoints.

    Layers of the body, and so their weights, are the model's own.
    """
    x = model.get_layer(FINAL_LAYER).input
    heatmaps = heatmap_conv(x, num_keypoints, FINAL_LAYER)
    return keras.Model(model.inputs, heatmaps, name=model.name)
