"""Counts of what an app shows: people found, people missed, wrong and double ones.

AP ranks all that a pipeline proposes. An app shows what lies above a threshold, all of it
alike; this counts that.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from keras_pose.pictures.oks import object_keypoint_similarity, sigmas_of
from keras_pose.pictures.structures import Poses

# A pose with a smaller OKS is not of that person.
MATCH_OKS = 0.5


@dataclass(frozen=True)
class PersonCounts:
    """Counts over some images; `+` adds them up.

    Attributes:
        labelled: people who are there, with labelled keypoints.
        found: labelled people who got a skeleton.
        doubles: skeletons of somebody who has a better one already.
        wrong: skeletons that match no labelled person. Some are of people without labelled
            keypoints, such as those far away.
    """

    labelled: int = 0
    found: int = 0
    doubles: int = 0
    wrong: int = 0

    @property
    def right_share(self) -> float:
        """Share of the skeletons shown that are of a labelled person; 0 where none is."""
        shown = self.found + self.doubles + self.wrong
        return self.found / shown if shown else 0.0

    def __add__(self, other: PersonCounts) -> PersonCounts:
        return PersonCounts(
            self.labelled + other.labelled,
            self.found + other.found,
            self.doubles + other.doubles,
            self.wrong + other.wrong,
        )


def count_people(
    poses: Poses, labelled_xy, is_labelled, areas, match_oks: float = MATCH_OKS
) -> PersonCounts:
    """Compares the skeletons shown over one image with the people who are there.

    The best-rated skeleton chooses first, and takes of the people who have none the one
    it resembles most.

    Args:
        poses: the N skeletons.
        labelled_xy: (M, K, 2) image pixels, the people who are there.
        is_labelled: (M, K) bool, keypoints that count.
        areas: (M,) of the people, pixels^2.
        match_oks: the least OKS of a skeleton with a person it is of.
    """
    labelled_xy = np.asarray(labelled_xy, float)
    if not len(poses) or not len(labelled_xy):
        return PersonCounts(labelled=len(labelled_xy), wrong=len(poses))
    similarity = object_keypoint_similarity(
        np.nan_to_num(poses.keypoints_xy),
        labelled_xy,
        np.asarray(areas, float),
        sigmas_of(poses.skeleton),
        is_labelled,
    )
    free = np.ones(len(labelled_xy), bool)
    doubles = 0
    for row in similarity[np.argsort(-poses.scores, kind="stable")]:
        best = int(np.argmax(np.where(free, row, -1.0)))
        if free[best] and row[best] >= match_oks:
            free[best] = False
        elif row.max() >= match_oks:
            doubles += 1
    found = int((~free).sum())
    return PersonCounts(len(labelled_xy), found, doubles, len(poses) - found - doubles)


def count_all(pairs: Iterable[tuple[Poses, tuple]]) -> PersonCounts:
    """Adds up images: pairs of poses, and of the labels as `count_people` wants them."""
    return sum((count_people(poses, *labels) for poses, labels in pairs), PersonCounts())
