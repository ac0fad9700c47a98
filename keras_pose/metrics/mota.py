"""MOTA: how well people are tracked, per keypoint, counted by py-motmetrics."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby

import numpy as np

from keras_pose.metrics.numbering import number_ids
from keras_pose.metrics.pck import weighted_mean
from keras_pose.metrics.posetrack_ap import (
    PoseTrackFrame,
    is_scored,
    labelled_frames,
    match_frame,
)
from keras_pose.skeleton import Skeleton

_COUNTS = ("num_misses", "num_switches", "num_false_positives", "num_objects")


def posetrack_mota(
    frames: Sequence[PoseTrackFrame], skeleton: Skeleton, as_poseval: bool = True
) -> dict[str, float]:
    """Computes MOTA of every keypoint over all videos, and their mean.

    A keypoint is a tracked point; it can be the label's if it is at most half a head
    size away. Misses, switches and false positives are added up over the videos.
    Source: Andriluka et al. 2018 (arXiv:1710.10000), "MOTA"; `evaluateTracking.py` of
    poseval, which gives percent where this gives shares.

    Args:
        frames: frames of all videos, each video's together and in order.
        skeleton: names the K keypoints.
        as_poseval: count as the published figures are counted: the last frame of a
            video is left out, and a frame without any prediction counts as one miss
            and one false positive of each keypoint, with people in it or not.

    Returns:
        MOTA by keypoint name and their mean as "MOTA": at most 1, negative where there
        are more errors than labels, NaN without labels.

    Raises:
        ImportError: without the package motmetrics.
    """
    totals = np.zeros((skeleton.num_keypoints, len(_COUNTS)))
    for _, video in groupby(labelled_frames(frames), key=lambda frame: frame.sequence):
        in_order = list(video)
        if as_poseval:
            in_order = in_order[:-1]
        totals += _count_errors(in_order, skeleton, as_poseval)
    errors, num_labels = totals[:, :3].sum(axis=1), totals[:, 3]
    mota = np.where(num_labels > 0, 1 - errors / np.maximum(num_labels, 1), np.nan)
    mota = mota[is_scored(skeleton)]
    names = np.array(skeleton.names)[is_scored(skeleton)].tolist()
    by_name = dict(zip(names, mota.tolist(), strict=True))
    return by_name | {"MOTA": weighted_mean(mota, ~np.isnan(mota))}


def _count_errors(frames, skeleton, as_poseval):
    """Returns (K, 4) counts of one video."""
    motmetrics = _import_motmetrics()
    accumulators = [
        motmetrics.MOTAccumulator(auto_id=True) for _ in range(skeleton.num_keypoints)
    ]
    labelled = number_ids(track for frame in frames for track in frame.track_ids)
    tracked = number_ids(track for frame in frames for track in frame.predicted_track_ids)
    for frame in frames:
        distances = match_frame(frame).distances
        counts, is_predicted = frame.counts, frame.is_predicted
        # To motmetrics, NaN means that two points cannot be one.
        distances = np.where(distances <= 0.5, distances, np.nan)
        for k, accumulator in enumerate(accumulators):
            if as_poseval and not len(frame.predicted_xy):
                accumulator.update([0], [0], [[np.nan]])
                continue
            there, found = counts[:, k], is_predicted[:, k]
            accumulator.update(
                [labelled[track] for track in frame.track_ids[there]],
                [tracked[track] for track in frame.predicted_track_ids[found]],
                distances[found][:, there, k].T,
            )
    host = motmetrics.metrics.create()
    return np.array([_counts(host, accumulator) for accumulator in accumulators])


def _counts(host, accumulator):
    values = host.compute(accumulator, metrics=list(_COUNTS), return_dataframe=False)
    return [float(values[name]) for name in _COUNTS]


def _import_motmetrics():
    try:
        import motmetrics
    except ImportError as error:
        raise ImportError(
            f"MOTA needs the package motmetrics, which cannot be imported ({error}). "
            "Install it: pip install motmetrics"
        ) from error
    return motmetrics
