"""How large a network of the zoo is on a phone, measured by converting it."""

from __future__ import annotations

import tempfile

import keras
import tensorflow as tf

from keras_pose.contract import INPUT_NAME
from keras_pose.exporting.float_graph.serving import SIGNATURE
from keras_pose.quiet import quiet_stderr
from keras_pose.weights.carried import normalization_of
from keras_pose.zoo import build_model


def float16_bytes(name: str) -> int:
    """Converts a network with random weights to float16 TFLite; returns the size.

    At its default input and number of keypoints, from uint8 pixels to all its outputs,
    with builtin ops only.

    Raises:
        ValueError: if there is no such model.
    """
    keras.utils.set_random_seed(0)
    model = build_model(name)
    normalization = normalization_of(model)
    shape = (1, *model.inputs[0].shape[1:])

    @tf.function(input_signature=[tf.TensorSpec(shape, tf.uint8, name=INPUT_NAME)])
    def serve(image):
        outputs = model(normalization(tf.cast(image, tf.float32)), training=False)
        return {f"output_{i}": x for i, x in enumerate(keras.tree.flatten(outputs))}

    with tempfile.TemporaryDirectory() as folder, quiet_stderr():
        archive = keras.export.ExportArchive()
        archive.track(model)
        archive.add_endpoint(SIGNATURE, serve)
        archive.write_out(folder, verbose=False)
        converter = tf.lite.TFLiteConverter.from_saved_model(
            folder, signature_keys=[SIGNATURE]
        )
        converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS]
        converter.optimizations = [tf.lite.Optimize.DEFAULT]
        converter.target_spec.supported_types = [tf.float16]
        return len(converter.convert())
