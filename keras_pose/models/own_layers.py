"""Layers that Keras does not have: pieces of RTMPose, RTMW, ViTPose, Lite-HRNet, and of
the head for visibility.

Each names its weights as the reference does, by `torch_names()`, and counts its own work,
by `macs()`. Files that hold such layers load once this module is imported.
"""

from __future__ import annotations

import keras
import numpy as np
from keras import layers, ops

PACKAGE = "keras_pose"


@keras.saving.register_keras_serializable(PACKAGE)
class ScaleNorm(layers.Layer):
    """Divides by the root mean square of the last axis, and scales by one learned number.

    Source: Nguyen and Salazar 2019 (arXiv:1910.05895), sec. 2.2, whose norm is here also
    divided by the root of the number of channels, as in mmpose's `ScaleNorm`.

    Attributes:
        epsilon: smallest divisor.
    """

    def __init__(self, epsilon=1e-5, **options):
        # Squares of half-precision numbers overflow from 256 on.
        super().__init__(**{"dtype": "float32"} | options)
        self.epsilon = epsilon

    def build(self, input_shape):
        self.g = self.add_weight(name="g", shape=(1,), initializer="ones")

    def call(self, x):
        # TFLite has no square of integers, but a product.
        mean_square = ops.mean(x * x, axis=-1, keepdims=True)
        return x / ops.maximum(ops.sqrt(mean_square), self.epsilon) * self.g

    def torch_names(self):
        return ["g"]

    def get_config(self):
        return super().get_config() | {"epsilon": self.epsilon}


@keras.saving.register_keras_serializable(PACKAGE)
class GroupedConv2D(layers.Conv2D):
    """Keras' convolution of groups of channels, each by an ordinary one.

    Of TensorFlow on a CPU, Keras wants a compiled one, which takes seconds to be made; in
    files it is one operator, see `exporting.float_graph.layer_rewrites`.
    """

    def convolution_op(self, inputs, kernel):
        parts = zip(
            ops.split(inputs, self.groups, axis=-1),
            ops.split(kernel, self.groups, axis=-1),
            strict=True,
        )
        convolve = super().convolution_op
        return ops.concatenate([convolve(x, each) for x, each in parts], axis=-1)


@keras.saving.register_keras_serializable(PACKAGE)
class TeacherGap(layers.Layer):
    """Passes a student's output on, and adds its distance from a teacher's to the loss.

    Called on [images, output]. Only in training, and only where `gap` is set, which is not
    saved: a file's layer does nothing.

    Attributes:
        share: factor on the distance.
        gap: function from images and output to the distance, a scalar; None for none.
    """

    def __init__(self, share=0.5, **options):
        super().__init__(**options)
        self.share = share
        self.gap = None

    def call(self, inputs, training=None):
        images, output = inputs
        if training and self.gap is not None:
            self.add_loss(self.share * self.gap(images, output))
        return output

    def compute_output_shape(self, input_shape):
        return input_shape[1]

    def get_config(self):
        return super().get_config() | {"share": self.share}


@keras.saving.register_keras_serializable(PACKAGE)
class ScaleResidual(layers.Layer):
    """Multiplies every channel by a learned number, 1 at the start."""

    def build(self, input_shape):
        self.scale = self.add_weight(
            name="scale", shape=(input_shape[-1],), initializer="ones"
        )

    def call(self, x):
        return x * self.scale

    def torch_names(self):
        return ["scale"]


@keras.saving.register_keras_serializable(PACKAGE)
class GatedAttention(layers.Layer):
    """Mixes tokens by squared, rectified products, and gates the result.

    The input's channels are the gate (`expanded`), the values (`expanded`) and the base
    (`attention`) of which queries and keys are made by a scale and a shift each.

    Source: Hua et al. 2022 (arXiv:2202.10447), sec. 3.1 and 3.2, without its relative
    positions, and not divided by the number of tokens: as in mmpose's `RTMCCBlock`.

    Attributes:
        expanded: channels of gate and values.
        attention: channels of queries and keys.
    """

    def __init__(self, expanded, attention, **options):
        # The squares overflow in half precision.
        super().__init__(**{"dtype": "float32"} | options)
        self.expanded = expanded
        self.attention = attention

    def build(self, input_shape):
        self.num_tokens = input_shape[1]
        # The reference has (2, attention); like kernels of dense layers, ours turn round.
        shape = (self.attention, 2)
        uniform = keras.initializers.RandomUniform(0.0, 1.0)
        self.gamma = self.add_weight(name="gamma", shape=shape, initializer=uniform)
        self.beta = self.add_weight(name="beta", shape=shape, initializer=uniform)

    def call(self, x):
        """Maps (B, K, 2 * expanded + attention) to (B, K, expanded)."""
        gate, values, base = ops.split(x, [self.expanded, 2 * self.expanded], axis=-1)
        queries, keys = (
            base * self.gamma[:, i] + self.beta[:, i] for i in range(2)
        )  # (B, K, attention) each
        products = ops.matmul(queries, ops.transpose(keys, (0, 2, 1)))  # (B, K, K)
        kernel = ops.relu(products / self.attention**0.5)
        return gate * ops.matmul(kernel * kernel, values)  # TFLite squares no integers

    def macs(self):
        return self.num_tokens**2 * (self.attention + self.expanded)

    def torch_names(self):
        return ["gamma", "beta"]

    def compute_output_shape(self, input_shape):
        return (*input_shape[:-1], self.expanded)

    def get_config(self):
        return super().get_config() | {
            "expanded": self.expanded,
            "attention": self.attention,
        }


@keras.saving.register_keras_serializable(PACKAGE)
class PositionEmbedding(layers.Layer):
    """Adds a learned vector to every token, one for each place.

    Source: Dosovitskiy et al. 2021 (arXiv:2010.11929), sec. 3.1.
    """

    def build(self, input_shape):
        self.embedding = self.add_weight(
            name="embedding",
            shape=(1, *input_shape[1:]),
            initializer=keras.initializers.TruncatedNormal(stddev=0.02),
        )

    def call(self, x):
        return x + self.embedding

    def torch_names(self):
        return [""]  # the reference's tensor has the layer's name


@keras.saving.register_keras_serializable(PACKAGE)
class LayerNorm(layers.LayerNormalization):
    """Keras' norm over the channels, without a sign change, which TFLite has in float only.

    Source: Ba et al. 2016 (arXiv:1607.06450), sec. 3.
    """

    def call(self, x):
        wide = ops.cast(x, "float32")  # squares overflow in half precision
        centred = wide - ops.mean(wide, axis=-1, keepdims=True)
        variance = ops.mean(centred * centred, axis=-1, keepdims=True)
        normed = centred * ops.rsqrt(variance + self.epsilon)
        scaled = normed * ops.cast(self.gamma, "float32") + ops.cast(self.beta, "float32")
        return ops.cast(scaled, self.compute_dtype)


@keras.saving.register_keras_serializable(PACKAGE)
class SelfAttention(layers.Layer):
    """Attends from every token to every token, in several heads; has no weights.

    Source: Vaswani et al. 2017 (arXiv:1706.03762), sec. 3.2.

    Attributes:
        num_heads: heads, each with an equal share of the channels.
    """

    def __init__(self, num_heads, **options):
        super().__init__(**options)
        self.num_heads = num_heads

    def build(self, input_shape):
        _, self.num_tokens, channels = input_shape
        self.channels = channels // 3
        if channels % (3 * self.num_heads):
            raise ValueError(
                f"Queries, keys and values must share {3 * self.num_heads} equal parts of "
                f"the channels, got {channels} channels."
            )

    def call(self, x):
        """Maps queries, keys and values (B, N, 3 C), in this order, to (B, N, C)."""
        head_channels = self.channels // self.num_heads
        heads = (-1, self.num_tokens, self.num_heads, head_channels)
        # One by one: phones' accelerators take four dimensions, not five.
        queries, keys, values = (
            ops.transpose(ops.reshape(part, heads), (0, 2, 1, 3))
            for part in ops.split(x, 3, axis=-1)
        )  # (B, heads, N, C / heads) each
        products = ops.matmul(queries, ops.transpose(keys, (0, 1, 3, 2)))
        weights = ops.softmax(products * head_channels**-0.5, axis=-1)  # (B, heads, N, N)
        mixed = ops.transpose(ops.matmul(weights, values), (0, 2, 1, 3))
        return ops.reshape(mixed, (-1, self.num_tokens, self.channels))

    def macs(self):
        return 2 * self.num_tokens**2 * self.channels

    def compute_output_shape(self, input_shape):
        return (*input_shape[:-1], input_shape[-1] // 3)

    def get_config(self):
        return super().get_config() | {"num_heads": self.num_heads}


@keras.saving.register_keras_serializable(PACKAGE)
class ChannelSlice(layers.Layer):
    """Takes some of the channels, in their order.

    Attributes:
        start: first channel to take.
        stop: first channel not to take any more.
    """

    def __init__(self, start, stop, **options):
        super().__init__(**options)
        self.start = start
        self.stop = stop

    def call(self, x):
        return x[..., self.start : self.stop]

    def get_config(self):
        return super().get_config() | {"start": self.start, "stop": self.stop}


@keras.saving.register_keras_serializable(PACKAGE)
class Detached(layers.Identity):
    """Passes a tensor on, and no gradient back."""

    def call(self, x):
        return ops.stop_gradient(x)


@keras.saving.register_keras_serializable(PACKAGE)
class KeypointPeaks(layers.Layer):
    """Heights of the highest places of heatmaps or SimCC vectors; passes no gradient.

    Attributes:
        num_keypoints: keypoints, K. Of maps that come in threes, a disc and two offsets a
            keypoint, the discs count.
    """

    def __init__(self, num_keypoints, **options):
        super().__init__(**{"dtype": "float32"} | options)
        self.num_keypoints = num_keypoints

    def call(self, x):
        """Maps (B, h, w, C) or (B, K, bins) to (B, K)."""
        x = ops.stop_gradient(x)
        if len(x.shape) == 3:
            return ops.max(x, axis=-1)
        return ops.max(x, axis=(1, 2))[:, :: x.shape[-1] // self.num_keypoints]

    def compute_output_shape(self, input_shape):
        return input_shape[0], self.num_keypoints

    def get_config(self):
        return super().get_config() | {"num_keypoints": self.num_keypoints}


@keras.saving.register_keras_serializable(PACKAGE)
class PixelShuffle(layers.Layer):
    """Makes a map larger out of its channels, as PyTorch's `PixelShuffle` does.

    Channel c of row r i + a and column r j + b is channel (c r + a) r + b of row i and
    column j. Source: Shi et al. 2016 (arXiv:1609.05158), sec. 2.2.

    Attributes:
        factor: r, how much higher and wider the map becomes.
    """

    def __init__(self, factor, **options):
        super().__init__(**options)
        self.factor = factor

    def build(self, input_shape):
        _, self.height, self.width, channels = input_shape
        if channels % self.factor**2:
            raise ValueError(
                f"PixelShuffle needs a multiple of {self.factor**2} channels, got "
                f"{channels}."
            )
        self.channels = channels // self.factor**2

    def call(self, x):
        """Maps (B, H, W, r r C) to (B, r H, r W, C)."""
        factor, channels = self.factor, self.channels
        # In tensors of four dimensions: phones' accelerators take no more.
        x = ops.reshape(x, (-1, channels, factor**2))
        x = ops.transpose(x, (0, 2, 1))  # (B H W, r r, C)
        x = ops.reshape(x, (-1, self.width, factor, factor * channels))
        x = ops.transpose(x, (0, 2, 1, 3))  # (B H, r, W, r C)
        size_hw = factor * self.height, factor * self.width
        return ops.reshape(x, (-1, *size_hw, channels))

    def compute_output_shape(self, input_shape):
        batch, height, width, channels = input_shape
        factor = self.factor
        return (batch, factor * height, factor * width, channels // factor**2)

    def get_config(self):
        return super().get_config() | {"factor": self.factor}


@keras.saving.register_keras_serializable(PACKAGE)
class ResizeAlignedCorners(layers.Layer):
    """Resizes bilinearly so that the outermost pixel centres meet: align_corners=True.

    Keras has no such rule on all its backends; two products with fixed matrices do it.

    Attributes:
        size_hw: (height, width) of the result, pixels.
    """

    def __init__(self, size_hw, **options):
        super().__init__(**options)
        self.size_hw = tuple(size_hw)

    def build(self, input_shape):
        _, height, width, self.channels = input_shape
        self.width = width
        self.rows = _interpolation_matrix(height, self.size_hw[0])
        self.columns = _interpolation_matrix(width, self.size_hw[1])
        self.height = height

    def call(self, x):
        """Maps (B, h, w, C) to (B, H, W, C)."""
        rows = ops.convert_to_tensor(self.rows, self.compute_dtype)
        columns = ops.convert_to_tensor(self.columns, self.compute_dtype)
        x = ops.reshape(x, (-1, self.height, self.width * self.channels))
        x = ops.matmul(rows, x)
        x = ops.reshape(x, (-1, self.size_hw[0], self.width, self.channels))
        return ops.matmul(columns, x)

    def compute_output_shape(self, input_shape):
        return (input_shape[0], *self.size_hw, input_shape[-1])

    def get_config(self):
        return super().get_config() | {"size_hw": self.size_hw}


def _interpolation_matrix(size, new_size):
    """Returns the weights (new_size, size) of old pixels in new ones."""
    places = np.linspace(0, size - 1, new_size)
    # A weight falls from 1 to 0 over the distance of one old pixel.
    distances = np.abs(places[:, None] - np.arange(size))
    return np.maximum(1 - distances, 0).astype("float32")
