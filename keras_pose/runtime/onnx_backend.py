"""Runs `.onnx` files with ONNX Runtime, on the CPU."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from keras_pose.commandline.packages import import_runtime
from keras_pose.contracts.entries import says_sums_fit
from keras_pose.contracts.fields import TensorSpec
from keras_pose.runtime.backend import resolve_num_threads

ERRORS_ONLY = 3
# ONNX names of types that are not NumPy's.
NUMPY_NAMES = {"float": "float32", "double": "float64"}
# On x86 without VNNI: exact sums of int8 products, which take longer.
EXACT_SUMS = "session.x64quantprecision"


class OnnxBackend:
    """An `.onnx` file; see `Backend`. All processors compute the same.

    Raises:
        ImportError: without the package onnxruntime.
        ValueError: for a file that is damaged or that ONNX Runtime cannot run.
    """

    def __init__(self, path, num_threads: int | None = None):
        onnxruntime = import_runtime("onnxruntime", "onnxruntime", ".onnx")
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = resolve_num_threads(num_threads)
        options.log_severity_level = ERRORS_ONLY
        if not says_sums_fit(path):
            options.add_session_config_entry(EXACT_SUMS, "1")
        try:
            self._session = onnxruntime.InferenceSession(
                str(path), options, providers=["CPUExecutionProvider"]
            )
        except Exception as error:  # its exceptions have no base class of their own
            raise ValueError(
                f"{Path(path)} is not an .onnx file, is damaged, or needs ops that this "
                f"version of ONNX Runtime has not: {error}"
            ) from error
        self.input = _spec(self._session.get_inputs()[0])
        self.outputs = tuple(map(_spec, self._session.get_outputs()))
        self.output = self.outputs[0]

    def run(self, images: np.ndarray) -> np.ndarray:
        return self._session.run([self.output.name], {self.input.name: images})[0]

    def run_all(self, images: np.ndarray) -> dict[str, np.ndarray]:
        names = [spec.name for spec in self.outputs]
        values = self._session.run(names, {self.input.name: images})
        return dict(zip(names, values, strict=True))


def _spec(node) -> TensorSpec:
    """Describes a graph input or output; sizes that have a name are free."""
    dtype = node.type.removeprefix("tensor(").removesuffix(")")
    shape = tuple(size if isinstance(size, int) else None for size in node.shape)
    return TensorSpec(node.name, shape, NUMPY_NAMES.get(dtype, dtype))
