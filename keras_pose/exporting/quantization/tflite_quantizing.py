"""From a float32 `.tflite` file to any other: a model is converted once, quantized often.

litert-quantizer makes them, with ranges that we measure (its own are moving averages) and
kernels that we round. The few operators of the zoo that it leaves in float are made
integers in its int8 files afterwards (`tflite_edit.make_integer_operators`).
"""

from __future__ import annotations

import re
import warnings
from collections.abc import Collection, Hashable, Iterable, Mapping
from dataclasses import dataclass

import numpy as np

from keras_pose.commandline.quiet import quiet_stderr
from keras_pose.exporting.errors import ExportError
from keras_pose.exporting.quantization import adaptive_rounding
from keras_pose.exporting.quantization import tflite_edit as edit
from keras_pose.exporting.quantization.adaptive_rounding import InputMoments
from keras_pose.exporting.quantization.calibration import check_calibration
from keras_pose.exporting.quantization.forced_ranges import int8_ranges
from keras_pose.exporting.quantization.measured_ranges import (
    EXTREMES,
    Activations,
    Range,
    RangeCollector,
    RangeRule,
)
from keras_pose.exporting.quantization.shuffles import make_shuffles_convolutions
from keras_pose.exporting.quantization.tflite_decoding import (
    append_decoding,
    decodes,
    network_of,
)
from keras_pose.exporting.quantization.tflite_rounding import (
    kernels_met,
    round_adaptively,
)
from keras_pose.exporting.quantization.wide_biases import widen_bias_steps
from keras_pose.modelfiles.tflite_model import TFLiteModel

# Ranges of symmetric 16-bit activations need no care but one, `_off_powers_of_two`: their
# steps are enough for any.
_INT16_STEPS = 32767
# LiteRT calls a step a power of two that is one to a thousandth of an octave.
_NEAR_OCTAVES = 1.5e-3
INTEGER_FORMATS = ("int8", "int8_per_tensor", "int16x8")
# Smaller weights stay float in formats that compute in float: they save no space, and the
# normalisation's 3x3 numbers would be 4-bit ones.
MIN_WEIGHTS = 1024
PIXEL_RANGE: Range = (0.0, 255.0)


@dataclass(frozen=True)
class QuantizationSettings:
    """Number format and ranges of a file.

    Attributes:
        quantization: "float16", "dynamic", "int4", or one of `INTEGER_FORMATS`.
        range_rule: range rule of integer activations.
        keeps_peaks: True if the outputs are maps of which the maxima count. Their range
            then reaches the highest value met, whatever the method, since maxima that are
            clipped become plateaus; the lower end is drawn in.
    """

    quantization: str
    range_rule: RangeRule = EXTREMES
    keeps_peaks: bool = False


def quantize(
    float_model: TFLiteModel,
    crops,
    settings: QuantizationSettings,
    float_ops: Collection[str] = (),
    collector: RangeCollector | None = None,
    known_ranges: Mapping[str, Range] | None = None,
    moments: Mapping[str, InputMoments] | None = None,
) -> TFLiteModel:
    """Quantizes a file that `tflite_export.float_tflite_model` returned.

    What decodes in the graph stays float, in every format.

    Args:
        float_model: the float32 file, which stays as it is.
        crops: (N, H, W, 3) uint8 to calibrate on; None where activations stay float.
        settings: number format and range rule.
        float_ops: names of ops that stay float: those of their outputs, as
            `quantizable_ops` lists them.
        collector: ranges that `collect_ranges` returned for these crops; None measures
            anew.
        known_ranges: ranges by the tensor's name, from quantization-aware training; they
            go before measured ones.
        moments: what `collect_both` found in this file, to round kernels of
            integer files by; None rounds to the nearest step, as training did that knows
            its ranges.

    Returns:
        The file, which takes uint8 pixels.

    Raises:
        ValueError: for unknown settings, crops that do not fit, or names in `float_ops`
            or `known_ranges` that no op has.
        ExportError: if the tools cannot quantize the model.
    """
    if settings.quantization not in ("float16", "dynamic", "int4", *INTEGER_FORMATS):
        raise ValueError(f"Unknown quantization {settings.quantization!r}.")
    network = network_of(float_model)
    _check_names(network, {*float_ops, *(known_ranges or {})})
    ranges: dict[str, Range] = {}
    if settings.quantization in INTEGER_FORMATS:
        collector = collector or collect_ranges(float_model, crops)
        ranges = _tensor_ranges(network, collector, settings, known_ranges or {})
        is_per_channel = settings.quantization != "int8_per_tensor"
        round_adaptively(
            network, moments or {}, is_per_channel=is_per_channel, float_ops=float_ops
        )
    try:
        quantized = _quantize_network(network, ranges, float_ops, settings.quantization)
    except Exception as error:  # the tools' errors have no common base
        reason = (str(error).strip().splitlines() or [type(error).__name__])[0]
        raise ExportError(
            f"The model cannot be quantized to {settings.quantization}: {reason}"
        ) from error
    if decodes(float_model):
        append_decoding(quantized, float_model)
    return quantized


def collect_ranges(float_model: TFLiteModel, crops) -> RangeCollector:
    """Runs a float file on crops and notes what its tensors hold, by name.

    Raises:
        ValueError: for crops that do not fit the file, or too few.
    """
    return RangeCollector(_activations(float_model, crops))


def collect_both(
    float_model: TFLiteModel, crops
) -> tuple[RangeCollector, dict[str, InputMoments]]:
    """Runs a float file on crops once, for `collect_ranges` and what its kernels meet.

    Raises:
        ValueError: for crops that do not fit the file, or too few.
    """
    kernels = kernels_met(network_of(float_model))
    return adaptive_rounding.collect_both(
        _activations(float_model, crops), len(crops), kernels
    )


def _activations(float_model: TFLiteModel, crops) -> Activations:
    """Returns what runs a float file on crops and yields its tensors, by name."""
    of_network = set(network_of(float_model).float_names().values())
    # The converter's own bytes are run, in which tensors have the same indices.
    names = {i: x for i, x in float_model.float_names().items() if x in of_network}
    interpreter, image = _open(float_model.source)
    check_calibration(crops, tuple(image["shape"][1:3]))
    batch = int(image["shape"][0])

    def activations() -> Iterable[dict[str, np.ndarray]]:
        for start in range(0, len(crops), batch):
            # The last batch is filled up with the first crops.
            indices = np.arange(start, start + batch) % len(crops)
            interpreter.set_tensor(image["index"], np.ascontiguousarray(crops[indices]))
            interpreter.invoke()
            yield {name: interpreter.get_tensor(index) for index, name in names.items()}

    return activations


def quantizable_ops(float_model: TFLiteModel) -> list[str]:
    """Returns the names of the network's ops, in the order they run in.

    A name is that of the op's output tensor, and holds those of the Keras layers that
    were fused into the op. Ops that decode are not among them, nor is the pixels' cast.
    """
    network = network_of(float_model)
    edit.remove_pixel_cast(network)
    names = network.float_names()
    computed = [int(operator.outputs[0]) for operator in network.graph.operators]
    return [names[index] for index in computed if index in names]


def _open(content: bytes):
    import ai_edge_litert.interpreter as litert

    with quiet_stderr(), warnings.catch_warnings():
        # That keeping all tensors takes memory is known; it is for no longer than this.
        warnings.simplefilter("ignore")
        interpreter = litert.Interpreter(
            model_content=content, experimental_preserve_all_tensors=True
        )
        interpreter.allocate_tensors()
    (image,) = interpreter.get_input_details()
    return interpreter, image


def _check_names(network: TFLiteModel, names) -> None:
    unknown = sorted(names - set(network.computed_names().values()))
    if unknown:
        raise ValueError(
            f"float_ops and known_ranges must name tensors that the float file computes; "
            f"these are none: {unknown}. `quantizable_ops` lists them."
        )


def _tensor_ranges(
    network: TFLiteModel,
    collector: RangeCollector,
    settings: QuantizationSettings,
    known_ranges: Mapping[str, Range],
) -> dict[str, Range]:
    """Returns the ranges of what is to be quantized, by the tensor's name."""
    extremes, names = collector.ranges(), network.computed_names()
    ranges: dict[Hashable, Range] = dict(collector.ranges(settings.range_rule))
    for name in (names[index] for index in network.outputs.values()):
        low, high = extremes[name]
        ranges[name] = (ranges[name][0] if settings.keeps_peaks else low, high)
    ranges.update(known_ranges)
    # Exactly 0 and 255 make the quantised input the pixel itself, whatever the crops hold.
    ranges[names[int(edit.pixel_cast(network).outputs[0])]] = PIXEL_RANGE
    return {str(name): limits for name, limits in ranges.items()}


def _quantize_network(
    network: TFLiteModel, ranges: Mapping[str, Range], float_ops, quantization: str
) -> TFLiteModel:
    """Quantizes a network, which is changed."""
    if quantization not in INTEGER_FORMATS:
        return _with_quantized_weights(network, quantization, float_ops)
    if quantization == "int16x8":
        return _int16x8(network, ranges, float_ops)
    return _int8(network, ranges, float_ops, is_per_channel=quantization == "int8")


def _int8(network: TFLiteModel, ranges, float_ops, is_per_channel: bool) -> TFLiteModel:
    """Quantizes throughout, operators that litert-quantizer leaves in float as well."""
    edit.remove_pixel_cast(network)
    ranges = int8_ranges(network, ranges)
    quantized = _with_integers(network, ranges, float_ops, 8, is_per_channel)
    widen_bias_steps(quantized, network)
    edit.make_integer_operators(quantized, float_ops)
    make_shuffles_convolutions(quantized)
    edit.take_uint8_pixels(quantized)
    return quantized


def _int16x8(network: TFLiteModel, ranges, float_ops) -> TFLiteModel:
    ranges = dict(map(_off_powers_of_two, ranges.items()))
    quantized = _with_integers(network, ranges, float_ops, 16)
    widen_bias_steps(quantized, network)
    return quantized


def _with_integers(
    network: TFLiteModel,
    ranges: Mapping[str, Range],
    float_ops: Collection[str],
    num_bits: int,
    is_per_channel: bool = True,
) -> TFLiteModel:
    """Stores weights in 8 bits, and activations in `num_bits`, as litert-quantizer does."""
    from litert_quantizer import qtyping, quantizer

    kinds = qtyping.QuantGranularity
    tool = quantizer.Quantizer(network.to_bytes())
    tool.add_static_config(
        ".*",
        "*",
        activation_num_bits=num_bits,
        weight_num_bits=8,
        weight_granularity=kinds.CHANNELWISE if is_per_channel else kinds.TENSORWISE,
    )
    _leave_float(tool, float_ops)
    limits = {
        name: {"min": np.array([low], np.float32), "max": np.array([high], np.float32)}
        for name, (low, high) in ranges.items()
    }
    with np.errstate(invalid="ignore"):  # biases that wrap, which are written anew
        return _run(tool, limits)


def _off_powers_of_two(item: tuple[str, Range]) -> tuple[str, Range]:
    """Widens a range whose 16-bit step is nearly a power of two by 0.2 %.

    Of sums in which all steps are, LiteRT 2.3 takes other kernels, which refuse most.
    """
    name, (low, high) = item
    octaves = np.log2(max(-low, high, 1e-30) / _INT16_STEPS)
    is_near = abs(octaves - round(octaves)) < _NEAR_OCTAVES
    factor = 2 ** (2 * _NEAR_OCTAVES) if is_near else 1.0
    return name, (factor * low, factor * high)


def _with_quantized_weights(
    network: TFLiteModel, quantization: str, float_ops
) -> TFLiteModel:
    """Stores weights in fewer bits; activations stay float between the ops."""
    from litert_quantizer import qtyping, quantizer

    bits = {"float16": 16, "dynamic": 8, "int4": 4}[quantization]
    is_float = quantization == "float16"
    weights = qtyping.TensorQuantizationConfig(
        num_bits=bits,
        granularity=qtyping.QuantGranularity.CHANNELWISE,
        dtype=qtyping.TensorDataType.FLOAT if is_float else qtyping.TensorDataType.INT,
    )
    integer = quantization == "dynamic"
    precision = qtyping.ComputePrecision
    tool = quantizer.Quantizer(network.to_bytes())
    tool.update_quantization_recipe(
        ".*",
        "*",
        qtyping.OpQuantizationConfig(
            weight_tensor_config=weights,
            compute_precision=precision.INTEGER if integer else precision.FLOAT,
            explicit_dequantize=not integer,
            min_weight_elements=0 if is_float else MIN_WEIGHTS,
        ),
        quantizer.AlgorithmName.FLOAT_CASTING
        if is_float
        else quantizer.AlgorithmName.MIN_MAX_UNIFORM_QUANT,
    )
    _leave_float(tool, float_ops)
    return _run(tool, None)


def _leave_float(tool, float_ops) -> None:
    from litert_quantizer import quantizer

    if float_ops:
        # Ops are called by their outputs, each with a semicolon behind it.
        pattern = "|".join(map(re.escape, sorted(float_ops)))
        tool.update_quantization_recipe(
            f"^(?:{pattern});", "*", None, quantizer.AlgorithmName.NO_QUANTIZE
        )


def _run(tool, limits) -> TFLiteModel:
    with quiet_stderr():
        result = tool.quantize(
            limits, enable_progress_bar=False, enable_progress_report=False
        )
    return TFLiteModel.read(bytes(result.quantized_model))
