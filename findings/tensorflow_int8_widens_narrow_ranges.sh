#!/usr/bin/env bash
# TensorFlow 2.21.0: TFLiteConverter, asked for int8, holds no tensor in a range narrower than
# 2e-6. A layer whose values reach 1e-9 gets steps of 2e-6 / 255, so all of them are 0, and
# what the next layers make of them is constant, without a word. litert-quantizer 0.11.0,
# given the ranges of the same float file, keeps its steps and the outputs.
# Seen: steps of 7.8e-09 and 1 value of the output by TensorFlow; steps of 3.9e-12 and more
# than 100 values by litert-quantizer; 1,024 values in float.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check \
  tensorflow==2.21.0 keras==3.15.1 litert-quantizer==0.11.0 2>/dev/null
cd "$folder"
TF_CPP_MIN_LOG_LEVEL=3 "$folder/venv/bin/python" - <<'PYTHON'
import contextlib
import io

import keras
import numpy as np
import tensorflow as tf
from ai_edge_litert.interpreter import Interpreter
from keras import layers
from litert_quantizer import quantizer

SMALL = 1e-9
rng = np.random.default_rng(0)
images = rng.random((16, 16, 16, 4), np.float32)

image = keras.Input((16, 16, 4), batch_size=1)
x = layers.Conv2D(4, 1, use_bias=False, name="smaller")(image)
x = layers.ReLU(name="small")(x)
model = keras.Model(image, layers.Conv2D(4, 1, use_bias=False, name="larger")(x))
model.get_layer("smaller").set_weights([SMALL * np.eye(4)[None, None]])
model.get_layer("larger").set_weights([np.eye(4)[None, None] / SMALL])


def converter():
    made = tf.lite.TFLiteConverter.from_keras_model(model)
    made.optimizations = []
    return made


def converted(made):
    with contextlib.redirect_stdout(io.StringIO()):
        return made.convert()


by_converter = converter()
by_converter.optimizations = [tf.lite.Optimize.DEFAULT]
by_converter.representative_dataset = lambda: ([each[None]] for each in images)
by_converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
float_file = converted(converter())

tool = quantizer.Quantizer(bytes(float_file))
tool.add_static_config(".*", "*", activation_num_bits=8, weight_num_bits=8)
interpreter = Interpreter(model_content=float_file)
(signature,) = interpreter.get_signature_list()
(name,) = interpreter.get_signature_list()[signature]["inputs"]
ranges = tool.calibrate({signature: [{name: each[None]} for each in images]})
by_tool = bytes(tool.quantize(ranges).quantized_model)


def steps_and_values(content):
    """Returns the smallest step of a tensor of 8 bits, and how many values come out."""
    run = Interpreter(model_content=content)
    run.allocate_tensors()
    (fed,), (read,) = run.get_input_details(), run.get_output_details()
    pixels = images[:1]
    if fed["dtype"] != np.float32:
        scale, zero = fed["quantization"]
        pixels = np.rint(pixels / scale + zero).astype(fed["dtype"])
    run.set_tensor(fed["index"], pixels)
    run.invoke()
    steps = [
        each["quantization"][0]
        for each in run.get_tensor_details()
        if each["dtype"] == np.int8 and each["shape"].tolist() == [1, 16, 16, 4]
    ]
    return min(steps, default=0.0), len(np.unique(run.get_tensor(read["index"])))


converter_step, converter_values = steps_and_values(converted(by_converter))
tool_step, tool_values = steps_and_values(by_tool)
_, float_values = steps_and_values(float_file)
print(f"TensorFlow's converter: step {converter_step:.1e}, {converter_values} values")
print(f"litert-quantizer: step {tool_step:.1e}, {tool_values} values")
print(f"float: {float_values} values")
assert abs(converter_step * 255 - 2e-6) < 1e-8
assert converter_values == 1
assert tool_step < 1e-11
assert tool_values > 100
assert float_values > 100
PYTHON
