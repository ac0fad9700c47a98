"""Settings of a ledger, and the paths of its parts."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from keras_pose.exporting.formats.table import FORMATS, NUM_CALIBRATION_CROPS, get_format
from keras_pose.exporting.quantization.measured_ranges import EXTREMES, RangeRule

# The row that all others are compared with.
REFERENCE = "keras"
KEYPOINTS_NAME = "keypoints.npz"
# The row of an int8 file that was made to fit a limit.
MIXED = "mixed"
# Formats of a network that is timed only.
NOISE_FORMATS = ("float32", "int8")

# Function that gets a line of text for every step.
Say = Callable[[str], None]


@dataclass(frozen=True)
class LedgerSettings:
    """Choice of model, data, formats and threads.

    Attributes:
        weights: file or word that `inputs.open_source` takes; None for random weights of
            `model`, whose size and time are measured only.
        output: folder.
        model: zoo name, where the weights do not say it.
        num_keypoints: number of keypoints, where the weights do not say it; None for the
            zoo's.
        input_hw: (height, width) in pixels, where the weights do not say it; None for the
            zoo's.
        dataset: name of the data set to measure on; None for size and time only.
        data_dir: its folder; None for its usual one.
        split: split of the data set.
        limit: images to measure on; None for all.
        flip_test: True to average mirrored crops in.
        sigmas: "uniform" for AP of keypoints without OKS sigmas; None for PCK.
        skeleton: name or file of the keypoints, of weights that do not say them.
        category: name or id of the category to read from a file in COCO's format; None for
            the only one.
        rescale_labels: True to scale labels to pictures of another size.
        formats: keys of `formats.table.FORMATS`.
        calibration_images: crops to calibrate integer files on.
        range_rule: range rule of integer files.
        threads: numbers of threads to time files at.
        num_runs: measurements of each; 0 to leave times out.
        of_noise: True for random weights and ranges of noise, for times alone: the files
            have no contract, and the float model is not measured. A network that no
            contract describes can be timed so.
        max_drop: points of the metric that int8 may lose against float32 before other
            ranges are tried, and operators put into float; None for whatever it loses.
        drop_rules: range rules to try then.
        times_keras: False to time files only.
        with_profiles: True to time the operators of integer files one by one, too.
        times_again: True to time files again that have been timed.
    """

    weights: str | None
    output: Path
    model: str | None = None
    num_keypoints: int | None = None
    input_hw: tuple[int, int] | None = None
    dataset: str | None = None
    data_dir: str | None = None
    split: str = "val"
    limit: int | None = None
    flip_test: bool = False
    sigmas: str | None = None
    skeleton: str | None = None
    category: str | None = None
    rescale_labels: bool = False
    formats: tuple[str, ...] = tuple(FORMATS)
    calibration_images: int = NUM_CALIBRATION_CROPS
    range_rule: RangeRule = EXTREMES
    threads: tuple[int, ...] = (1, 2)
    num_runs: int = 50
    of_noise: bool = False
    max_drop: float | None = None
    drop_rules: tuple[RangeRule, ...] = ()
    times_keras: bool = True
    with_profiles: bool = False
    times_again: bool = False

    def __post_init__(self) -> None:
        for name in self.formats:
            get_format(name)
        if self.weights is None and self.model is None:
            raise ValueError("A ledger is of weights, or of a model with random weights.")
        if self.weights is None and self.dataset is not None:
            raise ValueError(
                f"Random weights of {self.model} have no accuracy to measure on "
                f"{self.dataset}: give weights, or no data set."
            )
        if self.of_noise and (self.weights, self.formats) != (None, NOISE_FORMATS):
            raise ValueError(
                f"Files of noise are {' and '.join(NOISE_FORMATS)} of random weights, not "
                f"{' and '.join(self.formats)} of {self.weights or self.model}."
            )
        if self.max_drop is not None and self.max_drop < 0:
            raise ValueError(f"max_drop must be at least 0, got {self.max_drop}.")

    @property
    def data(self) -> dict[str, Any] | None:
        """Keywords of `jobs.evaluate_file`; None where nothing is measured."""
        if self.dataset is None:
            return None
        names = ("dataset", "data_dir", "split", "limit", "flip_test")
        values = {name: getattr(self, name) for name in names}
        # Not an entry where it is not given: what was measured before stays valid.
        given = ("sigmas", "category", "rescale_labels")
        return values | {name: getattr(self, name) for name in given if getattr(self, name)}

    def path_of(self, name: str) -> Path:
        """Returns where the file of a format goes, or the one that fits a limit."""
        suffix = FORMATS["int8" if name == MIXED else name].suffix
        return Path(self.output) / name / f"pose_model{suffix}"

    @property
    def crops_path(self) -> Path:
        """Path of the calibration crops: uint8 (N, H, W, 3), RGB."""
        return Path(self.output) / "calibration.npy"
