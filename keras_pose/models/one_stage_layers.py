"""Layers of networks that find people in one step: pieces of RTMO.

They name their weights as the reference does, by `torch_names()`, and count their own
work, by `macs()`, as those of `own_layers` do.
"""

from __future__ import annotations

import keras
import numpy as np
from keras import layers, ops

from keras_pose.models.own_layers import PACKAGE, GatedAttention


@keras.saving.register_keras_serializable(PACKAGE)
class Focus(layers.Layer):
    """Moves each square of 2 x 2 pixels into the channels, column by column.

    Source: `Focus` of mmpose's `models/backbones/csp_darknet.py`.
    """

    def call(self, x):
        """Maps (B, H, W, C) to (B, H / 2, W / 2, 4 C)."""
        squares = [x[:, row::2, column::2] for column in (0, 1) for row in (0, 1)]
        return ops.concatenate(squares, axis=-1)


@keras.saving.register_keras_serializable(PACKAGE)
class PlacedProjection(layers.Layer):
    """Queries, keys and values of tokens; queries and keys also know the token's place.

    Attributes:
        size_hw: rows and columns of the tokens' map.
        temperature: base of the wavelengths, see `waves`.
    """

    def __init__(self, size_hw, temperature=10000.0, **options):
        super().__init__(**options)
        self.size_hw = tuple(size_hw)
        self.temperature = temperature

    def build(self, input_shape):
        channels = input_shape[-1]
        self.kernel = self.add_weight(name="kernel", shape=(channels, 3 * channels))
        self.bias = self.add_weight(name="bias", shape=(3 * channels,), initializer="zeros")
        rows, columns = np.indices(self.size_hw).reshape(2, -1, 1)
        lengths = wavelengths(channels // 4, self.temperature)
        self.places = np.concatenate(
            [
                function(each / lengths)
                for each in (rows, columns)
                for function in (np.cos, np.sin)
            ],
            axis=-1,
        )[None].astype(np.float32)

    def call(self, x):
        """Maps (B, N, C) to (B, N, 3 C)."""
        num_placed = 2 * x.shape[-1]
        placed = x + ops.convert_to_tensor(self.places, self.compute_dtype)
        parts = (
            ops.matmul(placed, self.kernel[:, :num_placed]),
            ops.matmul(x, self.kernel[:, num_placed:]),
        )
        return ops.concatenate(parts, axis=-1) + self.bias

    def macs(self):
        height, width = self.size_hw
        return height * width * int(np.prod(self.kernel.shape))

    def torch_names(self):
        return ["in_proj_weight", "in_proj_bias"]

    def compute_output_shape(self, input_shape):
        return (*input_shape[:-1], 3 * input_shape[-1])

    def get_config(self):
        return super().get_config() | {
            "size_hw": self.size_hw,
            "temperature": self.temperature,
        }


def wavelengths(count, temperature):
    """Returns (count,) float64 lengths, from 1 up to nearly the temperature."""
    return temperature ** (np.arange(count) / count)


@keras.saving.register_keras_serializable(PACKAGE)
class BestCells(layers.Layer):
    """The cells with the highest scores, of all levels.

    Cells of equal scores come in their order: level by level, row by row.

    Attributes:
        strides: input pixels per cell of each level.
        count: cells to keep; all, where there are fewer.
    """

    def __init__(self, strides, count, **options):
        super().__init__(**{"dtype": "float32"} | options)
        self.strides = tuple(strides)
        self.count = count

    def build(self, input_shape):
        points = []
        for (_, height, width, _), stride in zip(input_shape, self.strides, strict=True):
            rows, columns = np.indices((height, width)).reshape(2, -1)
            xy = np.stack([columns, rows], axis=-1) * stride + (stride - 1) / 2
            points.append(np.insert(xy, 2, stride, axis=1))
        self.points = np.concatenate(points).astype(np.float32)
        self.count = min(self.count, len(self.points))

    def call(self, maps):
        """Returns the rows of the best cells.

        Args:
            maps: of each level (B, H, W, C), whose first channel is the score.

        Returns:
            (B, count, C + 3): channels, and the cell's x, y and stride, input pixels.
        """
        num_cells, channels = len(self.points), maps[0].shape[-1]
        rows = [ops.reshape(x, (-1, x.shape[1] * x.shape[2], channels)) for x in maps]
        rows = ops.concatenate(rows, axis=1)  # (B, P, C)
        best = ops.top_k(rows[..., 0], self.count)[1]  # (B, count)
        # Of flat tensors, as phones' accelerators gather along the first axis.
        first = num_cells * ops.arange(ops.shape(best)[0], dtype="int32")
        index = ops.reshape(ops.cast(best, "int32") + first[:, None], (-1,))
        found = ops.take(ops.reshape(rows, (-1, channels)), index, axis=0)
        points = ops.take(ops.convert_to_tensor(self.points), best, axis=0)
        found = ops.reshape(found, (-1, self.count, channels))
        return ops.concatenate([found, points], axis=-1)

    def compute_output_shape(self, input_shape):
        num_cells = sum(height * width for _, height, width, _ in input_shape)
        first = input_shape[0]
        return (first[0], min(self.count, num_cells), first[-1] + 3)

    def get_config(self):
        return super().get_config() | {"strides": self.strides, "count": self.count}


@keras.saving.register_keras_serializable(PACKAGE)
class CellBoxes(layers.Layer):
    """Boxes of cells: middle and size, input pixels.

    Source: `decode_bbox` of mmpose's `heads/hybrid_heads/yoloxpose_head.py`.
    """

    def call(self, inputs):
        """Returns (B, N, 4): x and y of the middle, width, height.

        Args:
            inputs: (B, N, 4) steps to the middle, and logarithms of the size, in strides;
                (B, N, 3) the cell's x, y and stride.
        """
        deltas, points = inputs
        strides = points[..., 2:]
        middles = deltas[..., :2] * strides + points[..., :2]
        return ops.concatenate([middles, ops.exp(deltas[..., 2:]) * strides], axis=-1)

    def compute_output_shape(self, input_shape):
        return input_shape[0]


@keras.saving.register_keras_serializable(PACKAGE)
class BoxCorners(layers.Layer):
    """Middle and size of boxes turned into corners: x1, y1, x2, y2."""

    def call(self, boxes):
        middles, halves = boxes[..., :2], boxes[..., 2:] / 2
        return ops.concatenate([middles - halves, middles + halves], axis=-1)


@keras.saving.register_keras_serializable(PACKAGE)
class KeypointAttention(GatedAttention):
    """Gated attention among the keypoints of each person, each with a vector of its own.

    Source: `GAUEncoder` of mmpose's `models/utils/transformer.py`, with `pos_enc="add"`.
    """

    def build(self, input_shape):
        _, self.num_people, num_keypoints, _ = input_shape
        super().build((None, *input_shape[2:]))
        # The reference has (K, attention); like kernels of dense layers, ours turns round.
        self.keypoints = self.add_weight(
            name="keypoints",
            shape=(self.attention, num_keypoints),
            initializer=keras.initializers.RandomNormal(stddev=1.0),
        )

    def call(self, x):
        """Maps (B, N, K, 2 * expanded + attention) to (B, N, K, expanded)."""
        gate, values, base = ops.split(x, [self.expanded, 2 * self.expanded], axis=-1)
        keypoints = ops.transpose(self.keypoints)
        queries, keys = (
            base * self.gamma[:, i] + (self.beta[:, i] + keypoints) for i in range(2)
        )  # (B, N, K, attention) each
        products = ops.matmul(queries, ops.transpose(keys, (0, 1, 3, 2)))
        kernel = ops.relu(products / self.attention**0.5)
        return gate * ops.matmul(kernel * kernel, values)

    def macs(self):
        return self.num_people * super().macs()

    def torch_names(self):
        return ["gau.gamma", "gau.beta", "pos_enc"]


@keras.saving.register_keras_serializable(PACKAGE)
class AxisClassifier(layers.Layer):
    """Classifies keypoints by bins along one axis of their person's box.

    Each bin is described by waves of its distance from the cell, and compared with what
    describes the keypoint; the result is the mean of the bins, by their probability.

    Source: Lu et al. 2023 (arXiv:2312.07526), sec. 3.3; `DCC` of mmpose's
    `heads/hybrid_heads/rtmo_head.py`. There the waves of every bin go through the dense
    layer; here the keypoints go through its transpose, of which there are fewer.

    Attributes:
        axis: 0 for x, 1 for y.
        num_bins: bins over the box.
        padding: share of the box's size that the bins cover.
        waves: channels of the waves; half of them cosines.
        temperature: base of the wavelengths, input pixels.
    """

    def __init__(
        self, axis, num_bins, padding=1.25, waves=128, temperature=300.0, **options
    ):
        super().__init__(**{"dtype": "float32"} | options)
        self.axis = axis
        self.num_bins = num_bins
        self.padding = padding
        self.waves = waves
        self.temperature = temperature

    def build(self, input_shape):
        _, self.num_people, self.num_keypoints, channels = input_shape[0]
        self.kernel = self.add_weight(name="kernel", shape=(self.waves, channels))
        self.bias = self.add_weight(name="bias", shape=(channels,), initializer="zeros")
        self.bins = np.linspace(-0.5, 0.5, self.num_bins).astype(np.float32)
        lengths = wavelengths(self.waves // 2, self.temperature)
        self.frequencies = (1 / lengths).astype(np.float32)

    def call(self, inputs):
        """Returns (B, N, K) coordinates, input pixels.

        Args:
            inputs: (B, N, K, C) descriptions of keypoints; (B, N, 4) middle and size of
                boxes; (B, N, 3) the cell's x, y and stride. Pixels of the input.
        """
        keypoints, boxes, points = inputs
        at = slice(self.axis, self.axis + 1)
        middles, cells = boxes[..., at], points[..., at]  # (B, N, 1)
        sizes = boxes[..., self.axis + 2 : self.axis + 3] * self.padding
        bins = ops.convert_to_tensor(self.bins)
        distances = bins * sizes + (middles - cells)  # (B, N, bins)
        frequencies = ops.convert_to_tensor(self.frequencies)[:, None]
        phases = distances[:, :, None] * frequencies  # (B, N, waves / 2, bins)
        amplitudes = ops.matmul(keypoints, ops.transpose(self.kernel))  # (B, N, K, waves)
        of_cosines, of_sines = ops.split(amplitudes, 2, axis=-1)
        logits = ops.matmul(of_cosines, ops.cos(phases))
        logits = logits + ops.matmul(of_sines, ops.sin(phases))
        # The same for all bins, so without effect; the reference has it.
        logits = logits + ops.sum(keypoints * self.bias, axis=-1, keepdims=True)
        shares = ops.softmax(logits, axis=-1)  # (B, N, K, bins)
        return ops.sum(shares * bins, axis=-1) * sizes + middles

    def macs(self):
        per_keypoint = int(np.prod(self.kernel.shape)) + self.waves * self.num_bins
        return self.num_people * self.num_keypoints * per_keypoint

    def torch_names(self):
        return ["weight", "bias"]

    def compute_output_shape(self, input_shape):
        return input_shape[0][:-1]

    def get_config(self):
        names = ("axis", "num_bins", "padding", "waves", "temperature")
        return super().get_config() | {name: getattr(self, name) for name in names}
