"""Every network computes the same on Keras' other backends.

    KERAS_POSE_BACKENDS_PYTHON=~/jax/bin/python python -m pytest -m backends tests

The variable names an interpreter that has Keras, OpenCV, JAX and PyTorch; without it this
one is used. What is missing there is skipped.
"""

import functools
import os
import subprocess
import sys
from pathlib import Path

import keras
import numpy as np
import pytest
from backend_outputs import build_seeded, outputs_of

from keras_pose.zoo import list_models

TESTS_DIR = Path(__file__).resolve().parents[2]
PYTHON = os.environ.get("KERAS_POSE_BACKENDS_PYTHON", sys.executable)
# In standard deviations of each output. Other kernels add up in other orders, through a
# hundred layers, which makes 1.3e-4; a wrong padding or resize rule lies at 1e-2 and more.
TOLERANCE = 1e-3


@functools.cache
def _tensorflow_outputs():
    outputs = {}
    for name in list_models():
        outputs[name] = outputs_of(build_seeded(name))
        keras.backend.clear_session()
    return outputs


@pytest.mark.backends
@pytest.mark.very_slow
@pytest.mark.parametrize(("backend", "package"), [("jax", "jax"), ("torch", "torch")])
def test_outputs_are_tensorflows(backend, package, tmp_path):
    if subprocess.run([PYTHON, "-c", f"import {package}"], capture_output=True).returncode:
        pytest.skip(f"{PYTHON} has no {package}; see KERAS_POSE_BACKENDS_PYTHON.")
    expected = _tensorflow_outputs()
    path = tmp_path / "outputs.npz"
    script = TESTS_DIR / "backend_outputs.py"
    result = subprocess.run(
        [PYTHON, str(script), str(path), *expected],
        env=os.environ | {"KERAS_BACKEND": backend},
        capture_output=True,
        text=True,
    )
    assert result.returncode == 0, result.stderr

    with np.load(path) as found:
        differences = {
            f"{name}/{i}": float(np.abs(found[f"{name}/{i}"] - output).max() / output.std())
            for name, outputs in expected.items()
            for i, output in enumerate(outputs)
        }
    wrong = {name: x for name, x in differences.items() if not x <= TOLERANCE}
    assert not wrong
