"""What a network says of keypoints, beside what is true of them: to calibrate it.

A labelled person is seen twice: as they are, and in their picture cut off at the middle of
their box, so that it is known of half of the keypoints that they are outside.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from itertools import groupby
from typing import NamedTuple

import numpy as np
from tqdm import tqdm

from keras_pose.contracts.certainty import (
    KINDS,
    ScoreCalibration,
    Visibility,
    softmax,
)
from keras_pose.data.mixing import for_model, open_set_for, with_uniform_sigmas
from keras_pose.data.records import PersonRecord
from keras_pose.measuring.settings import MeasureSettings
from keras_pose.metrics.broken_images import BrokenImages
from keras_pose.metrics.score_calibration import (
    Reliability,
    fit_logistic,
    fit_softmax_temperature,
    reliability,
)
from keras_pose.pictures.drawing import DRAWN_SCORE
from keras_pose.pictures.geometry import invert_matrix, transform_points, xywh_to_xyxy
from keras_pose.pictures.oks import keypoint_similarities
from keras_pose.pictures.structures import (
    HIDDEN,
    OUTSIDE,
    UNKNOWN,
    VISIBLE,
    Poses,
    more_likely_outside,
)
from keras_pose.runtime.pose_model import PoseModel
from keras_pose.runtime.top_down_steps import (
    crop_people,
    decode_people,
    person_scores,
)
from keras_pose.skeleton import Skeleton

# What stays of a person's box where a picture is cut.
CUT_SHARE = 0.5
# OKS of a single keypoint from which on it is right.
TOLERANCE = ScoreCalibration.tolerance


class Seen(NamedTuple):
    """What a network says of N people, and what is true of them.

    Attributes:
        keypoints_xy: (N, K, 2) image pixels.
        scores: (N, K) as the codec gives them.
        logits: (N, K, 3) logits of `KINDS`; None for a network without a head for
            visibility.
        labelled_xy: (N, K, 2) image pixels.
        kinds: (N, K) int: the true kind, or `UNKNOWN`.
        is_labelled: (N, K) bool.
        areas: (N,) square pixels of the labels.
        boxes_xyxy: (N, 4) boxes that were looked into, image pixels.
        records: the people, without those of broken pictures.
    """

    keypoints_xy: np.ndarray
    scores: np.ndarray
    logits: np.ndarray | None
    labelled_xy: np.ndarray
    kinds: np.ndarray
    is_labelled: np.ndarray
    areas: np.ndarray
    boxes_xyxy: np.ndarray
    records: tuple[PersonRecord, ...]


class People(NamedTuple):
    """Labelled people of a split, with the keypoints of a model."""

    records: Sequence[PersonRecord]
    skeleton: Skeleton
    says_hidden: bool


def open_labelled(settings: MeasureSettings, skeleton: Skeleton) -> People:
    """Opens the people of a split who have labelled keypoints.

    Args:
        settings: set, folder, split, limit, reading, sigmas.
        skeleton: keypoints of the model.

    Raises:
        ValueError: for other keypoints than the model's, or people without labels.
        FileNotFoundError: when the set is not there.
    """
    opened = open_set_for(*settings.where, skeleton, settings.reading)
    dataset = for_model(opened, skeleton)
    if settings.sigmas:
        dataset = with_uniform_sigmas(dataset)
    if dataset.skeleton.names != skeleton.names:
        raise ValueError(
            f"Calibration needs the model's keypoints, in their order: {skeleton.name} is "
            f"not {dataset.skeleton.name}, that of {settings.dataset}."
        )
    chosen = dataset.in_first_images(settings.limit) if settings.limit else dataset
    records = [each for each in chosen.records if (each.visibility > 0).any()]
    if not records:
        raise ValueError(f"No keypoint of {settings.dataset} {settings.split} is labelled.")
    sigmas = dataset.skeleton.oks_sigmas or skeleton.oks_sigmas
    has_hidden = any((each.visibility == 1).any() for each in records)
    return People(records, dataclasses.replace(skeleton, oks_sigmas=sigmas), has_hidden)


def look(model: PoseModel, people: People, is_cut: bool = False) -> Seen:
    """Runs a model on labelled people, each in their labelled box.

    Args:
        model: the model.
        people: the people.
        is_cut: True to end each picture at the middle of the person's box.
    """
    found: list[tuple] = []
    broken = BrokenImages()
    pictures = groupby(people.records, key=lambda r: (r.image_path, r.image_hw))
    with tqdm(total=len(people.records), unit="person", disable=None) as bar:
        for (path, image_hw), group in pictures:
            image, several = broken.read(path, image_hw), list(group)
            if image is not None:
                found += [_look_at(model, people, image, each, is_cut) for each in several]
            bar.update(len(several))
    broken.warn()
    if not found:
        broken.fail(len(broken.names))
    xy, scores, logits, labelled_xy, kinds, is_labelled, areas, boxes, records = zip(
        *found, strict=True
    )
    has_head = model.contract.visibility is not None
    return Seen(
        np.stack(xy),
        np.stack(scores),
        np.stack(logits) if has_head else None,
        np.stack(labelled_xy),
        np.stack(kinds),
        np.stack(is_labelled),
        np.stack(areas),
        np.stack(boxes),
        records,
    )


def _look_at(model: PoseModel, people: People, image, record: PersonRecord, is_cut: bool):
    box_xywh, picture = np.asarray(record.box_xywh, float), image
    if is_cut:
        picture, box_xywh = cut_picture(image, box_xywh)
    crops, to_image = crop_people(picture, box_xywh[None], model.contract)
    outputs, logits = model.predict_all(crops)
    keypoints_xy, scores = decode_people(outputs, to_image, model.contract)
    labelled_xy = np.asarray(record.keypoints_xy, float)
    crop_xy = transform_points(invert_matrix(to_image)[0], labelled_xy)
    kinds = kinds_of_keypoints(
        crop_xy,
        record.visibility,
        model.contract.input_hw,
        people.says_hidden,
        is_beyond=labelled_xy[:, 1] > len(picture) - 0.5 if is_cut else False,
    )
    return (
        keypoints_xy[0],
        scores[0],
        None if logits is None else logits[0],
        labelled_xy,
        kinds,
        record.visibility > 0,
        np.float64(record.area),
        xywh_to_xyxy(box_xywh),
        record,
    )


def cut_picture(image, box_xywh) -> tuple[np.ndarray, np.ndarray]:
    """Ends a picture at the middle of a box; returns it, and what is left of the box."""
    x, y, width, height = box_xywh
    last = int(np.clip(np.floor(y + CUT_SHARE * height), 0, len(image) - 1))
    # At least a pixel, of boxes that lie above the picture.
    return image[: last + 1], np.array([x, y, width, max(last - y, 1.0)])


def kinds_of_keypoints(crop_xy, flags, input_hw, says_hidden, is_beyond=False):
    """Says of labelled keypoints what a head for visibility learns of them.

    The rule of `data.transforms.kinds_of`, without TensorFlow.

    Args:
        crop_xy: (K, 2) keypoints in the model input, pixels.
        flags: (K,) COCO flags.
        input_hw: model input (height, width), pixels.
        says_hidden: True if the data set's flags tell hidden keypoints from visible ones.
        is_beyond: (K,) bool, keypoints beyond the end of a cut picture; False for none.

    Returns:
        (K,) int: `VISIBLE`, `HIDDEN`, `OUTSIDE`, or `UNKNOWN`.
    """
    height, width = input_hw
    last = np.array([width - 0.5, height - 0.5])
    is_outside = ((crop_xy < -0.5) | (crop_xy > last)).any(axis=-1) | is_beyond
    inside = np.where(flags == 2, VISIBLE, HIDDEN) if says_hidden else UNKNOWN
    kinds = np.where(is_outside, OUTSIDE, inside)
    return np.where(flags > 0, kinds, UNKNOWN)


class Calibration(NamedTuple):
    """A calibration, fitted on every other person and measured on the rest.

    Attributes:
        before: reliability of the shares as they are.
        after: reliability of the calibrated ones.
        values: what was fitted: a temperature, or a slope and an intercept.
        accuracy: share that is right, of all that was measured.
    """

    before: Reliability
    after: Reliability
    values: tuple[float, ...]
    accuracy: float


def calibrate_visibility(seen: Sequence[Seen]) -> Calibration:
    """Fits the temperature of a head for visibility.

    What is compared is the probability of the likeliest kind with how often it is right.

    Args:
        seen: the same people as they are and cut.

    Raises:
        ValueError: for a network without a head, or people without known kinds.
    """
    if any(each.logits is None for each in seen):
        raise ValueError("This network has no head for visibility to calibrate.")
    parts = [[_known(each, start) for each in seen] for start in (0, 1)]
    (fitted, fitted_kinds), (tested, tested_kinds) = (
        tuple(np.concatenate(arrays) for arrays in zip(*part, strict=True))
        for part in parts
    )
    if not (len(fitted) and len(tested)):
        raise ValueError("Too few keypoints of known kind to calibrate on.")
    temperature = fit_softmax_temperature(fitted, fitted_kinds)
    is_right = tested.argmax(axis=1) == tested_kinds
    before, after = (
        reliability(softmax(tested / divisor).max(axis=1), is_right)
        for divisor in (1.0, temperature)
    )
    return Calibration(before, after, (temperature,), float(is_right.mean()))


def _known(seen: Seen, start: int) -> tuple[np.ndarray, np.ndarray]:
    """Returns (M, 3) logits and (M,) kinds of every other person, where they are known."""
    kinds = seen.kinds[start::2]
    is_known = kinds != UNKNOWN
    return np.asarray(seen.logits, np.float64)[start::2][is_known], kinds[is_known]


def confusion(seen: Sequence[Seen]) -> np.ndarray:
    """Counts keypoints: (3, 3) int, true kinds by the likeliest ones."""
    counts = np.zeros((len(KINDS), len(KINDS)), int)
    for each in seen:
        is_known = each.kinds != UNKNOWN
        found = np.asarray(each.logits)[is_known].argmax(axis=1)
        np.add.at(counts, (each.kinds[is_known], found), 1)
    return counts


def calibrate_scores(seen: Seen, skeleton: Skeleton) -> Calibration:
    """Fits the logistic function from scores to shares of keypoints that are right.

    Args:
        seen: people as they are.
        skeleton: keypoints, with OKS sigmas.

    Raises:
        ValueError: without sigmas, and for scores that say nothing, or too few people.
    """
    if not skeleton.oks_sigmas:
        raise ValueError(
            f"Whether a keypoint is right is a matter of OKS; skeleton {skeleton.name!r} "
            "has no sigmas. Give a skeleton file with some, or --sigmas uniform."
        )
    right = keypoint_similarities(
        seen.keypoints_xy, seen.labelled_xy, seen.areas, skeleton.oks_sigmas
    )
    parts = [
        (seen.scores[i::2][chosen], right[i::2][chosen] >= TOLERANCE)
        for i in (0, 1)
        for chosen in [seen.is_labelled[i::2]]
    ]
    (fitted, fitted_right), (tested, tested_right) = parts
    slope, intercept = fit_logistic(fitted, fitted_right)
    if not slope > 0:
        raise ValueError(
            f"Higher scores must be right more often to be calibrated; of {len(fitted)} "
            "keypoints they are not. Calibrate on more people, or train on."
        )
    calibration = ScoreCalibration(slope, intercept, TOLERANCE)
    return Calibration(
        reliability(tested, tested_right),
        reliability(calibration(tested), tested_right),
        (calibration.slope, calibration.intercept),
        float(tested_right.mean()),
    )


class Drawn(NamedTuple):
    """Labelled keypoints of cut people that are drawn.

    Attributes:
        inside: drawn keypoints that the picture holds.
        outside: drawn keypoints that lie beyond the picture's end.
        all_inside: keypoints that the picture holds.
        all_outside: keypoints beyond it.
    """

    inside: int
    outside: int
    all_inside: int
    all_outside: int

    @property
    def outside_share(self) -> float:
        """Share of what is drawn that is outside; NaN where nothing is."""
        drawn = self.inside + self.outside
        return self.outside / drawn if drawn else float("nan")


def count_drawn(seen: Seen, visibility: Visibility | None) -> Drawn:
    """Counts what is drawn of labelled people whose pictures are cut.

    Args:
        seen: people, cut.
        visibility: contract's field, with its temperature, by which keypoints are left
            out; None to draw all whose score is above the threshold.
    """
    is_drawn = seen.scores > DRAWN_SCORE
    if visibility is not None and seen.logits is not None:
        is_drawn &= ~more_likely_outside(visibility.probabilities(seen.logits))
    # Labelled, whatever its flag says of being hidden.
    is_outside = seen.kinds == OUTSIDE
    is_inside = seen.is_labelled & ~is_outside
    return Drawn(
        int((is_drawn & is_inside).sum()),
        int((is_drawn & is_outside).sum()),
        int(is_inside.sum()),
        int(is_outside.sum()),
    )


def poses_of(seen: Seen, index: int, model: PoseModel, says_kinds: bool) -> Poses:
    """Returns one person as the estimator does, with or without visibility."""
    shares = None
    if says_kinds and model.contract.visibility is not None and seen.logits is not None:
        shares = model.contract.visibility.probabilities(seen.logits[index][None])
    scores = seen.scores[index][None]
    return Poses(
        seen.boxes_xyxy[index][None],
        seen.keypoints_xy[index][None],
        scores,
        person_scores(np.ones(1), scores),
        model.contract.skeleton,
        visibility=shares,
    )
