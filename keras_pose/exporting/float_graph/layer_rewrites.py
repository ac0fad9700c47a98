"""Exact replacements of what converters make costly operators of.

Nearest upsampling is one of Keras' layers, but reaches TFLite as RESHAPE and TILE over five
dimensions: GPU and NPU delegates take four, and XNNPACK has no TILE, so that every place
where resolutions meet breaks the graph in pieces. Two other forms give the same numbers:

- four copies side by side, of which DEPTH_TO_SPACE makes blocks of two by two pixels: CPU,
  GPU and NPU take both operators. For `.tflite` files.
- a resize that takes the nearest pixel. XNNPACK has none, but ONNX Runtime is faster with
  it than with Tile. For `.onnx` files.

A resize whose outermost pixel centres meet (Lite-HRNet's head) is two products with fixed
matrices in Keras, but one operator in `.tflite` files, the same up to rounding. XNNPACK has
no products of integer matrices, and it has the operator.

A rectifier that stands by itself has no integer kernel in XNNPACK; one behind a convolution
is part of it. Converters put it there unless others read the unrectified sum, as where
Lite-HRNet's branches meet. For those a convolution of one weight, 1, is put in between.

A batch norm that no convolution takes in, as in pre-activation blocks, becomes a product
and a sum, with a rounding each in int8, and one scale for the factors of all channels. As a
convolution of one weight a channel it rounds once, and has a scale for each.

Means of square blocks have no integer kernel in XNNPACK, either, and keep the scale of
what they average; as convolutions that divide by the number of pixels they have both.

Keras adds single pixels, as where an hourglass is narrowest, as if one were the other's
bias. tf2onnx makes it that of a convolution that has one already, which no runtime takes.

A convolution of groups of channels is an operator of both formats; of Keras on a CPU it is
one for each group.

Keras writes the exact GELU with the complement of the error function, which ONNX has not.
It has the error function itself.

Pads stay: XNNPACK folds them into the convolution that follows (measured: the two take as
long as the convolution alone), and no "same" convolution with stride 2 is padded alike on
both sides.
"""

from __future__ import annotations

import functools
import math
from typing import Any

import tensorflow as tf
from keras import activations, layers

from keras_pose.models.own_layers import GroupedConv2D, ResizeAlignedCorners

# Delegates take few inputs at a concatenation (XNNPACK: 5), so each step doubles.
BLOCK = 2

_CONVOLUTIONS = (layers.Conv2D, layers.DepthwiseConv2D, layers.Conv2DTranspose)


class _Upsampling(layers.Layer):
    """Repeats every pixel `factor` times in both directions.

    Attributes:
        factor: output pixels per input pixel, a power of 2.
    """

    def __init__(self, factor: int, **options: Any):
        super().__init__(**options)
        self.factor = factor

    def compute_output_shape(self, input_shape):
        batch, height, width, channels = input_shape
        return batch, self.factor * height, self.factor * width, channels


class BlockUpsampling(_Upsampling):
    """Upsampling by copies that become blocks of pixels."""

    def call(self, x):
        """Maps (B, H, W, C) to (B, factor H, factor W, C)."""
        for _ in range(self.factor.bit_length() - 1):
            x = tf.nn.depth_to_space(tf.concat([x] * BLOCK**2, axis=-1), BLOCK)
        return x


class ResizeUpsampling(_Upsampling):
    """Upsampling by a resize to the nearest pixel."""

    def call(self, x):
        """Maps (B, H, W, C) to (B, factor H, factor W, C)."""
        size_hw = [self.factor * size for size in x.shape[1:3]]
        # With pixels' corners at integers: new pixel i takes the old one at i // factor.
        return tf.raw_ops.ResizeNearestNeighbor(images=x, size=size_hw)


class AlignedResize(layers.Layer):
    """Resizes bilinearly so that the outermost pixel centres meet.

    Attributes:
        size_hw: (height, width) of the result, pixels.
    """

    def __init__(self, size_hw, **options: Any):
        super().__init__(**options)
        self.size_hw = size_hw

    def compute_output_shape(self, input_shape):
        return input_shape[0], *self.size_hw, input_shape[-1]

    def call(self, x):
        """Maps (B, h, w, C) to (B, H, W, C)."""
        return tf.raw_ops.ResizeBilinear(images=x, size=self.size_hw, align_corners=True)


class ConvolvedReLU(layers.Layer):
    """max(x, 0) as the activation of a convolution that multiplies by 1."""

    def compute_output_shape(self, input_shape):
        return input_shape

    def call(self, x):
        """Maps (B, H, W, C) to the same shape."""
        one = tf.ones((1, 1, x.shape[-1], 1), x.dtype)
        return tf.nn.relu(tf.nn.depthwise_conv2d(x, one, [1, 1, 1, 1], "VALID"))


class ConvolvedNorm(layers.BatchNormalization):
    """A batch norm as a convolution of one weight a channel.

    It goes by the moving statistics. Its weights are those of the norm that it is made of.
    """

    def call(self, x, training=False, mask=None):
        """Maps (B, H, W, C) to the same shape."""
        factor = tf.math.rsqrt(tf.convert_to_tensor(self.moving_variance) + self.epsilon)
        if self.gamma is not None:
            factor *= tf.convert_to_tensor(self.gamma)
        offset = -tf.convert_to_tensor(self.moving_mean) * factor
        if self.beta is not None:
            offset += tf.convert_to_tensor(self.beta)
        kernel = tf.reshape(factor, (1, 1, -1, 1))
        scaled = tf.nn.depthwise_conv2d(x, kernel, [1, 1, 1, 1], "VALID")
        return tf.nn.bias_add(scaled, offset)


class BlockMean(layers.Layer):
    """Means of square blocks of pixels, by a convolution.

    Attributes:
        size: pixels of a block's side.
    """

    def __init__(self, size: int, **options: Any):
        super().__init__(**options)
        self.size = size

    def compute_output_shape(self, input_shape):
        batch, height, width, channels = input_shape
        return batch, height // self.size, width // self.size, channels

    def call(self, x):
        """Maps (B, size H, size W, C) to (B, H, W, C)."""
        shares = tf.fill((self.size, self.size, x.shape[-1], 1), 1 / self.size**2)
        strides = [1, self.size, self.size, 1]
        return tf.nn.depthwise_conv2d(x, tf.cast(shares, x.dtype), strides, "VALID")


class PlainSum(layers.Layer):
    """A sum of maps of one pixel."""

    def compute_output_shape(self, input_shape):
        return input_shape[0]

    def call(self, maps):
        """Maps a list of (B, 1, 1, C) to the same shape."""
        return functools.reduce(tf.add, maps)


class ErfGELU(layers.Layer):
    """x times the share of a normal distribution that lies below x."""

    def compute_output_shape(self, input_shape):
        return input_shape

    def call(self, x):
        """Maps any shape to the same."""
        return x * (tf.math.erf(x / math.sqrt(2)) + 1) * 0.5


def nodes_of(model) -> frozenset[int]:
    """Returns the calls of layers that make up a functional model, by their `id`.

    Keras notes every call at the layers: also those of other models that read this one's
    tensors, or that it is a part of.
    """
    calls = model._nodes_by_depth.values()
    return frozenset(id(node) for nodes in calls for node in nodes)


def _own(nodes, own: frozenset[int] | None) -> list:
    return [node for node in nodes if own is None or id(node) in own]


class OneGroupedConv2D(layers.Conv2D):
    """A convolution of groups as one operator, which is traced, but not run, on a CPU."""

    def convolution_op(self, inputs, kernel):
        return tf.nn.conv2d(inputs, kernel, self.strides, self.padding.upper())


def tflite_replacement(
    layer: layers.Layer, own: frozenset[int] | None = None
) -> layers.Layer | None:
    """Returns a layer that computes the same and costs less in a `.tflite` file.

    It has the layer's name, and weights if the layer has any. None for all layers
    that stay.

    Args:
        layer: layer of a functional model.
        own: `nodes_of` the model; None for a layer of one model alone.
    """
    if _is_lone_norm(layer, own):
        return ConvolvedNorm.from_config(layer.get_config() | {"dtype": "float32"})
    if _adds_pixels(layer, own):
        return PlainSum(name=layer.name, dtype="float32")
    if _is_lone_relu(layer, own):
        return ConvolvedReLU(name=layer.name, dtype="float32")
    if isinstance(layer, ResizeAlignedCorners):
        return AlignedResize(layer.size_hw, name=layer.name, dtype="float32")
    if _averages_blocks(layer):
        return BlockMean(layer.pool_size[0], name=layer.name, dtype="float32")
    return _at_once(layer) or _upsampling(layer, BlockUpsampling)


def _at_once(layer) -> layers.Layer | None:
    """Returns one operator for a convolution of groups, which is several in Keras."""
    if not isinstance(layer, GroupedConv2D):
        return None
    return OneGroupedConv2D.from_config(layer.get_config() | {"dtype": "float32"})


def _is_lone_relu(layer, own) -> bool:
    """Returns True for rectifiers of maps that others also read unrectified."""
    config = layer.get_config()
    is_plain = isinstance(layer, layers.ReLU) and not (
        config["max_value"] or config["negative_slope"] or config["threshold"]
    )
    calls = _own(layer._inbound_nodes, own)
    if not is_plain or len(calls) != 1:
        return False
    (source,) = calls[0].input_tensors
    readers = _own(source._keras_history.operation._outbound_nodes, own)
    return len(source.shape) == 4 and len(readers) > 1


def _is_lone_norm(layer, own) -> bool:
    """Returns True for batch norms of maps that converters leave beside a convolution."""
    calls = _own(layer._inbound_nodes, own)
    if not isinstance(layer, layers.BatchNormalization) or len(calls) != 1:
        return False
    (source,) = calls[0].input_tensors
    if len(source.shape) != 4 or layer.axis not in (-1, 3):
        return False
    before = source._keras_history.operation
    is_read_alone = len(_own(before._outbound_nodes, own)) == 1
    is_linear = getattr(before, "activation", None) in (None, activations.linear)
    return not (isinstance(before, _CONVOLUTIONS) and is_read_alone and is_linear)


def _adds_pixels(layer, own) -> bool:
    calls = _own(layer._inbound_nodes, own)
    if not isinstance(layer, layers.Add) or len(calls) != 1:
        return False
    shapes = [tuple(x.shape[1:]) for x in calls[0].input_tensors]
    return len(set(shapes)) == 1 and shapes[0][:-1] == (1, 1)


def _averages_blocks(layer) -> bool:
    if not isinstance(layer, layers.AveragePooling2D) or layer.padding != "valid":
        return False
    is_square = len({*layer.pool_size, *layer.strides}) == 1
    return is_square and layer.data_format == "channels_last"


def onnx_replacement(
    layer: layers.Layer, own: frozenset[int] | None = None
) -> layers.Layer | None:
    """Does for `.onnx` files what `tflite_replacement` does for `.tflite`."""
    if _adds_pixels(layer, own):
        return PlainSum(name=layer.name, dtype="float32")
    if isinstance(layer, layers.Activation) and layer.activation is activations.gelu:
        return ErfGELU(name=layer.name, dtype="float32")
    return _at_once(layer) or _upsampling(layer, ResizeUpsampling)


def _upsampling(layer, kind: type[_Upsampling]) -> layers.Layer | None:
    if not isinstance(layer, layers.UpSampling2D) or layer.interpolation != "nearest":
        return None
    rows, columns = layer.size
    is_power_of_2 = rows & (rows - 1) == 0
    if rows != columns or not is_power_of_2 or layer.data_format != "channels_last":
        return None
    return kind(rows, name=layer.name, dtype="float32")
