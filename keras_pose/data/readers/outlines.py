"""Boxes of COCO's `segmentation`, in each of its three forms.

Polygons are lists of x, y, ...; a mask is {"size": [height, width], "counts": ...}, runs of
0 and 1 by turns down the columns, as a list, or as text in which pycocotools packs them
(`rleFrString` of its maskApi.c).
"""

from __future__ import annotations

from typing import Any

import numpy as np

_FIRST_LETTER, _BITS, _MORE, _SIGN = 48, 5, 0x20, 0x10


def outline_box(segmentation: Any) -> np.ndarray | None:
    """Returns the box (4,) (x, y, width, height) of an outline, in image pixels.

    Returns:
        float64; None for what is absent, empty or no outline.
    """
    try:
        if isinstance(segmentation, dict):
            box = _box_of_runs(segmentation["counts"], int(segmentation["size"][0]))
        else:
            points = [np.asarray(polygon, float) for polygon in segmentation or ()]
            box = _box_of_points(np.concatenate([p.reshape(-1, 2) for p in points]))
    except (KeyError, IndexError, TypeError, ValueError, OverflowError):
        return None
    return box if box is not None and (box[2:] > 0).all() else None


def _box_of_points(points_xy) -> np.ndarray | None:
    if not len(points_xy) or not np.isfinite(points_xy).all():
        return None
    low, high = points_xy.min(axis=0), points_xy.max(axis=0)
    return np.concatenate([low, high - low])


def _box_of_runs(counts, height: int) -> np.ndarray | None:
    runs = np.asarray(unpack_runs(counts) if isinstance(counts, str) else counts, np.int64)
    ends = runs.cumsum()
    starts, ends = ends[:-1:2], ends[1::2] - 1  # of the runs of 1, the last pixel included
    is_any = ends >= starts
    starts, ends = starts[is_any], ends[is_any]
    if not len(starts) or height < 1 or (runs < 0).any():
        return None
    first, last = starts // height, ends // height
    # A run over the end of a column touches the last row of one, the first of the next.
    has_all_rows = (last > first).any()
    low = 0 if has_all_rows else (starts % height).min()
    high = height - 1 if has_all_rows else (ends % height).max()
    left, right = first.min(), last.max()
    return np.array([left, low, right - left + 1, high - low + 1], np.float64)


def unpack_runs(text: str) -> list[int]:
    """Reads the run lengths out of pycocotools' text."""
    runs: list[int] = []
    letters = iter(text.encode("ascii"))
    for letter in letters:
        value, shift = 0, 0
        while True:
            bits = letter - _FIRST_LETTER
            value |= (bits & 0x1F) << shift
            shift += _BITS
            if not bits & _MORE:
                break
            letter = next(letters, _FIRST_LETTER)
        if bits & _SIGN:
            value -= 1 << shift
        # From the fourth on, it is the difference from the last but one.
        runs.append(value + runs[-2] if len(runs) > 2 else value)
    return runs
