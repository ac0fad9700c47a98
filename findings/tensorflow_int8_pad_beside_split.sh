#!/usr/bin/env bash
# TensorFlow 2.21.0: TFLiteConverter, asked for int8 and for nothing else
# (TFLITE_BUILTINS_INT8), leaves operators in float without a word where a tensor is split
# by slices that are joined again (the halves of ShuffleNet's and PP-TinyPose's modules)
# and is padded for another branch, too: the PAD and the depthwise convolution behind it.
# Without the split, the same branch is int8 throughout.
# Seen: float outputs of no operator without the split; of PAD and DEPTHWISE_CONV_2D, with a
# DEQUANTIZE before and a QUANTIZE behind, with it.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check \
  tensorflow==2.21.0 keras==3.15.1 2>/dev/null
TF_CPP_MIN_LOG_LEVEL=3 "$folder/venv/bin/python" - <<'PYTHON'
import contextlib
import io

import keras
import numpy as np
import tensorflow as tf
from keras import layers


def network(has_halves):
    """A rectified map, its halves joined again or not, and a padded branch beside."""
    image = keras.Input((32, 24, 3), batch_size=1)
    x = layers.ReLU()(layers.Conv2D(8, 3, strides=2, padding="same")(image))
    y = x
    if has_halves:
        worked = layers.Conv2D(4, 1, activation="relu")(x[..., 4:])
        y = layers.Concatenate()([x[..., :4], worked])
    down = layers.DepthwiseConv2D(3, strides=2)(layers.ZeroPadding2D(1)(x))
    other = layers.DepthwiseConv2D(3, strides=2, padding="same")(y)
    return keras.Model(image, layers.Add()([down, other]))


def in_float(model):
    """Names the operators of the model's int8 file that give floats."""
    rng = np.random.default_rng(0)
    converter = tf.lite.TFLiteConverter.from_keras_model(model)
    converter.optimizations = [tf.lite.Optimize.DEFAULT]
    converter.representative_dataset = lambda: (
        [rng.random((1, 32, 24, 3), "float32")] for _ in range(20)
    )
    converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
    converter.inference_input_type = converter.inference_output_type = tf.int8
    with contextlib.redirect_stdout(io.StringIO()):
        content = converter.convert()
    plain = tf.lite.experimental.OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES
    interpreter = tf.lite.Interpreter(
        model_content=content, experimental_op_resolver_type=plain
    )
    interpreter.allocate_tensors()
    floats = {
        each["index"]
        for each in interpreter.get_tensor_details()
        if each["dtype"] == np.float32
    }
    return [
        each["op_name"]
        for each in interpreter._get_ops_details()
        if floats.intersection(each["outputs"])
    ]


keras.utils.set_random_seed(0)
print(f"TensorFlow {tf.__version__}, Keras {keras.__version__}")
whole, halved = in_float(network(False)), in_float(network(True))
print(f"without a split: {whole}")
print(f"with one: {halved}")
assert whole == []
if halved != ["DEQUANTIZE", "PAD", "DEPTHWISE_CONV_2D"]:
    raise SystemExit("The converter leaves other operators in float now: out of date")
PYTHON
