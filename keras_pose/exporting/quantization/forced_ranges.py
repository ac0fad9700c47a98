"""Ranges that integer operators leave no choice of.

A range that was measured but cannot be had costs an operator of its own that brings the
values to another scale.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping

from ai_edge_litert import schema_py_generated as schema

from keras_pose.exporting.quantization.measured_ranges import Range, logistic_range
from keras_pose.modelfiles.tflite_model import TFLiteModel

_OPERATORS = schema.BuiltinOperator
# Operators whose results have the scale of their sources.
_MOVERS = (
    _OPERATORS.CONCATENATION,
    _OPERATORS.DEPTH_TO_SPACE,
    _OPERATORS.PAD,
    _OPERATORS.RESHAPE,
    _OPERATORS.RESIZE_BILINEAR,
    _OPERATORS.RESIZE_NEAREST_NEIGHBOR,
    _OPERATORS.STRIDED_SLICE,
    _OPERATORS.TILE,
    _OPERATORS.TRANSPOSE,
)
# Operators whose int8 kernels write steps of 1/256 from 0 on, whatever they met.
_SHARES = (_OPERATORS.LOGISTIC, _OPERATORS.SOFTMAX)
_SHARE_RANGE = (0.0, 255 / 256)


def int8_ranges(model: TFLiteModel, measured: Mapping[str, Range]) -> dict[str, Range]:
    """Replaces measured ranges by those that int8 operators have.

    Those that give shares, what only a logistic function reads, and all that is joined, or
    cut out of something: integers have one scale there, and a shuffle of channels passes it
    on from module to module. Here it is one that holds them all.

    Args:
        model: the float file.
        measured: name of a tensor -> (low, high).
    """
    ranges, names, readers = dict(measured), model.computed_names(), model.readers()
    for operator in model.graph.operators:
        kind, result = model.kind_of(operator), names[int(operator.outputs[0])]
        if kind in _SHARES and result in ranges:
            ranges[result] = _SHARE_RANGE
        if kind == _OPERATORS.LOGISTIC:
            (read,) = map(int, operator.inputs)
            if names[read] in ranges and len(readers[read]) == 1:
                ranges[names[read]] = logistic_range(ranges[names[read]])
    cut = _results(model, (_OPERATORS.STRIDED_SLICE,)) & ranges.keys()
    shares = _results(model, _SHARES)
    for group in _of_one_scale(model, ranges):
        limits = [ranges[name] for name in group]
        common = (min(x for x, _ in limits), max(x for _, x in limits))
        if group & cut and group & shares:
            common = _SHARE_RANGE
        ranges.update(dict.fromkeys(group, common))
    return ranges


def _results(model: TFLiteModel, kinds: Collection[int]) -> set[str]:
    """Returns the names of what operators of some kinds give."""
    names, operators = model.computed_names(), model.graph.operators
    return {names[int(x.outputs[0])] for x in operators if model.kind_of(x) in kinds}


def _of_one_scale(model: TFLiteModel, known: Collection[str]) -> list[set[str]]:
    """Returns groups of tensors, by name, that `_MOVERS` tie to one another."""
    names, group_of = model.computed_names(), {name: {name} for name in known}
    for operator in model.graph.operators:
        if model.kind_of(operator) not in _MOVERS:
            continue
        tied = [names.get(int(x), "") for x in (*operator.inputs, *operator.outputs)]
        tied = [name for name in tied if name in group_of]
        joined = set().union(*(group_of[name] for name in tied))
        group_of.update(dict.fromkeys(joined, joined))
    return list({id(group): group for group in group_of.values()}.values())
