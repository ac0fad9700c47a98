"""Computes outputs of the zoo's networks on the Keras backend of the environment.

    KERAS_BACKEND=jax python tests/backend_outputs.py outputs.npz NAME ...

Weights and images are drawn from seeds, the same on every backend. Imports no TensorFlow
by itself.
"""

import sys
from pathlib import Path

import keras
import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from keras_pose.zoo import build_model, get_spec


def build_seeded(name):
    """Builds a model of the zoo at a small size, with weights drawn from a seed."""
    multiple = get_spec(name).input_multiple
    model = build_model(name, input_hw=(2 * multiple, multiple))
    rng = np.random.default_rng(seed=0)
    for layer in model.layers:
        for weight in layer.weights:
            weight.assign(_draw(rng, weight))
    return model


def _draw(rng, weight):
    """Draws kernels after which signals neither die out (SiLU) nor overflow (ReLU)."""
    values = rng.standard_normal(weight.shape, dtype="float32")
    if weight.name in ("gamma", "scale", "g", "moving_variance"):
        return 1 + 0.1 * np.abs(values)
    if len(weight.shape) < 2:
        return 0.1 * values
    return values * np.float32(np.sqrt(2.8 / np.prod(weight.shape[:-1])))


def outputs_of(model):
    """Returns all outputs for one image as NumPy arrays."""
    shape = (1, *model.inputs[0].shape[1:])
    image = np.random.default_rng(seed=1).standard_normal(shape).astype("float32")
    outputs = keras.tree.flatten(model(image, training=False))
    return [keras.ops.convert_to_numpy(output) for output in outputs]


def main(outputs_path, *names):
    found = {}
    for name in names:
        for i, output in enumerate(outputs_of(build_seeded(name))):
            found[f"{name}/{i}"] = output
        print(name, flush=True)
        keras.backend.clear_session()
    if keras.config.backend() != "tensorflow" and "tensorflow" in sys.modules:
        raise RuntimeError("TensorFlow was imported on another backend.")
    np.savez(outputs_path, **found)


if __name__ == "__main__":
    main(*sys.argv[1:])
