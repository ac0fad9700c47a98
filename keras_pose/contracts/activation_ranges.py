"""Ranges of a network's tensors, as quantization-aware training found them.

The file stays an ordinary `.keras` file; the ranges are one more member of its zip archive,
which Keras ignores and the int8 export reads.
"""

from __future__ import annotations

import json
import math
import zipfile
from pathlib import Path

from keras_pose.contracts.entries import AnyContract, save_keras_model
from keras_pose.files import atomic_path

MEMBER = "activation_ranges.json"
_ATTRIBUTE = "keras_pose_activation_ranges"
# Name of the layer that gives a tensor -> its smallest and largest value.
Ranges = dict[str, tuple[float, float]]


def save_with_ranges(model, path, contract: AnyContract, ranges: Ranges) -> Path:
    """Saves a Keras model, whole or not at all, with its contract and ranges inside."""
    path = Path(path)
    with atomic_path(path) as temporary:
        save_keras_model(model, temporary, contract)
        with zipfile.ZipFile(temporary, "a") as archive:
            archive.writestr(MEMBER, json.dumps(ranges, indent=2))
    return path


def set_ranges(model, ranges: Ranges) -> None:
    """Attaches ranges to a model in memory, for its export."""
    setattr(model, _ATTRIBUTE, dict(ranges))


def ranges_of(model) -> Ranges:
    """Returns what a model carries; {} for most."""
    return dict(getattr(model, _ATTRIBUTE, {}))


def read_ranges(path) -> Ranges:
    """Reads the ranges in a `.keras` file; {} where there are none, or of another file.

    Raises:
        ValueError: for ranges that are not pairs of finite numbers, the lower one first.
    """
    if Path(path).suffix != ".keras":
        return {}
    with zipfile.ZipFile(path) as archive:
        if MEMBER not in archive.namelist():
            return {}
        values = json.loads(archive.read(MEMBER))
    for name, limits in values.items():
        if not (len(limits) == 2 and all(map(math.isfinite, limits))) or (
            limits[0] > limits[1]
        ):
            raise ValueError(
                f"{path}: the range of {name!r} must be two finite numbers, the lower one "
                f"first, got {limits}."
            )
    return {name: (float(low), float(high)) for name, (low, high) in values.items()}
