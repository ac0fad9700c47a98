"""Fields of a pose contract about what its network does not know.

`Visibility` describes the output that says of each keypoint whether it is visible, hidden
or outside the picture; `ScoreCalibration` turns scores, such as heights of peaks, into
shares of keypoints that are right. `training/calibrate.py` fits both on labelled people.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from keras_pose.contracts.fields import TensorSpec, output_to_dict, tensor_spec
from keras_pose.pictures.structures import VISIBILITY_KINDS as KINDS

VISIBILITY_NAME = "visibility"


@dataclass(frozen=True)
class Visibility:
    """The output of a head for visibility.

    Attributes:
        output: tensor of (B, K, 3) logits, in the order of `KINDS`.
        temperature: divisor of the logits, above 0; 1 before it is fitted.
    """

    output: TensorSpec
    temperature: float = 1.0

    def __post_init__(self) -> None:
        _check_finite("visibility.temperature", self.temperature)
        if not self.temperature > 0:
            raise ValueError(
                "The contract's visibility.temperature must be above 0, got "
                f"{self.temperature!r}."
            )

    def probabilities(self, logits) -> np.ndarray:
        """Maps (..., K, 3) logits to (..., K, 3) float32 probabilities."""
        return softmax(np.asarray(logits, np.float64) / self.temperature)

    def to_dict(self) -> dict[str, Any]:
        return {
            **output_to_dict(self.output),
            "kinds": list(KINDS),
            "temperature": self.temperature,
        }

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> Visibility:
        """Reads what `to_dict` wrote.

        Raises:
            ValueError: for other kinds than ours, or a temperature that is none.
        """
        if list(values["kinds"]) != list(KINDS):
            raise ValueError(
                f"The contract's visibility.kinds must be {list(KINDS)}, got "
                f"{values['kinds']!r}."
            )
        return cls(tensor_spec(values), values["temperature"])


@dataclass(frozen=True)
class ScoreCalibration:
    """A logistic function from scores to shares of keypoints that are right.

    Attributes:
        slope: factor on the score, above 0, so that the order of scores stays.
        intercept: log-odds of a score of 0.
        tolerance: OKS of a single keypoint from which on it counted as right.
    """

    slope: float
    intercept: float
    tolerance: float = 0.5

    def __post_init__(self) -> None:
        for name in ("slope", "intercept", "tolerance"):
            _check_finite(f"score_calibration.{name}", getattr(self, name))
        if not self.slope > 0:
            raise ValueError(
                "The contract's score_calibration.slope must be above 0, got "
                f"{self.slope!r}."
            )

    def __call__(self, scores) -> np.ndarray:
        """Maps scores of any shape to float32 shares in [0, 1]."""
        odds = self.slope * np.asarray(scores, np.float64) + self.intercept
        return (1 / (1 + np.exp(-np.clip(odds, -60, 60)))).astype(np.float32)

    def to_dict(self) -> dict[str, Any]:
        return {
            "kind": "logistic",
            "slope": self.slope,
            "intercept": self.intercept,
            "tolerance": self.tolerance,
        }

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> ScoreCalibration:
        """Reads what `to_dict` wrote.

        Raises:
            ValueError: for another kind of function.
        """
        if values["kind"] != "logistic":
            raise ValueError(
                f"The contract's score_calibration.kind must be 'logistic', got "
                f"{values['kind']!r}."
            )
        return cls(values["slope"], values["intercept"], values["tolerance"])


def softmax(logits: np.ndarray) -> np.ndarray:
    """Maps logits to float32 probabilities, over the last axis."""
    powers = np.exp(logits - logits.max(axis=-1, keepdims=True))
    return (powers / powers.sum(axis=-1, keepdims=True)).astype(np.float32)


def certainty_to_dict(
    visibility: Visibility | None, score_calibration: ScoreCalibration | None
) -> dict[str, Any]:
    """Describes what only some networks say of their certainty."""
    parts = {"visibility": visibility, "score_calibration": score_calibration}
    return {name: part.to_dict() for name, part in parts.items() if part is not None}


def certainty_of(values: dict[str, Any]) -> dict[str, Any]:
    """Reads what `certainty_to_dict` wrote, as fields of a contract."""
    kinds: dict[str, Any] = {
        "visibility": Visibility,
        "score_calibration": ScoreCalibration,
    }
    return {
        name: kind.from_dict(values[name])
        for name, kind in kinds.items()
        if values.get(name) is not None
    }


def split_outputs(
    outputs: Sequence[TensorSpec],
) -> tuple[TensorSpec, TensorSpec | None]:
    """Returns the output that the codec decodes, and that of visibility or None."""
    (own,) = (x for x in outputs if x.name != VISIBILITY_NAME)
    return own, next((x for x in outputs if x.name == VISIBILITY_NAME), None)


def _check_finite(name: str, value) -> None:
    if type(value) not in (int, float) or not math.isfinite(value):
        raise ValueError(f"The contract's {name} must be a finite number, got {value!r}.")
