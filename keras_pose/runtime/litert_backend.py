"""Runs `.tflite` files with LiteRT (`ai_edge_litert`); `tf.lite.Interpreter` is going."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from keras_pose.contract import TensorSpec
from keras_pose.runtime.backend import import_runtime, resolve_num_threads


class LiteRTBackend:
    """A `.tflite` file; see `Backend`.

    Attributes:
        signatures: signature name -> {"inputs": names, "outputs": names}.

    Raises:
        ImportError: without the package ai-edge-litert.
        ValueError: for a file that is damaged or needs ops the runtime has not.
    """

    def __init__(self, path, num_threads: int | None = None):
        litert = import_runtime("ai_edge_litert.interpreter", "ai-edge-litert", ".tflite")
        num_threads = resolve_num_threads(num_threads)
        try:
            interpreter = litert.Interpreter(str(path), num_threads=num_threads)
            interpreter.allocate_tensors()
        except (ValueError, RuntimeError) as error:
            raise ValueError(
                f"{Path(path)} is not a .tflite file, is damaged, or needs ops that this "
                f"version of LiteRT has not: {error}"
            ) from error
        self._interpreter = interpreter
        self._input_index = interpreter.get_input_details()[0]["index"]
        self._output_index = interpreter.get_output_details()[0]["index"]
        self.signatures = interpreter.get_signature_list()
        self.input = self._spec(interpreter.get_input_details()[0], "inputs")
        self.output = self._spec(interpreter.get_output_details()[0], "outputs")

    def run(self, images: np.ndarray) -> np.ndarray:
        self._interpreter.set_tensor(self._input_index, images)
        self._interpreter.invoke()
        return self._interpreter.get_tensor(self._output_index)

    def _spec(self, details, side) -> TensorSpec:
        scale, zero_point = details["quantization"]
        # A scale of 0 is how TFLite says "not quantized".
        quantization = (float(scale), int(zero_point)) if scale else (None, None)
        shape = tuple(int(size) for size in details["shape"])
        dtype = np.dtype(details["dtype"]).name
        return TensorSpec(self._name(details, side), shape, dtype, *quantization)

    def _name(self, details, side) -> str:
        """Returns the tensor's name in the signature; without one, in the graph."""
        for signature in self.signatures.values():
            if len(signature[side]) == 1:
                return signature[side][0]
        return details["name"]
