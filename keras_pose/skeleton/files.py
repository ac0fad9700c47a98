"""Skeletons as small JSON files, for keypoints of one's own.

    {
      "name": "crane_5",
      "names": ["cabin", "left_track", "right_track", "elbow", "hook"],
      "mirrored": [["left_track", "right_track"]],
      "limbs": [["cabin", "elbow"], ["elbow", "hook"]],
      "oks_sigmas": [0.05, 0.05, 0.05, 0.05, 0.05],
      "upper_body": ["cabin", "elbow", "hook"]
    }

The first two are needed. Fields are those of `Skeleton`.
"""

from __future__ import annotations

import dataclasses
import difflib
import json
import math
from pathlib import Path
from typing import Any

from keras_pose.files import read_json, write_json
from keras_pose.skeleton.base import Skeleton

FIELDS = tuple(field.name for field in dataclasses.fields(Skeleton))
REQUIRED = ("name", "names")


def read_skeleton(path) -> Skeleton:
    """Reads a skeleton file.

    Raises:
        FileNotFoundError: if there is no such file.
        ValueError: if it is no JSON or no skeleton; names the file and the field.
    """
    path = Path(path)
    values = read_json(path)
    try:
        return skeleton_from_dict(values)
    except ValueError as error:
        raise ValueError(f"Skeleton file {path}: {error}") from error


def write_skeleton(path, skeleton: Skeleton) -> Path:
    """Writes what `read_skeleton` reads; returns the path."""
    return write_json(path, skeleton_to_dict(skeleton))


def skeleton_to_dict(skeleton: Skeleton) -> dict[str, Any]:
    """Returns the fields as JSON has them (lists, no tuples), without the empty ones."""
    values = dataclasses.asdict(skeleton)
    kept = {key: value for key, value in values.items() if value or key in REQUIRED}
    return json.loads(json.dumps(kept))


def skeleton_from_dict(values: Any) -> Skeleton:
    """Reads what `skeleton_to_dict` returns.

    Raises:
        ValueError: names the field that is missing, unknown or does not fit.
    """
    if not isinstance(values, dict):
        raise ValueError(f"must hold one object {{...}}, got a {type(values).__name__}.")
    for field in values:
        if field not in FIELDS:
            near = difflib.get_close_matches(field, FIELDS, n=1)
            hint = f" Did you mean {near[0]!r}?" if near else ""
            raise ValueError(f"unknown field {field!r}.{hint} Known: {', '.join(FIELDS)}.")
    for field in REQUIRED:
        if field not in values:
            raise ValueError(f"the field {field!r} is missing.")
    names = _strings("names", values["names"])
    mirrored = _pairs("mirrored", values.get("mirrored", []))
    in_pairs = [name for pair in mirrored for name in pair]
    twice = sorted({name for name in in_pairs if in_pairs.count(name) > 1})
    if twice:
        raise ValueError(f"mirrored: {twice} stand in more than one pair.")
    return Skeleton(
        name=_string("name", values["name"]),
        names=names,
        mirrored=mirrored,
        limbs=_pairs("limbs", values.get("limbs", [])),
        upper_body=_strings("upper_body", values.get("upper_body", [])),
        oks_sigmas=_sigmas(values.get("oks_sigmas", [])),
    )


def _string(field: str, value: Any) -> str:
    if not isinstance(value, str) or not value.strip():
        raise ValueError(f"{field} must be words in quotes, got {value!r}.")
    return value


def _list(field: str, value: Any) -> list[Any]:
    if not isinstance(value, list):
        raise ValueError(f"{field} must be a list [...], got {value!r}.")
    return value


def _strings(field: str, value: Any) -> tuple[str, ...]:
    values = _list(field, value)
    return tuple(_string(f"{field}[{i}]", entry) for i, entry in enumerate(values))


def _pairs(field: str, value: Any) -> tuple[tuple[str, str], ...]:
    pairs = []
    for i, entry in enumerate(_list(field, value)):
        pair = _strings(f"{field}[{i}]", entry)
        if len(pair) != 2 or pair[0] == pair[1]:
            raise ValueError(f"{field}[{i}] must be two different names, got {entry!r}.")
        pairs.append((pair[0], pair[1]))
    return tuple(pairs)


def _sigmas(value: Any) -> tuple[float, ...]:
    for i, sigma in enumerate(_list("oks_sigmas", value)):
        is_number = isinstance(sigma, int | float) and not isinstance(sigma, bool)
        if not is_number or not math.isfinite(sigma) or sigma <= 0:
            raise ValueError(f"oks_sigmas[{i}] must be a positive number, got {sigma!r}.")
    return tuple(float(sigma) for sigma in value)
