"""Figures of one file, and of all of them."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass, field
from typing import Any

from keras_pose.exporting.inspection.audit import Audit
from keras_pose.exporting.inspection.profiling import OperatorTime
from keras_pose.metrics.drop import drop


@dataclass(frozen=True)
class LedgerRow:
    """Figures of one file.

    Attributes:
        name: key of `formats.table.FORMATS`, `REFERENCE` or `MIXED`.
        failure: reason why there is no file; None where there is one.
        num_bytes: its size.
        measurement: figures of `jobs.evaluate_file`; None where nothing was measured.
        shift: distances of keypoints, from `jobs.keypoint_shift`; {} where nothing was
            measured, and for detectors.
        audit: None for Keras.
        times: number of threads (None: TensorFlow's own) -> row of the benchmark.
        num_float_ops: operators in float, of an integer file.
        rule: range rule in words; "" for ranges of noise, and where there are none.
        profile: operators by time, the most expensive first; [] where none was asked for.
        profile_failure: reason why there is no profile; None where there is one.
    """

    name: str
    failure: str | None = None
    num_bytes: int = 0
    measurement: dict[str, Any] | None = None
    shift: dict[str, float] = field(default_factory=dict)
    audit: Audit | None = None
    times: dict[int | None, dict[str, Any]] = field(default_factory=dict)
    num_float_ops: int = 0
    rule: str = ""
    profile: list[OperatorTime] = field(default_factory=list)
    profile_failure: str | None = None

    def lost(self, reference: LedgerRow) -> float | None:
        """Returns how much worse the file is than another, in the metric's unit."""
        if self.measurement is None or reference.measurement is None:
            return None
        return drop(
            reference.measurement["value"],
            self.measurement["value"],
            self.measurement["lower_is_better"],
        )


@dataclass(frozen=True)
class Ledger:
    """All rows, the float model's first, where it was measured.

    Attributes:
        model: zoo name.
        source: words for the model that the files were made of.
        calibration: words for the people that integer files were calibrated on.
        peaks: peak rates of this machine, as in `benchmark.Benchmark`.
        rows: figures of each file.
        instructions: instruction sets of the machine that timed; "" where none did.
    """

    model: str
    source: str
    calibration: str
    peaks: dict[str, float]
    rows: list[LedgerRow]
    instructions: str = ""

    def to_dict(self) -> dict[str, Any]:
        values = dataclasses.asdict(self)
        for row in values["rows"]:
            row["times"] = list(row["times"].values())
        return values
