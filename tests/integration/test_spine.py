"""The whole way by the scripts: people, training, export, evaluation, a picture."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from keras_pose.pictures.images import read_image

ROOT = Path(__file__).resolve().parents[2]


def _run(folder, script, *args):
    command = [sys.executable, *script, *map(str, args)]
    # For `-m keras_pose`; the scripts find the package by themselves.
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    result = subprocess.run(
        command, cwd=folder, env=environment, capture_output=True, text=True
    )
    assert result.returncode == 0, result.stderr[-3000:]
    return result.stdout


def _script(*parts):
    return [str(ROOT.joinpath(*parts))]


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A folder with people, and a run of a few steps on them."""
    folder = tmp_path_factory.mktemp("spine")
    synthetic = ["--images", 12, "--val-images", 4]
    _run(folder, _script("training", "make_synthetic.py"), "--output", "people", *synthetic)
    _run(
        folder, _script("training", "train.py"), "--model", "pose_slim", "--dataset",
        "synthetic", "--data-dir", "people", "--input-hw", 64, 64, "--max-steps", 3,
        "--batch-size", 4,
    )  # fmt: skip
    return folder


@pytest.mark.slow
def test_newest_run_is_exported_evaluated_and_drawn(trained):
    printed = _run(
        trained, _script("export", "to_tflite.py"), "--int8", "--calibration-images", 8
    )
    (run_dir,) = (trained / "runs").iterdir()
    exported = run_dir / "export" / "int8" / "pose_model.tflite"
    assert str(run_dir.relative_to(trained)) in printed
    assert exported.stat().st_size <= 0.3 * (run_dir / "best.keras").stat().st_size
    entry = json.loads(exported.with_name("pose_model.json").read_text())
    assert entry["models"]["pose_model.tflite"]["codec"]["kind"] == "dark"

    printed = _run(
        trained, _script("training", "evaluate.py"), "--dataset", "synthetic",
        "--data-dir", "people", "--weights", run_dir / "best.keras", exported,
    )  # fmt: skip
    assert "GT boxes" in printed
    assert exported.with_name("metrics_pose_model_tflite_synthetic_val.json").exists()

    photo = trained / "people" / "val2017" / "000000000001.jpg"
    args = ["--output", "out.png", "--weights", exported, "--threshold", "-1"]
    _run(trained, ["-m", "keras_pose"], photo, *args)
    assert not np.array_equal(read_image(trained / "out.png"), read_image(photo))


@pytest.mark.very_slow
def test_onnx_and_keras_files_score_alike(trained):
    _run(trained, _script("export", "to_onnx.py"))
    (run_dir,) = (trained / "runs").iterdir()
    exported = run_dir / "export" / "onnx" / "pose_model.onnx"
    _run(
        trained, _script("training", "evaluate.py"), "--dataset", "synthetic",
        "--data-dir", "people", "--weights", run_dir / "best.keras", exported,
        "--output", "numbers", "--flip-test",
    )  # fmt: skip
    numbers = [json.loads(p.read_text()) for p in (trained / "numbers").glob("*.json")]
    assert len(numbers) == 2
    first, second = (n["AP"] for n in numbers)
    assert first == pytest.approx(second, abs=1e-3)
