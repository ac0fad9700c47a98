#!/usr/bin/env bash
# coremltools 9.0 on TensorFlow 2.21.0 with Keras 3.15.1: a functional Keras model whose two
# outputs come out of another model within it (a detector behind a layer that normalises)
# becomes a Core ML package with one, the last, and nothing is said. The inner model by
# itself keeps both, and so does the outer one as a concrete function.
# Seen: outputs of the inner model: 2, of the outer one: 1, of the concrete function: 2.
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

def image():
    return keras.Input(batch_shape=(1, 8, 8, 3), name="image")


pixels = image()
inner = keras.Model(pixels, [keras.layers.Conv2D(n, 1)(pixels) for n in (2, 5)])
pixels = image()
outer = keras.Model(pixels, inner(keras.layers.Rescaling(1 / 255)(pixels)))


@tf.function(input_signature=[tf.TensorSpec((1, 8, 8, 3), tf.float32, name="image")])
def function(image):
    return outer(image)


def count(source):
    """Returns the channels of each output of the converted network."""
    package = coremltools.convert(source, source="tensorflow", convert_to="mlprogram")
    described = package.get_spec().description.output
    outputs = package._mil_program.functions["main"].outputs
    assert len(described) == len(outputs)
    return [output.shape[-1] for output in outputs]


found = {
    "inner model": count(inner),
    "outer model": count(outer),
    "concrete function": count([function.get_concrete_function()]),
}
print(f"coremltools {coremltools.__version__}, Keras {keras.__version__}")
for source, channels in found.items():
    print(f"{source}: {len(channels)} outputs, of {channels} channels")
assert found["outer model"] == [5], found
assert sorted(found["inner model"]) == [2, 5], found
assert sorted(found["concrete function"]) == [2, 5], found
PYTHON
