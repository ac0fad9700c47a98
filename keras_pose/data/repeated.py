"""People who were labelled more than once: one picture, several sets of labels."""

from __future__ import annotations

import itertools
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from keras_pose.data.check import read_splits
from keras_pose.data.readers.checks import box_around
from keras_pose.data.readers.coco import Reading
from keras_pose.data.readers.label_studio import find_label_studio, repeated_people
from keras_pose.skeleton import Skeleton

# Poses of one person are nearer than this share of sqrt(area), in the mean.
_NEAR = 0.5


@dataclass(frozen=True)
class LabelledPose:
    """One person as one worker labelled them.

    Attributes:
        keypoints_xy: (K, 2) pixels.
        visibility: (K,) COCO flags.
        area: square pixels.
    """

    keypoints_xy: np.ndarray
    visibility: np.ndarray
    area: float


@dataclass(frozen=True)
class PosePairs:
    """N pairs of poses of one person each, by two workers or two models.

    Attributes:
        squared: (N, K) squared distances of a keypoint over the mean of both areas; NaN
            where one of the two has no label.
        pictures: (N,) numbers of the pictures.
    """

    squared: np.ndarray
    pictures: np.ndarray


def read_repeated(
    folders: Sequence[Path], reading: Reading | None = None
) -> tuple[Skeleton, PosePairs]:
    """Reads pairs of labels of the same people.

    Args:
        folders: one of each worker, whose pictures have the same names; or one export of
            Label Studio whose tasks have several annotations.
        reading: options of the user for reading the files.

    Raises:
        ValueError: where keypoints differ, or no person is labelled twice.
    """
    reading = reading or Reading()
    read = [_poses(Path(folder), reading) for folder in folders]
    skeleton = read[0][0]
    for folder, (other, _) in zip(folders, read, strict=True):
        if other.names != skeleton.names:
            raise ValueError(
                f"Labels of the same pictures need the same keypoints: {folder} has "
                f"{other.names}, {folders[0]} has {skeleton.names}."
            )
    workers = [worker for _, found in read for worker in found]
    pairs = _pairs(workers, skeleton.num_keypoints)
    if not len(pairs.squared):
        raise ValueError(
            f"Nobody is labelled twice in {', '.join(map(str, folders))}: {len(workers)} "
            "sets of labels, without a person near another in a picture of the same name."
        )
    return skeleton, pairs


_Worker = dict[str, list[LabelledPose]]  # by the name of the picture


def _poses(folder, reading) -> tuple[Skeleton, list[_Worker]]:
    """Returns the keypoints of a folder, and the poses of each of its workers."""
    _, skeleton, splits = read_splits(folder, reading)
    exports = find_label_studio(folder)
    if exports:
        return skeleton, _workers(folder, exports[0], skeleton)
    worker: _Worker = defaultdict(list)
    for split in splits:
        people = split.people
        for i in np.flatnonzero(people.is_labelled & ~people.is_crowd):
            pose = LabelledPose(
                people.keypoints_xy[i], people.visibility[i], people.areas[i]
            )
            name = split.names.get(int(people.image_index[i]))
            if name is not None:
                worker[Path(name).name].append(pose)
    return skeleton, [worker]


def _workers(folder, path, skeleton) -> list[_Worker]:
    workers: dict[str, _Worker] = defaultdict(lambda: defaultdict(list))
    for picture, worker, people in repeated_people(folder, path):
        for person in people:
            xy = np.zeros((skeleton.num_keypoints, 2))
            flags = np.zeros(skeleton.num_keypoints, np.uint8)
            for point in person.points:
                if point.name in skeleton.names:
                    xy[skeleton.index(point.name)] = point.xy
                    flags[skeleton.index(point.name)] = point.flag
            box = person.box_xywh
            sides = box_around([p.xy for p in person.points]) if box is None else box
            area = float(sides[2] * sides[3])
            workers[worker][picture].append(LabelledPose(xy, flags, area))
    return list(workers.values())


def _pairs(workers: Sequence[_Worker], num_keypoints: int) -> PosePairs:
    names = sorted({name for worker in workers for name in worker})
    rows, pictures = [], []
    for number, name in enumerate(names):
        for one, other in itertools.combinations(workers, 2):
            for pose, match in _matched(one.get(name, []), other.get(name, [])):
                rows.append(squared_distances(pose, match))
                pictures.append(number)
    table = np.array(rows, float).reshape(-1, num_keypoints)
    return PosePairs(table, np.array(pictures, int))


def _matched(ones, others) -> Iterator[tuple[LabelledPose, LabelledPose]]:
    """Yields people of two workers who are the same, nearest first."""
    found = [
        (away, i, j)
        for i, one in enumerate(ones)
        for j, other in enumerate(others)
        if (away := _away(one, other)) < _NEAR
    ]
    taken: tuple[set[int], set[int]] = (set(), set())
    for _, i, j in sorted(found):
        if i not in taken[0] and j not in taken[1]:
            taken[0].add(i)
            taken[1].add(j)
            yield ones[i], others[j]


def squared_distances(one: LabelledPose, other: LabelledPose) -> np.ndarray:
    """Returns (K,) squared distances over the mean area; NaN without both labels."""
    both = (one.visibility > 0) & (other.visibility > 0)
    away = np.asarray(one.keypoints_xy, float) - np.asarray(other.keypoints_xy, float)
    area = max((one.area + other.area) / 2, 1)
    return np.where(both, (away**2).sum(axis=1) / area, np.nan)


def _away(one, other) -> float:
    """Returns the mean distance over sqrt(area); infinite without common keypoints."""
    squared = squared_distances(one, other)
    told = ~np.isnan(squared)
    return float(np.sqrt(squared[told]).mean()) if told.any() else float("inf")
