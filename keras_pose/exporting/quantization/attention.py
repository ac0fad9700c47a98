"""Products of two computed tensors, as attention has them.

Attention does: queries by keys, and what becomes of that by values. XNNPACK has no integer
kernel for such products, nor for the softmax between them; TFLite's own integer kernels
take longer than float ones. So int8 files compute attention in float, unless they are for
a processor that has integers only.
"""

from __future__ import annotations

from ai_edge_litert import schema_py_generated as schema

from keras_pose.modelfiles.tflite_model import TFLiteModel

_PRODUCT = schema.BuiltinOperator.BATCH_MATMUL
# With weights of their own: these have integer kernels, and end what lies between.
_WEIGHTED = (
    schema.BuiltinOperator.CONV_2D,
    schema.BuiltinOperator.DEPTHWISE_CONV_2D,
    schema.BuiltinOperator.FULLY_CONNECTED,
    schema.BuiltinOperator.TRANSPOSE_CONV,
)


def attention_ops(model: TFLiteModel) -> list[str]:
    """Returns the names of products of computed tensors and of what lies between them.

    Args:
        model: a float file.

    Returns:
        Names as in `tflite_quantizing.quantizable_ops`, in the order they run in.
    """
    graph = model.graph
    names = model.computed_names()
    from_product: set[int] = set()  # tensors that depend on a product, without weights
    to_product: set[int] = set()  # tensors that a product depends on, without weights
    for operator in graph.operators:
        kind = model.kind_of(operator)
        is_behind = from_product & set(map(int, operator.inputs))
        if _is_product(model, operator, names) or (is_behind and kind not in _WEIGHTED):
            from_product |= set(map(int, operator.outputs))
    for operator in reversed(graph.operators):
        kind = model.kind_of(operator)
        is_before = to_product & set(map(int, operator.outputs))
        is_product = _is_product(model, operator, names)
        if is_product or (is_before and kind not in _WEIGHTED):
            to_product |= set(map(int, operator.inputs))
    return [
        names[int(operator.outputs[0])]
        for operator in graph.operators
        if _is_product(model, operator, names)
        or {*map(int, operator.outputs)} <= from_product & to_product
    ]


def _is_product(model: TFLiteModel, operator, names) -> bool:
    are_computed = all(int(index) in names for index in operator.inputs)
    return model.kind_of(operator) == _PRODUCT and are_computed
