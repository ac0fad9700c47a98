"""Biases of integer files that 32 bits do not hold.

A bias is counted in steps of input times weight. Where all weights of a channel are tiny,
as of a channel that training switched off, the steps are, too, and litert-quantizer
(0.11.0) wraps what it cannot hold: a gate that was always open is shut. Here the weights of
such a channel get the step that its bias needs. What they lose by that is at most a
thirty-thousandth of the bias for each input.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator
from typing import Any

import numpy as np
from ai_edge_litert import schema_py_generated as schema

from keras_pose.exporting.quantization.kernels import CHANNEL_AXES, KERNEL_INPUT
from keras_pose.modelfiles.tflite_model import TFLiteModel

# Types of biases: 32 bits beside int8, 64 beside int16.
_INTEGERS = {schema.TensorType.INT32: np.int32, schema.TensorType.INT64: np.int64}
# Which inputs of an operator are what it reads, and its bias.
_DATA_AND_BIAS = {schema.BuiltinOperator.TRANSPOSE_CONV: (2, 3)}
_MOST = (0, 2)
# A quarter of what 32 bits hold: the products of inputs and weights are added to it.
_LARGEST = 2.0**29


def widen_bias_steps(quantized: TFLiteModel, float_model: TFLiteModel) -> None:
    """Gives channels whose bias has no room in 32 bits a coarser step, in place.

    Args:
        quantized: int8 or int16x8 file, with kernels of 8 bits.
        float_model: float32 file that it was made of, with the same names of tensors.
    """
    biases = dict(_float_biases(float_model))
    for operators in _by_kernel(quantized, biases):
        kernel = quantized.graph.tensors[operators[0][1].inputs[KERNEL_INPUT]]
        steps = np.asarray(kernel.quantization.scale, np.float64)
        needed = np.max(
            [
                np.abs(biases[name]) / (_LARGEST * _input_step(quantized, operator))
                for name, operator in operators
            ],
            axis=0,
        )
        if len(steps) == 1:
            needed = needed.max(keepdims=True)
        if np.all(needed <= steps):
            continue
        wider = np.maximum(steps, needed)
        _set_kernel_steps(quantized, operators[0][1], kernel, steps, wider)
        for name, operator in operators:
            _set_bias(quantized, operator, biases[name], wider)


def _float_biases(model: TFLiteModel) -> Iterator[tuple[str, np.ndarray]]:
    """Yields the biases of a float file, by the name of their operator's output."""
    for operator in model.graph.operators:
        tensor = _bias(model, operator)
        data = None if tensor is None else model.tables.buffers[tensor.buffer].data
        if data is not None and len(data):
            yield _name(model, operator), np.frombuffer(bytes(data), np.float32)


def _by_kernel(model: TFLiteModel, biases) -> list[list[tuple[str, Any]]]:
    """Returns the operators with integer biases by name, those together that share one."""
    readers: dict[int, list[tuple[str, Any]]] = {}
    for operator in model.graph.operators:
        name, bias = _name(model, operator), _bias(model, operator)
        if name in biases and bias is not None and bias.type in _INTEGERS:
            index = int(operator.inputs[KERNEL_INPUT])
            readers.setdefault(index, []).append((name, operator))
    return list(readers.values())


def _bias(model: TFLiteModel, operator) -> Any:
    """Returns the tensor of an operator's bias; None where it has none."""
    kind = model.kind_of(operator)
    place = _DATA_AND_BIAS.get(kind, _MOST)[1]
    if kind not in CHANNEL_AXES or len(operator.inputs) <= place:
        return None
    index = int(operator.inputs[place])
    return model.graph.tensors[index] if index >= 0 else None


def _name(model: TFLiteModel, operator) -> str:
    name: str = model.graph.tensors[operator.outputs[0]].name.decode()
    return name


def _input_step(model: TFLiteModel, operator) -> float:
    place = _DATA_AND_BIAS.get(model.kind_of(operator), _MOST)[0]
    (step,) = model.graph.tensors[operator.inputs[place]].quantization.scale
    return float(step)


def _set_kernel_steps(model: TFLiteModel, operator, kernel, steps, wider) -> None:
    """Writes the kernel that several operators may read in coarser steps."""
    shape = np.ones(len(kernel.shape), int)
    shape[CHANNEL_AXES[model.kind_of(operator)]] = -1
    data = model.tables.buffers[kernel.buffer].data
    integers = np.frombuffer(bytes(data), np.int8).reshape(kernel.shape)
    rounded = np.rint(integers * (steps / wider).reshape(shape)).astype(np.int8)
    kernel.buffer = model.add_buffer(np.frombuffer(rounded.tobytes(), np.uint8))
    kernel.quantization = copy.copy(kernel.quantization)
    kernel.quantization.scale = wider.astype(np.float32)


def _set_bias(model: TFLiteModel, operator, bias: np.ndarray, kernel_steps) -> None:
    """Gives an operator a bias of its own, in the steps of its input and its kernel."""
    steps = _input_step(model, operator) * kernel_steps
    place = _DATA_AND_BIAS.get(model.kind_of(operator), _MOST)[1]
    tensor = model.graph.tensors[operator.inputs[place]]
    quantization = copy.copy(tensor.quantization)
    quantization.scale = steps.astype(np.float32)
    integers = np.rint(bias / steps).astype(_INTEGERS[tensor.type])
    buffer = model.add_buffer(np.frombuffer(integers.tobytes(), np.uint8))
    if len(model.readers()[int(operator.inputs[place])]) == 1:
        tensor.buffer, tensor.quantization = buffer, quantization
        return
    name = tensor.name + b"#%d" % len(model.graph.tensors)
    operator.inputs = np.array(operator.inputs, np.int32)
    operator.inputs[place] = model.add_tensor(
        tensor, name=name, buffer=buffer, quantization=quantization
    )
