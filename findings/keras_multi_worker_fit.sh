#!/usr/bin/env bash
# Keras 3.15.1 on TensorFlow 2.21.0: model.fit under MultiWorkerMirroredStrategy fails before
# and at its first step with two workers, of one device each. Before: `_maybe_symbolic_build`
# asks the strategy for the mean of a whole batch, a tuple. At the step: `reduce_per_replica`
# asks for the mean of a metric, a scalar, along axis 0. With one worker both are left out.
# Keras' documentation of distributed training with TensorFlow names the strategy as usual.
# Seen: "trained" for one worker; for two, a ValueError about converting a PerReplica to a
# Tensor; with the build left out, "Invalid reduction dimension 0 for input with 0 dimensions".
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check \
  tensorflow==2.21.0 keras==3.15.1 2>/dev/null
cat > "$folder/worker.py" <<'PYTHON'
import json
import os
import sys

index, ports, leaves_build_out = int(sys.argv[1]), sys.argv[2].split(","), sys.argv[3] == "1"
os.environ["TF_CONFIG"] = json.dumps(
    {
        "cluster": {"worker": [f"127.0.0.1:{port}" for port in ports]},
        "task": {"type": "worker", "index": index},
    }
)
import keras
import numpy as np
import tensorflow as tf

strategy = tf.distribute.MultiWorkerMirroredStrategy()
with strategy.scope():
    model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(1)])
    model.compile("sgd", "mse")
    if leaves_build_out:
        model.optimizer.build(model.trainable_variables)
        model._maybe_symbolic_build = lambda **_: None
images, targets = np.ones((8, 4), "float32"), np.ones((8, 1), "float32")
dataset = tf.data.Dataset.from_tensor_slices((images, targets)).batch(4)
options = tf.data.Options()
options.experimental_distribute.auto_shard_policy = tf.data.experimental.AutoShardPolicy.DATA
try:
    model.fit(dataset.with_options(options), verbose=0)
    outcome = "trained"
except Exception as error:
    lines = str(error).strip().splitlines()
    outcome = f"{type(error).__name__}: {lines[0][:60]} ... {lines[-1][-90:]}"
if index == 0:
    print(outcome, flush=True)
os._exit(0)
PYTHON
export TF_CPP_MIN_LOG_LEVEL=3 CUDA_VISIBLE_DEVICES=""
python="$folder/venv/bin/python"
one=$("$python" "$folder/worker.py" 0 21871 0 2>/dev/null)
pair() { # pair PORT PORT LEAVES_BUILD_OUT
  timeout 300 "$python" "$folder/worker.py" 1 "$1,$2" "$3" >/dev/null 2>&1 &
  timeout 300 "$python" "$folder/worker.py" 0 "$1,$2" "$3" 2>/dev/null
  wait
}
two=$(pair 21872 21873 0)
step=$(pair 21874 21875 1)
"$python" -c 'import keras, tensorflow as tf; print(f"Keras {keras.__version__}, TensorFlow {tf.__version__}")' 2>/dev/null
printf 'one worker: %s\ntwo workers: %s\ntwo, build left out: %s\n' "$one" "$two" "$step"
[ "$one" = trained ]
case $two in *PerReplica*Tensor*) ;; *) exit 1 ;; esac
case $step in *"reduction dimension 0 for input with 0 dimensions"*) ;; *) exit 1 ;; esac
