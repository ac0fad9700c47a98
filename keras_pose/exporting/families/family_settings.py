"""Settings of a table of families."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from keras_pose.exporting.formats.table import NUM_CALIBRATION_CROPS
from keras_pose.exporting.quantization.measured_ranges import RULES, RangeRule


@dataclass(frozen=True)
class FamiliesSettings:
    """Choice of data, limits and threads.

    Attributes:
        output: folder.
        dataset: name of the data set to measure trained networks on; None for times only.
        data_dir: its folder; None for its usual one.
        limit: images of its val split; None for all.
        max_drop: points of the metric that int8 may lose before other ranges are tried,
            and operators put into float; None for whatever it loses.
        calibration_images: crops to calibrate trained networks on.
        range_rule: range rule of trained networks; None for extremes, and all of `RULES`
            where too much is lost.
        threads: numbers of threads to time files at.
        num_runs: measurements of each.
        times_again: True to time files again that have been timed.
    """

    output: Path
    dataset: str | None = None
    data_dir: str | None = None
    limit: int | None = None
    max_drop: float | None = None
    calibration_images: int = NUM_CALIBRATION_CROPS
    range_rule: RangeRule | None = None
    threads: tuple[int, ...] = (1, 2)
    num_runs: int = 20
    times_again: bool = False

    def __post_init__(self) -> None:
        if self.max_drop is not None and self.max_drop < 0:
            raise ValueError(f"max_drop must be at least 0, got {self.max_drop}.")

    @property
    def rules(self) -> tuple[RangeRule, ...]:
        """The rules that ranges may follow; the first makes the int8 file of a ledger."""
        return RULES if self.range_rule is None else (self.range_rule,)

    @property
    def data(self) -> dict[str, Any]:
        """Keywords of the evaluation that name the data."""
        return {
            "dataset": self.dataset,
            "data_dir": self.data_dir,
            "split": "val",
            "limit": self.limit,
            "flip_test": False,
        }
