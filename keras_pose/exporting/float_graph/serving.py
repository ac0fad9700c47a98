"""The serving function: what an exported file computes, from pixels to heatmaps or
whatever else the codec decodes.

Normalisation is one 1x1 convolution with a diagonal kernel. As a multiplication and
an addition it would be two quantised ops, each of which rounds; as a convolution it
sums in int32 and rounds once, and a BGR network costs a permuted diagonal.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from keras_pose.codecs import DecodedCodec
from keras_pose.contracts.detector import ModelContract
from keras_pose.contracts.fields import INPUT_NAME
from keras_pose.contracts.one_stage import OneStageContract
from keras_pose.contracts.pose import Contract
from keras_pose.exporting.float_graph.decoding import decode_in_graph, decoded_contract
from keras_pose.exporting.float_graph.layer_rewrites import nodes_of
from keras_pose.models.rtmo import MAP_MODULES, STRIDES, map_names
from keras_pose.pictures.normalization import Normalization
from keras_pose.runtime.keras_backend import last_output

SIGNATURE = "serve"
DECODED_NAME = DecodedCodec.output_name
# Maps a layer of a model, and the `nodes_of` the model, to a layer of the same weights that
# takes its place, or to None; such as `layer_rewrites.tflite_replacement`.
ReplacementOf = Callable[[Any, frozenset[int]], Any]
# Outputs of one-stage networks that quantizers see: of its maps people are made in float.
# Files do not give them.
MAP_OUTPUTS = tuple(f"map_{kind}_{stride}" for stride in STRIDES for kind in MAP_MODULES)


def serving_function(
    model, contract: ModelContract, batch=1, with_decode=False, replacement_of=None
):
    """Wraps a network so that it takes uint8 pixels.

    Args:
        model: (B, H, W, 3) normalised float32 -> outputs, or a list of them, of which
            the last counts.
        contract: contract of the network; says how its input is made from RGB.
        batch: images at a time. Fixed: a free batch keeps transposed convolutions
            out of the fast kernels of TFLite.
        with_decode: return keypoints as well, under `DECODED_NAME`; see
            `decoding.decode_in_graph`.
        replacement_of: see `with_constants`.

    Returns:
        A `tf.function` of "image", (batch, H, W, 3) uint8 RGB, that returns the
        contract's outputs by name, (batch, ...) float32.

    Raises:
        ValueError: if the contract does not say how to normalise; for a network that sees
            whole pictures and is to take several at a time, or to decode.
    """
    if contract.normalization is None:
        raise ValueError(f"The contract of {contract.model!r} lacks a normalization.")
    if batch != 1 and not isinstance(contract, Contract):
        raise ValueError(
            f"A file that sees whole pictures takes one image at a time, got {batch=}."
        )
    shape = (batch, *model.inputs[0].shape[1:])
    image_spec = tf.TensorSpec(shape, tf.uint8, name=INPUT_NAME)
    codec = contract.codec if isinstance(contract, Contract) else None
    if with_decode:
        decoded_contract(contract)  # refuses networks that see whole pictures
    kernel, bias = normalization_kernel(contract.normalization)
    names = served_outputs(contract)
    network = with_constants(with_maps(model, contract), replacement_of)

    @tf.function(input_signature=[image_spec], autograph=False)
    def serve(image):
        x = tf.nn.conv2d(tf.cast(image, tf.float32), kernel, strides=1, padding="VALID")
        x = tf.nn.bias_add(x, bias)
        outputs = network(x)
        counting = counting_outputs(outputs, contract)
        named = {name: tf.identity(y) for name, y in zip(names, counting, strict=True)}
        if codec is not None and with_decode:
            named[DECODED_NAME] = decode_in_graph(codec, counting[0])
        return named

    return serve


def network_outputs(contract: ModelContract) -> tuple[str, ...]:
    """Returns the names of the outputs that quantizers see."""
    if isinstance(contract, OneStageContract):
        return MAP_OUTPUTS
    return tuple(spec.name for spec in contract.outputs)


def served_outputs(contract: ModelContract) -> list[str]:
    """Returns the names of what `with_maps` gives."""
    inner = MAP_OUTPUTS if isinstance(contract, OneStageContract) else ()
    return [*inner, *(spec.name for spec in contract.outputs)]


def with_maps(model, contract: ModelContract):
    """Returns a one-stage network that gives its maps before the people; others as is."""
    if not isinstance(contract, OneStageContract):
        return model
    maps = [model.get_layer(name).output for name in map_names()]
    return keras.Model(model.inputs[0], [*maps, *model.outputs], name=model.name)


def people_from_maps(model):
    """Returns the part of a one-stage network behind its maps, a `keras.Model`."""
    maps = [model.get_layer(name).output for name in map_names()]
    return keras.Model(maps, model.outputs)


def counting_outputs(outputs, contract: ModelContract) -> list:
    """Returns the outputs that a file gives, in the order of its contract.

    Of several stacks the last counts, and a head for visibility, which is first. A
    detector's outputs all do, as do those of networks that find everybody.
    """
    if not isinstance(contract, Contract):
        return list(outputs)
    if contract.visibility is None:
        return [last_output(outputs)]
    return [outputs[-1], outputs[0]]


def with_constants(model, replacement_of: ReplacementOf | None = None):
    """Returns a function of what a model does, in which its weights are constants.

    With variables, TensorFlow would have to trace the function, make constants of them and
    trace the result; converters would load the variables. Of HRNet that takes longer than
    all the rest.

    Args:
        model: functional `keras.Model`; the function has the values that its weights have
            now.
        replacement_of: what gives the layers that compute in the place of its own. A copy
            of the model with these layers would take as long to build as all else.
    """
    network = of_one_tensor(model)
    replaced = _replaced_layers(network, replacement_of)
    values = [(variable, np.asarray(variable)) for variable in model.variables]
    for name, layer in replaced.items():
        same = zip(layer.variables, network.get_layer(name).variables, strict=True)
        values += [(variable, np.asarray(value)) for variable, value in same]

    def call(x):
        # Called after their layers, as files name them.
        named = [(each, tf.constant(value, name=each.path)) for each, value in values]
        with keras.StatelessScope(state_mapping=named), tf.name_scope(network.name):
            return network._run_through_graph(
                [x], lambda op: _not_training(replaced.get(op.name, op))
            )

    return call


def _not_training(operation):
    """Returns a call of an operation as `model(x, training=False)` makes it.

    By themselves layers that augment images train, and those that were called with
    `training=True` when the model was built.
    """
    if not isinstance(operation, keras.Layer):
        return operation
    return lambda *args, **options: operation(*args, **options | {"training": False})


def _replaced_layers(network, replacement_of: ReplacementOf | None) -> dict[str, Any]:
    """Returns layers that take the place of a network's own, built, by name."""
    if replacement_of is None:
        return {}
    own = nodes_of(network)
    replaced = {}
    for layer in network.layers:
        replacement = replacement_of(layer, own)
        if replacement is not None:
            if layer.variables:
                replacement.build(layer.input.shape)
            replaced[layer.name] = replacement
    return replaced


def traced(model):
    """Returns a function of images that gives what a model gives, an array an output.

    A trace of an HRNet-W32 takes as long as four images layer by layer, and then each takes
    a tenth. It is not optimized, which would take as long again, for few images.

    Args:
        model: functional `keras.Model` of one input.
    """
    shape = (None, *model.inputs[0].shape[1:])
    run = tf.function(
        lambda x: model(x, training=False),
        input_signature=[tf.TensorSpec(shape, tf.float32)],
        autograph=False,
    )
    # Traced here: TensorFlow warns of functions that are made and traced in turn.
    graph = run.get_concrete_function()

    def call(images):
        with _unoptimized():
            outputs = tf.nest.flatten(graph(tf.constant(images)))
        return [output.numpy() for output in outputs]

    return call


@contextlib.contextmanager
def _unoptimized() -> Iterator[None]:
    """Lets TensorFlow run new graphs as they are, as long as the block lasts."""
    options = tf.config.optimizer.get_experimental_options()
    before = options.get("disable_meta_optimizer", False)
    tf.config.optimizer.set_experimental_options({"disable_meta_optimizer": True})
    try:
        yield
    finally:
        tf.config.optimizer.set_experimental_options({"disable_meta_optimizer": before})


def of_one_tensor(model):
    """Returns a model that takes its input as a tensor; some files want a list of one."""
    if not isinstance(model.input, list):
        return model
    return keras.Model(model.inputs[0], model.outputs, name=model.name)


def normalization_kernel(normalization: Normalization):
    """Writes a normalisation as a convolution.

    Returns:
        kernel: (1, 1, 3, 3) float32, RGB channels -> network channels.
        bias: (3,) float32.
    """
    std = np.asarray(normalization.std)
    order = [2, 1, 0] if normalization.channel_order == "bgr" else [0, 1, 2]
    kernel = np.zeros((1, 1, 3, 3))
    kernel[0, 0, order, [0, 1, 2]] = 1 / (255 * std)
    bias = -np.asarray(normalization.mean) / std
    return kernel.astype(np.float32), bias.astype(np.float32)


def in_float32(model, replacement_of: ReplacementOf | None = None):
    """Returns the model with all layers computing in float32, weights and all.

    A network trained in mixed precision would carry its half-precision casts into
    the exported file, where int8 kernels cannot be fused over them.

    Args:
        model: the network, which stays as it is.
        replacement_of: what gives the layers that stand in the place of its own.
    """
    replacements = {}
    if replacement_of is not None:
        own = nodes_of(model)
        replacements = {id(layer): replacement_of(layer, own) for layer in model.layers}
    is_changed = any(replacement is not None for replacement in replacements.values())
    if not is_changed and {layer.compute_dtype for layer in _computing(model)} <= {
        "float32"
    }:
        return model

    def rebuild(layer):
        replacement = replacements.get(id(layer))
        if replacement is not None:
            return replacement
        return type(layer).from_config(layer.get_config() | {"dtype": "float32"})

    copy = keras.models.clone_model(model, clone_function=rebuild, recursive=True)
    copy.set_weights(model.get_weights())
    return copy


def _computing(model) -> Iterator[Any]:
    """Yields the layers that compute, those of models inside too.

    Inputs and whole models have Keras' policy of the moment, whatever they are made of.
    """
    for layer in model.layers:
        if isinstance(layer, keras.Model):
            yield from _computing(layer)
        elif not isinstance(layer, keras.layers.InputLayer):
            yield layer
