"""Sorting people's keypoints into another skeleton, by the names of the keypoints."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import numpy as np

from keras_pose.data.records import PersonRecord, PersonTable
from keras_pose.skeleton import Skeleton


def map_record(
    record: PersonRecord, skeleton: Skeleton, target: Skeleton
) -> PersonRecord | None:
    """Sorts a person's keypoints into another skeleton; None if none of them is there."""
    keypoints_xy = np.zeros((target.num_keypoints, 2), np.float32)
    visibility = np.zeros(target.num_keypoints, np.uint8)
    for i, name in enumerate(skeleton.names):
        if name in target.names:
            keypoints_xy[target.index(name)] = record.keypoints_xy[i]
            visibility[target.index(name)] = record.visibility[i]
    if not visibility.any():
        return None
    return dataclasses.replace(record, keypoints_xy=keypoints_xy, visibility=visibility)


def map_table(table: PersonTable, skeleton: Skeleton, target: Skeleton) -> PersonTable:
    """Sorts everybody's keypoints as `map_record` does; without any, they are left out.

    Who had none before, as a teacher's pupils may, stays.
    """
    shape = (len(table), target.num_keypoints)
    keypoints_xy = np.zeros((*shape, 2), np.float32)
    visibility = np.zeros(shape, np.uint8)
    for i, name in enumerate(skeleton.names):
        if name in target.names:
            keypoints_xy[:, target.index(name)] = table.keypoints_xy[:, i]
            visibility[:, target.index(name)] = table.visibility[:, i]
    mapped = dataclasses.replace(table, keypoints_xy=keypoints_xy, visibility=visibility)
    return mapped.take(visibility.any(axis=1) | ~table.visibility.any(axis=1))


def map_records(
    records: Sequence[PersonRecord], skeleton: Skeleton, target: Skeleton, source: str
) -> Sequence[PersonRecord]:
    """Sorts everybody's keypoints into another skeleton; without any, they are left out.

    Raises:
        ValueError: when no person is left; names `source`.
    """
    if isinstance(records, PersonTable):
        found: Sequence[PersonRecord] = map_table(records, skeleton, target)
    else:
        mapped = [map_record(record, skeleton, target) for record in records]
        found = [record for record in mapped if record is not None]
    if not found:
        raise ValueError(
            f"No labelled keypoint of {source} ({', '.join(skeleton.names)}) "
            f"is in the skeleton {target.name!r} ({', '.join(target.names)})."
        )
    return found


# Keypoints that lie midway between two others, where a data set does not label them: so
# are OpenPose's neck (`_add_neck` of lightweight OpenPose) and its middle of the hips.
MIDDLES = {
    "neck": ("right_shoulder", "left_shoulder"),
    "mid_hip": ("right_hip", "left_hip"),
}


def map_with_middles(keypoints_xy, visibility, skeleton: Skeleton, target: Skeleton):
    """Sorts everybody's keypoints into another skeleton, and adds `MIDDLES` to them.

    A middle is labelled where both of its keypoints are, and visible where both are.

    Args:
        keypoints_xy: (N, K, 2) of `skeleton`.
        visibility: (N, K) COCO flags.
        skeleton: the keypoints that there are.
        target: the keypoints to return, K' of them.

    Returns:
        keypoints_xy: (N, K', 2) float32; (0, 0) where not labelled.
        visibility: (N, K') int32.
    """
    shape = (len(keypoints_xy), target.num_keypoints)
    mapped_xy, flags = np.zeros((*shape, 2), np.float32), np.zeros(shape, np.int32)
    for i, name in enumerate(target.names):
        between = MIDDLES.get(name, ())
        if name in skeleton.names:
            k = skeleton.index(name)
            mapped_xy[:, i], flags[:, i] = keypoints_xy[:, k], visibility[:, k]
        elif between and set(between) <= set(skeleton.names):
            ends = [skeleton.index(end) for end in between]
            flags[:, i] = visibility[:, ends].min(axis=1)
            mapped_xy[:, i] = keypoints_xy[:, ends].mean(axis=1)
    return np.where(flags[..., None] > 0, mapped_xy, 0), flags
