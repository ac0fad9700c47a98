"""Pose networks that others learn from: distillation.

A `.keras` teacher of heatmaps sees the pixels that the student sees, in its own
normalisation and size, at every step, and its maps are copied keypoint by keypoint, as much
as it is sure of each. Any other teacher (a `.tflite` or `.onnx` file, or other outputs)
labels all people of the training set once, before the first step; its labels weigh as much
as it is sure of them.

Either way people without labels serve, too, where they have boxes.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path

import keras
import numpy as np
from keras import ops
from tqdm import tqdm

from keras_pose.codecs import Codec
from keras_pose.codecs.heatmaps import HeatmapCodec
from keras_pose.contracts.pose import Contract, read_contract
from keras_pose.data.sources import PersonSource
from keras_pose.files import atomic_path, file_sha256
from keras_pose.losses import JointsMSE
from keras_pose.models.own_layers import TeacherGap
from keras_pose.models.visibility import has_visibility
from keras_pose.pictures.normalization import Normalization
from keras_pose.runtime.keras_backend import last_output, load_network
from keras_pose.runtime.loading import load_model
from keras_pose.runtime.top_down_steps import crop_people, decode_people
from keras_pose.skeleton import Skeleton
from keras_pose.trainer.detector_teacher import seen_by_teacher

LABELS_NAME = "teacher_labels.npz"


def copies_maps(path: str, codec: Codec) -> bool:
    """Returns True if a teacher's maps can be copied at every step.

    Args:
        path: file of the teacher.
        codec: codec of the student.

    Raises:
        FileNotFoundError: if there is no such file, or no contract for it.
    """
    theirs = read_contract(path).codec
    return str(path).endswith(".keras") and _has_maps(theirs) and _has_maps(codec)


def _has_maps(codec: Codec) -> bool:
    return codec.output_name == "heatmaps" and codec.channels_per_keypoint == 1


def known_keypoints(skeleton: Skeleton, contract: Contract, path) -> np.ndarray:
    """Returns where a student's keypoints stand in a teacher's.

    Returns:
        (K,) int, -1 for those that the teacher does not know.

    Raises:
        ValueError: if it knows none; names both.
    """
    theirs = contract.skeleton.names
    places = [theirs.index(name) if name in theirs else -1 for name in skeleton.names]
    if max(places) < 0:
        raise ValueError(
            f"The teacher {path} finds {', '.join(theirs)}, none of which is to be "
            f"learned: {', '.join(skeleton.names)}."
        )
    return np.array(places)


def with_teacher(
    model: keras.Model,
    path: str,
    share: float,
    codec: HeatmapCodec,
    skeleton: Skeleton,
    normalization: Normalization,
    loss: keras.losses.Loss,
) -> keras.Model:
    """Adds to a student's loss how far each of its outputs is from a teacher's.

    Args:
        model: student, from images to heatmaps, of one stack or several.
        path: file of the teacher, see `copies_maps`.
        share: share of the teacher's part in the loss, 0 to 1.
        codec: codec of the student.
        skeleton: keypoints of the student.
        normalization: normalisation of the student's images.
        loss: loss of one output, with a value for each keypoint.

    Returns:
        A model of the same inputs, outputs and weights. The teacher is no part of it, nor
        of what is saved.
    """
    contract = read_contract(path)
    places = known_keypoints(skeleton, contract, path)
    teacher = load_network(path)
    teacher.trainable = False
    maps_of = _teacher_maps(teacher, contract, codec, places, normalization)
    is_known = (places >= 0).astype("float32")
    # Of the hardest keypoints only, the mean would hide which they are.
    compare = loss if type(loss).__call__ is keras.losses.Loss.__call__ else JointsMSE()

    def gap(images, output):
        maps = ops.stop_gradient(maps_of(images))
        confidence = ops.clip(ops.max(maps, axis=(1, 2)), 0.0, 1.0) * is_known
        values = compare.call(maps, ops.cast(output, "float32"))
        return ops.mean(values * confidence)

    # The head for visibility, which comes first, has its own labels.
    num_others = int(has_visibility(model))
    outputs = list(model.outputs[:num_others])
    for i, output in enumerate(model.outputs[num_others:]):
        layer = TeacherGap(share, name=f"teacher-gap-{i}", dtype="float32")
        layer.gap = gap
        outputs.append(layer([model.inputs[0], output]))
    if len(outputs) == 1:
        outputs = outputs[0]
    return keras.Model(model.inputs, outputs, name=f"{model.name}-taught")


def _teacher_maps(
    teacher, contract: Contract, codec: HeatmapCodec, places, normalization: Normalization
) -> Callable:
    """Returns a function from the student's images to what its maps should be.

    Both have the first pixel's centre at (0, 0), which resizing must keep.
    """
    theirs = contract.codec
    if not isinstance(theirs, HeatmapCodec):
        raise ValueError(f"The teacher gives {theirs.output_name}, not heatmaps.")
    zoom = [
        (b - codec.is_unbiased) / (a - codec.is_unbiased)
        for a, b in zip(codec.input_hw, theirs.input_hw, strict=True)
    ]
    shrink = [
        their_pixel / (own_pixel * factor)
        for their_pixel, own_pixel, factor in zip(
            theirs.pixel_xy[::-1], codec.pixel_xy[::-1], zoom, strict=True
        )
    ]
    order = np.maximum(places, 0)

    def maps_of(images):
        seen = seen_by_teacher(
            images, normalization, contract.normalization or normalization
        )
        seen = _resized(seen, theirs.input_hw, zoom)
        maps = ops.cast(last_output(teacher(seen, training=False)), "float32")
        maps = ops.take(maps, order, axis=-1)
        return _resized(maps, codec.heatmap_hw, shrink)

    return maps_of


def _resized(images, size_hw, factors_yx):
    """Resizes (B, H, W, C) tensors about the centre of the first pixel."""
    if tuple(images.shape[1:3]) == tuple(size_hw) and factors_yx == [1.0, 1.0]:
        return images
    rows, columns = (
        _interpolation(int(size), int(count), factor)
        for size, count, factor in zip(size_hw, images.shape[1:3], factors_yx, strict=True)
    )
    return ops.einsum("bhwc,yh,xw->byxc", images, rows, columns)


def _interpolation(size: int, count: int, factor: float) -> np.ndarray:
    """Returns (size, count) float32 weights: pixel i reads at i / factor, linearly."""
    places = np.clip(np.arange(size) / factor, 0, count - 1)
    distances = np.abs(places[:, None] - np.arange(count))
    return np.maximum(0, 1 - distances).astype("float32")


def labelled_by_teacher(
    source: PersonSource, path: str, run_dir: Path, writes: bool
) -> PersonSource:
    """Returns the same people, labelled by a teacher, once for a run.

    Args:
        source: people to label, in their boxes.
        path: file of the teacher, with its contract.
        run_dir: folder of the run, which keeps the labels.
        writes: True to write them there.

    Raises:
        ValueError: for other keypoints, see `known_keypoints`.
    """
    model = load_model(path)
    places = known_keypoints(source.skeleton, model.contract, path)
    kept, key = run_dir / LABELS_NAME, f"{file_sha256(path)} {len(source)}"
    found = _kept_labels(kept, key)
    if found is None:
        found = _label(source, model)
        if writes:
            with atomic_path(kept) as temporary:
                np.savez(temporary, key=key, keypoints_xy=found[0], scores=found[1])
    keypoints_xy, scores = (values[:, np.maximum(places, 0)] for values in found)
    confidence = np.clip(scores, 0, 1) * (places >= 0)
    # Flags of COCO: what the teacher sees at all is visible, and weighs by its confidence.
    return dataclasses.replace(
        source,
        keypoints_xy=keypoints_xy.astype(np.float32),
        visibility=np.where(confidence > 0, 2, 0).astype(np.int32),
        confidence=confidence.astype(np.float32),
        set_index=None,
        shares=(),
    )


def _kept_labels(path: Path, key: str):
    if not path.exists():
        return None
    with np.load(path) as values:
        if str(values["key"]) != key:
            return None
        return values["keypoints_xy"], values["scores"]


def _label(source: PersonSource, model):
    """Returns (N, K, 2) keypoints, image pixels, and (N, K) scores."""
    count = model.contract.skeleton.num_keypoints
    keypoints_xy = np.zeros((len(source), count, 2), np.float32)
    scores = np.zeros((len(source), count), np.float32)
    order = np.argsort(source.image_index, kind="stable")
    _, starts = np.unique(source.image_index[order], return_index=True)
    people = np.split(order, starts[1:])
    for chosen in tqdm(people, f"labels of {model.contract.model}", disable=None):
        image, boxes = source.load(chosen[0]).image, source.boxes_xywh[chosen]
        crops, to_image = crop_people(image, boxes, model.contract)
        found = decode_people(model.predict(crops), to_image, model.contract)
        keypoints_xy[chosen], scores[chosen] = found
    return keypoints_xy, scores
