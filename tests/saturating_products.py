"""ONNX files (QDQ) as ONNX Runtime runs them on x86 processors without VNNI, in NumPy.

There one instruction (VPMADDUBSW) multiplies unsigned by signed bytes and adds each two
neighbouring products, and what exceeds 16 bits becomes the largest or smallest number that
they hold. Neighbours are those along the sum: kernel row, kernel column, input channel,
the last one fastest. Depthwise kernels are multiplied with 32 bits.

A test holds this against ONNX Runtime itself, on an emulated processor without VNNI.
"""

from __future__ import annotations

import numpy as np
import onnx
from onnx import helper, numpy_helper

from keras_pose.exporting.quantization.onnx_quantizing import open_onnx

INT16 = np.iinfo(np.int16)
_PRODUCTS = ("Conv", "MatMul", "Gemm")


def run_in_numpy(
    content: bytes, image: np.ndarray, saturates: bool
) -> dict[str, np.ndarray]:
    """Runs a file node by node; products of uint8 and int8 by hand.

    Args:
        content: content of a file of one input.
        image: (1, H, W, 3) uint8.
        saturates: True to add products in 16 bits, False for exact sums.

    Returns:
        Its outputs by name.
    """
    sums_of = saturating_sums if saturates else exact_sums
    model = onnx.load_from_string(content)
    values = {each.name: numpy_helper.to_array(each) for each in model.graph.initializer}
    values[model.graph.input[0].name] = image
    makers = {name: node for node in model.graph.node for name in node.output}
    for node in model.graph.node:
        if is_integer_product(node, makers, values):
            values[node.output[0]] = _product(node, makers, values, sums_of)
        else:
            values |= _run_node(node, values, model)
    return {output.name: values[output.name] for output in model.graph.output}


def is_integer_product(node, makers, values) -> bool:
    """Returns True for a node that multiplies uint8 activations by int8 weights."""
    if node.op_type not in _PRODUCTS:
        return False
    sources = [makers.get(name) for name in node.input[:2]]
    if any(each is None or each.op_type != "DequantizeLinear" for each in sources):
        return False
    return [values[each.input[0]].dtype for each in sources] == [np.uint8, np.int8]


def exact_sums(x: np.ndarray, w: np.ndarray) -> np.ndarray:
    """Multiplies matrices; arguments as `saturating_sums`."""
    return x.astype(np.int64) @ w.astype(np.int64)


def saturating_sums(x: np.ndarray, w: np.ndarray) -> np.ndarray:
    """Multiplies matrices; products are added in pairs that saturate at 16 bits.

    Args:
        x: (N, K) uint8.
        w: (K, M) int8.

    Returns:
        (N, M) int64.
    """
    padding = len(w) % 2
    x = np.pad(x.astype(np.int64), ((0, 0), (0, padding)))
    w = np.pad(w.astype(np.int64), ((0, padding), (0, 0)))
    sums = x @ w
    # Pairs that exceed 16 bits for some x; all others are exact.
    first, second = w[0::2], w[1::2]
    highest = 255 * (np.maximum(first, 0) + np.maximum(second, 0))
    lowest = 255 * (np.minimum(first, 0) + np.minimum(second, 0))
    at_risk = (highest > INT16.max) | (lowest < INT16.min)
    for column in np.flatnonzero(at_risk.any(axis=0)):
        rows = np.flatnonzero(at_risk[:, column])
        pairs = x[:, 2 * rows] * first[rows, column]
        pairs += x[:, 2 * rows + 1] * second[rows, column]
        lost = np.clip(pairs, INT16.min, INT16.max) - pairs
        sums[:, column] += lost.sum(axis=1)
    return sums


def _product(node, makers, values, sums_of) -> np.ndarray:
    (x, x_scale, x_zero), (w, w_scale, _) = (
        [values[name] for name in makers[name].input] for name in node.input[:2]
    )
    options = {each.name: helper.get_attribute_value(each) for each in node.attribute}
    bias = values[node.input[2]] if len(node.input) > 2 else 0.0
    kind = {"Conv": _convolved, "MatMul": _multiplied, "Gemm": _multiplied}[node.op_type]
    if node.op_type == "Gemm":
        assert not options.get("transA"), "not an activation that our networks transpose"
        w = w.T if options.get("transB") else w
    sums, bias_shape = kind(x, int(x_zero), w, options, sums_of)
    scale = np.reshape(np.float64(x_scale) * w_scale, bias_shape if w_scale.ndim else ())
    bias = np.reshape(bias, bias_shape) if np.ndim(bias) else bias
    return (sums * scale + bias).astype(np.float32)


def _multiplied(x, x_zero, w, options, sums_of):
    rows = x.reshape(-1, x.shape[-1])
    sums = sums_of(rows, w) - x_zero * w.astype(np.int64).sum(axis=0)
    return sums.reshape(*x.shape[:-1], w.shape[1]), (-1,)


def _convolved(x, x_zero, w, options, sums_of):
    """Convolves (1, C, H, W) by (O, C / groups, kernel rows, kernel columns)."""
    groups = options.get("group", 1)
    windows = _windows(x, x_zero, w.shape[2:], options)  # (C, rows, columns, h, w)
    height, width = windows.shape[3:]
    num_in, num_out = len(x[0]) // groups, len(w) // groups
    found = []
    for group in range(groups):
        own = windows[group * num_in : (group + 1) * num_in]
        kernels = w[group * num_out : (group + 1) * num_out]
        rows = own.transpose(3, 4, 1, 2, 0).reshape(height * width, -1)
        columns = kernels.transpose(2, 3, 1, 0).reshape(-1, num_out)
        is_depthwise = num_in == 1 and groups > 1
        sums = (exact_sums if is_depthwise else sums_of)(rows, columns)
        sums = sums - x_zero * columns.astype(np.int64).sum(axis=0)
        found.append(sums.T.reshape(num_out, height, width))
    return np.concatenate(found)[None], (-1, 1, 1)


def _windows(x, x_zero, kernel_hw, options) -> np.ndarray:
    (top, left, bottom, right) = options.get("pads", (0, 0, 0, 0))
    rates, strides = options.get("dilations", (1, 1)), options.get("strides", (1, 1))
    padded = np.pad(x[0], ((0, 0), (top, bottom), (left, right)), constant_values=x_zero)
    spans = [(size - 1) * rate + 1 for size, rate in zip(kernel_hw, rates, strict=True)]
    views = np.lib.stride_tricks.sliding_window_view(padded, spans, axis=(1, 2))
    views = views[:, :: strides[0], :: strides[1], :: rates[0], :: rates[1]]
    return views.transpose(0, 3, 4, 1, 2)


def _run_node(node, values, model) -> dict[str, np.ndarray]:
    """Runs one node by ONNX Runtime."""
    used = {name: values[name] for name in node.input if name}
    graph = helper.make_graph(
        [node],
        "node",
        [
            helper.make_tensor_value_info(
                name, helper.np_dtype_to_tensor_dtype(value.dtype), value.shape
            )
            for name, value in used.items()
        ],
        [onnx.ValueInfoProto(name=name) for name in node.output],
    )
    single = helper.make_model(graph, opset_imports=model.opset_import)
    single.ir_version = model.ir_version
    results = open_onnx(single.SerializeToString()).run(list(node.output), used)
    return dict(zip(node.output, results, strict=True))
