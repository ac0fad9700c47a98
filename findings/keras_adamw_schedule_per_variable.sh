#!/usr/bin/env bash
# Keras 3.15.1 on TensorFlow 2.21.0: AdamW asks a learning rate schedule anew for each
# variable that decays, within one training step. So a custom schedule's Python runs, and its
# operators enter the traced step, once a variable; Adam with the same schedule asks once,
# whatever the model's size. A model of 40 dense layers has 80 variables.
# Seen: schedule asked 1 time by Adam; 81 times by AdamW; 41 times where biases are excluded.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check \
  tensorflow==2.21.0 keras==3.15.1 2>/dev/null
TF_CPP_MIN_LOG_LEVEL=3 CUDA_VISIBLE_DEVICES="" "$folder/venv/bin/python" - 2>/dev/null <<'PYTHON'
import keras
import tensorflow as tf

NUM_LAYERS = 40


class Counted(keras.optimizers.schedules.LearningRateSchedule):
    asked = 0

    def __call__(self, step):
        self.asked += 1
        return keras.ops.cast(0.01, "float32")


def asked_in_a_step(kind, excluded=()):
    """Returns how often the schedule is asked while one step is traced."""
    schedule = Counted()
    optimizer = kind(schedule)
    if excluded:
        optimizer.exclude_from_weight_decay(var_names=list(excluded))
    layers = [keras.layers.Dense(2) for _ in range(NUM_LAYERS)]
    network = keras.Sequential([keras.Input((2,)), *layers])
    optimizer.build(network.trainable_variables)
    gradients = [tf.zeros(variable.shape) for variable in network.trainable_variables]
    schedule.asked = 0
    tf.function(lambda: optimizer.apply(gradients)).get_concrete_function()
    return schedule.asked


found = {
    "Adam": asked_in_a_step(keras.optimizers.Adam),
    "AdamW": asked_in_a_step(keras.optimizers.AdamW),
    "AdamW without biases": asked_in_a_step(keras.optimizers.AdamW, ["bias"]),
}
print(f"Keras {keras.__version__}, TensorFlow {tf.__version__}, {2 * NUM_LAYERS} variables")
for name, count in found.items():
    print(f"{name}: schedule asked {count} times in one step")
assert found["Adam"] == 1, found
assert found["AdamW"] == 2 * NUM_LAYERS + 1, found
assert found["AdamW without biases"] == NUM_LAYERS + 1, found
PYTHON
