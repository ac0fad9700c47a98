"""A run that is killed again and again ends as one that was left alone."""

import csv
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import keras
import numpy as np
import pytest

# Registers what the saved optimizers and metrics are made of.
from keras_pose.trainer import fit  # noqa: F401
from keras_pose.trainer.recipes import get_recipe

WORKER = Path(__file__).resolve().parents[2] / "cluster_worker.py"
NUM_KILLS = 10
# A process that does not end must not hold up all tests.
SECONDS = 900
# Steps that a process may take before its end, and seconds after the last of them: within
# a step, a save, a validation.
MAX_STEPS, MAX_SECONDS = 3, 0.3


def _recipe():
    # 6 steps an epoch, of which each kill lets a few pass.
    return get_recipe("testing_pose", "synthetic").override(
        input_hw=(64, 64),
        batch_size=4,
        synthetic_images=10,
        epochs=11,
        ema_momentum=0.9,
    )


def _start(folder):
    settings = {"cluster": None, "servers": [], "signal": 0, "step": 0}
    settings |= {"recipe": _recipe().to_dict(), "run_dir": str(folder / "run")}
    settings |= {"weights": str(folder / "weights.npz"), "save_minutes": 1e-9}
    return subprocess.Popen(
        [sys.executable, str(WORKER), json.dumps(settings)],
        stdout=subprocess.PIPE,
        text=True,
        env=os.environ | {"TF_CPP_MIN_LOG_LEVEL": "3"},
    )


def _kill_at_some_moment(folder, number, rng):
    """Starts the run, and sends it a signal; returns its exit status."""
    process = _start(folder)
    steps_left = int(rng.integers(1, MAX_STEPS + 1))
    for line in process.stdout:
        steps_left -= line.startswith("step ")
        if not steps_left:
            break
    time.sleep(rng.uniform(0, MAX_SECONDS))
    process.send_signal(number)
    process.communicate(timeout=SECONDS)
    return process.returncode


@pytest.mark.very_slow
def test_a_run_interrupted_at_ten_random_moments_equals_an_uninterrupted_one(tmp_path):
    seed = int.from_bytes(os.urandom(4), "little")
    print(f"seed {seed}")  # shown where the test fails
    rng = np.random.default_rng(seed)
    (tmp_path / "whole").mkdir()
    whole = _start(tmp_path / "whole")
    (tmp_path / "run").mkdir()
    signals = [signal.SIGKILL, signal.SIGTERM] * (NUM_KILLS // 2)
    expected = {signal.SIGKILL: -signal.SIGKILL, signal.SIGTERM: 75}
    for number in rng.permutation(signals).tolist():
        assert _kill_at_some_moment(tmp_path / "run", number, rng) == expected[number]
    last = _start(tmp_path / "run")
    for process in (last, whole):
        process.communicate(timeout=SECONDS)
        assert process.returncode == 0

    _check_equal([tmp_path / name / "run" for name in ("run", "whole")])


def _check_equal(folders):
    models = [keras.models.load_model(folder / "last.keras") for folder in folders]
    for ours, others in zip(
        models[0].get_weights() + [v.numpy() for v in models[0].optimizer.variables],
        models[1].get_weights() + [v.numpy() for v in models[1].optimizer.variables],
        strict=True,
    ):
        np.testing.assert_array_equal(ours, others)
    rows = [list(csv.DictReader((folder / "log.csv").open())) for folder in folders]
    assert len(rows[0]) == _recipe().epochs
    for row, other in zip(*rows, strict=True):
        assert {name: float(value) for name, value in row.items()} == pytest.approx(
            {name: float(value) for name, value in other.items()}
        )
