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
from keras_pose.exporting.subprocesses import call_in_child, give_back_memory

# From this size on a graph is converted in a process of its own: the converter takes 15
# times the weights, and the memory is given back when its process ends. A small one would
# only wait for TensorFlow to load again.
LARGE_BYTES = 50_000_000
GRAPH_NAME, FILE_NAME = "saved_model.pb", "converted.tflite"


class ConverterError(Exception):
    """An error of TFLite's converter, with all that it says."""


def converted(serve) -> bytes:
    """Converts a function to a `.tflite` file of builtin ops.

    Args:
        serve: `tf.function` as `builtin_converter` takes it.

    Raises:
        ConverterError: if the converter refuses it.
    """
    with tempfile.TemporaryDirectory() as folder:
        save_function(serve, folder)
        return converted_folder(folder)


def converted_folder(folder) -> bytes:
    """Converts what `save_function` wrote; see `converted`.

    A graph that is not needed any more should be let go before: the converter has copies of
    its own, and the memory of both is more than all the rest takes.
    """
    folder = Path(folder)
    if (folder / GRAPH_NAME).stat().st_size > LARGE_BYTES:
        give_back_memory()
        error = call_in_child(f"{__name__}:convert_folder", str(folder))
    else:
        error = convert_folder(str(folder))
    if error is not None:
        raise ConverterError(error)
    return (folder / FILE_NAME).read_bytes()


def convert_folder(folder: str) -> str | None:
    """Converts a SavedModel; leaves the file in its folder, or returns the error's text."""
    try:
        content = _convert(folder)
    except Exception as error:  # the converter's errors have no common base
        return str(error) or type(error).__name__
    (Path(folder) / FILE_NAME).write_bytes(content)
    return None


def _convert(folder: str) -> bytes:
    """Calls the converter with the folder alone.

    `tf.lite.TFLiteConverter` loads the SavedModel twice in Python before, for statistics
    that it writes into the file, and packs the file once more.
    """
    try:
        from tensorflow.lite.python.convert import convert_saved_model
    except ImportError:  # no public API; the other way takes longer only
        content: bytes = _converter_of(folder).convert()
        return content
    content = convert_saved_model(
        saved_model_dir=folder,
        saved_model_version=1,
        saved_model_tags={tf.saved_model.SERVING},
        saved_model_exported_names=[SIGNATURE],
        target_ops=[tf.lite.OpsSet.TFLITE_BUILTINS],
        enable_tflite_resource_variables=True,
        enable_composite_direct_lowering=True,
    )
    return content


@contextlib.contextmanager
def builtin_converter(serve) -> Iterator[tf.lite.TFLiteConverter]:
    """Gives a converter that knows builtin ops only; it must be run within the block.

    Args:
        serve: `tf.function` with an input signature, from tensors to a dictionary, without
            variables.
    """
    with tempfile.TemporaryDirectory() as folder:
        save_function(serve, folder)
        yield _converter_of(folder)


def save_function(serve, folder) -> None:
    """Writes a function to a folder, as a SavedModel; see `builtin_converter`."""
    signatures = {SIGNATURE: serve.get_concrete_function()}
    # No gradients: that of SiLU would hold on to a tensor of the first function.
    options = tf.saved_model.SaveOptions(experimental_custom_gradients=False)
    tf.saved_model.save(tf.Module(), str(folder), signatures, options)


def _converter_of(folder) -> tf.lite.TFLiteConverter:
    converter = tf.lite.TFLiteConverter.from_saved_model(
        str(folder), signature_keys=[SIGNATURE]
    )
    converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS]
    return converter
