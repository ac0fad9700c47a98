"""The metrics by name: what each data set is officially measured by.

Every metric is a function of `Measured` that returns its figures and the tables that
charts are drawn from. Shares are in [0, 1], also where papers print percent.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from keras_pose.data.records import PersonRecord
from keras_pose.metrics.coco_ap import check_detections, coco_result, load_coco
from keras_pose.metrics.coco_truth import CocoTruth
from keras_pose.metrics.crowdpose import evaluate_crowdpose, group_by_crowding
from keras_pose.metrics.landmarks import (
    MIDDLE_BONE,
    OUTER_EYES,
    area_under_pck,
    check_unit,
    normalized_mean_error,
    unit_sizes,
)
from keras_pose.metrics.mota import posetrack_mota
from keras_pose.metrics.pck import (
    FLIC_TORSO,
    LSP_TORSO,
    by_part,
    check_torso,
    normalized_distances,
    pck,
    torso_sizes,
    weighted_mean,
)
from keras_pose.metrics.pckh import pckh_stats
from keras_pose.metrics.pixel_error import pixel_errors
from keras_pose.metrics.posetrack_ap import PoseTrackFrame, posetrack_ap
from keras_pose.metrics.score_calibration import (
    apply_temperature,
    fit_temperature,
    reliability,
)
from keras_pose.metrics.single_ap import apk, oks_share
from keras_pose.metrics.wholebody import PARTS, evaluate_wholebody
from keras_pose.pictures.oks import keypoint_similarities
from keras_pose.skeleton import COCO_WHOLEBODY_133, Skeleton

Stats = dict[str, float]
Tables = dict[str, dict[str, float]]


@dataclass(frozen=True)
class Measured:
    """Predictions and labels of one evaluation.

    Attributes:
        skeleton: the K keypoints.
        records: the N people that were predicted, with the boxes they were found by.
        labelled: the people of the ground truth.
        keypoints_xy: (N, K, 2) image pixels.
        keypoint_scores: (N, K).
        kept: indices of the people that are left after OKS-NMS.
        detections: COCO results of those.
        ground_truth: contents of the annotation file; None if it is not COCO's form.
        image_ids: images that count; None for all.
    """

    skeleton: Skeleton
    records: list[PersonRecord]
    labelled: list[PersonRecord]
    keypoints_xy: np.ndarray
    keypoint_scores: np.ndarray
    kept: list[int]
    detections: list[dict[str, Any]]
    ground_truth: dict[str, Any] | None
    image_ids: list[Any] | None

    @property
    def is_one_to_one(self) -> bool:
        """True when every labelled person was predicted once, in their own box."""
        if self.records is self.labelled:
            return True
        return len(self.records) == len(self.labelled) and all(
            a is b for a, b in zip(self.records, self.labelled, strict=True)
        )

    def labels(self) -> tuple[np.ndarray, np.ndarray]:
        """Returns labelled_xy (N, K, 2) and is_labelled (N, K), for one-to-one metrics."""
        self.check_one_to_one()
        labelled_xy = np.stack([record.keypoints_xy for record in self.records])
        visibility = np.stack([record.visibility for record in self.records])
        return labelled_xy.astype(float), visibility > 0

    def check_one_to_one(self) -> None:
        if not self.is_one_to_one:
            raise ValueError(
                "This metric compares each labelled person with the prediction in their "
                "own box; with a detector's boxes there is none. Measure COCO AP."
            )


def _coco_ap(measured: Measured) -> tuple[Stats, Tables]:
    stats, curves = coco_result(
        measured.ground_truth,
        measured.detections,
        measured.skeleton.oks_sigmas,
        measured.image_ids,
    )
    return stats, curves | _similarity_table(measured)


def _similarity_table(measured) -> Tables:
    """Returns the similarity of each keypoint, for boxes of the ground truth."""
    if not measured.is_one_to_one:
        return {}
    labelled_xy, is_labelled = measured.labels()
    similarities = keypoint_similarities(
        measured.keypoints_xy, labelled_xy, _areas(measured), measured.skeleton.oks_sigmas
    )
    means = _mean_where(similarities, is_labelled)
    return {"keypoint similarity": _named(measured.skeleton, means)}


def _crowdpose_ap(measured: Measured) -> tuple[Stats, Tables]:
    stats = evaluate_crowdpose(
        measured.ground_truth,
        measured.detections,
        measured.skeleton.oks_sigmas,
        measured.image_ids,
    )
    return stats, _similarity_table(measured)


def _wholebody_ap(measured: Measured) -> tuple[Stats, Tables]:
    stats = evaluate_wholebody(
        measured.ground_truth,
        measured.detections,
        measured.skeleton.oks_sigmas,
        measured.image_ids,
    )
    return stats, {"AP by part": {name: stats[f"AP_{name}"] for name in PARTS}}


def _check_wholebody(measured: Measured) -> None:
    if measured.skeleton.names != COCO_WHOLEBODY_133.names:
        raise ValueError(
            f"COCO-WholeBody AP is of the {COCO_WHOLEBODY_133.num_keypoints} keypoints of "
            f"{COCO_WHOLEBODY_133.name!r}, got {measured.skeleton.name!r} with "
            f"{measured.skeleton.num_keypoints}. Measure coco_ap."
        )
    _check_truth(measured)


def _single_ap(measured: Measured) -> tuple[Stats, Tables]:
    similarities = person_similarities(measured)
    return {"AP_single": oks_share(similarities)}, _similarity_table(measured)


def _pckh(measured: Measured) -> tuple[Stats, Tables]:
    sizes = np.array([_given(record, "head_size", "PCKh") for record in measured.records])
    stats, per_part, per_keypoint = pckh_stats(
        measured.keypoints_xy, *measured.labels(), sizes, measured.skeleton
    )
    return stats, {"PCKh@0.5 by part": per_part, "PCKh@0.5": per_keypoint}


def _pck_torso(measured: Measured) -> tuple[Stats, Tables]:
    labelled_xy, is_labelled = measured.labels()
    skeleton = measured.skeleton
    sizes = torso_sizes(labelled_xy, is_labelled, skeleton, _torso(skeleton))
    distances = normalized_distances(measured.keypoints_xy, labelled_xy, is_labelled, sizes)
    result = pck(distances, 0.2)
    stats = {"PCK@0.2": result.mean, "PCK@0.1": pck(distances, 0.1).mean}
    return stats, {
        "PCK@0.2 by part": by_part(result.per_keypoint, skeleton),
        "PCK@0.2": _named(skeleton, result.per_keypoint),
    }


def _torso(skeleton):
    return FLIC_TORSO if skeleton.name.startswith("flic") else LSP_TORSO


def _box_distances(measured):
    """Returns (N, K) distances in units of the box's longer side."""
    labelled_xy, is_labelled = measured.labels()
    sizes = np.array([max(record.box_xywh[2:]) for record in measured.records])
    return normalized_distances(measured.keypoints_xy, labelled_xy, is_labelled, sizes)


def _pck_box(measured: Measured) -> tuple[Stats, Tables]:
    distances = _box_distances(measured)
    result = pck(distances, 0.1)
    stats = {f"PCK_box@{each:g}": pck(distances, each).mean for each in (0.1, 0.05, 0.2)}
    return stats, {"PCK_box@0.1": _named(measured.skeleton, result.per_keypoint)}


def _apk(measured: Measured) -> tuple[Stats, Tables]:
    values = apk(_box_distances(measured), measured.keypoint_scores, 0.1)
    mean = weighted_mean(values, ~np.isnan(values))
    return {"APK@0.1": mean}, {"APK@0.1": _named(measured.skeleton, values)}


def _pixel_error(measured: Measured) -> tuple[Stats, Tables]:
    means, mean = pixel_errors(measured.keypoints_xy, *measured.labels())
    return {"pixel_error": mean}, {"pixel error": _named(measured.skeleton, means)}


def _nme(units, name):
    """Returns the metric whose unit is a distance of two labelled keypoints."""

    def compute(measured: Measured) -> tuple[Stats, Tables]:
        labelled_xy, is_labelled = measured.labels()
        unit = check_unit(units, measured.skeleton)
        sizes = unit_sizes(labelled_xy, is_labelled, measured.skeleton, unit)
        return _normalized(measured, sizes, name)

    return compute


def _nme_box(measured: Measured) -> tuple[Stats, Tables]:
    sizes = np.array([max(record.box_xywh[2:]) for record in measured.records])
    return _normalized(measured, sizes, "NME_box")


def _normalized(measured, sizes, name):
    labelled_xy, is_labelled = measured.labels()
    means, mean = normalized_mean_error(
        measured.keypoints_xy, labelled_xy, is_labelled, sizes
    )
    return {name: mean}, {name: _named(measured.skeleton, means)}


def _auc_epe(measured: Measured) -> tuple[Stats, Tables]:
    means, mean = pixel_errors(measured.keypoints_xy, *measured.labels())
    area = area_under_pck(measured.keypoints_xy, *measured.labels())
    return {"AUC": area, "EPE": mean}, {"EPE": _named(measured.skeleton, means)}


def _calibration(measured: Measured) -> tuple[Stats, Tables]:
    """Fits a temperature on every other person, and measures both on the rest."""
    labelled_xy, is_labelled = measured.labels()
    if measured.skeleton.oks_sigmas:
        similarities = keypoint_similarities(
            measured.keypoints_xy,
            labelled_xy,
            _areas(measured),
            measured.skeleton.oks_sigmas,
        )
        is_right = similarities >= 0.5
    else:
        is_right = _box_distances(measured) <= 0.1
    scores = np.asarray(measured.keypoint_scores, float)
    fitted, tested = is_labelled[::2], is_labelled[1::2]
    temperature = fit_temperature(scores[::2][fitted], is_right[::2][fitted])
    given, right = scores[1::2][tested], is_right[1::2][tested]
    raw = reliability(given, right)
    scaled = reliability(apply_temperature(given, temperature), right)
    stats = {"ECE": raw.error, "ECE_scaled": scaled.error, "temperature": temperature}
    return stats, {"reliability": _curve(raw), "reliability, scaled": _curve(scaled)}


def _curve(found):
    """Returns the shares of right keypoints by the middles of their scores' bins."""
    middles = (np.arange(len(found.counts)) + 0.5) / len(found.counts)
    return {
        f"{middle:.2f}": float(share)
        for middle, share in zip(middles, found.shares, strict=True)
    }


def _posetrack_ap(measured: Measured) -> tuple[Stats, Tables]:
    values = posetrack_ap(_frames(measured), measured.skeleton)
    return {"mAP": values.pop("mAP")}, {"AP by keypoint": values}


def _mota(measured: Measured) -> tuple[Stats, Tables]:
    _check_tracked(measured)
    values = posetrack_mota(_frames(measured), measured.skeleton)
    return {"MOTA": values.pop("MOTA")}, {"MOTA by keypoint": values}


def _check_tracked(measured: Measured) -> None:
    for record in measured.records:
        _given(record, "track_id", "MOTA")
    _check_tracks(measured)


def _check_tracks(measured: Measured) -> None:
    """Refuses a track that is in a frame twice."""
    for people in (measured.labelled, measured.records):
        seen = set()
        for person in people:
            if person.track_id is None:
                continue
            key = person.image_path, person.track_id
            if key in seen:
                raise ValueError(
                    f"A track is in a frame once; image id {person.image_id!r} has the "
                    f"track {person.track_id!r} twice."
                )
            seen.add(key)


def _check_truth(measured: Measured) -> CocoTruth:
    if measured.ground_truth is None:
        raise ValueError("COCO AP needs annotations in COCO's form, and there are none.")
    truth = load_coco(measured.ground_truth)
    check_detections(truth, [], measured.skeleton.oks_sigmas)
    return truth


def _check_crowding(measured: Measured) -> None:
    images = _check_truth(measured).images
    chosen = images if measured.image_ids is None else measured.image_ids
    group_by_crowding(images, chosen)


def _check_torso(measured: Measured) -> None:
    check_torso(measured.skeleton, _torso(measured.skeleton))


def _frames(measured: Measured) -> list[PoseTrackFrame]:
    """Groups people by image; a video's frames stand in the order of the labels."""
    people: dict[Any, tuple[list, list]] = {}
    for record in measured.labelled:
        people.setdefault(record.image_id, ([], []))[0].append(record)
    for i in measured.kept:
        people.setdefault(measured.records[i].image_id, ([], []))[1].append(i)
    return [_frame(measured, *members) for members in people.values() if members[0]]


def _frame(measured, labelled, found) -> PoseTrackFrame:
    tracks = [measured.records[i].track_id for i in found]
    return PoseTrackFrame(
        # The frames of a video lie in one folder.
        sequence=labelled[0].video or str(labelled[0].image_path.parent),
        labelled_xy=np.stack([record.keypoints_xy for record in labelled]),
        is_labelled=np.stack([record.visibility for record in labelled]) > 0,
        head_sizes=np.array([_given(r, "head_size", "PoseTrack AP") for r in labelled]),
        track_ids=[_given(r, "track_id", "PoseTrack AP") for r in labelled],
        predicted_xy=measured.keypoints_xy[found],
        keypoint_scores=measured.keypoint_scores[found],
        # AP asks for no tracks; any distinct numbers will do.
        predicted_track_ids=np.arange(len(found)) if None in tracks else tracks,
        ignore_regions=labelled[0].ignore_regions,
    )


def _given(record, field, metric):
    """Returns what not every data set has, or says that this one has not."""
    value = getattr(record, field)
    if value is None:
        raise ValueError(
            f"{metric} needs the field {field!r} of every person; image id "
            f"{record.image_id}, annotation id {record.annotation_id} has none."
        )
    return value


def _areas(measured):
    return np.array([record.area for record in measured.records])


def _mean_where(values, counts):
    totals = counts.sum(axis=0)
    sums = np.where(counts, values, 0).sum(axis=0)
    return np.where(totals > 0, sums / np.maximum(totals, 1), np.nan)


def _named(skeleton, values) -> dict[str, float]:
    return dict(zip(skeleton.names, map(float, values), strict=True))


def person_similarities(measured: Measured) -> np.ndarray:
    """Rates every prediction against its person: by OKS, or else by PCK.

    PCK where the skeleton has no OKS sigmas: the share of keypoints within a tenth of
    the box's longer side.

    Returns:
        (N,) in [0, 1]; NaN for people without labelled keypoints.
    """
    labelled_xy, is_labelled = measured.labels()
    if measured.skeleton.oks_sigmas:
        rated = keypoint_similarities(
            measured.keypoints_xy,
            labelled_xy,
            _areas(measured),
            measured.skeleton.oks_sigmas,
        )
    else:
        rated = (_box_distances(measured) <= 0.1).astype(float)
    return _mean_where(rated.T, is_labelled.T)


@dataclass(frozen=True)
class Metric:
    """One way of measuring.

    Attributes:
        compute: the function.
        columns: its figures that stand in tables; the first is the one to compare.
        is_ranked: True if it ranks people by score, so that OKS-NMS comes first.
        needs_sigmas: True if it needs OKS sigmas.
        needs: fields of `PersonRecord` that everybody must have.
        needs_file: True if it needs what only the set's own annotation file holds.
        lower_is_better: True if a smaller first figure is better.
        check: function that refuses people who lack more than `needs` names, before
            anything is predicted.
    """

    compute: Callable[[Measured], tuple[Stats, Tables]]
    columns: tuple[str, ...]
    is_ranked: bool = False
    needs_sigmas: bool = False
    needs: tuple[str, ...] = ()
    needs_file: bool = False
    lower_is_better: bool = False
    check: Callable[[Measured], object] = lambda measured: None


METRICS = {
    "coco_ap": Metric(
        _coco_ap, ("AP", "AP50", "AP75", "AR"), True, True, check=_check_truth
    ),
    "crowdpose_ap": Metric(
        _crowdpose_ap,
        ("AP", "AP_easy", "AP_medium", "AP_hard"),
        is_ranked=True,
        needs_sigmas=True,
        needs_file=True,
        check=_check_crowding,
    ),
    "wholebody_ap": Metric(
        _wholebody_ap,
        ("AP_whole", "AP_body", "AP_foot", "AP_face", "AP_hand"),
        is_ranked=True,
        needs_sigmas=True,
        needs_file=True,
        check=_check_wholebody,
    ),
    "single_ap": Metric(_single_ap, ("AP_single",), needs_sigmas=True),
    "pckh": Metric(
        _pckh, ("PCKh@0.5", "PCKh@0.1", "PCKh@0.11", "PCKh_AUC"), needs=("head_size",)
    ),
    "pck_torso": Metric(_pck_torso, ("PCK@0.2", "PCK@0.1"), check=_check_torso),
    "pck_box": Metric(_pck_box, ("PCK_box@0.1", "PCK_box@0.05", "PCK_box@0.2")),
    "apk": Metric(_apk, ("APK@0.1",)),
    "nme_interocular": Metric(
        _nme(OUTER_EYES, "NME_interocular"),
        ("NME_interocular",),
        lower_is_better=True,
        check=lambda measured: check_unit(OUTER_EYES, measured.skeleton),
    ),
    "nme_bone": Metric(
        _nme(MIDDLE_BONE, "NME_bone"),
        ("NME_bone",),
        lower_is_better=True,
        check=lambda measured: check_unit(MIDDLE_BONE, measured.skeleton),
    ),
    "nme_box": Metric(_nme_box, ("NME_box",), lower_is_better=True),
    "auc_epe": Metric(_auc_epe, ("AUC", "EPE")),
    "calibration": Metric(
        _calibration, ("ECE", "ECE_scaled", "temperature"), lower_is_better=True
    ),
    "pixel_error": Metric(_pixel_error, ("pixel_error",), lower_is_better=True),
    "posetrack_ap": Metric(
        _posetrack_ap,
        ("mAP",),
        is_ranked=True,
        needs=("head_size", "track_id"),
        check=_check_tracks,
    ),
    "mota": Metric(
        _mota,
        ("MOTA",),
        is_ranked=True,
        needs=("head_size", "track_id"),
        check=_check_tracked,
    ),
}
# Names in errors of metrics that are known by other names.
_TITLES = {"pckh": "PCKh", "posetrack_ap": "PoseTrack AP", "mota": "MOTA"}
# Needs no more than people in boxes.
ALWAYS_MEASURABLE = "pck_box"


def check_metrics(names) -> tuple[str, ...]:
    """Returns the names, or refuses what is unknown or does not go together."""
    unknown = [name for name in names if name not in METRICS]
    if unknown or not names:
        raise ValueError(f"Unknown metrics {unknown}; known: {', '.join(METRICS)}.")
    figures = [column for name in names for column in METRICS[name].columns]
    if len(set(figures)) < len(figures):
        raise ValueError(
            f"The metrics {tuple(names)} give figures of one name ({figures}); measure "
            "one of them at a time."
        )
    return tuple(names)


def measurable_metrics(dataset) -> tuple[str, ...]:
    """Returns the metrics of a `data.PoseDataset` that its labels have all it takes for.

    They may have not after a mapping to other keypoints, or where a file with head
    sizes is absent; if so for all of them, it is PCK in units of the box.
    """
    chosen = [name for name in dataset.metrics if _is_measurable(name, dataset)]
    return tuple(chosen) or (ALWAYS_MEASURABLE,)


def default_metrics(dataset, is_whole: bool = True) -> tuple[tuple[str, ...], str]:
    """Returns the metrics to measure a `data.PoseDataset` by if none are asked for.

    Args:
        dataset: the set, or the part of it that a model predicts.
        is_whole: True for a set as it is. Its official metrics are then kept even where
            a field that they need is absent, so that its absence is reported.

    Returns:
        The metrics, and one line that says why OKS is not among them; "" if it is.
    """
    by_oks = [name for name in dataset.metrics if METRICS[name].needs_sigmas]
    if is_whole and (dataset.skeleton.oks_sigmas or not by_oks):
        return tuple(dataset.metrics), ""
    chosen = measurable_metrics(dataset)
    if dataset.skeleton.oks_sigmas or not by_oks:
        return chosen, ""
    return chosen, (
        f"{', '.join(chosen)}: the skeleton {dataset.skeleton.name!r} has no OKS sigmas, "
        f"which {', '.join(by_oks)} needs. Add oks_sigmas to it, or --sigmas uniform."
    )


def _is_measurable(name, dataset) -> bool:
    metric, skeleton = METRICS[name], dataset.skeleton
    torso = _torso(skeleton) if name == "pck_torso" else ()
    has_fields = all(
        getattr(record, field) is not None
        for field in metric.needs
        for record in dataset.records
    )
    return (
        (bool(skeleton.oks_sigmas) or not metric.needs_sigmas)
        and (dataset.has_coco_file or not metric.needs_file)
        and set(torso) <= set(skeleton.names)
        and has_fields
    )


def check_needs(names, expected: Measured) -> None:
    """Refuses metrics that cannot be computed of a data set, before minutes of predicting.

    Args:
        names: keys of `METRICS`.
        expected: people to be predicted with their labels, without any prediction.

    Raises:
        ValueError: names the metric and the first person, or the file, that lacks
            something.
    """
    for name in check_metrics(names):
        metric = METRICS[name]
        for field in metric.needs:
            for record in expected.labelled:
                _given(record, field, _TITLES.get(name, name))
        if not metric.is_ranked:
            expected.check_one_to_one()
        metric.check(expected)


def compute_metrics(names, measured: Measured) -> tuple[Stats, Tables]:
    """Computes metrics by name; see each function for what it needs.

    Raises:
        ValueError: where the data set lacks what a metric needs.
    """
    stats: Stats = {}
    tables: Tables = {}
    for name in check_metrics(names):
        more_stats, more_tables = METRICS[name].compute(measured)
        stats |= more_stats
        tables |= more_tables
    return stats, tables
