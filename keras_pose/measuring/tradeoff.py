"""Accuracy against time: what each model file of a benchmark is worth, and costs."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from keras_pose.measuring.settings import MeasureSettings
from keras_pose.measuring.split import Split
from keras_pose.measuring.tasks import (
    NOTHING_SAID,
    common_task,
    file_of,
    skeleton_of,
)
from keras_pose.skeleton import Skeleton


@dataclass(frozen=True)
class Accuracy:
    """Figures of model files on one split.

    Attributes:
        name: name of the figure, such as "AP".
        values: file -> its figure.
        known: files whose figures were measured by another program.
        remarks: lines about the split and the protocol.
        lower_is_better: True if less of it is better.
    """

    name: str
    values: dict[str, float]
    known: tuple[str, ...] = ()
    remarks: tuple[str, ...] = ()
    lower_is_better: bool = False


def measure_accuracy(
    paths: Sequence[str | Path],
    settings: MeasureSettings,
    known: Mapping[str, float] | None = None,
    report: Callable[[str], None] = print,
) -> Accuracy:
    """Measures files of one kind on one split.

    Args:
        paths: model files.
        settings: the data, and how to measure.
        known: file -> figure of a program of its own, for files without a contract, which
            are not run.
        report: function that takes lines for the user.

    Raises:
        ValueError: for figures of files that are not among `paths`, when no file is left
            to measure, and for files or data that do not fit.
        FileNotFoundError: where a file or the data set is missing.
    """
    known = dict(known or {})
    names = [str(path) for path in paths]
    if strange := [name for name in known if name not in names]:
        raise ValueError(
            f"A figure is known of {', '.join(strange)}, which is not among the files: "
            f"{', '.join(names)}."
        )
    own = [name for name in names if name not in known]
    if not own:
        raise ValueError("Nothing to measure: the figures of all files are known.")
    task = common_task(own)
    values = dict.fromkeys(names, math.nan) | known
    splits: dict[Skeleton | None, Split] = {}
    for name in own:
        model = task.load(file_of(name), NOTHING_SAID)
        skeleton = skeleton_of(model)
        if skeleton not in splits:  # once for all files of one network
            splits[skeleton] = task.open(settings, skeleton, None)
        split = splits[skeleton]
        values[name] = split.evaluate(model).stats[split.figure]
        report(f"{split.label:<11} {values[name]:.3f}  {name}")
    remarks = tuple(line for line in (split.description, *split.remarks) if line)
    return Accuracy(split.label, values, tuple(known), remarks, split.lower_is_better)


def best_files(milliseconds: Mapping[str, float], accuracy: Accuracy) -> list[str]:
    """Returns the files that no other one beats in both time and figure, fastest first.

    Args:
        milliseconds: file -> time of one batch.
        accuracy: figures of the same files; those that are NaN never count as best.
    """
    sign = -1.0 if accuracy.lower_is_better else 1.0
    best: list[str] = []
    highest = -math.inf
    for name in sorted(milliseconds, key=lambda name: (milliseconds[name], name)):
        value = sign * accuracy.values[name]
        if value > highest:
            best.append(name)
            highest = value
    return best
