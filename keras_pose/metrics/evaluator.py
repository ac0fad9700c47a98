"""The evaluator: any predict function, people with boxes, any metric.

Keras models, TFLite and ONNX files all come through here, so that their numbers
differ by the model only. The steps are those of `valid.py` in the HRNet code.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import groupby
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from tqdm import tqdm

from keras_pose.contracts.pose import Contract
from keras_pose.data.records import Id, PersonRecord
from keras_pose.files import read_json
from keras_pose.metrics.broken_images import BrokenImages
from keras_pose.metrics.coco_ap import person_category_id
from keras_pose.metrics.official import (
    METRICS,
    Measured,
    check_metrics,
    check_needs,
    compute_metrics,
)
from keras_pose.pictures.oks import oks_nms, soft_oks_nms
from keras_pose.runtime.top_down_steps import (
    Predict,
    check_flip_test,
    crop_areas,
    crop_people,
    decode_people,
    person_scores,
    predict_outputs,
)
from keras_pose.skeleton import Skeleton

NMS = {"hard": oks_nms, "soft": soft_oks_nms, "off": None}


@dataclass(frozen=True)
class EvaluationResult:
    """Figures and predictions of one evaluation.

    Attributes:
        stats: figures by name, such as `coco_ap.COCO_STATS`.
        tables: data of the charts, such as figures by keypoint.
        metrics: names of the metrics, keys of `official.METRICS`.
        nms: "hard", "soft" or "off", as it was applied.
        measured: the predictions of every person, and the labels.
        num_images: images that were read.
        num_people: people that were predicted.
        flip_test: True if mirrored crops were averaged in.
        predict_seconds: time spent in the model.
        total_seconds: time from the first image to the last keypoint.
        left_out: names of images that could not be read; no figure stands on them.
    """

    stats: dict[str, float]
    tables: dict[str, dict[str, float]] = field(repr=False)
    metrics: tuple[str, ...]
    nms: str
    measured: Measured = field(repr=False)
    num_images: int
    num_people: int
    flip_test: bool
    predict_seconds: float
    total_seconds: float
    left_out: tuple[str, ...] = ()

    @property
    def detections(self) -> list[dict[str, Any]]:
        """COCO results, after OKS-NMS."""
        return self.measured.detections


class _People(NamedTuple):
    """A batch of predictions."""

    keypoints_xy: np.ndarray  # (N, K, 2) image pixels
    keypoint_scores: np.ndarray  # (N, K)


def evaluate(
    predict: Predict,
    contract: Contract,
    records: Sequence[PersonRecord],
    ground_truth: str | Path | dict[str, Any] | None = None,
    *,
    metrics: Sequence[str] = ("coco_ap",),
    labelled: Sequence[PersonRecord] | None = None,
    skeleton: Skeleton | None = None,
    nms: str = "hard",
    flip_test: bool = False,
    batch_size: int = 32,
    progress: bool = True,
    image_ids: Sequence[Id] | None = None,
) -> EvaluationResult:
    """Predicts every person from their box and measures how well.

    Args:
        predict: (N, H, W, 3) uint8 RGB crops -> what the codec decodes, float32.
        contract: input, output and codec of the model.
        records: the people, with their boxes: labelled ones (see `keras_pose.data`), or
            those that a detector found (see `metrics.detected_boxes`).
        ground_truth: COCO annotation file of the same people, or its contents; for the
            metrics that are computed from it.
        metrics: keys of `official.METRICS`.
        labelled: the people of the ground truth; `records` by default.
        skeleton: the keypoints of the data set, by default the model's. A model may
            predict more of them, and in another order: they are sorted by name.
        nms: key of `NMS`: what drops people that are predicted twice, for metrics that
            rank people by score.
        flip_test: predict mirrored crops too, and average.
        batch_size: people per call of `predict`.
        progress: show a progress bar.
        image_ids: images that count when `records` are not of all images;
            all of the ground truth by default.

    Raises:
        ValueError: when there are no records, or the model's keypoints are not
            those of the data set, or it has not what a metric needs; before anything
            is predicted.
        ImageError: when no image at all can be read. (Some that cannot are left out, of
            the ground truth too, named in a warning and in `left_out`.)
    """
    metrics = check_metrics(metrics)
    is_ranked = any(METRICS[name].is_ranked for name in metrics)
    nms = nms if is_ranked else "off"
    columns = _choose_keypoints(contract.skeleton, records, skeleton)
    if skeleton is None or _lacks_only_sigmas(skeleton, contract.skeleton):
        skeleton = contract.skeleton
    _check_fits(contract, skeleton, metrics, nms, flip_test)
    values = (
        read_json(ground_truth) if isinstance(ground_truth, str | Path) else ground_truth
    )
    category_id = person_category_id(values) if values else 1
    check_needs(metrics, _unpredicted(skeleton, records, labelled, values, image_ids))
    timed = _Timed(predict)
    started = time.perf_counter()
    ordered = _in_order(records)
    broken = BrokenImages()
    batches = _predict_batches(timed, contract, ordered, flip_test, batch_size, broken)
    keypoints_xy, keypoint_scores = _collect(batches, len(ordered), progress, broken)
    ordered = broken.without(ordered)
    labelled = ordered if labelled is None else _in_order(broken.without(labelled))
    image_ids = broken.remaining_ids(records, image_ids, values)
    total_seconds = time.perf_counter() - started
    keypoints_xy, keypoint_scores = keypoints_xy[:, columns], keypoint_scores[:, columns]
    areas = crop_areas(np.stack([record.box_xywh for record in ordered]), contract)
    kept, scores = _keep_people(
        ordered, keypoints_xy, keypoint_scores, areas, skeleton.oks_sigmas, nms
    )
    measured = Measured(
        skeleton=skeleton,
        records=ordered,
        labelled=labelled,
        keypoints_xy=keypoints_xy,
        keypoint_scores=keypoint_scores,
        kept=kept,
        detections=[
            _detection(
                ordered[i], keypoints_xy[i], keypoint_scores[i], scores[i], category_id
            )
            for i in kept
        ],
        ground_truth=values,
        image_ids=None if image_ids is None else list(image_ids),
    )
    stats, tables = compute_metrics(metrics, measured)
    return EvaluationResult(
        stats=stats,
        tables=tables,
        metrics=metrics,
        nms=nms,
        measured=measured,
        num_images=len({record.image_path for record in ordered}),
        num_people=len(ordered),
        flip_test=flip_test,
        predict_seconds=timed.seconds,
        total_seconds=total_seconds,
        left_out=broken.names,
    )


def _unpredicted(skeleton, records, labelled, ground_truth, image_ids) -> Measured:
    """Returns what is known of an evaluation before the first prediction."""
    count = skeleton.num_keypoints
    return Measured(
        skeleton=skeleton,
        records=records,
        labelled=records if labelled is None else labelled,
        keypoints_xy=np.zeros((0, count, 2)),
        keypoint_scores=np.zeros((0, count)),
        kept=[],
        detections=[],
        ground_truth=ground_truth,
        image_ids=image_ids,
    )


def _in_order(records):
    """Sorts by image, so that each is read once and videos run in order of frames."""
    return sorted(records, key=lambda record: str(record.image_path))


def _choose_keypoints(predicted, records, labelled) -> list[int]:
    """Returns where the data set's keypoints are among those that the model predicts."""
    if not records:
        raise ValueError("Nobody to evaluate on: the list of records is empty.")
    labelled = labelled or predicted
    count = len(records[0].visibility)
    if labelled.num_keypoints != count:
        raise ValueError(
            f"The skeleton {labelled.name} has {labelled.num_keypoints} keypoints, the "
            f"data set has {count}. Evaluate on the data set it is of."
        )
    missing = [name for name in labelled.names if name not in predicted.names]
    if missing:
        raise ValueError(
            f"The model predicts the keypoints of {predicted.name}, the data set has "
            f"those of {labelled.name}: {', '.join(missing)} are not predicted. Map the "
            "data set first (keras_pose.data.mixing.for_model)."
        )
    return [predicted.index(name) for name in labelled.names]


def _lacks_only_sigmas(labelled: Skeleton, predicted: Skeleton) -> bool:
    """Returns True if the model knows the same keypoints, and their OKS sigmas, too."""
    return labelled.names == predicted.names and not labelled.oks_sigmas


def _check_fits(contract, skeleton, metrics, nms, flip_test):
    if nms not in NMS:
        raise ValueError(f"Unknown nms {nms!r}; known: {', '.join(NMS)}.")
    needs_sigmas = nms != "off" or any(METRICS[name].needs_sigmas for name in metrics)
    if needs_sigmas and not skeleton.oks_sigmas:
        raise ValueError(
            f"COCO AP and OKS-NMS need an OKS sigma per keypoint, skeleton "
            f"{skeleton.name!r} has none. Measure {', '.join(metrics)} without NMS, or "
            "choose another metric."
        )
    if flip_test:
        check_flip_test(contract.skeleton)


class _Timed:
    """A predict function that knows how long it ran in all."""

    def __init__(self, predict: Predict):
        self._predict = predict
        self.seconds = 0.0

    def __call__(self, crops):
        started = time.perf_counter()
        outputs = np.asarray(self._predict(crops))
        self.seconds += time.perf_counter() - started
        return outputs


def _predict_batches(
    predict, contract, records, flip_test, batch_size, broken
) -> Iterator[_People]:
    """Predicts people in batches that reach across images; holds one batch at a time."""
    for crops, to_image in _crop_batches(records, contract, batch_size, broken):
        outputs = predict_outputs(predict, crops, contract, flip_test)
        yield _People(*decode_people(outputs, to_image, contract))


def _crop_batches(
    records: Iterable[PersonRecord], contract, batch_size, broken: BrokenImages
):
    """Yields (crops, to_image) of `batch_size` people each; the last may be smaller."""
    crops, matrices = [], []
    pictures = groupby(records, key=lambda r: (r.image_path, r.image_hw))
    for (path, image_hw), people in pictures:
        image = broken.read(path, image_hw)
        if image is None:
            continue
        boxes_xywh = np.stack([record.box_xywh for record in people])
        for crop, matrix in zip(*crop_people(image, boxes_xywh, contract), strict=True):
            crops.append(crop)
            matrices.append(matrix)
            if len(crops) == batch_size:
                yield np.stack(crops), np.stack(matrices)
                crops, matrices = [], []
    if crops:
        yield np.stack(crops), np.stack(matrices)


def _collect(batches, num_people, progress, broken: BrokenImages) -> _People:
    done = []
    # None shows the bar on a terminal only, so that log files stay readable.
    with tqdm(total=num_people, unit="person", disable=None if progress else True) as bar:
        for batch in batches:
            done.append(batch)
            bar.update(len(batch.keypoints_xy))
    broken.warn()
    if not done:
        broken.fail(len(broken.names))
    return _People(*(np.concatenate(parts) for parts in zip(*done, strict=True)))


def _keep_people(records, keypoints_xy, keypoint_scores, areas, sigmas, nms):
    """Scores the people, and drops those that OKS-NMS finds twice in an image.

    Args:
        records: the N people.
        keypoints_xy: (N, K, 2) image pixels.
        keypoint_scores: (N, K).
        areas: (N,) square pixels, that scale OKS.
        sigmas: (K,) of OKS.
        nms: key of `NMS`.

    Returns:
        kept: list of indices into `records`, image by image.
        scores: (N,) of all people.
    """
    scores = person_scores([record.score for record in records], keypoint_scores)
    choose = NMS[nms]
    if choose is None:
        return list(range(len(records))), scores
    kept: list[int] = []
    for _, group in groupby(range(len(records)), key=lambda i: records[i].image_path):
        people = np.array(list(group))
        winners = choose(keypoints_xy[people], scores[people], areas[people], sigmas)
        kept.extend(people[winners].tolist())
    return kept, scores


def _detection(record, keypoints_xy, keypoint_scores, score, category_id):
    """Returns one entry of a COCO result file."""
    values = np.concatenate([keypoints_xy, keypoint_scores[:, None]], axis=1)
    return {
        "image_id": record.image_id,
        "category_id": category_id,
        "keypoints": values.reshape(-1).astype(float).tolist(),
        "score": float(score),
    }
