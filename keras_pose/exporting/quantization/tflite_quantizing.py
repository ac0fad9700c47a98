"""From a float32 `.tflite` file to any other: a model is converted once, quantized often.

Two tools do it, each what it does best. Measured on pose_slim, as error against float (RMS
over the outputs' standard deviation), with the same ranges:

- Full int8 goes to TensorFlow's own quantizer, which reads ranges from the file. It equals
  `TFLiteConverter` to the bit of the error (0.0227 of 0.0227), in 0.4 s instead of 16, and
  quantizes every op of the zoo. ai-edge-quantizer is as good where it can (0.0227 with
  ranges of ours; 0.065 with its own, which are moving averages), but leaves PReLU, leaky
  ReLU, TILE, DEPTH_TO_SPACE and others in float, with a conversion before and after.
- int16x8, float16, dynamic range and int4 go to ai-edge-quantizer. TensorFlow's quantizer
  writes int16 files that do not run, and has none for int4 convolutions.
"""

from __future__ import annotations

import re
import warnings
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass

import numpy as np

from keras_pose.commandline.quiet import quiet_stderr
from keras_pose.exporting.errors import ExportError
from keras_pose.exporting.quantization import tflite_edit as edit
from keras_pose.exporting.quantization.calibration import check_calibration
from keras_pose.exporting.quantization.forced_ranges import with_int8_ranges
from keras_pose.exporting.quantization.measured_ranges import (
    EXTREMES,
    Range,
    RangeCollector,
    RangeRule,
)
from keras_pose.exporting.quantization.shuffles import with_shuffles_as_convolutions
from keras_pose.exporting.quantization.tflite_decoding import (
    decodes,
    with_decoding,
    without_decoding,
)
from keras_pose.modelfiles.flatbuffer import pack

# Ranges of symmetric 16-bit activations need no care: 65536 steps are enough for any.
INTEGER_FORMATS = ("int8", "int8_per_tensor", "int16x8")
# Smaller weights stay float in formats that compute in float: they save no space, and the
# normalisation's 3x3 numbers would be 4-bit ones.
MIN_WEIGHTS = 1024
PIXEL_RANGE: Range = (0.0, 255.0)
# Where TensorFlow's quantizer was found, as the package requires it.
TENSORFLOW = "2.20 and 2.21"


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
    float_bytes: bytes,
    crops,
    settings: QuantizationSettings,
    float_ops: Collection[str] = (),
    collector: RangeCollector | None = None,
    known_ranges: Mapping[str, Range] | None = None,
) -> bytes:
    """Quantizes a file that `tflite_export.float_tflite_bytes` returned.

    What decodes in the graph stays float, in every format.

    Args:
        float_bytes: the float32 file.
        crops: (N, H, W, 3) uint8 to calibrate on; None where activations stay float.
        settings: number format and range rule.
        float_ops: names of ops that stay float: those of their outputs, as
            `quantizable_ops` lists them.
        collector: ranges that `collect_ranges` returned for these crops; None measures
            anew.
        known_ranges: ranges by the tensor's name, from quantization-aware training; they
            go before measured ones.

    Returns:
        The file, which takes uint8 pixels.

    Raises:
        ValueError: for unknown settings, crops that do not fit, or names in `float_ops`
            or `known_ranges` that no op has.
        ExportError: if the tools cannot quantize the model.
    """
    if settings.quantization not in ("float16", "dynamic", "int4", *INTEGER_FORMATS):
        raise ValueError(f"Unknown quantization {settings.quantization!r}.")
    network = network_of(float_bytes)
    _check_names(network, {*float_ops, *(known_ranges or {})})
    ranges: dict[int, Range] = {}
    if settings.quantization in INTEGER_FORMATS:
        collector = collector or collect_ranges(network, crops)
        ranges = _tensor_ranges(network, collector, settings, known_ranges or {})
    try:
        quantized = _quantize_network(network, ranges, float_ops, settings.quantization)
    except Exception as error:  # the tools' errors have no common base
        reason = (str(error).strip().splitlines() or [type(error).__name__])[0]
        raise ExportError(
            f"The model cannot be quantized to {settings.quantization}: {reason}"
        ) from error
    return with_decoding(quantized, float_bytes) if decodes(float_bytes) else quantized


def network_of(float_bytes: bytes) -> bytes:
    """Returns a float file without what decodes in its graph."""
    return without_decoding(float_bytes) if decodes(float_bytes) else float_bytes


def collect_ranges(float_bytes: bytes, crops) -> RangeCollector:
    """Runs a float file on crops and notes what its tensors hold, by tensor index.

    Raises:
        ValueError: for crops that do not fit the file, or too few.
    """
    content = edit.without_pixel_cast(network_of(float_bytes))
    tensors = edit.float_tensors(content)
    interpreter, image = _open(content)
    check_calibration(crops, tuple(image["shape"][1:3]))
    batch = int(image["shape"][0])

    def activations() -> Iterable[dict[int, np.ndarray]]:
        for start in range(0, len(crops), batch):
            # The last batch is filled up with the first crops.
            indices = np.arange(start, start + batch) % len(crops)
            interpreter.set_tensor(image["index"], crops[indices].astype(np.float32))
            interpreter.invoke()
            yield {index: interpreter.get_tensor(index) for index in tensors}

    return RangeCollector(activations)


def quantizable_ops(float_bytes: bytes) -> list[str]:
    """Returns the names of the network's ops, in the order they run in.

    A name is that of the op's output tensor, and holds those of the Keras layers that
    were fused into the op. Ops that decode are not among them.
    """
    content = edit.without_pixel_cast(network_of(float_bytes))
    is_float = set(edit.float_tensors(content))
    names = edit.tensor_names(content)
    operators = edit.parse(content).subgraphs[0].operators
    computed = [int(operator.outputs[0]) for operator in operators]
    return [names[index] for index in computed if index in is_float]


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


def _check_names(network, names) -> None:
    unknown = sorted(names - set(edit.tensor_names(network).values()))
    if unknown:
        raise ValueError(
            f"float_ops and known_ranges must name tensors that the float file computes; "
            f"these are none: {unknown}. `quantizable_ops` lists them."
        )


def _tensor_ranges(network, collector, settings, known_ranges) -> dict[int, Range]:
    """Returns the ranges of what is to be quantized, by tensor index."""
    content = edit.without_pixel_cast(network)
    ranges = dict(collector.ranges(settings.range_rule))
    for index in edit.output_indices(content).values():
        low, high = collector.ranges()[index]
        ranges[index] = (ranges[index][0] if settings.keeps_peaks else low, high)
    for index, name in edit.tensor_names(content).items():
        if name in known_ranges:
            ranges[index] = known_ranges[name]
    (pixels,) = edit.parse(content).subgraphs[0].inputs
    # Exactly 0 and 255 make the quantised input the pixel itself, whatever the crops hold.
    ranges[int(pixels)] = PIXEL_RANGE
    return ranges


def _quantize_network(network, ranges, float_ops, quantization: str) -> bytes:
    if quantization not in INTEGER_FORMATS:
        return _with_quantized_weights(network, quantization, float_ops)
    if quantization == "int16x8":
        return _int16x8(network, ranges, float_ops)
    return _int8(network, ranges, float_ops, is_per_channel=quantization == "int8")


def _int8(network, ranges, float_ops, is_per_channel: bool) -> bytes:
    """Quantizes throughout with TensorFlow's quantizer, see `_mlir_quantize`."""
    mlir_quantize = _mlir_quantize()
    content = edit.without_pixel_cast(network)
    content = edit.with_ranges(content, with_int8_ranges(content, ranges))
    with quiet_stderr():
        quantized = mlir_quantize(
            content,
            disable_per_channel=not is_per_channel,
            disable_per_channel_for_dense_layers=not is_per_channel,
            fully_quantize=True,
            denylisted_nodes=set(float_ops),
        )
    quantized = edit.with_names_by_output(quantized, content)
    quantized = edit.with_integer_products(quantized, float_ops)
    quantized = with_shuffles_as_convolutions(quantized)
    return edit.with_uint8_pixels(quantized)


def _mlir_quantize():
    """Returns TensorFlow's quantizer, which `TFLiteConverter` itself calls.

    It is no public API; docs/export.md says why it is called all the same.

    Raises:
        ExportError: if the TensorFlow that is installed has it elsewhere.
    """
    try:
        from tensorflow.lite.python.convert import mlir_quantize
    except ImportError as error:
        import tensorflow as tf

        raise ExportError(
            "Full int8 needs tensorflow.lite.python.convert.mlir_quantize, which "
            f"TensorFlow {tf.__version__} does not have; it is there in {TENSORFLOW}. All "
            "other formats work without."
        ) from error
    return mlir_quantize


def _int16x8(network, ranges, float_ops) -> bytes:
    from ai_edge_quantizer import quantizer

    tool = quantizer.Quantizer(network)
    tool.add_static_config(".*", "*", activation_num_bits=16, weight_num_bits=8)
    _leave_float(tool, float_ops)
    names = edit.tensor_names(network)
    limits = {
        names[index]: {
            "min": np.array([low], np.float32),
            "max": np.array([high], np.float32),
        }
        for index, (low, high) in ranges.items()
    }
    return _run(tool, limits)


def _with_quantized_weights(network, quantization, float_ops) -> bytes:
    """Stores weights in fewer bits; activations stay float between the ops."""
    from ai_edge_quantizer import qtyping, quantizer

    bits = {"float16": 16, "dynamic": 8, "int4": 4}[quantization]
    is_float = quantization == "float16"
    weights = qtyping.TensorQuantizationConfig(
        num_bits=bits,
        granularity=qtyping.QuantGranularity.CHANNELWISE,
        dtype=qtyping.TensorDataType.FLOAT if is_float else qtyping.TensorDataType.INT,
    )
    integer = quantization == "dynamic"
    precision = qtyping.ComputePrecision
    tool = quantizer.Quantizer(network)
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
    from ai_edge_quantizer import quantizer

    if float_ops:
        # Ops are called by their outputs, each with a semicolon behind it.
        pattern = "|".join(map(re.escape, sorted(float_ops)))
        tool.update_quantization_recipe(
            f"^(?:{pattern});", "*", None, quantizer.AlgorithmName.NO_QUANTIZE
        )


def _run(tool, limits) -> bytes:
    with quiet_stderr():
        result = tool.quantize(
            limits, enable_progress_bar=False, enable_progress_report=False
        )
    return pack(edit.parse(bytes(result.quantized_model)))
