"""Replays a pack by the package itself: what any other program has to do, too."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from keras_pose.parity.kinds import KINDS
from keras_pose.parity.model_file import ModelFile
from keras_pose.parity.packs import Case, Pack, largest_difference


@dataclass(frozen=True)
class Result:
    """Difference of one field of one case.

    Attributes:
        case: its name.
        field: name of the field, such as "crop_xy", or "frames[3].track_ids".
        difference: largest difference; infinity for another shape.
        tolerance: largest difference that passes.
    """

    case: str
    field: str
    difference: float
    tolerance: float

    @property
    def is_within(self) -> bool:
        return self.difference <= self.tolerance


def replay(pack: Pack, models: Mapping[str, ModelFile] | None = None) -> list[Result]:
    """Computes all cases for which there are models, and compares.

    Args:
        pack: cases from `read_pack`.
        models: model files by "pose" and "detector"; cases that need others are left out.

    Raises:
        ValueError: for a kind of case that this version does not know.
    """
    models = dict(models or {})
    results: list[Result] = []
    for case in pack.cases:
        if case.kind not in KINDS:
            raise ValueError(f"Case {case.name!r} is of the unknown kind {case.kind!r}.")
        if set(case.needs) <= models.keys():
            actual = KINDS[case.kind](case.given, models)
            results += _compare(case, actual, case.expected, "")
    return results


def _compare(case: Case, actual: Any, expected: Any, name: str) -> Iterator[Result]:
    if isinstance(expected, list):
        for i, item in enumerate(expected):
            yield from _compare(case, actual[i], item, f"{name}[{i}]")
    elif "array" not in expected:
        for key, item in expected.items():
            yield from _compare(case, actual[key], item, f"{name}.{key}".lstrip("."))
    else:
        difference = largest_difference(actual, expected["array"], expected["where"])
        yield Result(case.name, name, difference, expected["tolerance"])
