"""From a serving function to TFLite's converter, by way of a SavedModel.

The SavedModel holds the function and its weights alone. `keras.export.ExportArchive` adds
all layers as objects: to walk through them and trace their savers takes longer than the
conversion, and the converter, which reads the function, gives the same bytes.
"""

from __future__ import annotations

import contextlib
import tempfile
from collections.abc import Iterator

import tensorflow as tf

from keras_pose.exporting.float_graph.serving import SIGNATURE


@contextlib.contextmanager
def builtin_converter(model, serve) -> Iterator[tf.lite.TFLiteConverter]:
    """Gives a converter that knows builtin ops only; it must be run within the block.

    Args:
        model: Keras model, whose weights the function reads.
        serve: `tf.function` with an input signature, from tensors to a dictionary.
    """
    with tempfile.TemporaryDirectory() as folder:
        module = tf.Module()
        module.serve = serve
        module.held = [weight.value for weight in model.variables]
        signatures = {SIGNATURE: serve.get_concrete_function()}
        tf.saved_model.save(module, folder, signatures)
        converter = tf.lite.TFLiteConverter.from_saved_model(
            folder, signature_keys=[SIGNATURE]
        )
        converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS]
        yield converter
