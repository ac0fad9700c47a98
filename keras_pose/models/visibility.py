"""A head for what a network does not know: is a keypoint visible, hidden, or outside?

Heatmaps and SimCC vectors have a highest place for every keypoint, and most losses leave
out keypoints that a crop does not show. So networks put hands and feet into pictures that
end above them. The head looks at two things: the pooled features of the trunk, which say
what part of a person is there, and the heights of all peaks.

It reads both through `Detached`: its loss moves no weight of the network, which gives to
the bit what it gave without a head. Its work is that of two small dense layers.
"""

from __future__ import annotations

import keras
from keras import layers

from keras_pose.models.own_layers import Detached, KeypointPeaks

# Visible, hidden, outside: the order of the logits.
NUM_KINDS = 3
# Beginning of the names of the head's layers, and name of its output.
PREFIX = "visibility"
HIDDEN_UNITS = 64


def with_visibility(network, num_keypoints: int) -> keras.Model:
    """Adds the head to a network.

    Args:
        network: functional `keras.Model`, of one person's heatmaps or SimCC vectors.
        num_keypoints: keypoints that it predicts, K.

    Returns:
        A model of the network's layers and input. Its first output is (B, K, 3) float32
        logits of visible, hidden and outside; the network's own outputs follow.

    Raises:
        ValueError: for a network that has the head, or gives coordinates, which have no
            peaks.
    """
    if has_visibility(network):
        raise ValueError(f"{network.name} has a head for visibility already.")
    outputs = network.outputs[-1]
    if outputs.shape[-1] == 2 and len(outputs.shape) == 3:
        raise ValueError(
            "A head for visibility reads the peaks of heatmaps or SimCC vectors; "
            f"{network.name} gives coordinates, {tuple(outputs.shape)}."
        )
    features = Detached(name=f"{PREFIX}-features")(coarsest_maps(network))
    pooled = layers.GlobalAveragePooling2D(name=f"{PREFIX}-pooled")(features)
    peaks = KeypointPeaks(num_keypoints, name=f"{PREFIX}-peaks")(outputs)
    # Two layers and a sum: in integers each of both kinds of numbers has its own scale.
    of_features = layers.Dense(HIDDEN_UNITS, name=f"{PREFIX}-of_features")(pooled)
    of_peaks = layers.Dense(HIDDEN_UNITS, use_bias=False, name=f"{PREFIX}-of_peaks")(peaks)
    x = layers.Add(name=f"{PREFIX}-sum")([of_features, of_peaks])
    x = layers.ReLU(name=f"{PREFIX}-relu")(x)
    x = layers.Dense(NUM_KINDS * num_keypoints, dtype="float32", name=f"{PREFIX}-logits")(x)
    logits = layers.Reshape((num_keypoints, NUM_KINDS), dtype="float32", name=PREFIX)(x)
    return keras.Model(network.inputs[0], [logits, *network.outputs], name=network.name)


def coarsest_maps(network):
    """Returns the coarsest maps inside a network: of those the widest, of those the last.

    Pixels that channels are weighed by, maps of 1x1, are no maps.

    Raises:
        ValueError: for a network without maps.
    """
    maps = [
        tensor
        for depth in sorted(network._nodes_by_depth, reverse=True)
        for node in network._nodes_by_depth[depth]
        for tensor in node.output_tensors
        if len(tensor.shape) == 4 and tensor.shape[1] * tensor.shape[2] > 1
    ]
    if not maps:
        raise ValueError(f"{network.name} has no maps whose features could be pooled.")
    area = min(tensor.shape[1] * tensor.shape[2] for tensor in maps)
    coarsest = [tensor for tensor in maps if tensor.shape[1] * tensor.shape[2] == area]
    width = max(tensor.shape[-1] for tensor in coarsest)
    return [tensor for tensor in coarsest if tensor.shape[-1] == width][-1]


def has_visibility(network) -> bool:
    """Returns True for a network with the head."""
    return any(layer.name == PREFIX for layer in network.layers)


def without_visibility(network) -> keras.Model:
    """Returns a network's own outputs, by the same layers; itself, if it has no head."""
    if not has_visibility(network):
        return network
    own = network.outputs[1:]
    return keras.Model(
        network.inputs[0], own if len(own) > 1 else own[0], name=network.name
    )


def head_layers(network) -> list:
    """Returns the layers of the head that have weights, in their order."""
    return [x for x in network.layers if x.weights and is_of_head(x.name)]


def is_of_head(name: str) -> bool:
    """Returns True for the name of one of the head's layers."""
    return name == PREFIX or name.startswith(f"{PREFIX}-")
