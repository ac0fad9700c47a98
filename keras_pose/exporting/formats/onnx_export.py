"""ONNX files: float32, float16 and int8, NHWC pixels in, for ONNX Runtime and others.

A model is converted to float32 once; `onnx_quantizing` makes the other formats of that.
"""

from __future__ import annotations

import contextlib
import dataclasses
import os
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import onnx
import tensorflow as tf
from onnx import numpy_helper

from keras_pose.commandline.quiet import quiet_stderr
from keras_pose.contracts.activation_ranges import ranges_of
from keras_pose.contracts.detector import ModelContract
from keras_pose.contracts.fields import TensorSpec
from keras_pose.exporting.errors import ExportError, layer_of_scope
from keras_pose.exporting.float_graph.layer_rewrites import onnx_replacement
from keras_pose.exporting.float_graph.onnx_folding import fold_into_convolutions
from keras_pose.exporting.float_graph.reweighting import onnx_layout
from keras_pose.exporting.float_graph.serving import network_outputs, serving_function
from keras_pose.exporting.formats.conversion import Conversion
from keras_pose.exporting.quantization.adaptive_rounding import InputMoments
from keras_pose.exporting.quantization.measured_ranges import (
    EXTREMES,
    RangeCollector,
    RangeRule,
)
from keras_pose.exporting.quantization.onnx_quantizing import (
    collect_both,
    collect_onnx_ranges,
    in_float16,
    in_int8,
    with_constants,
    without_onnx_outputs,
)
from keras_pose.exporting.quantization.onnx_sums import sums_fit
from keras_pose.exporting.quantization.onnx_units import (
    units_of,
    without_lone_products,
)
from keras_pose.exporting.subprocesses import give_back_memory
from keras_pose.runtime.onnx_backend import OnnxBackend

DEFAULT_OPSET = 17
# Older ones lack what Keras' layers become; tf2onnx 1.17 writes none newer.
OPSETS = range(13, 19)
# Name of a variable of the environment that tf2onnx asks whether to optimize copies.
_COPIES = "TF2ONNX_CATCH_ERRORS"
ONNX_QUANTIZATIONS = ("float32", "float16", "int8")


@dataclass
class OnnxConversion(Conversion):
    """One model on its way to `.onnx` files: what they share is made once.

    Attributes:
        opset: version of the ONNX operators, one of `OPSETS`.
        rounds_adaptively: round kernels by what they meet, see
            `quantization.adaptive_rounding`; False to the nearest step.

    Raises:
        ValueError: for another opset.
    """

    opset: int = DEFAULT_OPSET
    rounds_adaptively: bool = True

    suffix = ".onnx"
    quantizations = ONNX_QUANTIZATIONS

    def __post_init__(self) -> None:
        if self.opset not in OPSETS:
            raise ValueError(
                f"opset must be {OPSETS[0]} to {OPSETS[-1]}, got {self.opset}."
            )

    def convert(self, model) -> onnx.ModelProto:
        return float_onnx_model(
            model, self.contract, self.batch, self.with_decode, self.opset
        )

    layout = staticmethod(onnx_layout)

    def float_constants(self, content: onnx.ModelProto) -> dict[str, np.ndarray]:
        return {
            each.name: numpy_helper.to_array(each)
            for each in content.graph.initializer
            if each.data_type == onnx.TensorProto.FLOAT
        }

    def with_constants(self, content: onnx.ModelProto, changed) -> onnx.ModelProto:
        return with_constants(content, changed)

    @property
    def collector(self) -> RangeCollector:
        return self._measured[0]

    @property
    def moments(self) -> dict[str, InputMoments]:
        """What kernels meet; {} where training knew how they are rounded."""
        return self._measured[1]

    @cached_property
    def _measured(self) -> tuple[RangeCollector, dict[str, InputMoments]]:
        if ranges_of(self.model) or not self.rounds_adaptively:
            return collect_onnx_ranges(self.calibrated_model, self.crops), {}
        return collect_both(self.calibrated_model, self.crops)

    def quantized_model(
        self,
        quantization: str,
        float_ops: Collection[str] = (),
        range_rule: RangeRule = EXTREMES,
    ) -> onnx.ModelProto:
        if float_ops and quantization != "int8":
            raise ValueError(
                f"float_ops are what an int8 file leaves in float, got {quantization}."
            )
        outputs = network_outputs(self.contract)
        if quantization == "float16":
            return in_float16(self.float_model, outputs)
        if quantization == "int8":
            ranges = self.collector.ranges(range_rule)
            # Whatever the method, maxima of the outputs are not clipped.
            extremes = self.collector.ranges()
            ranges |= {name: extremes[name] for name in outputs}
            in_float = self._float_ops(float_ops)
            return in_int8(self.calibrated_model, ranges, outputs, in_float, self.moments)
        return self.float_model

    def _float_ops(self, asked: Collection[str]) -> list[str]:
        """Returns the operators that stay float of those that are to, by their tensors."""
        if not asked:
            return []
        units = units_of(self.calibrated_model, network_outputs(self.contract))
        return without_lone_products(units, asked)

    def pack(self, content: onnx.ModelProto) -> bytes:
        return content.SerializeToString()

    def without_outputs(self, content: onnx.ModelProto, names) -> onnx.ModelProto:
        return without_onnx_outputs(content, names)

    def describe(
        self, path, content: onnx.ModelProto, quantization: str, float_ops=()
    ) -> ModelContract:
        # What runs in float is nothing to refuse in ONNX.
        backend = OnnxBackend(path)
        image = TensorSpec(backend.input.name, backend.input.shape, backend.input.dtype)
        contract = self.file_contract.with_tensors(
            image, backend.outputs, normalization=None, quantization=quantization
        )
        return dataclasses.replace(
            contract,
            float_operators=tuple(self._float_ops(float_ops)),
            sums_fit_16_bits=sums_fit(content),
        )


def float_onnx_model(
    model,
    contract: ModelContract,
    batch: int = 1,
    with_decode: bool = False,
    opset: int = DEFAULT_OPSET,
) -> onnx.ModelProto:
    """Converts a model that computes in float32, for uint8 pixels.

    Raises:
        ExportError: if the model cannot be converted; names ops and layers.
    """
    serve = serving_function(model, contract, batch, with_decode, onnx_replacement)
    with quiet_stderr(), tf.device("/cpu:0"):
        try:
            frozen, names = _frozen(serve)
            del serve
            # The function has copies of all weights, and tf2onnx will have more.
            give_back_memory()
            try:
                with _optimized_in_place():
                    converted = _from_frozen(frozen, opset, **names)
            except Exception:  # of an optimizer, perhaps, which the other way leaves out
                converted = _from_frozen(frozen, opset, **names)
        except Exception as error:  # tf2onnx lets through whatever its parts raise
            raise ExportError(
                f"{contract.model} cannot be converted to ONNX: {error}"
            ) from error
    _check_operators(converted, contract.model)
    return fold_into_convolutions(converted)


def _frozen(serve) -> tuple[Any, dict[str, Any]]:
    """Returns the graph of a function, and the names of its tensors, for tf2onnx.

    This and `_from_frozen` are `tf2onnx.convert.from_function` in two halves (1.17), so
    that the function can be let go between them, and without making constants of its
    variables, of which it has none: that takes half of the first half.
    """
    from tf2onnx import convert, tf_loader  # here: it takes a second, TFLite goes without

    function = serve.get_concrete_function()
    inputs, outputs = (
        [x.name for x in each] for each in (function.inputs, function.outputs)
    )
    names = {
        "input_names": inputs,
        "output_names": outputs,
        "tensors_to_rename": convert.tensor_names_from_structed(function, inputs, outputs),
        "name": function.name,
    }
    graph = function.graph.as_graph_def(add_shapes=True)
    with tf.Graph().as_default():
        return tf_loader.tf_optimize(inputs, outputs, graph), names


def _from_frozen(frozen, opset: int, **names: Any) -> onnx.ModelProto:
    from tf2onnx import convert

    model, _ = convert._convert_common(frozen, opset=opset, continue_on_error=True, **names)
    return model


@contextlib.contextmanager
def _optimized_in_place() -> Iterator[None]:
    """Lets tf2onnx change its graph in place, as long as the block lasts.

    By itself each of its optimizers gets a deep copy, with all weights, so that an error in
    one costs no more than what it would have saved.
    """
    before = os.environ.get(_COPIES)
    os.environ[_COPIES] = "FALSE"
    try:
        yield
    finally:
        if before is None:
            del os.environ[_COPIES]
        else:
            os.environ[_COPIES] = before


def _check_operators(converted: onnx.ModelProto, name: str) -> None:
    """Raises ExportError for operators that ONNX has not; tf2onnx leaves them in."""
    strange = {
        f"{node.op_type} (layer {layer_of_scope(node.name)})"
        for node in converted.graph.node
        if not onnx.defs.has(node.op_type, node.domain)
    }
    if strange:
        raise ExportError(
            f"{name} cannot be converted to ONNX: it needs {', '.join(sorted(strange))}."
        )
