"""Runs `.onnx` and `.tflite` files with OpenVINO, on the CPU.

On x86 it has the widest choice of integer kernels. It goes by the contracts of the usual
runtimes: tensors bear the names that they have in LiteRT and ONNX Runtime.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from keras_pose.commandline.packages import import_runtime
from keras_pose.contracts.fields import TensorSpec
from keras_pose.runtime.backend import resolve_num_threads
from keras_pose.runtime.instructions import saturates

PACKAGE = "openvino"


class OpenVinoBackend:
    """An `.onnx` or `.tflite` file; see `Backend`.

    Raises:
        ImportError: without the package openvino.
        ValueError: for a file that is damaged, that OpenVINO cannot run, or that it would
            compute wrongly on this processor, see `wrong_sums`.
    """

    def __init__(self, path, num_threads: int | None = None):
        path = Path(path)
        openvino = import_runtime(PACKAGE, PACKAGE, path.suffix)
        reason = wrong_sums(path)
        if reason:
            raise ValueError(reason)
        settings = {
            "PERFORMANCE_HINT": "LATENCY",
            "NUM_STREAMS": 1,
            "INFERENCE_NUM_THREADS": resolve_num_threads(num_threads),
            # Else all programs' threads meet on the first cores.
            "ENABLE_CPU_PINNING": False,
            # Else processors with bfloat16 compute float32 files in it.
            "INFERENCE_PRECISION_HINT": "f32",
        }
        try:
            core = openvino.Core()
            compiled = core.compile_model(core.read_model(path), "CPU", settings)
        except RuntimeError as error:
            raise ValueError(
                f"{path} is damaged, or needs ops that this version of OpenVINO has not: "
                f"{error}"
            ) from error
        self._request = compiled.create_infer_request()
        known = _tflite_ends(path) if path.suffix == ".tflite" else {}
        self.input = _spec(compiled.input(), known)
        self.outputs = tuple(_spec(port, known) for port in compiled.outputs)
        self.output = self.outputs[0]

    def run(self, images: np.ndarray) -> np.ndarray:
        return self.run_all(images)[self.output.name]

    def run_all(self, images: np.ndarray) -> dict[str, np.ndarray]:
        self._request.infer([images], share_inputs=True)
        return {
            spec.name: np.array(self._request.get_output_tensor(index).data)
            for index, spec in enumerate(self.outputs)
        }


def wrong_sums(path: Path) -> str:
    """Returns why OpenVINO would compute a file wrongly on this processor, or "".

    Raises:
        ValueError: for a damaged file.
    """
    if path.suffix != ".tflite" or not saturates():
        return ""
    from keras_pose.modelfiles.flatbuffer import tflite_graph

    graph = tflite_graph(path)
    read = [graph.tensors[op.inputs[0]].dtype for op in graph.operators if op.inputs]
    kinds = [op.kind for op in graph.operators if op.inputs]
    if ("CONV_2D", "int8") not in zip(kinds, read, strict=True):
        return ""
    return (
        f"{path} has integer weights that fill 8 bits, whose products OpenVINO adds in 16 "
        "bits on a processor without a dot product of bytes: large sums would be cut off. "
        "Run it in litert, or export int8 as .onnx, whose weights allow for it."
    )


def _tflite_ends(path: Path) -> dict[str, tuple]:
    """Returns name, scale and zero point of inputs and outputs, by their tensors' names.

    OpenVINO knows neither signatures nor scales of integers that come out.
    """
    from keras_pose.modelfiles.flatbuffer import signature_names, tflite_graph

    graph, names = tflite_graph(path), signature_names(path)
    tensors = [graph.tensors[key] for key in (*graph.inputs, *graph.outputs)]
    return {
        # A scale of 0 is how TFLite says "not quantized".
        each.name: (names.get(each.name, each.name), each.scale or None, each.zero_point)
        for each in tensors
    }


def _spec(port, known: dict[str, tuple]) -> TensorSpec:
    """Describes an input or output of the compiled network."""
    name = port.get_any_name()
    name, scale, zero_point = known.get(name, (name, None, None))
    dtype = np.dtype(port.get_element_type().to_dtype()).name
    shape = tuple(int(size) for size in port.get_shape())
    return TensorSpec(name, shape, dtype, scale, None if scale is None else zero_point)
