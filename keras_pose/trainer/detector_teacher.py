"""Detectors that others learn from: distillation, cell by cell, while training.

The teacher sees the pixels that the student sees, in its own normalisation, and is never
trained.
"""

from __future__ import annotations

import keras
import numpy as np
from keras import ops

from keras_pose.contracts.detector import read_detector_contract
from keras_pose.losses.detection_losses import BoxLoss
from keras_pose.models.own_layers import TeacherGap
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


def with_teacher(model, path, share, network, normalization, loss: BoxLoss) -> keras.Model:
    """Adds to a detector's loss how far its rows are from a teacher's.

    Args:
        model: model from images to (B, N, C + 4) rows, see `BoxLoss`.
        path: file of the teacher.
        share: share of the teacher's part in the loss, 0 to 1.
        network: detector that learns.
        normalization: normalisation of its images.
        loss: loss of the rows.

    Returns:
        A model of the same inputs, outputs and weights. The teacher is no part of it, nor
        of what is saved.
    """
    teacher = load_teacher(path, network)
    theirs = normalization_of(teacher)

    def gap(images, rows):
        seen = seen_by_teacher(images, normalization, theirs)
        copied = rows_of(teacher(seen, training=False))
        return ops.mean(loss.distance(rows, ops.stop_gradient(copied)))

    layer = TeacherGap(share, name="teacher-gap", dtype="float32")
    layer.gap = gap
    rows = layer([model.inputs[0], model.outputs[0]])
    return keras.Model(model.inputs, rows, name=model.name)


def rows_of(outputs):
    """Puts the outputs of a detector, logits of each level, then distances, into rows."""
    half = len(outputs) // 2
    pairs = zip(outputs[:half], outputs[half:], strict=True)
    levels = [ops.concatenate(pair, axis=-1) for pair in pairs]
    flat = [ops.reshape(x, (-1, x.shape[1] * x.shape[2], x.shape[3])) for x in levels]
    return ops.concatenate(flat, axis=1)
