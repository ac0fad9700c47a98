"""Tolerances for the difference of two programs, by field."""

from __future__ import annotations

from typing import Any

import numpy as np

PIXEL_LEVEL = 1.0  # of 255
KEYPOINTS = 0.05  # pixels
DETECTED_BOXES = 0.5  # pixels
EXACT = 0.0
SCORES = 1e-4
# Where a network has seen pixels that differ by a level. An int8 network of 128x96 moves
# sure keypoints by a quarter of a pixel of the crop then, unsure ones by more.
WHOLE_WAY_SCORES = 0.02
WHOLE_WAY_KEYPOINTS = 0.5  # crop pixels
GEOMETRY = 1e-6  # of crops: double precision on both sides
FLOAT_INPUT = 1e-4
SETTINGS = 1e-6  # some programs keep them in float32
# Tolerance of a network's output: integer steps, or a share of the standard deviation.
OUTPUT_STEP = 1.0
OUTPUT_SHARE = 1e-3

# Field of `expected` -> (tolerance, unit).
FIELDS: dict[str, tuple[float, str]] = {
    "center_xy": (GEOMETRY, "image pixels"),
    "size_wh": (GEOMETRY, "image pixels"),
    "image_to_crop": (GEOMETRY, "crop pixels"),
    "crop_to_image": (GEOMETRY, "image pixels"),
    "crop": (PIXEL_LEVEL, "levels"),
    "boxed": (PIXEL_LEVEL, "levels"),
    "points_in_image_xy": (KEYPOINTS, "image pixels"),
    "content_hw": (EXACT, "input pixels"),
    "scale_xy": (GEOMETRY, "input pixels per image pixel"),
    "crop_xy": (KEYPOINTS, "crop pixels"),
    "keypoints_xy": (KEYPOINTS, "image pixels"),
    "smoothed_xy": (KEYPOINTS, "image pixels"),
    "next_boxes_xyxy": (KEYPOINTS, "image pixels"),
    "boxes_xyxy": (DETECTED_BOXES, "image pixels"),
    "proposed_boxes_xyxy": (DETECTED_BOXES, "input pixels"),
    "proposed_scores": (SCORES, "probability"),
    "keypoint_scores": (SCORES, "output of the network"),
    "scores": (SCORES, "score"),
    "visibility": (SCORES, "probability"),
    "similarity": (SCORES, "OKS"),
    "real": (SCORES, "output of the network"),
    "proposed_labels": (EXACT, "class"),
    "labels": (EXACT, "class"),
    "kept": (EXACT, "index"),
    "can_follow": (EXACT, "mask"),
    "is_detected": (EXACT, "mask"),
    "track_ids": (EXACT, "track"),
    "defaults": (SETTINGS, "setting"),
}
# Where the same name stands for something else.
EXCEPTIONS = {
    ("people", "boxes_xyxy"): (KEYPOINTS, "image pixels"),
    ("clip", "boxes_xyxy"): (KEYPOINTS, "image pixels"),
    ("video", "boxes_xyxy"): (KEYPOINTS, "image pixels"),
    ("video", "keypoint_scores"): (WHOLE_WAY_SCORES, "output of the network"),
    ("video", "scores"): (WHOLE_WAY_SCORES, "score"),
    ("crowd", "keypoint_scores"): (WHOLE_WAY_SCORES, "output of the network"),
    ("pose", "keypoint_scores"): (WHOLE_WAY_SCORES, "output of the network"),
    ("detect", "scores"): (WHOLE_WAY_SCORES, "probability"),
}


def annotate(kind: str, value, where=None, name: str = "", own=None) -> Any:
    """Gives each array of `expected` its tolerance, its unit and what is compared.

    Args:
        kind: kind of the case.
        value: fields, a list, or an array.
        where: masks of the entries to compare, in the structure of `value`; None where all
            are compared.
        name: the field that `value` is.
        own: tolerances of this case, by field, in place of the usual ones.

    Raises:
        ValueError: for a field that has no tolerance.
    """
    if isinstance(value, dict):
        where = where or {}
        return {
            key: annotate(kind, item, where.get(key), key, own)
            for key, item in value.items()
        }
    if isinstance(value, list):
        inner = where or [None] * len(value)
        return [
            annotate(kind, item, part, name, own)
            for item, part in zip(value, inner, strict=True)
        ]
    tolerance, unit = _tolerance(kind, name, value)
    tolerance = (own or {}).get(name, tolerance)
    annotated = {"array": value, "tolerance": tolerance, "unit": unit}
    return annotated if where is None else annotated | {"where": where}


def _tolerance(kind, name, array) -> tuple[float, str]:
    is_integer = np.issubdtype(array.dtype, np.integer)
    if name == "input":
        return (EXACT, "steps") if is_integer else (FLOAT_INPUT, "input of the network")
    if name == "raw":
        share = OUTPUT_SHARE * float(np.std(array))
        return (OUTPUT_STEP, "steps") if is_integer else (share, "output of the network")
    if (kind, name) in EXCEPTIONS:
        return EXCEPTIONS[kind, name]
    if name not in FIELDS:
        raise ValueError(f"A case of kind {kind!r} has no field {name!r} to compare.")
    return FIELDS[name]
