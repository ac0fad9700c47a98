"""Runs `.tflite` files with LiteRT (`ai_edge_litert`); `tf.lite.Interpreter` is going."""

from __future__ import annotations

import threading
from pathlib import Path

import numpy as np

from keras_pose.commandline.packages import import_runtime
from keras_pose.contracts.fields import TensorSpec
from keras_pose.runtime.backend import resolve_num_threads

# Operator that stands for all that a vendor's compiler took.
NPU_OPERATOR = "DISPATCH_OP"


class LiteRTBackend:
    """A `.tflite` file; see `Backend`.

    An interpreter keeps input and output in itself, so threads take turns.

    Attributes:
        signatures: signature name -> {"inputs": names, "outputs": names}.

    Raises:
        ImportError: without the package ai-edge-litert.
        ValueError: for a file that is damaged, needs ops the runtime has not, or holds
            some that cannot be prepared; when run, for ops that fail.
    """

    def __init__(self, path, num_threads: int | None = None):
        litert = import_runtime("ai_edge_litert.interpreter", "ai-edge-litert", ".tflite")
        num_threads = resolve_num_threads(num_threads)
        self._path = Path(path)
        try:
            interpreter = litert.Interpreter(str(path), num_threads=num_threads)
            # Refuses what it cannot prepare: types or shapes that its kernels do not take.
            interpreter.allocate_tensors()
        except (ValueError, RuntimeError) as error:
            if NPU_OPERATOR in str(error):
                raise ValueError(
                    f"{Path(path)} is compiled for a phone's NPU and runs only there; run "
                    "the file that it was compiled from."
                ) from error
            raise ValueError(
                f"{Path(path)} is not a .tflite file, is damaged, or needs ops that this "
                f"version of LiteRT has not: {error}"
            ) from error
        self._interpreter = interpreter
        self._turn = threading.Lock()
        self.signatures = interpreter.get_signature_list()
        inputs = self._named_details("input")
        self._outputs = self._named_details("output")
        (input_name, input_details), *_ = inputs.items()
        self._input_index = input_details["index"]
        self.input = _spec(input_name, input_details)
        self.outputs = tuple(_spec(*item) for item in self._outputs.items())
        self.output = self.outputs[0]

    def run(self, images: np.ndarray) -> np.ndarray:
        return self.run_all(images)[self.output.name]

    def run_all(self, images: np.ndarray) -> dict[str, np.ndarray]:
        with self._turn:
            self._interpreter.set_tensor(self._input_index, images)
            try:
                self._interpreter.invoke()
            except RuntimeError as error:
                raise ValueError(
                    f"{self._path} cannot be run by LiteRT: {error}"
                ) from error
            return {
                name: self._interpreter.get_tensor(details["index"])
                for name, details in self._outputs.items()
            }

    def _named_details(self, side):
        """Returns tensors by their names in the signature; without one, in the graph."""
        if self.signatures:
            runner = self._interpreter.get_signature_runner(next(iter(self.signatures)))
            return getattr(runner, f"get_{side}_details")()
        details = getattr(self._interpreter, f"get_{side}_details")()
        return {tensor["name"]: tensor for tensor in details}


def _spec(name, details) -> TensorSpec:
    scale, zero_point = details["quantization"]
    # A scale of 0 is how TFLite says "not quantized".
    quantization = (float(scale), int(zero_point)) if scale else (None, None)
    shape = tuple(int(size) for size in details["shape"])
    return TensorSpec(name, shape, np.dtype(details["dtype"]).name, *quantization)
