"""Divisions by what was computed, as norms have them.

An integer divisor that is rounded to 0 stops the file: LiteRT's int8 DIV refuses to run
(2.3), for one crop among thousands. XNNPACK has no integer division either. So int8 files
divide in float, by a divisor that was computed in float from its squares on, unless they
are for a processor that has integers only.
"""

from __future__ import annotations

from ai_edge_litert import schema_py_generated as schema

from keras_pose.modelfiles.tflite_model import TFLiteModel

_DIVISION = schema.BuiltinOperator.DIV
_PRODUCT = schema.BuiltinOperator.MUL
# What makes a norm of squares.
_OF_NORMS = (
    schema.BuiltinOperator.MAXIMUM,
    schema.BuiltinOperator.MEAN,
    schema.BuiltinOperator.SQRT,
    schema.BuiltinOperator.SUM,
)


def division_ops(model: TFLiteModel) -> list[str]:
    """Returns the names of divisions by computed tensors, and of what makes the divisors.

    Args:
        model: a float file.

    Returns:
        Names as in `tflite_quantizing.quantizable_ops`, in the order they run in.
    """
    names = model.computed_names()
    divisors: set[int] = set()
    found = []
    for operator in reversed(model.graph.operators):
        kind, (result, *_) = model.kind_of(operator), map(int, operator.outputs)
        inputs = list(map(int, operator.inputs))
        if kind == _DIVISION and inputs[1] in names:
            divisors.add(inputs[1])
        elif result not in divisors or not (kind in _OF_NORMS or _is_square(kind, inputs)):
            continue
        elif kind in _OF_NORMS:
            divisors.update(inputs)
        found.append(names[result])
    return found[::-1]


def _is_square(kind: int, inputs: list[int]) -> bool:
    return kind == _PRODUCT and len(set(inputs)) == 1
