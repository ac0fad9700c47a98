"""Networks made ready to be trained: batch norms, frozen layers, a run's weights so far."""

from __future__ import annotations

import math

import keras
import numpy as np
import tensorflow as tf

from keras_pose.models.equalization import NUM_CROPS, prepare_for_integers
from keras_pose.trainer.fused_norms import share_moments
from keras_pose.trainer.run_state import RunState


def synchronize_batch_norm(model):
    """Lets batch norm see the whole batch, not each replica its small part."""
    is_distributed = tf.distribute.get_strategy().num_replicas_in_sync > 1
    for layer in model.layers:
        if isinstance(layer, keras.layers.BatchNormalization):
            layer.synchronized = is_distributed
    share_moments(model)


def sum_over_replicas(value):
    """Adds up a tensor over all replicas of a step; elsewhere it is the whole sum."""
    context = tf.distribute.get_replica_context()
    if context is None or context.num_replicas_in_sync == 1:
        return value
    return context.all_reduce("SUM", value)


def freeze(network, beginnings):
    """Makes layers untrainable; their batch norms use the statistics they have.

    Args:
        network: Keras model, changed in place.
        beginnings: prefixes of layer names.

    Raises:
        ValueError: if no layer with weights has one of the prefixes.
    """
    weighted = [layer for layer in network.layers if layer.weights]
    for beginning in beginnings:
        chosen = [layer for layer in weighted if layer.name.startswith(beginning)]
        if not chosen:
            raise ValueError(
                f"No layer with weights begins with {beginning!r}, which freeze names; "
                f"{network.name} has {weighted[0].name}, {weighted[1].name} and so on."
            )
        for layer in chosen:
            layer.trainable = False


def equalize(network, batches, batch_size: int) -> None:
    """Lets training with rounding inside start from what calibrated files are made of.

    Args:
        network: model that is trained, changed in place.
        batches: `tf.data.Dataset` of tuples whose first entry are normalised images.
        batch_size: images a batch.
    """
    few = batches.take(math.ceil(NUM_CROPS / batch_size))
    images = np.concatenate([image.numpy() for image, *_ in few])[:NUM_CROPS]
    count = prepare_for_integers(network, images)
    print(f"equalized   {count} channels of weights, see models/equalization.py")


def build_compiled(model, batch_spec) -> None:
    """Builds loss, metrics and optimizer by what a compiled model's outputs look like.

    Keras would compute the whole network once more for it, and read a batch, before it
    traces the first step: a seventh of what that costs a large network. Within the scope of
    the strategy that trains it.

    Args:
        model: compiled Keras model, changed in place.
        batch_spec: `element_spec` of its training batches, of images, labels and so on.
    """
    labels = keras.tree.map_structure(_symbolic, batch_spec[1])
    outputs = model.output
    for each in (model._compile_loss, model._compile_metrics):
        if each is not None and not each.built:
            each.build(labels, outputs)
    if not model.optimizer.built:
        model.optimizer.build(model.trainable_variables)
    model._maybe_symbolic_build = lambda **_: None


def _symbolic(spec):
    return keras.KerasTensor(spec.shape, spec.dtype.name)


def restore(model, state: RunState | None) -> None:
    """Copies weights and optimizer state of a run to resume, if any.

    The saved model itself would not do: its optimizer has forgotten which variables
    are not to decay.
    """
    if state is None:
        return
    saved = keras.models.load_model(state.path)
    model.set_weights(saved.get_weights())
    model.optimizer.build(model.trainable_variables)
    pairs = zip(model.optimizer.variables, saved.optimizer.variables, strict=True)
    for variable, value in pairs:
        variable.assign(value)
