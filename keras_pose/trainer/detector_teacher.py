"""Detectors that others learn from: distillation, cell by cell, while training.

The teacher sees the pixels that the student sees, in its own normalisation, and is never
trained. Its answers stand beside the student's in what the loss is given.
"""

from __future__ import annotations

import keras
import numpy as np
from keras import layers, ops

from keras_pose.contracts.detector import read_detector_contract
from keras_pose.pictures.normalization import Normalization
from keras_pose.weights.creation import create_model
from keras_pose.weights.provenance import normalization_of

SUFFIX = ".keras"


def load_teacher(path: str, network: keras.Model) -> keras.Model:
    """Loads a detector at the input size of the one that learns from it.

    Args:
        path: `.keras` file of a zoo detector, with its contract.
        network: detector that learns.

    Returns:
        The teacher, which training leaves as it is.

    Raises:
        ValueError: for another kind of file, or a detector with other outputs.
        FileNotFoundError: if there is no such file.
    """
    if not str(path).endswith(SUFFIX):
        raise ValueError(
            f"A detector learns from a {SUFFIX} file, got {path}. "
            "training/import_weights.py --output x.keras makes one of a checkpoint."
        )
    name = read_detector_contract(path).model
    teacher = create_model(name, 1, network.input_shape[1:3], path)
    expected, found = (_shapes(model) for model in (network, teacher))
    if expected != found:
        raise ValueError(
            f"The teacher {path} ({name}) has outputs {found}, {network.name} has "
            f"{expected}: it must have the same strides and one class."
        )
    teacher.trainable = False
    return teacher


def _shapes(model) -> list[tuple]:
    return [tuple(output.shape[1:]) for output in model.outputs]


def seen_by_teacher(images, own: Normalization, other: Normalization):
    """Turns images of one normalisation into those of another.

    Args:
        images: (B, H, W, 3) tensor, normalised by `own`.
        own: normalisation of `images`.
        other: normalisation to return.
    """
    std, mean = np.asarray(own.std), np.asarray(own.mean)
    if own.channel_order != other.channel_order:
        images, std, mean = ops.flip(images, axis=-1), std[::-1], mean[::-1]
    factor = std / np.asarray(other.std)
    offset = (mean - np.asarray(other.mean)) / np.asarray(other.std)
    return images * factor.astype("float32") + offset.astype("float32")


def with_teacher(model, path, network, normalization, joined_rows) -> keras.Model:
    """Puts a teacher's rows behind those of the model that is trained.

    Args:
        model: model from images to (B, N, C + 4) rows.
        path: file of the teacher.
        network: detector that learns.
        normalization: normalisation of its images.
        joined_rows: function from the outputs of a detector to its rows.

    Returns:
        A model from images to (B, N, 2 (C + 4)).
    """
    teacher = load_teacher(path, network)
    images = seen_by_teacher(model.inputs[0], normalization, normalization_of(teacher))
    nested = keras.Model(teacher.inputs, teacher.outputs, name="teacher")
    rows = joined_rows(nested(images, training=False), "teacher-")
    both = layers.Concatenate(dtype="float32", name="with-teacher")
    return keras.Model(model.inputs, both([model.outputs[0], rows]), name=model.name)
