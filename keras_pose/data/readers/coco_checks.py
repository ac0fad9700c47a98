"""Labels that are not what COCO's are: boxes of another resolution, corners or a centre in
place of a corner and a size, keypoints of a larger picture, shares in place of pixels."""

from __future__ import annotations

import numpy as np

from keras_pose.data.readers.checks import Notes
from keras_pose.data.readers.coco_people import CocoPeople
from keras_pose.pictures.geometry import box_to_crop, xywh_to_xyxy

_USUAL_HW = (256, 192)  # the shape of most models' crops
_INSIDE = 0.1  # with fewer of their keypoints in the crop, people lie outside of it
_TOO_MANY = 0.1  # as a share of the people
_AT_ONCE = 1 << 15  # people: arrays of all their keypoints would be half a gigabyte
_NEARER = 3  # how much nearer to the last keypoints corners must end than sizes do
_BEYOND = 0.05  # of a picture's side: labels of cut off people may lie a little outside


def check_boxes(people: CocoPeople, rows: np.ndarray, boxes, notes: Notes) -> None:
    """Counts people who are not in their boxes or pictures, and boxes of another form.

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
    outside = outside[people.is_labelled[outside]]  # others have nothing to be outside
    names = [f"annotation id {people.ids[i]}" for i in outside]
    if len(outside) > _TOO_MANY * len(rows):
        raise ValueError(
            f"{people.path}: {len(outside)} of {len(rows)} people have their keypoints "
            f"outside the crop around their box, field 'bbox' ({', '.join(names[:3])}"
            f"{', ...' * (len(names) > 3)}; the first is "
            f"{people.boxes_xywh[outside[0]].tolist()}). {_likely_reason(people, rows)}"
        )
    notes.add("{} people whose keypoints lie outside the crop around their box", names)
    _note_most(people, rows, notes)


def _likely_reason(people, rows) -> str:
    for name, values in (("keypoints", people.keypoints_xy), ("boxes", people.boxes_xywh)):
        if values[rows].max() <= 1:
            return f"All coordinates of the {name} are within 1: COCO's are pixels."
    return "The boxes are likely of a picture of another size, or of somebody else."


def _note_most(people, rows, notes: Notes) -> None:
    """Notes what is true of most people, and likely is a misunderstanding of the format."""
    parts = np.array_split(rows, -(-len(rows) // _AT_ONCE))

    def suspects(is_suspect):
        found = rows[np.concatenate([is_suspect(people, part) for part in parts])]
        return found if 2 * len(found) > len(rows) else found[:0]

    outside = suspects(_has_keypoints_outside)
    found = [
        (
            "keypoints outside their picture: the labels are likely of a larger one",
            outside,
        ),
        (
            "a 'bbox' around whose first point their keypoints lie: COCO's boxes begin at "
            "a corner, and these likely at the centre",
            suspects(_looks_like_centre),
        ),
    ]
    if not len(outside):
        corners = (suspects(_looks_like_corners), suspects(_is_past_the_picture))
        found.append((
            "a 'bbox' that reaches far past them or ends outside its picture: COCO's boxes "
            "are x, y, width, height, and these are likely x1, y1, x2, y2",
            max(corners, key=len),
        ))  # fmt: skip
    for text, those in found:
        notes.add(
            f"{{}} people, most of all, with {text}",
            (f"annotation id {people.ids[i]}" for i in those),
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
    ends = xywh_to_xyxy(boxes)[:, 2:]
    return ((ends > limit_wh + 1) & (limit_wh > 0)).any(axis=1)


def _has_keypoints_outside(people, rows) -> np.ndarray:
    limit_wh = people.images.sizes_hw[people.image_index[rows]][:, ::-1]
    low, high = _extremes(people, rows)
    margin = _BEYOND * limit_wh
    is_outside = (low < -margin) | (high > limit_wh + margin)
    return (is_outside & (limit_wh > 0)).any(axis=1)


def _looks_like_centre(people, rows) -> np.ndarray:
    """Whether a box holds a person's keypoints around its first point, and not behind."""
    first, size = np.split(people.boxes_xywh[rows], 2, axis=1)
    low, high = _extremes(people, rows)
    is_around = (np.abs(low - first) <= size / 2 + 1) & (
        np.abs(high - first) <= size / 2 + 1
    )
    is_behind = (low >= first - 1) & (high <= first + size + 1)
    return is_around.all(axis=1) & ~is_behind.all(axis=1)


def _looks_like_corners(people, rows) -> np.ndarray:
    """Returns True where x1, y1, x2, y2 fits a person's keypoints better than the box."""
    near, far = np.split(people.boxes_xywh[rows], 2, axis=1)
    low, high = _extremes(people, rows)
    fits = ((near >= 0) & (near <= low + 1) & (high <= far + 1)).all(axis=1)
    as_corners = np.abs(far - high).sum(axis=1)
    as_sizes = np.abs(near + far - high).sum(axis=1)
    return fits & (as_sizes > _NEARER * as_corners)


def _extremes(people, rows) -> tuple[np.ndarray, np.ndarray]:
    """Returns the smallest and the largest x and y of labelled keypoints, (N, 2) each."""
    points, labelled = people.keypoints_xy[rows], people.visibility[rows, :, None] > 0
    low = np.where(labelled, points, np.inf).min(axis=1)
    high = np.where(labelled, points, -np.inf).max(axis=1)
    return low, high
