"""Every family's int8 against its float32: the metric, keypoints, size and time.

Each network has a ledger of its own, of float32 and int8; a trained one of other formats,
too, if they are asked for. Where a trained one loses more than it
may, other ranges are tried, and operators put into float until it fits. One with random
weights, for families that were not trained, is timed only.

In the output folder, in one folder for each network:

float32/, int8/, ...     of the ledger, see `making`
families.md, .csv        above them all, see `family_table`
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from keras_pose.exporting.formats.table import NUM_CALIBRATION_CROPS
from keras_pose.exporting.ledger.cases import Case
from keras_pose.exporting.ledger.family_rows import (
    REFERENCE_FORMAT,
    FamilyRow,
    family_rows,
)
from keras_pose.exporting.ledger.ledger_settings import NOISE_FORMATS, LedgerSettings, Say
from keras_pose.exporting.ledger.making import make_ledger
from keras_pose.exporting.quantization.measured_ranges import RULES, RangeRule
from keras_pose.files import check_writable


@dataclass(frozen=True)
class FamiliesSettings:
    """Choice of data, limits and threads.

    Attributes:
        output: folder.
        dataset: name of the data set to measure trained networks on; None for times only.
        data_dir: its folder; None for its usual one.
        limit: images of its val split; None for all.
        formats: formats of trained networks to set against float32, keys of
            `formats.table.FORMATS`.
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
    formats: tuple[str, ...] = ("int8",)
    max_drop: float | None = None
    calibration_images: int = NUM_CALIBRATION_CROPS
    range_rule: RangeRule | None = None
    threads: tuple[int, ...] = (1, 2)
    num_runs: int = 20
    times_again: bool = False

    def __post_init__(self) -> None:
        if self.max_drop is not None and self.max_drop < 0:
            raise ValueError(f"max_drop must be at least 0, got {self.max_drop}.")
        if self.max_drop is not None and "int8" not in self.formats:
            raise ValueError(
                "max_drop is a limit of int8, which is not one of "
                f"{', '.join(self.formats)}."
            )

    @property
    def rules(self) -> tuple[RangeRule, ...]:
        """The rules that ranges may follow; the first makes the int8 file of a ledger."""
        return RULES if self.range_rule is None else (self.range_rule,)

    def of(self, case: Case) -> LedgerSettings:
        """Returns the settings of a network's ledger."""
        shared: dict[str, Any] = {
            "output": Path(self.output) / case.folder_name,
            "threads": self.threads,
            "num_runs": self.num_runs,
            "times_keras": False,
            "with_profiles": True,
            "times_again": self.times_again,
        }
        if case.weights is None:
            size = case.input_hw
            shared |= {"model": case.model, "input_hw": size, "formats": NOISE_FORMATS}
            return LedgerSettings(None, of_noise=True, **shared)
        return LedgerSettings(
            str(case.weights),
            formats=tuple(dict.fromkeys((REFERENCE_FORMAT, *self.formats))),
            dataset=self.dataset,
            data_dir=self.data_dir,
            limit=self.limit,
            calibration_images=self.calibration_images,
            range_rule=self.rules[0],
            max_drop=self.max_drop,
            drop_rules=self.rules,
            **shared,
        )


def make_families(
    cases: Sequence[Case], settings: FamiliesSettings, say: Say = print
) -> list[FamilyRow]:
    """Writes, measures and times the files of all networks, one after the other.

    Args:
        cases: the networks.
        settings: choice of data, limits and threads.
        say: function that gets a line of text for every step.

    Returns:
        A row for each file but float32's; what fails is a row that says why.

    Raises:
        PermissionError: if the output folder cannot be written to.
    """
    check_writable(settings.output)
    rows: list[FamilyRow] = []
    for case in cases:
        say(f"{case.model}, {'random weights' if case.weights is None else case.weights}")
        try:
            ledger = make_ledger(settings.of(case), lambda text: say(f"  {text}"))
            rows += family_rows(case, ledger)
        except (ValueError, OSError, ImportError) as error:
            say(f"  {error}")
            rows.append(FamilyRow(case, failure=str(error)))
    return rows
