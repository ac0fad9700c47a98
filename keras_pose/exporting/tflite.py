"""TFLite files: float32, float16, dynamic-range and full-integer int8.

Converted through a SavedModel with a fixed batch and one named signature, builtin ops
only. Other ways in (`from_keras_model`, bare concrete functions) have let Select-TF ops
into files, or left the weights out.
"""

from __future__ import annotations

import re
import tempfile
from pathlib import Path

import keras
import numpy as np
import tensorflow as tf

from keras_pose.contract import INPUT_NAME, TensorSpec
from keras_pose.detector_contract import ModelContract
from keras_pose.exporting.calibration import span_all_pixels
from keras_pose.exporting.errors import ExportError
from keras_pose.exporting.flatbuffer import custom_ops, float_ops
from keras_pose.exporting.serving import SIGNATURE, in_float32, serving_function
from keras_pose.exporting.writing import Export, runnable, write_export
from keras_pose.quiet import quiet_stderr
from keras_pose.runtime.litert_backend import LiteRTBackend

QUANTIZATIONS = ("float32", "float16", "dynamic", "int8")


def export_tflite(
    model, contract: ModelContract, path, crops, quantization="float32", batch=1
) -> Export:
    """Writes a `.tflite` file and its contract.

    Args:
        model: Keras model of normalised images.
        contract: that of the model, with its normalisation.
        path: where to.
        crops: (N, H, W, 3) uint8; all calibrate an int8 file, the first few check any.
        quantization: one of `QUANTIZATIONS`.
        batch: images the file takes at a time.

    Raises:
        ValueError: for another `quantization`.
        ExportError: if the model cannot be converted with builtin ops, or the file
            does not do what the model does. Nothing is then left at `path`.
        PermissionError: if `path` cannot be written.
    """
    if quantization not in QUANTIZATIONS:
        raise ValueError(
            f"quantization must be one of {QUANTIZATIONS}, got {quantization!r}."
        )

    def write(temporary: Path) -> ModelContract:
        content = convert(in_float32(model), contract, crops, quantization, batch)
        temporary.write_bytes(content)
        return check_file(temporary, contract, quantization)

    return write_export(path, write, runnable(model, contract), crops)


def convert(model, contract: ModelContract, crops, quantization, batch) -> bytes:
    """Returns the content of a `.tflite` file, not yet checked."""
    input_dtype = "float32" if quantization == "int8" else "uint8"
    serve = serving_function(model, contract, batch, input_dtype)
    with tempfile.TemporaryDirectory() as folder, quiet_stderr():
        archive = keras.export.ExportArchive()
        archive.track(model)
        archive.add_endpoint(SIGNATURE, serve)
        archive.write_out(folder, verbose=False)
        converter = tf.lite.TFLiteConverter.from_saved_model(
            folder, signature_keys=[SIGNATURE]
        )
        _configure(converter, quantization, crops, batch)
        try:
            return converter.convert()
        except Exception as error:  # the converter's errors have no common base
            raise ExportError(
                f"{contract.model} cannot be converted to {quantization} with TFLite's "
                f"builtin ops alone: {_reason(error)}"
            ) from error


def _reason(error: Exception) -> str:
    """Picks the ops out of the converter's pages, or else its first line."""
    ops = sorted(set(re.findall(r"'(tf\.\w+)' op is neither", str(error))))
    if ops:
        return f"it needs {', '.join(ops)}."
    return (str(error).strip().splitlines() or [type(error).__name__])[0]


def _configure(converter, quantization, crops, batch) -> None:
    converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS]
    if quantization == "float32":
        return
    converter.optimizations = [tf.lite.Optimize.DEFAULT]
    if quantization == "float16":
        converter.target_spec.supported_types = [tf.float16]
    if quantization == "int8":
        converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
        converter.inference_input_type = tf.uint8
        converter.inference_output_type = tf.int8
        converter.representative_dataset = lambda: _calibration_batches(crops, batch)


def _calibration_batches(crops, batch):
    """Yields the crops as the serving function takes them; the last ones repeat."""
    images = span_all_pixels(crops)
    for start in range(0, len(images), batch):
        indices = np.arange(start, start + batch) % len(images)
        yield {INPUT_NAME: images[indices]}


def check_file(path, contract: ModelContract, quantization) -> ModelContract:
    """Checks what can be seen without running the file; returns its contract.

    Raises:
        ExportError: for ops that are not builtin, or, in an int8 file, float ops or
            an input that is not plain pixels.
    """
    strange = custom_ops(path)
    if strange:
        raise ExportError(f"The converted file needs ops that are not builtin: {strange}.")
    with quiet_stderr():
        backend = LiteRTBackend(path)
    if quantization == "int8":
        _check_int8(path, backend)
    image = TensorSpec(backend.input.name, backend.input.shape, backend.input.dtype)
    return contract.with_tensors(
        image,
        backend.outputs,
        normalization=None,
        quantization=quantization,
        signature=SIGNATURE,
    )


def _check_int8(path, backend: LiteRTBackend) -> None:
    image = backend.input
    if (image.dtype, image.scale, image.zero_point) != ("uint8", 1.0, 0):
        raise ExportError(
            "The input of an int8 file must be pixels: uint8, scale 1.0, zero point 0; got "
            f"{image.dtype}, {image.scale}, {image.zero_point}."
        )
    for output in backend.outputs:
        if output.dtype != "int8" or output.scale is None:
            raise ExportError(f"The outputs of an int8 file must be int8, got {output}.")
    if float_ops(path):
        raise ExportError(f"These ops of the int8 file run in float: {float_ops(path)}.")
