#!/usr/bin/env bash
# Keras 3.15.1 with the TensorFlow backend: Adam's update of float64 variables takes the
# betas' powers from float32, so the correction of the averages for their start is exact to
# seven digits only, and a network in float64 does not train as the same one elsewhere.
# Seen: gradient 1, epsilon 1e-30, rate 1: the first step should be 1 to float64's rounding,
# and is 6.7e-6 too short.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check \
    numpy==2.4.6 keras==3.15.1 tensorflow==2.21.0 2>/dev/null
KERAS_BACKEND=tensorflow TF_CPP_MIN_LOG_LEVEL=3 "$folder/venv/bin/python" - 2>/dev/null <<'PYTHON'
import keras
import numpy as np

keras.config.set_floatx("float64")
weight = keras.Variable(np.zeros(1), dtype="float64")
optimizer = keras.optimizers.Adam(1.0, epsilon=1e-30)
optimizer.build([weight])
optimizer.apply([keras.ops.ones(1, dtype="float64")], [weight])
step = -float(np.asarray(weight.value)[0])

average, square = 0.1 * 1.0, (1 - 0.999) * 1.0
exact = (average / (1 - 0.9)) / np.sqrt(square / (1 - 0.999))
print(f"Keras {keras.__version__}: first step {step:.12f}, exactly {exact:.12f}")
assert weight.dtype == "float64"
assert abs(exact - 1) < 1e-12
assert 1e-6 < 1 - step < 1e-5, "the step is exact now: the behaviour has changed"
PYTHON
