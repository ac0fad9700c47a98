"""An int8 file whose worst operators are in float, until it is as good as it must be."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from keras_pose.exporting.accuracy.error_report import errors_of
from keras_pose.exporting.accuracy.layer_errors import LayerError
from keras_pose.exporting.accuracy.selective import Selection, Step, select_float_ops
from keras_pose.exporting.accuracy.validation import Validation
from keras_pose.exporting.errors import ExportError
from keras_pose.exporting.formats.onnx_export import OnnxConversion
from keras_pose.exporting.formats.tflite import TFLiteConversion
from keras_pose.exporting.formats.writing import Export
from keras_pose.exporting.inspection.timing import (
    align,
    cases_of,
    make_call,
    ratios,
    time_interleaved,
    timings_of,
)

# Crops that layer errors are measured on; they rank layers, no more.
NUM_ERROR_CROPS = 8
NUM_TIMED_RUNS = 30


@dataclass
class MixedExport:
    """Writes an int8 file that loses no more than it may.

    Attributes:
        conversion: of the model.
        validation: what the drop is measured by.
        max_drop: points it may lose against the float32 file.
        quantization: "int8" or "int8_per_tensor".
        options: of the conversion's `quantized`, such as range_method.
        say: told every step.
    """

    conversion: TFLiteConversion | OnnxConversion
    validation: Validation
    max_drop: float
    quantization: str = "int8"
    options: dict[str, Any] = field(default_factory=dict)
    say: Callable[[str], None] = print

    def write(self, path) -> Export:
        """Searches, tells the price in bytes and time, and writes the file.

        Raises:
            ExportError: if half of the operators in float do not do; nothing is written.
        """
        with tempfile.TemporaryDirectory() as folder:
            selection = self.select(Path(folder))
            if not selection.fits:
                raise ExportError(self._refusal(selection))
            self._tell_price(Path(folder), selection)
        float_ops = selection.chosen.float_ops
        return self.conversion.write(
            path, self.quantization, float_ops, is_measured=True, **self.options
        )

    def select(self, folder: Path) -> Selection:
        """Searches for the operators that must be float; leaves files in the folder."""
        reference = self._measure(self._float_path(folder), "float32", ())
        self.say(
            f"float32     {self.validation.figure} {reference:.4f} on "
            f"{self.validation.description}"
        )

        def attempt(float_ops) -> Step:
            path = self._path(folder, float_ops)
            value = self._measure(path, self.quantization, float_ops)
            step = Step(
                float_ops, self.validation.drop(reference, value), path.stat().st_size
            )
            self.say(
                f"{len(float_ops):3d} in float {self.validation.figure} {value:.4f}, drop "
                f"{step.drop:+.2f} points, {step.num_bytes / 1e6:.2f} MB"
            )
            return step

        return select_float_ops(self._errors, attempt, self.max_drop)

    def _errors(self) -> list[LayerError]:
        content = self.conversion.quantized(self.quantization, **self.options)
        return errors_of(self.conversion, content, NUM_ERROR_CROPS)

    def _measure(self, path: Path, quantization, float_ops) -> float:
        options = {} if quantization == "float32" else self.options
        path.write_bytes(self.conversion.quantized(quantization, float_ops, **options))
        contract = self.conversion.describe(path, quantization, float_ops)
        return self.validation.measure(path, contract)

    def _tell_price(self, folder: Path, selection: Selection) -> None:
        """Times the chosen file, plain int8 and float32 in turn."""
        chosen = selection.chosen
        paths = {
            "float32": self._float_path(folder),
            "int8": self._path(folder, ()),
        }
        if chosen.float_ops:
            paths["chosen"] = self._path(folder, chosen.float_ops)
            self.say("in float    " + "\n            ".join(chosen.float_ops))
        self.say(price_table(paths))

    def _float_path(self, folder: Path) -> Path:
        return folder / f"float32{self.conversion.suffix}"

    def _path(self, folder: Path, float_ops) -> Path:
        return folder / f"int8_{len(float_ops)}_in_float{self.conversion.suffix}"

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

    Args:
        paths: what to call a file -> the file.
    """
    cases = cases_of(list(paths.values()), (1,), NUM_TIMED_RUNS)
    calls = [make_call(*case) for case in cases]
    timings = timings_of(cases, time_interleaved(calls, NUM_TIMED_RUNS))
    rows = [("file", "MB", "ms", "ratio")]
    for name, timing, ratio in zip(paths, timings, ratios(timings), strict=True):
        size = timing.path.stat().st_size / 1e6
        rows.append((name, f"{size:.2f}", f"{timing.median:.2f}", f"{ratio:.2f}"))
    return align(rows)
