"""From a serving function to TFLite's converter, by way of a SavedModel.

The SavedModel holds one function, whose weights are constants. With variables, TensorFlow
traces a saver and a restorer for each of them and the function itself once more, and the
converter loads them all to make them constants: of HRNet, that takes four times as long.
The files have the same operators, and the same outputs to the bit.
"""

from __future__ import annotations

import contextlib
import tempfile
from collections.abc import Iterator

import tensorflow as tf
from tensorflow.python.framework.convert_to_constants import (
    convert_variables_to_constants_v2,
)

from keras_pose.exporting.float_graph.serving import SIGNATURE


@contextlib.contextmanager
def builtin_converter(serve) -> Iterator[tf.lite.TFLiteConverter]:
    """Gives a converter that knows builtin ops only; it must be run within the block.

    Args:
        serve: `tf.function` with an input signature, from tensors to a dictionary.
    """
    signatures = {SIGNATURE: _with_constants(serve).get_concrete_function()}
    with tempfile.TemporaryDirectory() as folder:
        # No gradients: that of SiLU would hold on to a tensor of the first function.
        options = tf.saved_model.SaveOptions(experimental_custom_gradients=False)
        tf.saved_model.save(tf.Module(), folder, signatures, options)
        converter = tf.lite.TFLiteConverter.from_saved_model(
            folder, signature_keys=[SIGNATURE]
        )
        converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS]
        yield converter


def _with_constants(serve):
    """Returns a `tf.function` with the values that the weights have now."""
    traced = serve.get_concrete_function()
    frozen = convert_variables_to_constants_v2(traced, lower_control_flow=False)
    # A frozen function has kept the order of the outputs but not their names.
    names = sorted(traced.structured_outputs)

    @tf.function(input_signature=serve.input_signature, autograph=False)
    def serve_constants(*inputs):
        return dict(zip(names, frozen(*inputs), strict=True))

    return serve_constants
