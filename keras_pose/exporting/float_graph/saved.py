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

import tensorflow as tf

from keras_pose.exporting.float_graph.serving import SIGNATURE


@contextlib.contextmanager
def builtin_converter(serve) -> Iterator[tf.lite.TFLiteConverter]:
    """Gives a converter that knows builtin ops only; it must be run within the block.

    Args:
        serve: `tf.function` with an input signature, from tensors to a dictionary, without
            variables.
    """
    signatures = {SIGNATURE: serve.get_concrete_function()}
    with tempfile.TemporaryDirectory() as folder:
        # No gradients: that of SiLU would hold on to a tensor of the first function.
        options = tf.saved_model.SaveOptions(experimental_custom_gradients=False)
        tf.saved_model.save(tf.Module(), folder, signatures, options)
        converter = tf.lite.TFLiteConverter.from_saved_model(
            folder, signature_keys=[SIGNATURE]
        )
        converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS]
        yield converter
