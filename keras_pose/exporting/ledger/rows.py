"""Figures of one file, and of all of them."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass, field
from typing import Any

from keras_pose.exporting.inspection.audit import Audit


@dataclass(frozen=True)
class LedgerRow:
    """Figures of one file.

    Attributes:
        name: key of `formats.table.FORMATS`, or `REFERENCE`.
        failure: reason why there is no file; None where there is one.
        num_bytes: its size.
        measurement: figures of `jobs.evaluate_file`; None where nothing was measured.
        shift: distances of keypoints, from `jobs.keypoint_shift`; {} where nothing was
            measured, and for detectors.
        audit: None for Keras.
        times: number of threads (None: TensorFlow's own) -> row of the benchmark.
    """

    name: str
    failure: str | None = None
    num_bytes: int = 0
    measurement: dict[str, Any] | None = None
    shift: dict[str, float] = field(default_factory=dict)
    audit: Audit | None = None
    times: dict[int | None, dict[str, Any]] = field(default_factory=dict)


@dataclass(frozen=True)
class Ledger:
    """All rows, the float model's first.

    Attributes:
        model: zoo name.
        source: words for the model that the files were made of.
        calibration: words for the people that integer files were calibrated on.
        peaks: peak rates of this machine, as in `benchmark.Benchmark`.
        rows: one for each format.
    """

    model: str
    source: str
    calibration: str
    peaks: dict[str, float]
    rows: list[LedgerRow]

    def to_dict(self) -> dict[str, Any]:
        values = dataclasses.asdict(self)
        for row in values["rows"]:
            row["times"] = list(row["times"].values())
        return values
