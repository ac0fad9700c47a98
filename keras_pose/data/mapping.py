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
    """Sorts everybody's keypoints as `map_record` does; without any, they are left out."""
    shape = (len(table), target.num_keypoints)
    keypoints_xy = np.zeros((*shape, 2), np.float32)
    visibility = np.zeros(shape, np.uint8)
    for i, name in enumerate(skeleton.names):
        if name in target.names:
            keypoints_xy[:, target.index(name)] = table.keypoints_xy[:, i]
            visibility[:, target.index(name)] = table.visibility[:, i]
    mapped = dataclasses.replace(table, keypoints_xy=keypoints_xy, visibility=visibility)
    return mapped.take(visibility.any(axis=1))


def map_records(
    records: Sequence[PersonRecord], skeleton: Skeleton, target: Skeleton, source: str
) -> Sequence[PersonRecord]:
    """Sorts everybody's keypoints into another skeleton; without any, they are left out.

    Raises:
        ValueError: when nobody is left; names `source`.
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
