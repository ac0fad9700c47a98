"""Channel shuffles of int8 files, as convolutions.

A shuffle is a transpose of numbers of one byte, of which XNNPACK moves few at a time: in
Lite-HRNet that took a quarter of the int8 time. A 1x1 convolution whose kernel holds a
single one for each channel puts the same integers in the same order. It multiplies for
nothing, but integer products are what int8 is fast at; in float it would not pay.
"""

from __future__ import annotations

import numpy as np
from ai_edge_litert import schema_py_generated as schema

from keras_pose.modelfiles.tflite_model import TFLiteModel, integers_of

_OPERATORS = schema.BuiltinOperator
# Of (batch, pixels, groups, channels of a group).
_SWAPS_GROUPS = [0, 1, 3, 2]
# Version of CONV_2D that takes int8.
_CONV_VERSION = 3
# Each number takes as many products as there are channels: beyond these it costs more than
# to be moved.
_MAX_CHANNELS = 256


def make_shuffles_convolutions(model: TFLiteModel) -> None:
    """Replaces channel shuffles by convolutions that give the very same integers.

    Args:
        model: an int8 file. A shuffle is a RESHAPE that splits channels into groups, a
            TRANSPOSE that swaps groups and channels, and mostly a RESHAPE back; those
            whose tensors are not int8, or have very many channels, stay.
    """
    makers = {int(op.outputs[0]): op for op in model.graph.operators}
    editor = _Editor(model)
    for transpose in list(model.graph.operators):
        split = makers.get(int(transpose.inputs[0]))
        if split is not None and _is_shuffle(model, split, transpose):
            editor.replace(split, transpose)


def _is_shuffle(model: TFLiteModel, split, transpose) -> bool:
    tensors = model.graph.tensors
    kinds = model.kind_of(split), model.kind_of(transpose)
    if kinds != (_OPERATORS.RESHAPE, _OPERATORS.TRANSPOSE):
        return False
    image, groups = tensors[split.inputs[0]], tensors[split.outputs[0]]
    order = model.tables.buffers[tensors[transpose.inputs[1]].buffer].data
    return (
        image.type == schema.TensorType.INT8
        and len(image.shape) == len(groups.shape) == 4
        and image.shape[3] <= _MAX_CHANNELS
        and groups.shape[0] == image.shape[0]
        and groups.shape[2] * groups.shape[3] == image.shape[3]
        and order is not None
        and np.frombuffer(bytes(order), np.int32).tolist() == _SWAPS_GROUPS
    )


class _Editor:
    """Writes convolutions into a model. Those of one kind of shuffle share their kernel."""

    def __init__(self, model: TFLiteModel):
        self._model, self._graph = model, model.graph
        self._readers = model.readers()
        self._kernels: dict[tuple[int, int], int] = {}
        self._zeros: dict[int, int] = {}

    def replace(self, split, transpose) -> None:
        tensors = self._graph.tensors
        image = int(split.inputs[0])
        groups, size = (int(each) for each in tensors[split.outputs[0]].shape[2:])
        if len(self._readers[int(split.outputs[0])]) == 1:
            self._graph.operators.remove(split)
        position = next(i for i, op in enumerate(self._graph.operators) if op is transpose)
        result = self._result(image, transpose)
        operator = self._convolution(image, result, groups, size)
        self._graph.operators.insert(position, operator)

    def _result(self, image: int, transpose) -> int:
        """Returns the tensor of shuffled channels, and takes out what made it.

        Where no RESHAPE makes an image of them again, since converters move sums in front
        of it, the tensor is new, and a RESHAPE in place of the transpose reads it.
        """
        readers = self._readers[int(transpose.outputs[0])]
        if len(readers) == 1 and self._gives_image(readers[0], image):
            self._graph.operators.remove(transpose)
            self._graph.operators.remove(readers[0])
            return int(readers[0].outputs[0])
        tensor = self._graph.tensors[image]
        result = self._tensor(
            tensor.name + b"/shuffled", tensor.shape, tensor.type, 0, tensor.quantization
        )
        shape = self._graph.tensors[transpose.outputs[0]].shape
        transpose.opcodeIndex = self._model.opcode(_OPERATORS.RESHAPE)
        transpose.inputs = np.array([result, self._shape(shape)], np.int32)
        transpose.builtinOptionsType = schema.BuiltinOptions.ReshapeOptions
        transpose.builtinOptions = schema.ReshapeOptionsT()
        transpose.builtinOptions.newShape = np.array(shape, np.int32)
        return result

    def _gives_image(self, operator, image: int) -> bool:
        shapes = (self._graph.tensors[i].shape for i in (operator.outputs[0], image))
        is_reshape = self._model.kind_of(operator) == _OPERATORS.RESHAPE
        return is_reshape and np.array_equal(*shapes)

    def _convolution(self, image: int, result: int, groups: int, size: int):
        options = schema.Conv2DOptionsT()
        options.padding = schema.Padding.SAME
        options.strideH = options.strideW = 1
        options.dilationHFactor = options.dilationWFactor = 1
        kernel = self._kernel(groups, size)
        inputs = [image, kernel, self._bias(image, groups * size)]
        operator = self._model.operator(_OPERATORS.CONV_2D, inputs, [result], _CONV_VERSION)
        operator.builtinOptionsType = schema.BuiltinOptions.Conv2DOptions
        operator.builtinOptions = options
        return operator

    def _kernel(self, groups: int, size: int) -> int:
        if (groups, size) not in self._kernels:
            count = groups * size
            order = np.arange(count).reshape(groups, size).T.ravel()
            kernel = np.eye(count, dtype=np.int8)[order].reshape(count, 1, 1, count)
            name = b"shuffle/%d_groups_of_%d" % (groups, size)
            self._kernels[groups, size] = self._tensor(
                name,
                kernel.shape,
                schema.TensorType.INT8,
                self._buffer(kernel),
                integers_of(1.0),
            )
        return self._kernels[groups, size]

    def _bias(self, image: int, count: int) -> int:
        """Returns zeros. Kernels insist on the scale of what they are added to."""
        if count not in self._zeros:
            self._zeros[count] = self._buffer(np.zeros(count, np.int32))
        (scale,) = self._graph.tensors[image].quantization.scale
        name = self._graph.tensors[image].name + b"/no_bias"
        return self._tensor(
            name, (count,), schema.TensorType.INT32, self._zeros[count], integers_of(scale)
        )

    def _shape(self, shape) -> int:
        values = np.array(shape, np.int32)
        name = b"shuffle/shape%d" % len(self._model.tables.buffers)
        return self._tensor(
            name, values.shape, schema.TensorType.INT32, self._buffer(values), None
        )

    def _buffer(self, values: np.ndarray) -> int:
        return self._model.add_buffer(np.frombuffer(values.tobytes(), np.uint8))

    def _tensor(self, name: bytes, shape, kind: int, buffer: int, quantization) -> int:
        index = self._model.add_tensor(
            schema.TensorT(),
            name=name,
            shape=np.array(shape, np.int32),
            type=kind,
            buffer=buffer,
            quantization=quantization,
        )
        self._readers[index] = []
        return index
