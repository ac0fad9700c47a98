"""Channels of a tensor brought to like ranges, without a change of what is computed.

A file in integers has one scale for all channels of a tensor. Where one channel reaches
1000 and its neighbours 1, the neighbours are rounded to nothing. So it is in Lite-HRNet,
whose first channels pass all modules untouched, and are doubled by each.

So weights are multiplied by factors that cancel out, see `channel_groups`. All are powers
of two, which floats are multiplied by without rounding: the network gives bit for bit what
it gave before.

Source: Nagel et al. 2019 (arXiv:1906.04721), sec. 4.1. There pairs of layers are scaled,
by the ranges of their weights; here whole networks, by the ranges of activations.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import keras
import numpy as np
from keras import layers, ops

from keras_pose.models.channel_groups import KEPT, ChannelGroups
from keras_pose.models.rescaled_silu import RescaledSilu

# A channel this much weaker than its strongest neighbour counts as off: it is left out.
_OFF = 1e-6
# 16-bit floats must hold the weights, too.
_MAX_EXPONENT = 10
# The fit takes a norm of this power for the maximum, which has no slope to follow.
_NORM = 8
_STEPS = 300
# Of a tensor's strongest channel: half a step of 8-bit integers. What is weaker, they hold
# as 0.
_SILENT = 1 / 512
# Kernels of one channel this much larger than the layer's median channel are looked at.
_LARGE = 16.0
_BATCH = 4
# Maps a network to a function of images.
Tracer = Callable[[Any], Callable[[np.ndarray], Any]]
# Tensor of a network, by `id` -> (C,) highest magnitude of each channel.
Peaks = Mapping[int, np.ndarray]
# Crops to measure ranges on, for those who have more; the strongest of these count.
NUM_CROPS = 64


def prepare_for_integers(
    network, images, traced: Tracer | None = None, peaks: Peaks | None = None
) -> int:
    """Rescales weights so that integers lose as little as they can of each channel.

    Args:
        network: functional `keras.Model`, changed in place.
        images: (N, H, W, 3) float32, normalised: what ranges are measured on.
        traced: maps a network to a function of (n, H, W, 3) images that gives its outputs,
            in a flat list; None for Keras' `predict`, which takes longer to begin.
        peaks: what `with_peaks` gave for the images, where that is known.

    Returns:
        The number of weights' channels that changed, see `equalize_channels` and
        `lower_silent_channels`.
    """
    changed = equalize_channels(network, images, traced, peaks)
    return changed + lower_silent_channels(network, images, traced)


def equalize_channels(
    network, images, traced: Tracer | None = None, peaks: Peaks | None = None
) -> int:
    """Rescales weights so that the channels of each tensor reach about as far.

    Args:
        network: functional `keras.Model`, changed in place. Its outputs stay what they
            are, and so do the inputs and outputs of layers that are applied several times
            or do not commute with factors, such as SiLU and attention.
        images: (N, H, W, 3) float32, normalised: what ranges are measured on.
        traced: see `prepare_for_integers`.
        peaks: see `prepare_for_integers`.

    Returns:
        The number of weights' channels, of inputs and outputs, that changed.
    """
    groups = ChannelGroups(network)
    tensors = _free_tensors(groups)
    if not tensors:
        return 0
    if peaks is None:
        found = _peaks(network, tensors, images, traced)
    else:
        found = [peaks[id(x)] for x in tensors]
    exponents = fit_exponents([groups.of(x) for x in tensors], found)
    return _multiply_channels(groups, exponents)


def with_peaks(network) -> tuple[keras.Model, list[int]]:
    """Adds what `equalize_channels` measures to what a network gives.

    Args:
        network: functional `keras.Model`.

    Returns:
        A network that gives, behind the outputs, the (B, C) highest magnitudes of some
        tensors' channels; and the `id` of each of these tensors.
    """
    tensors = _free_tensors(ChannelGroups(network))
    outputs = [*network.outputs, *_peaks_of(tensors)]
    return keras.Model(network.inputs[0], outputs), [id(x) for x in tensors]


def _free_tensors(groups: ChannelGroups) -> list[keras.KerasTensor]:
    """Returns the tensors of which some channels may be multiplied."""
    return [x for x in groups.measured_tensors() if np.any(groups.of(x) != KEPT)]


def lower_silent_channels(network, images, traced: Tracer | None = None) -> int:
    """Lowers large weights that read nothing that 8-bit integers can hold.

    Batch norms raise channels that hardly vary by factors of thousands. Where a channel is
    0 in integers whatever the image, its weights only coarsen those beside them, and
    XNNPACK refuses a file in which a layer raises its input more than 256 times (LiteRT
    2.3). They are brought to the largest of the layer's median channel, not to 0: a
    channel without weights has no scale, and the quantizer leaves its layer in float.

    Args:
        network: functional `keras.Model` with equalized channels, changed in place.
        images: (N, H, W, 3) float32, normalised: what ranges are measured on.
        traced: see `prepare_for_integers`.

    Returns:
        The number of channels whose weights were lowered.
    """
    found = [
        (layer, x, raised)
        for layer, norm, x in ChannelGroups(network).convolutions()
        if (raised := _raised(layer, norm)).max() > _LARGE
    ]
    tensors = list({id(x): x for _, x, _ in found}.values())
    if not tensors:
        return 0
    measured = _peaks(network, tensors, images, traced)
    peaks = dict(zip(map(id, tensors), measured, strict=True))
    count = 0
    for layer, x, raised in found:
        peak = peaks[id(x)]
        is_lowered = (peak < _SILENT * peak.max()) & (raised > _LARGE)
        if is_lowered.any():
            kernel = ops.convert_to_numpy(layer.kernel).copy()
            kernel[:, :, is_lowered] /= raised[is_lowered, None]
            layer.kernel.assign(kernel)
        count += int(is_lowered.sum())
    return count


def _raised(layer, norm) -> np.ndarray:
    """Returns (C,) the largest weight that reads each channel, in units of the median's.

    Args:
        layer: convolution of C input channels.
        norm: batch norm that will be folded into it, or None.
    """
    kernel = np.abs(ops.convert_to_numpy(layer.kernel))
    if norm is not None:
        variance = ops.convert_to_numpy(norm.moving_variance) + norm.epsilon
        gamma = 1.0 if norm.gamma is None else ops.convert_to_numpy(norm.gamma)
        factors = np.abs(gamma / np.sqrt(variance))
        is_depthwise = isinstance(layer, layers.DepthwiseConv2D)
        kernel = kernel * (factors.reshape(kernel.shape[2:]) if is_depthwise else factors)
    largest = kernel.max(axis=(0, 1, 3))
    return largest / max(np.median(largest), np.finfo(np.float32).tiny)


def fit_exponents(groups: list[np.ndarray], peaks: list[np.ndarray]) -> dict[int, int]:
    """Finds the factors that leave the channels of tensors the most bits.

    A channel loses the bits by which the strongest of its tensor exceeds it. Their sum over
    all channels of all tensors is convex in the logarithms of the factors.

    Args:
        groups: (C,) int of each tensor: which channels share a factor. `KEPT` has none.
        peaks: (C,) of each tensor: highest magnitude of each channel.

    Returns:
        Group -> logarithm of its factor to base 2, where that is not 0.
    """
    on = [peak > _OFF * max(peak.max(), _OFF) for peak in peaks]
    tensor = np.repeat(np.arange(len(on)), [each.sum() for each in on])
    group = np.concatenate([ids[each] for ids, each in zip(groups, on, strict=True)])
    if not len(group):
        return {}
    levels = np.log2(np.concatenate([p[each] for p, each in zip(peaks, on, strict=True)]))
    count = int(group.max()) + 1
    num_channels = np.bincount(tensor, minlength=len(on))[tensor]
    num_uses = np.maximum(np.bincount(group, minlength=count), 1)
    factors = np.zeros(count)
    for step in range(_STEPS):
        raised = levels + factors[group]
        highest = np.full(len(on), -np.inf)
        np.maximum.at(highest, tensor, raised)
        weight = np.exp2(_NORM * (raised - highest[tensor]))
        share = weight / np.bincount(tensor, weight, len(on))[tensor] * num_channels
        slope = np.bincount(group, 1 - share, count) / num_uses
        factors += 0.5 * np.clip(slope, -1, 1) / (1 + step / 40)
        factors[KEPT] = 0
    exponents = np.clip(np.rint(factors), -_MAX_EXPONENT, _MAX_EXPONENT)
    return {key: int(value) for key, value in enumerate(exponents) if value}


def _peaks(network, tensors, images, traced: Tracer | None) -> list[np.ndarray]:
    """Returns the (C,) highest magnitude of each channel of each tensor, on any image."""
    probe = keras.Model(network.inputs[0], _peaks_of(tensors))
    batches = [images[start : start + _BATCH] for start in range(0, len(images), _BATCH)]
    # Traced in any case: layer by layer, all tensors would be held until the end.
    found = zip(*map((traced or _predicting)(probe), batches), strict=True)
    return [np.concatenate(parts).max(axis=0) for parts in found]


def _peaks_of(tensors) -> list[keras.KerasTensor]:
    # Not by Keras' policy, in which a training may have left half precision.
    return [
        _Peaks(name=f"peaks-of-channels-{i}", dtype="float32")(x)
        for i, x in enumerate(tensors)
    ]


def _predicting(probe) -> Callable[[np.ndarray], list[np.ndarray]]:
    # By itself Keras has XLA compile what is predicted, which takes longer than to run it.
    probe.jit_compile = False
    return lambda images: keras.tree.flatten(probe.predict_on_batch(images))


class _Peaks(layers.Layer):
    """Maps (B, ..., C) to (B, C), the highest magnitude of each channel."""

    def call(self, x):
        places = tuple(range(1, len(x.shape) - 1))
        return ops.max(ops.abs(x), axis=places) if places else ops.abs(x)


def _multiply_channels(groups: ChannelGroups, exponents: dict[int, int]) -> int:
    """Multiplies the channels of each group by two to the power of its exponent.

    Returns:
        The number of weights' channels that changed.
    """
    changed = 0
    for layer, inputs, outputs in groups.weighted_calls():
        before, after = (
            np.exp2([exponents.get(group, 0) for group in each])
            for each in (inputs, outputs)
        )
        count = np.count_nonzero(before != 1) + np.count_nonzero(after != 1)
        if count:
            _rescale(layer, before, after)
        changed += int(count)
    return changed


def _rescale(layer, before: np.ndarray, after: np.ndarray) -> None:
    """Makes a layer take inputs times `before` and give outputs times `after`."""
    if isinstance(layer, RescaledSilu):
        layer.multiply(after)
        return
    if isinstance(layer, layers.BatchNormalization):
        _multiply(layer.moving_mean, before)
        # Its variance stays, so that the constant added to it stays as small.
        _multiply(layer.gamma, after / before)
        _multiply(layer.beta, after)
        return
    _multiply(layer.kernel, _kernel_factors(layer, 1 / before, after))
    if layer.use_bias:
        _multiply(layer.bias, after)


def _kernel_factors(layer, before: np.ndarray, after: np.ndarray) -> np.ndarray:
    """Returns what multiplies a kernel, in the order of its last two axes."""
    if isinstance(layer, layers.DepthwiseConv2D):
        return before[:, None] * after.reshape(len(before), -1)
    if isinstance(layer, layers.Conv2DTranspose):
        return after[:, None] * before
    num_read = layer.kernel.shape[-2]
    by_part = before.reshape(-1, num_read)  # one row, but for grouped convolutions
    return np.repeat(by_part, len(after) // len(by_part), axis=0).T * after


def _multiply(variable, factors: np.ndarray) -> None:
    if variable is not None:
        variable.assign(ops.convert_to_numpy(variable) * factors)
