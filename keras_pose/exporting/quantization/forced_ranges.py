"""Ranges that integer operators leave no choice of.

A range that was measured but cannot be had costs an operator of its own that brings the
values to another scale, and some that TensorFlow's quantizer refuses the model for.
"""

from __future__ import annotations

from collections.abc import Mapping

from ai_edge_litert import schema_py_generated as schema

from keras_pose.exporting.quantization.measured_ranges import Range, logistic_range
from keras_pose.modelfiles.tflite_model import TFLiteModel

# Operators whose results have the scale of their only source.
_MOVERS = (
    schema.BuiltinOperator.CONCATENATION,
    schema.BuiltinOperator.DEPTH_TO_SPACE,
    schema.BuiltinOperator.RESHAPE,
    schema.BuiltinOperator.RESIZE_BILINEAR,
    schema.BuiltinOperator.RESIZE_NEAREST_NEIGHBOR,
    schema.BuiltinOperator.TILE,
    schema.BuiltinOperator.TRANSPOSE,
)
# Operators whose int8 kernels write steps of 1/256 from 0 on, whatever they met.
_SHARES = (schema.BuiltinOperator.LOGISTIC, schema.BuiltinOperator.SOFTMAX)
_SHARE_RANGE = (0.0, 255 / 256)


def int8_ranges(model: TFLiteModel, measured: Mapping[str, Range]) -> dict[str, Range]:
    """Replaces measured ranges by those that int8 operators have.

    Those that give shares, what only a logistic function reads, and everything that is cut
    out of something: integers have one scale there, and so has what only moves or repeats
    their values. TensorFlow's quantizer mostly sees to the latter by itself, but refuses
    the model where such values were met in another range than all of what they are cut
    from (Lite-HRNet's weights of all resolutions).

    Args:
        model: the float file.
        measured: name of a tensor -> (low, high).
    """
    ranges, names, readers = dict(measured), model.computed_names(), model.readers()
    cut: set[str] = set()
    for operator in model.graph.operators:  # in the order in which they run
        kind, result = model.kind_of(operator), names[int(operator.outputs[0])]
        if kind in _SHARES and result in ranges:
            ranges[result] = _SHARE_RANGE
        if kind == schema.BuiltinOperator.LOGISTIC:
            (read,) = map(int, operator.inputs)
            if names[read] in ranges and len(readers[read]) == 1:
                ranges[names[read]] = logistic_range(ranges[names[read]])
        inputs = {names.get(int(index), "") for index in operator.inputs}
        sources = inputs & ranges.keys()
        is_slice = kind == schema.BuiltinOperator.STRIDED_SLICE
        if len(sources) == 1 and (is_slice or (kind in _MOVERS and sources <= cut)):
            cut.add(result)
            ranges[result] = ranges[sources.pop()]
    return ranges
