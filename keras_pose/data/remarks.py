"""Warnings about labels and their skeleton, before a training of hours."""

from __future__ import annotations

import numpy as np

from keras_pose.data.own import other_side
from keras_pose.skeleton import Skeleton


def label_remarks(skeleton: Skeleton, visibility: np.ndarray) -> list[str]:
    """Returns a line for each kind of oddity, none for labels that are all right.

    Args:
        skeleton: the K keypoints.
        visibility: (N, K) COCO flags of the people to train on.
    """
    counts = np.count_nonzero(visibility, axis=0)
    never = [name for i, name in enumerate(skeleton.names) if not counts[i]]
    paired = {frozenset(pair) for pair in skeleton.mirrored}
    sides = {
        frozenset((name, other))
        for name in skeleton.names
        if (other := other_side(name)) in skeleton.names
    }
    across = [pair for pair in skeleton.mirrored if _is_across(*pair)]
    crossed = {name for pair in across for name in pair}
    unpaired = [pair for pair in sides - paired if not pair & crossed]
    lines = []
    if never:
        lines.append(
            f"{_listed(never)}: labelled of nobody, so nothing teaches them and they have "
            "no weight"
        )
    if unpaired:
        names = sorted(" and ".join(sorted(pair)) for pair in unpaired)
        lines.append(
            f"{_listed(names)}: no mirror pairs of the skeleton, so mirrored pictures "
            "teach them on the wrong side; add them to 'mirrored'"
        )
    if across:
        names = [" and ".join(pair) for pair in across]
        lines.append(
            f"{_listed(names)}: mirror pairs of keypoints that are not left and right of "
            "one another"
        )
    return lines


def _is_across(first: str, second: str) -> bool:
    """Returns True if names that say their sides are not those of one pair."""
    others = (other_side(first), other_side(second))
    return others != (None, None) and others != (second, first)


def _listed(names, most: int = 6) -> str:
    return ", ".join(names[:most]) + ", ..." * (len(names) > most)
