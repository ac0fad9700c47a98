#!/usr/bin/env bash
# coremltools 9.0 on TensorFlow 2.21.0 with Keras 3.15.1: a functional Keras model with two
# outputs becomes a Core ML package with one, the last, and nothing is said. The same
# network as a concrete function keeps both. A detector with six outputs loses five.
# Seen: outputs of the Keras model: 1, of the concrete function: 2.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check \
  tensorflow==2.21.0 keras==3.15.1 coremltools==9.0 2>/dev/null
TF_CPP_MIN_LOG_LEVEL=3 CUDA_VISIBLE_DEVICES="" "$folder/venv/bin/python" - 2>/dev/null <<'PYTHON'
import coremltools
import keras
import tensorflow as tf

image = keras.Input(batch_shape=(1, 8, 8, 3), name="image")
outputs = [keras.layers.Conv2D(filters, 1)(image) for filters in (2, 5)]
model = keras.Model(image, outputs)


@tf.function(input_signature=[tf.TensorSpec((1, 8, 8, 3), tf.float32, name="image")])
def function(image):
    return model(image)


def count(source):
    """Returns the channels of each output of the converted network."""
    package = coremltools.convert(source, source="tensorflow", convert_to="mlprogram")
    outputs = package.get_spec().description.output
    return [list(output.type.multiArrayType.shape)[-1] for output in outputs]


found = {
    "Keras model": count(model),
    "concrete function": count([function.get_concrete_function()]),
}
print(f"coremltools {coremltools.__version__}, Keras {keras.__version__}")
for source, channels in found.items():
    print(f"{source}: {len(channels)} outputs, of {channels} channels")
assert found["Keras model"] == [5], found
assert sorted(found["concrete function"]) == [2, 5], found
PYTHON
