"""Boxes that cannot be their people's: of another resolution, or corners for a size."""

from __future__ import annotations

import numpy as np

from keras_pose.data.readers.checks import Notes
from keras_pose.data.readers.coco_people import CocoPeople
from keras_pose.geometry import box_to_crop

_USUAL_HW = (256, 192)  # the shape of most models' crops
_INSIDE = 0.1  # with fewer of their keypoints in the crop, people lie outside of it
_TOO_MANY = 0.1  # as a share of the people
_AT_ONCE = 1 << 15  # people: arrays of all their keypoints would be half a gigabyte
_NEARER = 3  # how much nearer to the last keypoints corners must end than sizes do


def check_boxes(people: CocoPeople, rows: np.ndarray, boxes, notes: Notes) -> None:
    """Counts people who are not in their boxes, and boxes that look like corners.

    Args:
        people: images and annotations of one file.
        rows: (N,) indices of those who are used.
        boxes: (N, 4) boxes of everybody, clipped to their images.
        notes: counter of the people and boxes found.

    Raises:
        ValueError: when over a tenth of the people lie outside their crops.
    """
    parts = np.array_split(rows, -(-len(rows) // _AT_ONCE))
    outside = rows[np.concatenate([_is_outside(people, part, boxes) for part in parts])]
    names = [f"annotation id {people.ids[i]}" for i in outside]
    if len(outside) > _TOO_MANY * len(rows):
        raise ValueError(
            f"{people.path}: {len(outside)} of {len(rows)} people have their keypoints "
            f"outside the crop around their box, field 'bbox' ({', '.join(names[:3])}"
            f"{', ...' * (len(names) > 3)}; the first is "
            f"{people.boxes_xywh[outside[0]].tolist()}). The boxes are "
            "likely of a picture of another size, or of somebody else."
        )
    notes.add("{} people whose keypoints lie outside the crop around their box", names)
    past = _is_past_the_picture(people, rows)
    corners = np.concatenate([_looks_like_corners(people, part) for part in parts])
    if max(past.sum(), corners.sum()) * 2 > len(rows):
        suspects = rows[corners if corners.sum() > past.sum() else past]
        notes.add(
            "{} people, most of all, with a 'bbox' that reaches far past them or ends "
            "outside its picture: COCO's boxes are x, y, width, height, and these are "
            "likely x1, y1, x2, y2",
            (f"annotation id {people.ids[i]}" for i in suspects),
        )


def _is_outside(people, rows, boxes) -> np.ndarray:
    center, size = box_to_crop(boxes[rows], _USUAL_HW)
    away = np.abs(people.keypoints_xy[rows] - center[:, None])
    is_inside = (away <= size[:, None] / 2).all(axis=2)
    labelled = people.visibility[rows] > 0
    return (is_inside & labelled).sum(axis=1) <= _INSIDE * labelled.sum(axis=1)


def _is_past_the_picture(people, rows) -> np.ndarray:
    boxes = people.boxes_xywh[rows]
    limit_wh = people.images.sizes_hw[people.image_index[rows]][:, ::-1]
    ends = boxes[:, :2] + boxes[:, 2:]
    return ((ends > limit_wh + 1) & (limit_wh > 0)).any(axis=1)


def _looks_like_corners(people, rows) -> np.ndarray:
    """Returns True where x1, y1, x2, y2 fits a person's keypoints better than the box."""
    near, far = np.split(people.boxes_xywh[rows], 2, axis=1)
    points, labelled = people.keypoints_xy[rows], people.visibility[rows, :, None] > 0
    low = np.where(labelled, points, np.inf).min(axis=1)
    high = np.where(labelled, points, -np.inf).max(axis=1)
    fits = ((near >= 0) & (near <= low + 1) & (high <= far + 1)).all(axis=1)
    as_corners = np.abs(far - high).sum(axis=1)
    as_sizes = np.abs(near + far - high).sum(axis=1)
    return fits & (as_sizes > _NEARER * as_corners)
