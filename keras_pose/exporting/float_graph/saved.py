"""From a serving function to TFLite's converter, by way of a SavedModel.

The SavedModel holds one function, whose weights are constants (`serving.with_constants`).
With variables, TensorFlow traces a saver and a restorer for each of them, and the converter
loads them all to make them constants. The files have the same operators, and the same
outputs to the bit.
"""

from __future__ import annotations

import contextlib
import tempfile
from collections.abc import Iterator
from pathlib import Path

import tensorflow as tf

from keras_pose.exporting.float_graph.serving import SIGNATURE
from keras_pose.exporting.subprocesses import call_in_child

# From this size on a graph is converted in a process of its own: the converter takes 15
# times the weights, and the memory is given back when its process ends. A small one would
# only wait for TensorFlow to load again.
LARGE_BYTES = 50_000_000
FILE_NAME = "converted.tflite"


class ConverterError(Exception):
    """An error of TFLite's converter, with all that it says."""


def converted(serve) -> bytes:
    """Converts a function to a `.tflite` file of builtin ops.

    Args:
        serve: `tf.function` as `builtin_converter` takes it.

    Raises:
        ConverterError: if the converter refuses it.
    """
    with _saved(serve) as folder:
        is_large = (folder / "saved_model.pb").stat().st_size > LARGE_BYTES
        if is_large:
            error = call_in_child(f"{__name__}:convert_folder", str(folder))
        else:
            error = convert_folder(str(folder))
        if error is not None:
            raise ConverterError(error)
        return (folder / FILE_NAME).read_bytes()


def convert_folder(folder: str) -> str | None:
    """Converts a SavedModel; leaves the file in its folder, or returns the error's text."""
    try:
        content = _converter_of(folder).convert()
    except Exception as error:  # the converter's errors have no common base
        return str(error) or type(error).__name__
    (Path(folder) / FILE_NAME).write_bytes(content)
    return None


@contextlib.contextmanager
def builtin_converter(serve) -> Iterator[tf.lite.TFLiteConverter]:
    """Gives a converter that knows builtin ops only; it must be run within the block.

    Args:
        serve: `tf.function` with an input signature, from tensors to a dictionary, without
            variables.
    """
    with _saved(serve) as folder:
        yield _converter_of(folder)


@contextlib.contextmanager
def _saved(serve) -> Iterator[Path]:
    """Gives the folder of a SavedModel of a function, as long as the block lasts."""
    signatures = {SIGNATURE: serve.get_concrete_function()}
    with tempfile.TemporaryDirectory() as folder:
        # No gradients: that of SiLU would hold on to a tensor of the first function.
        options = tf.saved_model.SaveOptions(experimental_custom_gradients=False)
        tf.saved_model.save(tf.Module(), folder, signatures, options)
        yield Path(folder)


def _converter_of(folder) -> tf.lite.TFLiteConverter:
    converter = tf.lite.TFLiteConverter.from_saved_model(
        str(folder), signature_keys=[SIGNATURE]
    )
    converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS]
    return converter
