"""Size of a network of the zoo on a phone, measured by converting it."""

from __future__ import annotations

import keras
import tensorflow as tf

from keras_pose.commandline.quiet import quiet_stderr
from keras_pose.contracts.fields import INPUT_NAME
from keras_pose.exporting.float_graph.saved import builtin_converter
from keras_pose.exporting.float_graph.serving import with_constants
from keras_pose.weights.provenance import normalization_of
from keras_pose.zoo import build_model


def float16_bytes(name: str) -> int:
    """Converts a network with random weights to float16 TFLite; returns the size.

    At its default input and number of keypoints.

    Raises:
        ValueError: if there is no such model.
    """
    keras.utils.set_random_seed(0)
    return len(any_tflite_bytes(build_model(name), is_float16=True))


def any_tflite_bytes(model, is_float16: bool = False) -> bytes:
    """Converts a network whether or not a contract describes it, to be measured only.

    From uint8 pixels to all its outputs, an image at a time, with builtin ops only.

    Args:
        model: model of the zoo.
        is_float16: True to halve the weights.
    """
    normalization = normalization_of(model)
    shape = (1, *model.inputs[0].shape[1:])
    network = with_constants(model)
    image_spec = tf.TensorSpec(shape, tf.uint8, name=INPUT_NAME)

    @tf.function(input_signature=[image_spec], autograph=False)
    def serve(image):
        outputs = network(normalization(tf.cast(image, tf.float32)))
        return {f"output_{i}": x for i, x in enumerate(keras.tree.flatten(outputs))}

    with quiet_stderr(), builtin_converter(serve) as converter:
        if is_float16:
            converter.optimizations = [tf.lite.Optimize.DEFAULT]
            converter.target_spec.supported_types = [tf.float16]
        return converter.convert()
