"""ONNX files: float32, NHWC pixels in, for ONNX Runtime and what reads its format."""

from __future__ import annotations

from pathlib import Path

from keras_pose.contract import TensorSpec
from keras_pose.detector_contract import ModelContract
from keras_pose.exporting.errors import ExportError
from keras_pose.exporting.serving import in_float32, serving_function
from keras_pose.exporting.writing import Export, runnable, write_export
from keras_pose.quiet import quiet_stderr
from keras_pose.runtime.onnx_backend import OnnxBackend

DEFAULT_OPSET = 17
# Older ones lack what Keras' layers become; tf2onnx 1.17 writes none newer.
OPSETS = range(13, 19)


def export_onnx(
    model, contract: ModelContract, path, crops, opset: int = DEFAULT_OPSET, batch: int = 1
) -> Export:
    """Writes an `.onnx` file and its contract.

    Args:
        model: Keras model of normalised images.
        contract: that of the model, with its normalisation.
        path: where to.
        crops: (N, H, W, 3) uint8; the first few check the file.
        opset: version of the ONNX operators, one of `OPSETS`.
        batch: images the file takes at a time.

    Raises:
        ValueError: for another opset.
        ExportError: if the model cannot be converted, or the file does not do what
            the model does. Nothing is then left at `path`.
        PermissionError: if `path` cannot be written.
    """
    if opset not in OPSETS:
        raise ValueError(f"opset must be {OPSETS[0]} to {OPSETS[-1]}, got {opset}.")

    def write(temporary: Path) -> ModelContract:
        convert(in_float32(model), contract, temporary, opset, batch)
        backend = OnnxBackend(temporary)
        image = TensorSpec(backend.input.name, backend.input.shape, backend.input.dtype)
        return contract.with_tensors(image, backend.outputs, normalization=None)

    return write_export(path, write, runnable(model, contract), crops)


def convert(model, contract: ModelContract, path, opset: int, batch: int) -> None:
    """Writes an `.onnx` file, not yet checked."""
    import tf2onnx  # here: it takes a second, and TFLite exports do without it

    serve = serving_function(model, contract, batch)
    with quiet_stderr():
        try:
            tf2onnx.convert.from_function(
                serve,
                input_signature=serve.input_signature,
                opset=opset,
                output_path=str(path),
            )
        except Exception as error:  # tf2onnx lets through whatever its parts raise
            raise ExportError(
                f"{contract.model} cannot be converted to ONNX: {error}"
            ) from error
