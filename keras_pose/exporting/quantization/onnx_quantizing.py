"""From a float32 `.onnx` file to float16 and int8.

Nodes of a file that decodes in its graph stay float32: those are the nodes that the
network's own outputs do not need.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Hashable, Iterable, Mapping

import numpy as np
import onnx
from onnx import numpy_helper

from keras_pose.commandline.quiet import quiet_stderr
from keras_pose.contracts.fields import INPUT_NAME
from keras_pose.exporting.quantization import adaptive_rounding
from keras_pose.exporting.quantization.adaptive_rounding import InputMoments
from keras_pose.exporting.quantization.calibration import check_calibration
from keras_pose.exporting.quantization.measured_ranges import (
    Activations,
    Range,
    RangeCollector,
    logistic_range,
)
from keras_pose.exporting.quantization.onnx_rounding import (
    kernels_met,
    round_adaptively,
)
from keras_pose.exporting.quantization.onnx_sums import summed_kernels
from keras_pose.exporting.quantization.onnx_units import nodes_behind, nodes_of
from keras_pose.runtime.backend import resolve_num_threads
from keras_pose.runtime.onnx_backend import ERRORS_ONLY

# Operators whose weights are their second input.
_PRODUCTS = ("Conv", "ConvTranspose", "Gemm", "MatMul")


def collect_onnx_ranges(model: onnx.ModelProto, crops) -> RangeCollector:
    """Runs a float file on crops and notes what its tensors hold, by name.

    Raises:
        ValueError: for crops that do not fit the file, or none.
    """
    return RangeCollector(_activations(model, crops))


def collect_both(
    model: onnx.ModelProto, crops
) -> tuple[RangeCollector, dict[str, InputMoments]]:
    """Runs a float file on crops once, for `collect_onnx_ranges` and what its kernels meet.

    Raises:
        ValueError: for crops that do not fit the file, or none.
    """
    return adaptive_rounding.collect_both(
        _activations(model, crops), len(crops), kernels_met(model)
    )


def _activations(model: onnx.ModelProto, crops) -> Activations:
    """Returns what runs a float file on crops and yields its tensors, by name."""
    batch, *input_hw, _ = _input_shape(model)
    check_calibration(crops, input_hw)
    session, names = session_of_all(model)

    def activations() -> Iterable[dict[str, np.ndarray]]:
        for start in range(0, len(crops), batch):
            # The last batch is filled up with the first crops.
            indices = np.arange(start, start + batch) % len(crops)
            values = session.run(names, {INPUT_NAME: crops[indices]})
            yield dict(zip(names, values, strict=True))

    return activations


def in_float16(float_model: onnx.ModelProto, outputs: Collection[str]) -> onnx.ModelProto:
    """Halves weights and arithmetic; input and outputs keep their types.

    Args:
        float_model: the float32 file, which stays as it is.
        outputs: names of the network's own outputs.
    """
    from onnxruntime.transformers.float16 import convert_float_to_float16

    model = _copy(float_model)
    decoding = nodes_behind(model, outputs)
    with quiet_stderr():
        model = convert_float_to_float16(
            model, keep_io_types=True, node_block_list=decoding
        )
    _drop_doubles(model)
    return model


def in_int8(
    float_model: onnx.ModelProto,
    ranges: Mapping[Hashable, Range],
    outputs: Collection[str],
    float_ops: Collection[str] = (),
    moments: Mapping[str, InputMoments] | None = None,
) -> onnx.ModelProto:
    """Quantizes with ONNX Runtime: pairs of QuantizeLinear and DequantizeLinear (QDQ).

    Weights are int8 with a scale per channel, activations uint8: the pair that x86
    processors multiply in one instruction, and that ARM's take as well. Weights are as
    large as lets all processors sum their products alike, see `summed_kernels`.

    Args:
        float_model: the float32 file, which stays as it is.
        ranges: name of a tensor -> (low, high).
        outputs: names of the network's own outputs.
        float_ops: operators that stay float, by the tensors that `onnx_units` calls them.
        moments: what `collect_both` found in this file, to round kernels by; None
            rounds to the nearest step.

    Raises:
        ValueError: for names in `float_ops` that no operator has.
    """
    from onnxruntime.quantization import CalibrationMethod, QuantType
    from onnxruntime.quantization.calibrate import TensorData, TensorsData
    from onnxruntime.quantization.qdq_quantizer import QDQQuantizer
    from onnxruntime.quantization.registry import QDQRegistry, QLinearOpsRegistry

    model = onnx.shape_inference.infer_shapes(float_model)
    excluded = nodes_behind(model, outputs) + nodes_of(model, outputs, float_ops)
    excluded += _products_from_constants(model)
    ranges = dict(ranges)
    for name in _only_logistic(model):
        ranges[name] = logistic_range(ranges[name])
    limits = {
        name: TensorData(lowest=np.float32(low), highest=np.float32(high))
        for name, (low, high) in ranges.items()
    }
    kernels = summed_kernels(model)
    largest = {kernel.name: kernel.limits() for kernel in kernels}
    wider = {
        kernel.name: [
            {"axis": kernel.axis, "rmin": -limit, "rmax": limit}
            for limit in largest[kernel.name]
        ]
        for kernel in kernels
    }
    round_adaptively(model, moments or {}, largest, excluded)
    with quiet_stderr():
        quantizer = QDQQuantizer(
            model,
            per_channel=True,
            reduce_range=False,
            weight_qType=QuantType.QInt8,
            activation_qType=QuantType.QUInt8,
            tensors_range=TensorsData(CalibrationMethod.MinMax, limits),
            nodes_to_quantize=[],
            nodes_to_exclude=excluded,
            op_types_to_quantize=sorted({*QLinearOpsRegistry, *QDQRegistry}),
            extra_options={"TensorQuantOverrides": wider},
        )
        quantizer.quantize_model()
    _copy_shared_weights(quantizer.model.model)
    # The tool adds nodes at the end; ONNX asks that makers stand before readers.
    quantizer.model.topological_sort()
    return quantizer.model.model


def _copy_shared_weights(model) -> None:
    """Gives each product that shares its int8 weights with others a copy of its own.

    RTMDet's heads share them on all levels. Where exact sums are asked for, ONNX Runtime
    1.31 makes weights and zero points unsigned, once for each product, under one name, and
    refuses the file: so zero points are copied, too.
    """
    stored = {each.name: each for each in model.graph.initializer}
    unpacked = {
        node.output[0]: node
        for node in model.graph.node
        if node.op_type == "DequantizeLinear" and node.input[0] in stored
    }
    seen: Counter[str] = Counter()
    for node in list(model.graph.node):
        if node.op_type not in _PRODUCTS or node.input[1] not in unpacked:
            continue
        shared = unpacked[node.input[1]]
        seen[shared.output[0]] += 1
        number = seen[shared.output[0]]
        if number > 1:
            node.input[1] = _add_copy(model, shared, stored, number)


def _add_copy(model, unpacking, stored, number: int) -> str:
    """Copies a node that unpacks weights, and all it reads; returns its output's name."""
    node = model.graph.node.add()
    node.CopyFrom(unpacking)
    node.name = f"{unpacking.name}_{number}"
    node.output[0] = f"{unpacking.output[0]}_{number}"
    for i, name in enumerate(unpacking.input):
        copied = model.graph.initializer.add()
        copied.CopyFrom(stored[name])
        copied.name = node.input[i] = f"{name}_{number}"
    return node.output[0]


def _products_from_constants(model) -> list[str]:
    """Returns the nodes that multiply a constant matrix by what is computed, by name.

    ONNX Runtime gives the constant a scale for each channel, and, where it is asked for
    exact sums (`runtime.onnx_backend`), refuses to run the integer product: 1.31 wants one
    scale for the first factor. PP-TinyPose's resizing is such a product.
    """
    stored = {each.name for each in model.graph.initializer}
    products = [node for node in model.graph.node if node.op_type == "MatMul"]
    return [node.name for node in products if node.input[0] in stored]


def _only_logistic(model) -> list[str]:
    """Returns the computed tensors that one logistic function reads, and no other node."""
    readers = Counter(name for node in model.graph.node for name in node.input)
    sources = [node.input[0] for node in model.graph.node if node.op_type == "Sigmoid"]
    ends = {output.name for output in model.graph.output}
    return [name for name in sources if readers[name] == 1 and name not in ends]


def without_onnx_outputs(
    content: onnx.ModelProto, names: Collection[str]
) -> onnx.ModelProto:
    """Returns a file without some outputs, by name; their nodes stay as they are."""
    model = _copy(content)
    kept = [output for output in model.graph.output if output.name not in names]
    del model.graph.output[:]
    model.graph.output.extend(kept)
    return model


def with_constants(
    content: onnx.ModelProto, values: Mapping[str, np.ndarray]
) -> onnx.ModelProto:
    """Returns a file with other numbers in some constants, by name."""
    model = _copy(content)
    for each in model.graph.initializer:
        if each.name in values:
            each.CopyFrom(numpy_helper.from_array(values[each.name], each.name))
    return model


def _copy(model: onnx.ModelProto) -> onnx.ModelProto:
    copy = onnx.ModelProto()
    copy.CopyFrom(model)
    return copy


def _drop_doubles(model) -> None:
    """Leaves one of each node: the tool casts a tensor once for each node that reads it."""
    seen: set[str] = set()
    nodes = list(model.graph.node)
    del model.graph.node[:]
    for node in nodes:
        if not seen.intersection(node.output):
            seen.update(node.output)
            model.graph.node.append(node)


def _input_shape(model) -> list[int]:
    (image,) = model.graph.input
    return [size.dim_value for size in image.type.tensor_type.shape.dim]


def session_of_all(model):
    """Opens a model that gives all its float tensors; returns it, and their names."""
    inferred = onnx.shape_inference.infer_shapes(model)
    infos = {info.name: info for info in inferred.graph.value_info}
    own = {output.name for output in model.graph.output}
    computed = [name for node in model.graph.node for name in node.output]
    is_float = {
        name
        for name, info in infos.items()
        if info.type.tensor_type.elem_type == onnx.TensorProto.FLOAT
    }
    extra = [name for name in computed if name in is_float and name not in own]
    inferred.graph.output.extend(infos[name] for name in extra)
    return open_onnx(inferred.SerializeToString()), [*extra, *own]


def open_onnx(content: bytes):
    """Opens a model for the CPU, in silence."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = resolve_num_threads(None)
    options.log_severity_level = ERRORS_ONLY
    # Between runs NumPy counts; threads that wait in a loop would take its processor time.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    return onnxruntime.InferenceSession(
        content, options, providers=["CPUExecutionProvider"]
    )
