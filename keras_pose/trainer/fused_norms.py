"""Batch norms that are computed in one operator while training.

Keras 3 writes a batch norm as moments, differences and products, an operator each with a
gradient of its own. TensorFlow has one kernel for all of it, and one for its gradient.
"""

from __future__ import annotations

import functools

import keras
import tensorflow as tf


def fuse_norms(network) -> int:
    """Lets the batch norms of a network use TensorFlow's kernel where it fits.

    Weights, moving averages and results stay those of the Keras layer, up to rounding.
    Those over several replicas at once stay as they are: the kernel sees one replica.

    Args:
        network: Keras model, changed in place; what is saved of it is not.

    Returns:
        The number of layers that will.
    """
    layers = [layer for layer in network.layers if _fits(layer)]
    for layer in layers:
        layer.call = functools.partial(_call, layer, layer.call)
    return len(layers)


def share_moments(network) -> None:
    """Lets batch norms of several replicas take their variance without cancellation.

    Keras takes mean(x^2) - mean(x)^2 of the whole batch in float32, of which little is left
    where a mean is large beside the deviation, by three exchanges. Here each replica's
    variance is about its own mean, and two exchanges put them together.

    Args:
        network: Keras model, changed in place; what is saved of it is not.
    """
    for layer in network.layers:
        if isinstance(layer, keras.layers.BatchNormalization) and layer.synchronized:
            layer._moments = functools.partial(_shared_moments, layer, layer._moments)


def _shared_moments(layer, plain_moments, inputs, mask):
    context = tf.distribute.get_replica_context()
    if mask is not None or context is None:
        return plain_moments(inputs, mask)
    mean, variance = tf.nn.moments(inputs, layer._reduction_axes)
    # Training batches are shared out evenly, so means of means are means.
    whole_mean = context.all_reduce("MEAN", mean)
    spread = variance + tf.math.squared_difference(mean, whole_mean)
    return whole_mean, context.all_reduce("MEAN", spread)


def _fits(layer) -> bool:
    return (
        type(layer) is keras.layers.BatchNormalization
        and layer.trainable
        and layer.scale
        and layer.center
        and not (layer.synchronized or layer.renorm)
        and layer.compute_dtype == "float32"
        and len(layer.input.shape) == 4
        and layer.axis in (-1, 3)
    )


def _call(layer, plain_call, inputs, training=None, mask=None):
    if not (training and layer.trainable) or mask is not None:
        return plain_call(inputs, training=training, mask=mask)
    # The kernel averages the variance of the population, Keras that of the batch: averages
    # go in and come out in the kernel's unit.
    share = _batch_share(inputs)
    outputs, mean, variance, *_ = tf.raw_ops.FusedBatchNormV3(
        x=inputs,
        scale=layer.gamma.value,
        offset=layer.beta.value,
        mean=layer.moving_mean.value,
        variance=layer.moving_variance.value / share,
        epsilon=layer.epsilon,
        exponential_avg_factor=1.0 - layer.momentum,
        is_training=True,
    )
    layer.moving_mean.assign(mean)
    layer.moving_variance.assign(variance * share)
    return outputs


def _batch_share(inputs):
    """Returns (n - 1) / n of n values a channel: a number where the batch size is known.

    Of one value it is a half: the variance is zero in any unit, and nothing divides by it.
    """
    if (size := inputs.shape.num_elements()) is not None:
        return max(0.5, 1.0 - inputs.shape[-1] / size)
    return tf.maximum(0.5, 1.0 - inputs.shape[-1] / tf.cast(tf.size(inputs), tf.float32))
