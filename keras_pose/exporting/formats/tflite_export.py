"""TFLite files, from float32 to full integers.

A model is converted to float32 once, through a SavedModel with a fixed batch and one named
signature, builtin ops only; `tflite_quantizing` makes the other formats of that. Other ways
in (`from_keras_model`, bare concrete functions) have let Select-TF ops into files, or left
the weights out.
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from keras_pose.codecs.heatmaps import HeatmapCodec
from keras_pose.commandline.quiet import quiet_stderr
from keras_pose.contracts.activation_ranges import ranges_of
from keras_pose.contracts.detector import ModelContract
from keras_pose.contracts.fields import TensorSpec
from keras_pose.contracts.pose import Contract
from keras_pose.exporting.errors import ExportError, layer_of_scope
from keras_pose.exporting.float_graph.decoding import decoded_contract
from keras_pose.exporting.float_graph.layer_rewrites import tflite_replacement
from keras_pose.exporting.float_graph.saved import builtin_converter
from keras_pose.exporting.float_graph.serving import SIGNATURE, in_float32, serving_function
from keras_pose.exporting.formats.writing import Draft, Export, runnable, write_export
from keras_pose.exporting.quantization import tflite_edit as edit
from keras_pose.exporting.quantization.attention import attention_ops
from keras_pose.exporting.quantization.calibration import NUM_CHECK_CROPS
from keras_pose.exporting.quantization.dynamic_range import warn_of_coarse_layers
from keras_pose.exporting.quantization.integer_network import equalized
from keras_pose.exporting.quantization.measured_ranges import (
    EXTREMES,
    Range,
    RangeCollector,
    RangeRule,
)
from keras_pose.exporting.quantization.tflite_quantizing import (
    INTEGER_FORMATS,
    QuantizationSettings,
    collect_ranges,
    network_of,
    quantize,
)
from keras_pose.exporting.quantization.trained_ranges import ranges_by_tensor
from keras_pose.exporting.quantization.weight_rounding import weight_error
from keras_pose.modelfiles.flatbuffer import custom_ops, float_ops
from keras_pose.models.rescaled_silu import silu_before_depthwise
from keras_pose.runtime.litert_backend import LiteRTBackend

INT8 = ("int8", "int8_per_tensor")
QUANTIZATIONS = ("float32", "float16", "dynamic", *INT8, "int16x8", "int4")


@dataclass
class TFLiteConversion:
    """One model on its way to `.tflite` files: what they share is made once.

    Attributes:
        model: Keras model of normalised images.
        contract: contract of the model, with its normalisation.
        crops: (N, H, W, 3) uint8; all calibrate integer files, the first few check any.
        batch: images the files take at a time.
        with_decode: return keypoints instead of what the codec decodes.
        integers_only: in int8 files compute attention in integers, too, see
            `quantization.attention`; int8_per_tensor and int16x8 always do.
        equalizes: bring the channels of integer files' tensors to like ranges first, see
            `quantization.integer_network`.
        rescales_silu: let factors pass SiLU before depthwise convolutions, too; not for
            int8_per_tensor, see `of_format`.
    """

    model: Any
    contract: ModelContract
    crops: Any
    batch: int = 1
    with_decode: bool = False
    integers_only: bool = False
    equalizes: bool = True
    rescales_silu: bool = True

    suffix = ".tflite"

    @cached_property
    def float_bytes(self) -> bytes:
        return float_tflite_bytes(self.model, self.contract, self.batch, self.with_decode)

    @cached_property
    def calibrated_bytes(self) -> bytes:
        """The float32 file that integer files are made of."""
        model, crops = self.model, self.crops
        network = model
        if self.equalizes:
            network = equalized(model, self.contract, crops, self.rescales_silu)
        if network is model:
            return self.float_bytes
        return float_tflite_bytes(network, self.contract, self.batch, self.with_decode)

    def of_format(self, quantization: str) -> TFLiteConversion:
        """Returns the conversion that makes files of a format; mostly this one.

        Factors of channels that pass a SiLU are weights of a convolution, from 1/1024 to
        1024: one scale for all of them holds nothing of most.
        """
        is_alone = quantization == "int8_per_tensor" and self.rescales_silu
        if is_alone and silu_before_depthwise(self.model):
            return self._without_rescaling
        return self

    @cached_property
    def _without_rescaling(self) -> TFLiteConversion:
        return dataclasses.replace(self, rescales_silu=False)

    @cached_property
    def trained_ranges(self) -> dict[str, Range]:
        """Ranges that came with the model from quantization-aware training, by tensor."""
        return ranges_by_tensor(self.calibrated_bytes, ranges_of(self.model))

    @cached_property
    def collector(self) -> RangeCollector:
        return collect_ranges(self.calibrated_bytes, self.crops)

    @cached_property
    def _attention(self) -> list[str]:
        return attention_ops(network_of(self.float_bytes))

    def float_ops_of(
        self, quantization: str, float_ops: Collection[str] = ()
    ) -> tuple[str, ...]:
        """Returns the operators of a file that compute in float, as asked or by itself."""
        if quantization != "int8" or self.integers_only:
            return tuple(float_ops)
        return tuple(dict.fromkeys([*float_ops, *self._attention]))

    def quantized(
        self,
        quantization: str,
        float_ops: Collection[str] = (),
        range_rule: RangeRule = EXTREMES,
        known_ranges: Mapping[str, Range] | None = None,
    ) -> bytes:
        """Returns the content of a file in one of `QUANTIZATIONS`, not yet checked."""
        if quantization == "float32":
            return self.float_bytes
        if self.of_format(quantization) is not self:
            return self.of_format(quantization).quantized(
                quantization, float_ops, range_rule, known_ranges
            )
        settings = QuantizationSettings(
            quantization, range_rule, keeps_peaks(self.contract)
        )
        if quantization not in INTEGER_FORMATS:
            return quantize(self.float_bytes, None, settings, float_ops)
        float_ops = self.float_ops_of(quantization, float_ops)
        known = self.trained_ranges if known_ranges is None else known_ranges
        return quantize(
            self.calibrated_bytes, self.crops, settings, float_ops, self.collector, known
        )

    def describe(
        self, path, quantization: str, float_ops: Collection[str] = ()
    ) -> ModelContract:
        """Checks what can be seen without running a file; see `check_file`."""
        contract = decoded_contract(self.contract) if self.with_decode else self.contract
        in_float = self.float_ops_of(quantization, float_ops)
        is_whole = not (in_float or self.with_decode)
        contract = check_file(path, contract, quantization, is_whole)
        return dataclasses.replace(contract, float_operators=in_float)

    def write(
        self, path, quantization="float32", float_ops=(), is_measured=False, **options
    ) -> Export:
        """Writes one file and its contract; see `export_tflite`."""
        if quantization not in QUANTIZATIONS:
            raise ValueError(
                f"quantization must be one of {QUANTIZATIONS}, got {quantization!r}."
            )
        if quantization == "dynamic":
            warn_of_coarse_layers(self.model)

        def write(temporary: Path) -> Draft:
            content = self.quantized(quantization, float_ops, **options)
            with_outputs = content if self.with_decode else None
            if with_outputs is not None:
                content = edit.without_outputs(content, {self.contract.outputs[0].name})
            temporary.write_bytes(content)
            contract = self.describe(temporary, quantization, float_ops)
            few = self.crops[:NUM_CHECK_CROPS]
            is_integer = quantization in INTEGER_FORMATS
            of_format = self.of_format(quantization)
            network = of_format.calibrated_bytes if is_integer else self.float_bytes
            rounding = weight_error(network, few, quantization)
            return Draft(contract, with_outputs, rounding, is_measured)

        reference = runnable(self.model, self.contract)
        return write_export(path, write, reference, self.crops)


def export_tflite(
    model, contract: ModelContract, path, crops, quantization="float32", batch=1, **options
) -> Export:
    """Writes a `.tflite` file and its contract.

    Args:
        model: Keras model of normalised images.
        contract: contract of the model, with its normalisation.
        path: path of the file to write.
        crops: (N, H, W, 3) uint8; all calibrate an integer file, the first few check any.
        quantization: one of `QUANTIZATIONS`.
        batch: images the file takes at a time.
        options: with_decode and integers_only, see `TFLiteConversion`; float_ops,
            range_rule and known_ranges, see `tflite_quantizing.quantize`.

    Raises:
        ValueError: for another `quantization`, or options that `quantize` refuses.
        ExportError: if the model cannot be converted with builtin ops, or the file
            does not do what the model does.
        PermissionError: if `path` cannot be written.
        OSError: if the disk is full.

        Whatever is raised, what stood at `path` stays.
    """
    own = {name: options.pop(name, False) for name in ("with_decode", "integers_only")}
    conversion = TFLiteConversion(model, contract, crops, batch, **own)
    return conversion.write(path, quantization, **options)


def float_tflite_bytes(
    model, contract: ModelContract, batch: int = 1, with_decode: bool = False
) -> bytes:
    """Converts a model to float32, for uint8 pixels; returns the content of a file.

    No two tensors of it have the same name, so that names can choose ops.

    Args:
        model: Keras model of normalised images.
        contract: contract of the model, with its normalisation.
        batch: images at a time.
        with_decode: give keypoints as well, see `serving_function`.

    Raises:
        ExportError: names the ops that are not builtin, and their layers.
    """
    network = in_float32(model, tflite_replacement)
    serve = serving_function(network, contract, batch, with_decode)
    with quiet_stderr(), builtin_converter(serve) as converter:
        try:
            return edit.with_unique_names(converter.convert())
        except Exception as error:  # the converter's errors have no common base
            raise ExportError(
                f"{contract.model} cannot be converted with TFLite's builtin ops alone: "
                f"{_reason(error)}"
            ) from error


def _reason(error: Exception) -> str:
    """Picks the ops and their layers out of the converter's pages, or its first line."""
    pattern = r"\"([^\"@]+)@.*'(tf\.\w+)' op is neither"
    found = {
        f"{op} (layer {layer_of_scope(scope)})"
        for line in str(error).splitlines()
        for scope, op in re.findall(pattern, line)
    }
    ops = found or set(re.findall(r"'(tf\.\w+)' op is neither", str(error)))
    if ops:
        return f"it needs {', '.join(sorted(ops))}."
    return (str(error).strip().splitlines() or [type(error).__name__])[0]


def keeps_peaks(contract: ModelContract) -> bool:
    """Returns True for heatmap models: peaks matter, negative values do not."""
    return (
        isinstance(contract, Contract)
        and isinstance(contract.codec, HeatmapCodec)
        and contract.codec.channels_per_keypoint == 1
    )


def check_file(
    path, contract: ModelContract, quantization: str, is_whole: bool = True
) -> ModelContract:
    """Checks what can be seen without running the file; returns its contract.

    Args:
        path: the file.
        contract: contract of the model, or of the file where it decodes.
        quantization: one of `QUANTIZATIONS`.
        is_whole: True if all ops were to be quantized.

    Raises:
        ExportError: for ops that are not builtin, or, in an int8 file, float ops or
            an input that is not plain pixels.
    """
    strange = custom_ops(path)
    if strange:
        raise ExportError(f"The converted file needs ops that are not builtin: {strange}.")
    with quiet_stderr():
        backend = LiteRTBackend(path)
    if quantization in INT8:
        _check_int8(path, backend, is_whole)
    image = TensorSpec(backend.input.name, backend.input.shape, backend.input.dtype)
    return contract.with_tensors(
        image,
        backend.outputs,
        normalization=None,
        quantization=quantization,
        signature=SIGNATURE,
    )


def _check_int8(path, backend: LiteRTBackend, is_whole: bool) -> None:
    image = backend.input
    if (image.dtype, image.scale, image.zero_point) != ("uint8", 1.0, 0):
        raise ExportError(
            "The input of an int8 file must be pixels: uint8, scale 1.0, zero point 0; got "
            f"{image.dtype}, {image.scale}, {image.zero_point}."
        )
    if not is_whole:
        return
    for output in backend.outputs:
        if output.dtype != "int8" or output.scale is None:
            raise ExportError(f"The outputs of an int8 file must be int8, got {output}.")
    if float_ops(path):
        raise ExportError(f"These ops of the int8 file run in float: {float_ops(path)}.")
