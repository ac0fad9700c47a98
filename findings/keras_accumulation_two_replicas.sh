#!/usr/bin/env bash
# Keras 3.15.1 on TensorFlow 2.21.0: an optimizer with gradient_accumulation_steps trains on
# one device and fails under MirroredStrategy with two replicas, at the first step. The
# optimizer applies gradients within keras.ops.cond, and tf.distribute refuses to merge the
# replicas within a conditional. Both options are documented, and nothing says that they
# exclude each other; the message names Cond.call(), not the accumulation.
# Seen: "trained" on one device with steps of 2, and on two replicas without steps; a
# RuntimeError of Cond.call() on two replicas with steps of 2.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check \
  tensorflow==2.21.0 keras==3.15.1 2>/dev/null
TF_CPP_MIN_LOG_LEVEL=3 CUDA_VISIBLE_DEVICES="" "$folder/venv/bin/python" - 2>/dev/null <<'PYTHON'
import keras
import numpy as np
import tensorflow as tf

two_devices = [tf.config.LogicalDeviceConfiguration()] * 2
tf.config.set_logical_device_configuration(
    tf.config.list_physical_devices("CPU")[0], two_devices
)


def train(strategy, steps):
    """Trains for two steps; returns "trained", or how that failed."""
    with strategy.scope():
        model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(1)])
        optimizer = keras.optimizers.SGD(0.1, gradient_accumulation_steps=steps)
        model.compile(optimizer, "mse")
    images, targets = np.ones((8, 4), "float32"), np.ones((8, 1), "float32")
    try:
        model.fit(images, targets, batch_size=4, verbose=0)
    except RuntimeError as error:
        return f"RuntimeError: {str(error).strip().splitlines()[0]}"
    return "trained"


one = tf.distribute.OneDeviceStrategy("/cpu:0")
two = tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"])
found = {
    "one device, steps of 2": train(one, 2),
    "two replicas, no steps": train(two, None),
    "two replicas, steps of 2": train(two, 2),
}
print(f"Keras {keras.__version__}, TensorFlow {tf.__version__}")
for case, outcome in found.items():
    print(f"{case}: {outcome}")
first, second, third = found.values()
assert (first, second) == ("trained", "trained"), found
assert third.startswith("RuntimeError") and "Cond.call()" in third, found
PYTHON
