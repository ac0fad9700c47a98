"""Errors of an int8 file's operators against its float file, and their parts.

Both files are made from one another, so their tensors have the same names. Errors are in
the unit of `exporting.comparison`, of what the float operator gives. What only a logistic
function reads is compared behind it, since integers may end where the function does.

- cumulative: between the two files as they run. What came in was wrong already.
- isolated: of the int8 operator alone, on the float operator's inputs. It is made of three
  parts, whose squares add up nearly:
  - inputs: of the float operator, fed with numbers as the integers of its inputs hold
    them. A tensor has one scale for all channels; of small channels little may be left.
  - weights: what is not one of the others.
  - result: of the float result, as the integers of its own tensor hold it.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from keras_pose.exporting.accuracy.onnx_pairs import (
    OnnxOperatorPair,
    OnnxOperatorPairs,
    OnnxTracer,
)
from keras_pose.exporting.accuracy.tflite_pairs import OperatorPair, OperatorPairs, Tracer
from keras_pose.exporting.comparison import unit_of
from keras_pose.modelfiles.layer_names import LayerFinder, LayerNames

PARTS = ("inputs", "weights", "result")
# The logistic function in `.tflite` and `.onnx` files.
_LOGISTIC = ("LOGISTIC", "Sigmoid")
_ISOLATED = ("isolated", "inputs", "result")


@dataclass(frozen=True)
class LayerError:
    """Errors of one operator, in the unit and parts of the module.

    Attributes:
        tensor: name of the operator's output, by which `quantize(float_ops=...)` knows it.
        operator: kind of operator, such as "CONV_2D".
        layers: names of the Keras layers it computes; empty where they are not known.
        isolated: error of the operator alone, on the float file's inputs; NaN for one that
            runs in float.
        cumulative: difference of its outputs in the two files, with the errors of all
            operators before it.
        inputs: part of `isolated` from the rounding of its inputs; NaN for one that runs in
            float.
        result: part of `isolated` from the rounding of its result; NaN for one that runs in
            float.
        clipped: share of the float values beyond the range of the integers.
        makers: tensors of the operators that it reads.
        readers: tensors of the operators that read it.
    """

    tensor: str
    operator: str
    layers: tuple[str, ...]
    isolated: float
    cumulative: float
    inputs: float
    result: float
    clipped: float
    makers: tuple[str, ...] = ()
    readers: tuple[str, ...] = ()

    @property
    def is_float(self) -> bool:
        return bool(np.isnan(self.isolated))

    @property
    def sqnr_db(self) -> float:
        """Signal to quantization noise of the operator alone, decibels."""
        return -20 * float(np.log10(max(self.isolated, 1e-9)))

    @property
    def weights(self) -> float:
        """Part of the isolated error from the rounding of weights and sums."""
        rest = self.isolated**2 - self.inputs**2 - self.result**2
        return float("nan") if self.is_float else float(np.sqrt(max(rest, 0.0)))

    @property
    def cause(self) -> str:
        """The largest part of the isolated error: "inputs", "weights" or "result"."""
        if self.is_float:
            return ""
        return max(PARTS, key=lambda name: getattr(self, name))

    @property
    def label(self) -> str:
        """The last of the Keras layers, or else the tensor's name."""
        return self.layers[-1] if self.layers else self.tensor


def measure_layer_errors(
    float_path, int8_path, crops, names: LayerNames | None = None
) -> list[LayerError]:
    """Runs a float file and an int8 file of it side by side, operator by operator.

    Args:
        float_path: `.tflite` or `.onnx` of uint8 pixels.
        int8_path: made from it by `tflite_quantizing.quantize`, or by
            `onnx_quantizing.in_int8`; some of it may be float.
        crops: (N, H, W, 3) uint8; as many as the files take at a time, or a multiple.
        names: names of the Keras model's layers, where they are known.

    Returns:
        One entry for each operator that computes, in the order they run in.

    Raises:
        ValueError: if the int8 file was not made from the float file, or for crops of
            another size.
    """
    files, pairs = _open(float_path, int8_path)
    strange = pairs.unknown
    if strange or not pairs.operators:
        raise ValueError(
            f"{int8_path} must be made from {float_path}, which lacks its tensors "
            f"{sorted(strange)[:3]}."
        )
    kinds = {pair.name: pair.kind for pair in pairs.operators}
    sums = [_Sums(_is_for_logistic(pair, kinds)) for pair in pairs.operators]
    for images in _batches(crops, files[0].image_shape):
        exact, actual = (each.run(images) for each in files)
        for pair, sum_ in zip(pairs.operators, sums, strict=True):
            sum_.add(pair, exact, actual)
    find = LayerFinder(names or LayerNames(), files[0].outputs)
    return [
        sum_.result(pair, find(pair.name))
        for pair, sum_ in zip(pairs.operators, sums, strict=True)
    ]


def _open(float_path, int8_path):
    """Returns what runs the two files, and their operators side by side."""
    if Path(float_path).suffix == ".onnx":
        traced = OnnxTracer(float_path), OnnxTracer(int8_path)
        return traced, OnnxOperatorPairs(float_path, int8_path)
    files = Tracer(float_path), Tracer(int8_path)
    return files, OperatorPairs(files[0].graph, files[1].graph, float_path, int8_path)


def _is_for_logistic(pair: OperatorPair | OnnxOperatorPair, kinds) -> bool:
    readers = [kinds.get(name) for name in pair.readers]
    return bool(readers) and all(kind in _LOGISTIC for kind in readers)


class _Sums:
    """Running sums over crops, of which errors are made.

    Args:
        is_for_logistic: True to compare what a logistic function makes of values.
    """

    def __init__(self, is_for_logistic: bool = False):
        self._is_for_logistic = is_for_logistic
        self._sums = dict.fromkeys(
            ("number", "total", "squares", "clipped", "cumulative", *_ISOLATED), 0.0
        )

    def add(self, pair: OperatorPair | OnnxOperatorPair, exact, actual) -> None:
        """Adds one run; takes the tensors of the float file and of the int8 file."""
        sums = self._sums
        raw = np.asarray(exact[pair.name], np.float64)
        values = self._behind(raw)
        sums["number"] += values.size
        sums["total"] += values.sum()
        sums["squares"] += np.square(values).sum()
        found = {"cumulative": actual[pair.name]}
        if pair.is_integer:
            if not self._is_for_logistic:
                sums["clipped"] += pair.clipped(raw)
            found["isolated"] = pair.alone(exact)
            found["inputs"] = pair.on_rounded_inputs(exact)
            found["result"] = pair.rounded(raw)
        for name, each in found.items():
            sums[name] += np.square(self._behind(each) - values).sum()

    def _behind(self, values) -> np.ndarray:
        if not self._is_for_logistic:
            return values
        # Without overflow: the logistic function is a hyperbolic tangent.
        return (np.tanh(np.asarray(values, np.float64) / 2) + 1) / 2

    def result(self, pair: OperatorPair | OnnxOperatorPair, layers) -> LayerError:
        sums = self._sums
        mean_square = sums["squares"] / sums["number"]
        scale = unit_of(sums["total"] / sums["number"], mean_square)
        errors = {
            name: float(np.sqrt(sums[name] / sums["number"]) / scale)
            for name in ("cumulative", *_ISOLATED)
        }
        if not pair.is_integer:
            errors |= dict.fromkeys(_ISOLATED, float("nan"))
        return LayerError(
            tensor=pair.name,
            operator=pair.kind,
            layers=layers,
            clipped=sums["clipped"] / sums["number"],
            makers=pair.makers,
            readers=pair.readers,
            **errors,
        )


def _batches(crops, shape) -> Iterable[np.ndarray]:
    batch, *size = (int(each) for each in shape)
    if list(crops.shape[1:]) != size:
        raise ValueError(f"Crops must be {tuple(size)}, got {crops.shape[1:]}.")
    if not len(crops):
        raise ValueError("Layer errors are measured on at least one crop, got none.")
    for start in range(0, len(crops), batch):
        # The last batch is filled up with the first crops.
        yield crops[np.arange(start, start + batch) % len(crops)]


def worst_first(errors: Sequence[LayerError]) -> list[LayerError]:
    """Sorts by isolated error; operators in float come last."""
    return sorted(errors, key=lambda each: -np.nan_to_num(each.isolated, nan=-1.0))
