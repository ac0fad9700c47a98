"""TFLite files, from float32 to full integers.

A model is converted to float32 once, through a SavedModel with a fixed batch and one named
signature, builtin ops only; `tflite_quantizing` makes the other formats of that. Other ways
in (`from_keras_model`, bare concrete functions) have let Select-TF ops into files, or left
the weights out.
"""

from __future__ import annotations

import dataclasses
import re
import tempfile
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from keras_pose.codecs.heatmaps import HeatmapCodec
from keras_pose.commandline.quiet import quiet_stderr
from keras_pose.contracts.activation_ranges import ranges_of
from keras_pose.contracts.detector import DetectorContract, ModelContract
from keras_pose.contracts.fields import TensorSpec
from keras_pose.contracts.pose import Contract
from keras_pose.exporting.errors import ExportError, layer_of_scope
from keras_pose.exporting.float_graph.layer_rewrites import tflite_replacement
from keras_pose.exporting.float_graph.reweighting import tflite_layout
from keras_pose.exporting.float_graph.saved import (
    ConverterError,
    converted_folder,
    save_function,
)
from keras_pose.exporting.float_graph.serving import SIGNATURE, serving_function
from keras_pose.exporting.formats.conversion import Conversion
from keras_pose.exporting.formats.pixels import dequantize_pixels
from keras_pose.exporting.quantization.adaptive_rounding import InputMoments
from keras_pose.exporting.quantization.attention import attention_ops
from keras_pose.exporting.quantization.calibration import NUM_CHECK_CROPS
from keras_pose.exporting.quantization.divisions import division_ops
from keras_pose.exporting.quantization.dynamic_range import warn_of_coarse_layers
from keras_pose.exporting.quantization.half_precision import warn_of_infinities
from keras_pose.exporting.quantization.measured_ranges import (
    EXTREMES,
    Range,
    RangeCollector,
    RangeRule,
)
from keras_pose.exporting.quantization.sixteen_bits import warn_of_relu6
from keras_pose.exporting.quantization.tflite_decoding import network_of
from keras_pose.exporting.quantization.tflite_quantizing import (
    INTEGER_FORMATS,
    QuantizationSettings,
    collect_both,
    collect_ranges,
    quantize,
)
from keras_pose.exporting.quantization.trained_ranges import ranges_by_tensor
from keras_pose.exporting.quantization.weight_rounding import weight_error
from keras_pose.modelfiles.tflite_model import TFLiteModel
from keras_pose.models.rescaled_silu import silu_before_depthwise
from keras_pose.runtime.litert_backend import LiteRTBackend

INT8 = ("int8", "int8_per_tensor")
QUANTIZATIONS = ("float32", "float16", "dynamic", *INT8, "int16x8", "int4")


@dataclass
class TFLiteConversion(Conversion):
    """One model on its way to `.tflite` files: what they share is made once.

    Attributes:
        integers_only: in int8 files compute attention in integers, too, see
            `quantization.attention`; int8_per_tensor and int16x8 always do.
        rounds_adaptively: round kernels by what they meet, see
            `quantization.adaptive_rounding`; False to the nearest step.
    """

    integers_only: bool = False
    rounds_adaptively: bool = True

    suffix = ".tflite"
    quantizations = QUANTIZATIONS

    def convert(self, model) -> TFLiteModel:
        return float_tflite_model(model, self.contract, self.batch, self.with_decode)

    layout = staticmethod(tflite_layout)

    def float_constants(self, content: TFLiteModel) -> dict[int, np.ndarray]:
        return content.float_constants()

    def with_constants(self, content: TFLiteModel, changed) -> TFLiteModel:
        return content.with_buffers(changed)

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
        return ranges_by_tensor(self.calibrated_model, ranges_of(self.model))

    @property
    def collector(self) -> RangeCollector:
        return self._measured[0]

    @property
    def moments(self) -> dict[str, InputMoments]:
        """What kernels meet; {} where training knew how they are rounded."""
        return self._measured[1]

    @cached_property
    def _measured(self) -> tuple[RangeCollector, dict[str, InputMoments]]:
        if self.trained_ranges or not self.rounds_adaptively:
            return collect_ranges(self.calibrated_model, self.crops), {}
        return collect_both(self.calibrated_model, self.crops)

    @cached_property
    def _attention(self) -> list[str]:
        return attention_ops(network_of(self.calibrated_model))

    @cached_property
    def _divisions(self) -> list[str]:
        return division_ops(network_of(self.calibrated_model))

    def float_ops_of(
        self, quantization: str, float_ops: Collection[str] = ()
    ) -> tuple[str, ...]:
        """Returns the operators of a file that compute in float, as asked or by itself."""
        if quantization not in INTEGER_FORMATS or self.integers_only:
            return tuple(float_ops)
        attention = self._attention if quantization == "int8" else []
        return tuple(dict.fromkeys([*float_ops, *attention, *self._divisions]))

    def quantized_model(
        self,
        quantization: str,
        float_ops: Collection[str] = (),
        range_rule: RangeRule = EXTREMES,
        known_ranges: Mapping[str, Range] | None = None,
    ) -> TFLiteModel:
        if quantization == "float32":
            return self.float_model
        if self.of_format(quantization) is not self:
            return self.of_format(quantization).quantized_model(
                quantization, float_ops, range_rule, known_ranges
            )
        if quantization == "dynamic":
            warn_of_coarse_layers(self.model)
        settings = QuantizationSettings(
            quantization, range_rule, keeps_peaks(self.contract)
        )
        if quantization not in INTEGER_FORMATS:
            quantized = quantize(self.float_model, None, settings, float_ops)
            if quantization == "float16":  # what GPUs take as a whole
                warn_of_infinities(self.float_model, self.crops)
                dequantize_pixels(quantized)
            return quantized
        if quantization == "int16x8":
            warn_of_relu6(self.model)
        float_ops = self.float_ops_of(quantization, float_ops)
        known = self.trained_ranges if known_ranges is None else known_ranges
        return quantize(
            self.calibrated_model,
            self.crops,
            settings,
            float_ops,
            self.collector,
            known,
            self.moments,
        )

    def pack(self, content: TFLiteModel) -> bytes:
        return content.to_bytes()

    def without_outputs(self, content: TFLiteModel, names) -> TFLiteModel:
        content = content.copy()
        content.drop_outputs(names)
        return content

    def describe(
        self, path, content: TFLiteModel, quantization: str, float_ops=()
    ) -> ModelContract:
        in_float = self.float_ops_of(quantization, float_ops)
        is_whole = not (in_float or self.inner_outputs)
        contract = check_file(path, content, self.file_contract, quantization, is_whole)
        return dataclasses.replace(contract, float_operators=in_float)

    def weight_error(self, quantization: str) -> float:
        is_integer = quantization in INTEGER_FORMATS
        of_format = self.of_format(quantization)
        network = of_format.calibrated_model if is_integer else self.float_model
        moments = of_format.moments if is_integer else {}
        crops = self.crops[:NUM_CHECK_CROPS]
        outputs = self.file_contract.outputs
        is_detector = isinstance(self.contract, DetectorContract)
        of_boxes = [spec.name for spec in outputs] if is_detector else []
        return weight_error(network, crops, quantization, moments, of_boxes)


def float_tflite_model(
    model, contract: ModelContract, batch: int = 1, with_decode: bool = False
) -> TFLiteModel:
    """Converts a model to float32, for uint8 pixels.

    No two tensors of it have the same name, so that names can choose ops.

    Args:
        model: Keras model of normalised images that computes in float32.
        contract: contract of the model, with its normalisation.
        batch: images at a time.
        with_decode: give keypoints as well, see `serving_function`.

    Raises:
        ExportError: names the ops that are not builtin, and their layers.
    """
    serve = serving_function(model, contract, batch, with_decode, tflite_replacement)
    with quiet_stderr(), tempfile.TemporaryDirectory() as folder:
        try:
            save_function(serve, folder)
            del serve
            content = converted_folder(folder)
        except ConverterError as error:
            raise ExportError(
                f"{contract.model} cannot be converted with TFLite's builtin ops alone: "
                f"{_reason(error)}"
            ) from error
    file = TFLiteModel.read(content)
    file.number_doubles()
    return file


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
    path,
    content: TFLiteModel,
    contract: ModelContract,
    quantization: str,
    is_whole: bool = True,
) -> ModelContract:
    """Checks what can be seen without running the file; returns its contract.

    Args:
        path: the file.
        content: what stands in it.
        contract: contract of the model, or of the file where it decodes.
        quantization: one of `QUANTIZATIONS`.
        is_whole: True if all ops were to be quantized.

    Raises:
        ExportError: for ops that are not builtin, or, in an int8 file, float ops or
            an input that is not plain pixels.
    """
    strange = content.custom_ops()
    if strange:
        raise ExportError(f"The converted file needs ops that are not builtin: {strange}.")
    with quiet_stderr():
        backend = LiteRTBackend(path)
    if quantization in INT8:
        _check_int8(content, backend, is_whole)
    image = TensorSpec(backend.input.name, backend.input.shape, backend.input.dtype)
    return contract.with_tensors(
        image,
        backend.outputs,
        normalization=None,
        quantization=quantization,
        signature=SIGNATURE,
    )


def _check_int8(content: TFLiteModel, backend: LiteRTBackend, is_whole: bool) -> None:
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
    in_float = content.float_ops()
    if in_float:
        raise ExportError(f"These ops of the int8 file run in float: {in_float}.")
