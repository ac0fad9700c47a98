"""Peak rates of this machine: products of large matrices, by each runtime.

A network's arithmetic rate says little without it. Both runtimes are asked, since their
kernels differ by more than most networks do, and the better one is the peak.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from ai_edge_litert import schema_py_generated as schema

from keras_pose.commandline.packages import import_runtime
from keras_pose.modelfiles.tflite_model import TFLiteModel

# Rows, inner size, columns: 268 million multiply-accumulates, in the second-level cache
# of no core, but read often enough for memory not to matter.
ROWS_HW = (32, 32)
CHANNELS = 512
MACS = ROWS_HW[0] * ROWS_HW[1] * CHANNELS**2
# By the type that weights have in the file. Float16 weights are unpacked to float32, and
# int8 weights under float activations are multiplied as int8.
PEAK_TYPE = {
    "float32": "float32",
    "float16": "float32",
    "int8": "int8",
    "uint8": "int8",
    "int4": "int8",
}


@dataclass(frozen=True)
class PeakCall:
    """A product of matrices, to be timed.

    Attributes:
        dtype: "float32" or "int8".
        num_threads: threads that it may use.
        call: runs it once; `MACS` multiply-accumulates.
    """

    dtype: str
    num_threads: int
    call: Callable[[], object]


def peak_calls(thread_counts) -> list[PeakCall]:
    """Makes the products of both runtimes, in both types, for each number of threads."""
    return [
        PeakCall(dtype, num_threads, make(dtype, num_threads))
        for num_threads in thread_counts
        for dtype in ("float32", "int8")
        for make in (_litert_call, _onnx_call)
    ]


def peak_rates(calls: list[PeakCall], milliseconds) -> dict[tuple[str, int], float]:
    """Returns (dtype, threads) -> the highest rate seen, multiply-accumulates a second.

    Args:
        calls: products that were timed.
        milliseconds: (calls, runs).
    """
    rates: dict[tuple[str, int], float] = {}
    for peak, samples in zip(calls, milliseconds, strict=True):
        key = (peak.dtype, peak.num_threads)
        rate = MACS / (1e-3 * float(np.nanmin(samples)))
        rates[key] = max(rate, rates.get(key, 0.0))
    return rates


def _litert_call(dtype: str, num_threads: int) -> Callable[[], object]:
    litert = import_runtime("ai_edge_litert.interpreter", "ai-edge-litert", ".tflite")
    interpreter = litert.Interpreter(
        model_content=_pointwise_convolution(dtype), num_threads=num_threads
    )
    interpreter.allocate_tensors()
    shape = (1, *ROWS_HW, CHANNELS)
    interpreter.set_tensor(0, _numbers(shape, dtype))
    return interpreter.invoke


def _numbers(shape, dtype):
    rng = np.random.default_rng(seed=0)
    if dtype == "float32":
        return rng.standard_normal(shape, np.float32)
    return rng.integers(-127, 128, shape).astype(dtype)


def _pointwise_convolution(dtype: str) -> bytes:
    """Writes a `.tflite` file of one 1x1 convolution, which is a product of matrices."""
    kernel = _numbers((CHANNELS, 1, 1, CHANNELS), dtype)
    bias = np.zeros(CHANNELS, np.float32 if dtype == "float32" else np.int32)
    # Per-channel weights, as our int8 files have them.
    weight_scales = np.full(CHANNELS, 0.01, np.float32)
    image_shape = (1, *ROWS_HW, CHANNELS)
    rows: tuple[tuple[Any, ...], ...] = (
        (image_shape, dtype, None, [0.05]),
        (kernel.shape, dtype, kernel, weight_scales),
        (bias.shape, bias.dtype.name, bias, 0.05 * weight_scales),
        (image_shape, dtype, None, [1.0]),
    )
    graph = schema.SubGraphT()
    buffers = [schema.BufferT()]
    graph.tensors = [_tensor(row, dtype != "float32", buffers) for row in rows]
    graph.inputs, graph.outputs = np.array([0], np.int32), np.array([3], np.int32)
    operator = schema.OperatorT()
    operator.inputs, operator.outputs = np.array([0, 1, 2], np.int32), graph.outputs
    operator.builtinOptionsType = schema.BuiltinOptions.Conv2DOptions
    operator.builtinOptions = schema.Conv2DOptionsT()
    operator.builtinOptions.strideH = operator.builtinOptions.strideW = 1
    graph.operators = [operator]
    code = schema.OperatorCodeT()
    code.builtinCode = code.deprecatedBuiltinCode = schema.BuiltinOperator.CONV_2D
    code.version = 1 if dtype == "float32" else 3
    model = schema.ModelT()
    model.version = 3
    model.operatorCodes, model.subgraphs, model.buffers = [code], [graph], buffers
    return TFLiteModel(model).to_bytes()


def _tensor(row, is_quantized: bool, buffers: list):
    shape, dtype, values, scales = row
    tensor = schema.TensorT()
    tensor.shape = np.array(shape, np.int32)
    tensor.type = getattr(schema.TensorType, dtype.upper())
    tensor.buffer = 0
    if values is not None:
        tensor.buffer = len(buffers)
        buffer = schema.BufferT()
        buffer.data = np.frombuffer(values.tobytes(), np.uint8)
        buffers.append(buffer)
    if is_quantized:
        tensor.quantization = schema.QuantizationParametersT()
        tensor.quantization.scale = np.array(scales, np.float32)
        tensor.quantization.zeroPoint = np.zeros(len(scales), np.int64)
    return tensor


def _onnx_call(dtype: str, num_threads: int) -> Callable[[], object]:
    """Makes a product of an activation and a constant matrix for ONNX Runtime."""
    onnx = import_runtime("onnx", "onnx", ".onnx")
    onnxruntime = import_runtime("onnxruntime", "onnxruntime", ".onnx")
    # Its int8 product takes unsigned activations, as its int8 files have them.
    left_type = "float32" if dtype == "float32" else "uint8"
    result_type = "float32" if dtype == "float32" else "int32"
    kind = "MatMul" if dtype == "float32" else "MatMulInteger"
    left_shape = (ROWS_HW[0] * ROWS_HW[1], CHANNELS)
    weights = onnx.numpy_helper.from_array(_numbers((CHANNELS, CHANNELS), dtype), "b")
    code = onnx.helper.np_dtype_to_tensor_dtype
    graph = onnx.helper.make_graph(
        [onnx.helper.make_node(kind, ["a", "b"], ["c"])],
        "product",
        [onnx.helper.make_tensor_value_info("a", code(np.dtype(left_type)), left_shape)],
        [onnx.helper.make_tensor_value_info("c", code(np.dtype(result_type)), left_shape)],
        [weights],
    )
    opsets = [onnx.helper.make_opsetid("", 17)]
    model = onnx.helper.make_model(graph, opset_imports=opsets, ir_version=8)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = num_threads
    session = onnxruntime.InferenceSession(
        model.SerializeToString(), options, providers=["CPUExecutionProvider"]
    )
    values = np.abs(_numbers(left_shape, dtype)).astype(left_type)
    return lambda: session.run(["c"], {"a": values})
