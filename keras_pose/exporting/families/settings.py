"""What a table of families is to hold."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from keras_pose.exporting.formats.table import NUM_CALIBRATION_CROPS
from keras_pose.exporting.quantization.ranges import DEFAULT_PERCENTILE

# Is told what happens, a line at a time.
Say = Callable[[str], None]


@dataclass(frozen=True)
class FamiliesSettings:
    """What to measure, and how.

    Attributes:
        output: folder.
        dataset: name of the data set to measure trained networks on; None for times only.
        data_dir: its folder; None for its usual one.
        limit: images of its val split; None for all.
        max_drop: points of the metric that int8 may lose before operators are put into
            float; None for whatever it loses.
        calibration_images: crops to calibrate trained networks on.
        range_method, percentile: of these, see `RangeCollector.ranges`.
        threads: numbers of threads to time files at.
        num_runs: measurements of each.
        times_again: whether files that have been timed are timed again.
    """

    output: Path
    dataset: str | None = None
    data_dir: str | None = None
    limit: int | None = None
    max_drop: float | None = None
    calibration_images: int = NUM_CALIBRATION_CROPS
    range_method: str = "minmax"
    percentile: float = DEFAULT_PERCENTILE
    threads: tuple[int, ...] = (1, 2)
    num_runs: int = 20
    times_again: bool = False

    def __post_init__(self) -> None:
        if self.max_drop is not None and self.max_drop < 0:
            raise ValueError(f"max_drop must be at least 0, got {self.max_drop}.")

    @property
    def ranges(self) -> dict[str, Any]:
        """What conversion is told of ranges."""
        return {"range_method": self.range_method, "percentile": self.percentile}

    @property
    def data(self) -> dict[str, Any]:
        """What evaluation is told of the data."""
        return {
            "dataset": self.dataset,
            "data_dir": self.data_dir,
            "split": "val",
            "limit": self.limit,
            "flip_test": False,
        }
