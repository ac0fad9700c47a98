"""A network that computes in floats as its int8 file will in integers, to be fine-tuned.

It is the last resort, where calibrated int8 loses more than may be lost and layers in
float cost too much: training goes on with the rounding inside, and the weights move to
where it hurts less. The integers are those of TFLite: weights are symmetric with a scale
for each output channel, tensors between the layers have one scale and a zero point.

Source: Jacob et al. 2018 (arXiv:1712.05877), sec. 3. Unlike there, batch norm is not folded
into the weights for it: it scales a channel as a whole, and so its weights' scale with it.
As there, at the end of training, it goes by its moving statistics, as the file does: a
batch's own would hide values that the file meets, a thousand times as large on some crops
of an HRNet, and give tensors ranges that are none of the file's.
"""

from __future__ import annotations

import keras
from keras import layers, ops

from keras_pose.models.own_layers import PACKAGE, ChannelSlice

WEIGHT_STEPS = 127
TENSOR_STEPS = 255
RANGE_MOMENTUM = 0.99
RANGE_SUFFIX = "-range"

_WITH_KERNEL = (
    layers.Conv2D,
    layers.DepthwiseConv2D,
    layers.Conv2DTranspose,
    layers.Dense,
)
# Layers that only move numbers, or take the highest or the mean of a few: in TFLite they
# work on the integers they are given, with their scale.
_KEEPS_SCALE = (
    layers.MaxPooling2D,
    layers.AveragePooling2D,
    layers.UpSampling2D,
    layers.ZeroPadding2D,
    layers.Reshape,
    layers.Permute,
    layers.Flatten,
    layers.Identity,
    layers.Dropout,
    ChannelSlice,
)
_RECTIFIERS = ("relu", "relu6")


@keras.saving.register_keras_serializable(PACKAGE)
class FakeQuantizedKernel(layers.Wrapper):
    """Runs a layer with its kernel rounded to int8; gradients pass the rounding.

    Attributes:
        layer: a convolution of any kind, or a dense layer.
    """

    def call(self, x):
        kernel = self.layer.kernel
        rounded = fake_quantized_kernel(
            ops.convert_to_tensor(kernel), _sum_axes(self.layer)
        )
        # The layer reads the rounded kernel where it would have read its own.
        with keras.StatelessScope([(kernel, rounded)], initialize_variables=False):
            return self.layer(x)

    def compute_output_shape(self, input_shape):
        return self.layer.compute_output_shape(input_shape)


@keras.saving.register_keras_serializable(PACKAGE)
class FrozenStatistics(layers.Wrapper):
    """Runs a batch norm on its moving statistics, in training too.

    They stay what they are; its scale and shift go on learning.

    Attributes:
        layer: a batch norm.
    """

    def call(self, x, mask=None):
        # Asked for by name, since a model passes its own mode on to all its layers.
        return self.layer(x, training=False, mask=mask)

    def compute_output_shape(self, input_shape):
        return self.layer.compute_output_shape(input_shape)


@keras.saving.register_keras_serializable(PACKAGE)
class FakeQuantizedTensor(layers.Layer):
    """Rounds a tensor to 256 steps between a smallest and a largest value.

    Both are moving averages of what training meets; until it meets something, the tensor
    passes as it is. Gradients pass the rounding, but not the ends of the range.

    Attributes:
        makers: names of the layers that give the tensor and are computed at once.
        low: scalar variable, the smallest value.
        high: scalar variable, the largest value.
        takes_extremes: True to widen the range by all that is met, in place of averages.
    """

    def __init__(self, makers=(), **options):
        # Half precision has too few steps itself.
        super().__init__(**{"dtype": "float32"} | options)
        self.makers = tuple(makers)
        self.takes_extremes = False

    def build(self, input_shape):
        # Replicas see different parts of a batch; the range is their mean.
        options = {"shape": (), "initializer": "zeros", "aggregation": "mean"}
        self.low = self.add_weight(name="low", trainable=False, **options)
        self.high = self.add_weight(name="high", trainable=False, **options)

    def call(self, x, training=False):
        if training:
            self._observe(ops.stop_gradient(x))
        return fake_quantized_tensor(x, self.low, self.high)

    def _observe(self, x):
        if self.takes_extremes:
            self.low.assign(ops.minimum(ops.min(x), self.low))
            self.high.assign(ops.maximum(ops.max(x), self.high))
            return
        is_first = ops.equal(self.high, self.low)
        share = ops.where(is_first, 1.0, 1.0 - RANGE_MOMENTUM)
        # Zero must be among the values: padding and rectified channels are full of it.
        low, high = ops.minimum(ops.min(x), 0.0), ops.maximum(ops.max(x), 0.0)
        new_low = self.low + share * (low - self.low)
        new_high = self.high + share * (high - self.high)
        self.low.assign(new_low)
        self.high.assign(new_high)

    def compute_output_shape(self, input_shape):
        return input_shape

    def get_config(self):
        return super().get_config() | {"makers": self.makers}


def observe_extremes(network, images) -> None:
    """Sets the ranges of a network's tensors to what images reach in them.

    Args:
        network: a network of `fake_quantized` that has met nothing yet.
        images: (N, H, W, 3) float32, normalised; seen one by one, see `one_by_one`.
    """
    rounding = [x for x in network.layers if isinstance(x, FakeQuantizedTensor)]
    for layer in rounding:
        layer.takes_extremes = True
    for start in range(len(images)):
        network(images[start : start + 1], training=True)
    for layer in rounding:
        layer.takes_extremes = False


def fake_quantized_kernel(kernel, sum_axes):
    """Rounds weights to 127 steps to each side of zero, with one scale a channel.

    Args:
        kernel: float tensor.
        sum_axes: all axes but the output channels'.
    """
    limit = ops.max(ops.abs(kernel), axis=sum_axes, keepdims=True)
    scale = ops.maximum(limit, keras.config.epsilon()) / WEIGHT_STEPS
    rounded = ops.round(kernel / scale) * scale
    return kernel + ops.stop_gradient(rounded - kernel)


def fake_quantized_tensor(x, low, high):
    """Rounds a tensor to steps of (high - low) / 255, of which one is zero.

    Args:
        x: float32 tensor.
        low: scalar, not above 0; high: scalar, not below 0. Where both are equal, x is
            returned.
    """
    is_known = high > low
    scale = ops.where(is_known, (high - low) / TENSOR_STEPS, 1.0)
    zero_point = ops.round(-low / scale)
    bounded = ops.clip(x, -zero_point * scale, (TENSOR_STEPS - zero_point) * scale)
    rounded = ops.round(bounded / scale) * scale
    quantized = bounded + ops.stop_gradient(rounded - bounded)
    return ops.where(is_known, quantized, x)


def fake_quantized(network) -> keras.Model:
    """Puts the rounding of int8 between the layers of a functional network.

    Its batch norms go by their moving statistics, which training no longer changes.

    Args:
        network: `keras.Model`, any of the zoo. Its layers are shared, so that training the
            result trains the network.

    Returns:
        A model of the network's inputs and outputs, with more layers.

    Raises:
        ValueError: for a network without a layer to quantize.
    """
    if not any(isinstance(layer, _WITH_KERNEL) for layer in network.layers):
        raise ValueError(
            f"Quantization-aware training is for networks with convolutions or dense "
            f"layers; {network.name!r} has none."
        )
    rounding = _Rounding()
    clone = keras.models.clone_model(
        network, clone_function=_as_in_a_file, call_function=rounding.call
    )
    outputs = [rounding.rounded(x) for x in clone.outputs]
    is_single = len(outputs) == 1
    return keras.Model(clone.input, outputs[0] if is_single else outputs, name=network.name)


def trained_ranges(model) -> dict[str, tuple[float, float]]:
    """Returns what training found of the ranges of tensors.

    Args:
        model: trained model that `fake_quantized` returned.

    Returns:
        Name of a layer -> (smallest, largest value) of the tensor that it gives, alone or
        with the layers that it is computed at once with. Layers that are applied several
        times are left out: they have a range for each.
    """
    found: dict[str, list] = {}
    for layer in model.layers:
        if isinstance(layer, FakeQuantizedTensor):
            low, high = (float(ops.convert_to_numpy(x)) for x in (layer.low, layer.high))
            for maker in layer.makers:
                found.setdefault(maker, []).append((low, high))
    return {
        maker: limits[0]
        for maker, limits in found.items()
        if len(limits) == 1 and limits[0][1] > limits[0][0]
    }


class _Rounding:
    """Chooses the tensors to round while a network is built anew."""

    def __init__(self):
        self._makers = {}  # id of a tensor -> the layers that gave it at once, in order
        self._rounded = {}  # id of a tensor -> the tensor, rounded
        self._kept = []  # tensors, so that no id is used twice
        self._names = set()

    def call(self, layer, *args, **kwargs):
        """Applies a layer to rounded tensors, but for those it is fused to."""
        original = _inner(layer)
        fused = []

        def prepared(x):
            makers = self._makers.get(id(x), [])
            if makers and _is_fused(makers[-1], original):
                fused.extend(makers)
                return x
            return self.rounded(x) if isinstance(x, keras.KerasTensor) else x

        args, kwargs = keras.tree.map_structure(prepared, (args, kwargs))
        outputs = layer(*args, **kwargs)
        for x in keras.tree.flatten(outputs):
            self._kept.append(x)
            if isinstance(original, _KEEPS_SCALE):
                self._rounded[id(x)] = x
            else:
                self._makers[id(x)] = [*fused, original]
        return outputs

    def rounded(self, x):
        """Returns the tensor as integers would hold it."""
        if id(x) not in self._rounded:
            makers = [layer.name for layer in self._makers.get(id(x), [])] or [x.name]
            layer = FakeQuantizedTensor(makers, name=self._name(makers[-1]))
            self._rounded[id(x)] = layer(x)
            self._kept.append(x)
        return self._rounded[id(x)]

    def _name(self, name):
        """Names the range after its layer; of a layer's further calls, by number."""
        full, number = f"{name}{RANGE_SUFFIX}", 1
        while full in self._names:
            full, number = f"{name}{RANGE_SUFFIX}{number}", number + 1
        self._names.add(full)
        return full


def _as_in_a_file(layer):
    """Returns a layer that computes as an int8 file does, with the weights of another."""
    if isinstance(layer, _WITH_KERNEL):
        return FakeQuantizedKernel(layer, name=layer.name)
    if isinstance(layer, layers.BatchNormalization):
        return FrozenStatistics(layer, name=layer.name)
    return layer


def _inner(layer):
    is_wrapped = isinstance(layer, FakeQuantizedKernel | FrozenStatistics)
    return layer.layer if is_wrapped else layer


def _is_fused(maker, layer) -> bool:
    """Returns True if an int8 file does not round between two layers."""
    if isinstance(layer, layers.BatchNormalization):
        return isinstance(maker, _WITH_KERNEL)
    is_rectifier = isinstance(layer, layers.ReLU) or (
        isinstance(layer, layers.Activation) and layer.activation.__name__ in _RECTIFIERS
    )
    fusing = (*_WITH_KERNEL, layers.BatchNormalization, layers.Add)
    return is_rectifier and isinstance(maker, fusing)


def _sum_axes(layer) -> tuple[int, ...]:
    """Returns all axes of a layer's kernel but that of the output channels."""
    rank = len(layer.kernel.shape)
    # Depthwise kernels are (H, W, C, multiplier), transposed ones (H, W, outputs, inputs).
    kinds = (layers.DepthwiseConv2D, layers.Conv2DTranspose)
    channels = {rank - 2} if isinstance(layer, kinds) else {rank - 1}
    if isinstance(layer, layers.DepthwiseConv2D):
        channels.add(rank - 1)
    return tuple(axis for axis in range(rank) if axis not in channels)
