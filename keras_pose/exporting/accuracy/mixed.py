"""An int8 file that is as good as it must be.

Its ranges are those that lose least, and where these do not do, its worst operators are in
float. Ranges come first, since they cost neither bytes nor time.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from keras_pose.exporting.accuracy.error_report import errors_of
from keras_pose.exporting.accuracy.layer_errors import LayerError
from keras_pose.exporting.accuracy.selective import Selection, Step, select_float_ops
from keras_pose.exporting.accuracy.validation import Validation
from keras_pose.exporting.errors import ExportError
from keras_pose.exporting.formats.conversion import Conversion
from keras_pose.exporting.formats.writing import Export
from keras_pose.exporting.inspection.timing import (
    align,
    cases_of,
    make_call,
    ratios,
    time_interleaved,
    timings_of,
)
from keras_pose.exporting.quantization.measured_ranges import EXTREMES, RangeRule
from keras_pose.runtime.instructions import instructions

# Crops that layer errors are measured on; they rank layers, no more.
NUM_ERROR_CROPS = 8
NUM_TIMED_RUNS = 30


@dataclass
class MixedExport:
    """Writes an int8 file that loses no more than it may.

    Attributes:
        conversion: the model's conversion, with the crops to calibrate on.
        validation: metric and split that the drop is measured on.
        max_drop: largest drop against the float32 file, points.
        rules: range rules to try, in order.
        quantization: "int8" or "int8_per_tensor".
        say: function that gets a line of text for every step.
    """

    conversion: Conversion
    validation: Validation
    max_drop: float
    rules: Sequence[RangeRule] = (EXTREMES,)
    quantization: str = "int8"
    say: Callable[[str], None] = print

    def __post_init__(self) -> None:
        self.conversion = self.conversion.of_format(self.quantization)

    def write(self, path) -> tuple[Export, RangeRule]:
        """Searches, reports the price in bytes and time, and writes the file.

        Returns:
            What was written, and the rule that its ranges follow.

        Raises:
            ExportError: if half of the operators in float do not do; nothing is written.
        """
        with tempfile.TemporaryDirectory() as folder:
            rule, selection = self.select(Path(folder))
            if not selection.fits:
                raise ExportError(self._refusal(selection))
            self._tell_price(Path(folder), rule, selection)
        export = self.conversion.write(
            path,
            self.quantization,
            selection.chosen.float_ops,
            is_measured=True,
            range_rule=rule,
        )
        return export, rule

    def select(self, folder: Path) -> tuple[RangeRule, Selection]:
        """Searches ranges, then operators that must be float; leaves files in the folder.

        Returns:
            The first rule that needs no float, or else the one that loses least without;
            and what was tried with it.
        """
        reference = self._measure(self._float_path(folder), "float32", (), EXTREMES)
        self.say(
            f"float32     {self.validation.figure} {reference:.4f} on "
            f"{self.validation.description}"
        )
        whole: dict[RangeRule, Step] = {}
        for rule in self.rules:
            whole[rule] = self._attempt(folder, reference, rule, ())
            if whole[rule].drop <= self.max_drop:
                break
        best = min(whole, key=lambda rule: whole[rule].drop)
        return best, select_float_ops(
            whole[best],
            lambda: self._errors(best),
            lambda float_ops: self._attempt(folder, reference, best, float_ops),
            self.max_drop,
        )

    def _attempt(self, folder, reference: float, rule: RangeRule, float_ops) -> Step:
        path = self._path(folder, rule, float_ops)
        value = self._measure(path, self.quantization, float_ops, rule)
        drop = self.validation.drop(reference, value)
        step = Step(float_ops, drop, path.stat().st_size)
        self.say(
            f"{len(float_ops):3d} in float {self.validation.figure} {value:.4f}, drop "
            f"{step.drop:+.2f} points, {step.num_bytes / 1e6:.2f} MB, ranges by {rule}"
        )
        return step

    def _errors(self, rule: RangeRule) -> list[LayerError]:
        content = self.conversion.quantized(self.quantization, range_rule=rule)
        return errors_of(self.conversion, content, NUM_ERROR_CROPS)

    def _measure(self, path: Path, quantization, float_ops, rule: RangeRule) -> float:
        draft = self.conversion.draft(path, quantization, float_ops, True, range_rule=rule)
        return self.validation.measure(path, draft.contract)

    def _tell_price(self, folder: Path, rule: RangeRule, selection: Selection) -> None:
        """Times the chosen file, plain int8 and float32 in turn."""
        chosen = selection.chosen
        paths = {
            "float32": self._float_path(folder),
            "int8": self._path(folder, rule, ()),
        }
        if chosen.float_ops:
            paths["chosen"] = self._path(folder, rule, chosen.float_ops)
            self.say("in float    " + "\n            ".join(chosen.float_ops))
        self.say(price_table(paths))

    def _float_path(self, folder: Path) -> Path:
        return folder / f"float32{self.conversion.suffix}"

    def _path(self, folder: Path, rule: RangeRule, float_ops) -> Path:
        name = f"{rule} {len(float_ops)}".replace(" ", "_")
        return folder / f"{name}_in_float{self.conversion.suffix}"

    def _refusal(self, selection: Selection) -> str:
        best = selection.chosen
        return (
            f"The drop of {self.validation.figure} must be at most {self.max_drop:g} "
            f"points; the best of {len(selection.steps)} files, with "
            f"{len(best.float_ops)} operators in float, loses {best.drop:.2f}. Try "
            "--range mse, or as the last resort training/train.py "
            "--quantization-aware."
        )


def price_table(paths: dict[str, Path]) -> str:
    """Times files in turn, at one thread; the ratio is to the first one.

    The last line says which instructions the machine has: int8's time hangs on them.

    Args:
        paths: name of a file in the table -> the file.
    """
    cases = cases_of(list(paths.values()), (1,), NUM_TIMED_RUNS)
    calls = [make_call(*case) for case in cases]
    timings = timings_of(cases, time_interleaved(calls, NUM_TIMED_RUNS))
    rows = [("file", "MB", "ms", "ratio")]
    for name, timing, ratio in zip(paths, timings, ratios(timings), strict=True):
        size = timing.path.stat().st_size / 1e6
        rows.append((name, f"{size:.2f}", f"{timing.median:.2f}", f"{ratio:.2f}"))
    return f"{align(rows)}\nOne thread, {instructions()}."
