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
    empty = tf.zeros(0)  # the kernel takes the moments itself
    outputs, mean, variance, *_ = tf.raw_ops.FusedBatchNormV3(
        x=inputs,
        scale=tf.convert_to_tensor(layer.gamma),
        offset=tf.convert_to_tensor(layer.beta),
        mean=empty,
        variance=empty,
        epsilon=layer.epsilon,
        is_training=True,
    )
    # The kernel gives the variance of the population, Keras keeps that of the batch.
    count = tf.cast(tf.reduce_prod(tf.shape(inputs)[:-1]), tf.float32)
    variance *= (count - 1.0) / count
    for average, value in (
        (layer.moving_mean, mean),
        (layer.moving_variance, variance),
    ):
        average.assign(average * layer.momentum + value * (1.0 - layer.momentum))
    return outputs
