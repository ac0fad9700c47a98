"""Runs `.mlpackage` folders: by Core ML on macOS, elsewhere operator by operator.

Elsewhere means slowly, see `runtime.mil`: enough to measure what a package is worth on the
machine that made it.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np

from keras_pose.commandline.packages import import_runtime
from keras_pose.commandline.quiet import quiet_stderr
from keras_pose.contracts.fields import TensorSpec

PACKAGE = "coremltools"
WEIGHTS = Path("Data") / "com.apple.CoreML" / "weights"
_TYPES = {"FLOAT16": "float16", "FLOAT32": "float32", "DOUBLE": "float64", "INT32": "int32"}


class CoreMLBackend:
    """A `.mlpackage` folder with one picture as its input; see `Backend`.

    Raises:
        ImportError: without the package coremltools.
        ValueError: for a folder that is damaged, that holds another kind of model, or
            whose program needs operators that are not known here.
    """

    def __init__(self, path):
        with quiet_stderr():
            tools = import_runtime(PACKAGE, PACKAGE, ".mlpackage")
        self._path = Path(path)
        try:
            spec = tools.utils.load_spec(str(path))
        except Exception as error:  # protobuf's and its own, of no common base
            raise ValueError(f"{path} is damaged or no Core ML package: {error}") from error
        if spec.WhichOneof("Type") != "mlProgram":
            raise ValueError(
                f"{path} holds a Core ML model of the kind {spec.WhichOneof('Type')!r}: "
                "programs ('mlProgram') are read here."
            )
        self.input = _image_spec(spec, path)
        self._spec = spec
        self._is_native = sys.platform == "darwin"
        self._model = self._open_native(tools) if self._is_native else self._read(spec)
        self.outputs = tuple(
            self._output_spec(output) for output in spec.description.output
        )
        self.output = self.outputs[0]

    def _open_native(self, tools):
        # The processor: what the Neural Engine rounds is a device's own.
        return tools.models.MLModel(
            str(self._path), compute_units=tools.ComputeUnit.CPU_ONLY
        )

    def _read(self, spec):
        from coremltools.converters.mil.frontend.milproto.load import load

        from keras_pose.runtime.mil import Program

        with quiet_stderr():
            return Program(
                load(
                    spec,
                    specification_version=spec.specificationVersion,
                    file_weights_dir=str(self._path / WEIGHTS),
                )
            )

    def _output_spec(self, output) -> TensorSpec:
        kind = output.type.multiArrayType
        name = kind.ArrayDataType.Name(kind.dataType) if kind.dataType else "FLOAT32"
        return TensorSpec(output.name, tuple(kind.shape), _TYPES[name])

    def run(self, images: np.ndarray) -> np.ndarray:
        return self.run_all(images)[self.output.name]

    def run_all(self, images: np.ndarray) -> dict[str, np.ndarray]:
        if self._is_native:
            from PIL import Image

            return self._model.predict({self.input.name: Image.fromarray(images[0])})
        pixels = np.asarray(images, np.float32)
        values = self._model({self.input.name: pixels.transpose(0, 3, 1, 2)})
        return {name: np.asarray(values[name], np.float32) for name in values}


def _image_spec(spec, path) -> TensorSpec:
    """Describes the only input, a picture of one size."""
    inputs = list(spec.description.input)
    if len(inputs) != 1 or inputs[0].type.WhichOneof("Type") != "imageType":
        kinds = [entry.type.WhichOneof("Type") for entry in inputs]
        raise ValueError(f"{path} must take one picture, it takes {kinds}.")
    image = inputs[0].type.imageType
    return TensorSpec(inputs[0].name, (1, image.height, image.width, 3), "uint8")
