"""`training/train.py` as a user calls it."""

import importlib.util
import json
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
SCRIPT = ROOT / "training" / "train.py"


@pytest.fixture(scope="module")
def script():
    """The script as a module, in this process, which has TensorFlow loaded."""
    spec = importlib.util.spec_from_file_location("train_script", SCRIPT)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def _train(folder, *args):
    """Runs the script from another folder, as from anywhere on a machine."""
    command = [sys.executable, str(SCRIPT), *map(str, args)]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True)


@pytest.mark.parametrize(
    ("args", "message"),
    [
        pytest.param(["--model", "hrnet_w23"], "hrnet_w32", id="model"),
        pytest.param(
            ["--model", "testing_pose", "--dataset", "cocoo"],
            "Did you mean coco",
            id="dataset",
        ),
        pytest.param(
            ["--model", "testing_pose", "--dataset", "coco"],
            "No train split of coco",
            id="absent",
        ),
        pytest.param(
            ["--model", "testing_pose", "--weights", "none.keras", "--max-steps", "1"],
            "none.keras",
            id="weights",
        ),
        pytest.param(
            ["--model", "testing_pose", "--epochs", "0"], "whole number", id="epochs"
        ),
        pytest.param(["--resume", "nowhere"], "nowhere", id="resume"),
        pytest.param(
            ["--model", "testing_pose", "--save-minutes", "0"], "positive", id="minutes"
        ),
        pytest.param([], "--model NAME is needed", id="nothing"),
        pytest.param(
            ["--model", "testing_pose", "--workers", "a:1,b:1"],
            "--workers needs --worker-index",
            id="worker",
        ),
        pytest.param(
            ["--model", "testing_pose", "--workers", "a:1,b:1", "--worker-index", "1"],
            "Workers need --run-dir",
            id="run_dir",
        ),
        pytest.param(
            ["--model", "testing_pose", "--data-service", "127.0.0.1:9"],
            "data service at 127.0.0.1:9 does not answer",
            id="service",
        ),
    ],
)
def test_wrong_options_end_in_one_plain_line(
    script, tmp_path, monkeypatch, capsys, args, message
):
    monkeypatch.chdir(tmp_path)
    # What is not raised as this would end in a traceback.
    with pytest.raises(SystemExit) as caught:
        script.main(args)
    assert caught.value.code != 0
    assert message in f"{caught.value.code} {capsys.readouterr().err}"
    assert not (tmp_path / "runs").exists()


@pytest.mark.slow
def test_a_process_that_must_end_says_how_to_go_on(script, tmp_path, monkeypatch, capsys):
    from keras_pose.trainer import any_fit
    from keras_pose.trainer.callbacks import StopRun

    def stopped(recipe, run_dir, devices, save_minutes, **options):
        assert save_minutes == 3
        raise StopRun(run_dir)

    monkeypatch.setattr(any_fit, "fit", stopped)
    options = ["--dataset", "synthetic", "--run-dir", str(tmp_path), "--save-minutes", "3"]
    with pytest.raises(SystemExit) as caught:
        script.main(["--model", "testing_pose", *options])
    assert caught.value.code == 75  # what schedulers can be told to requeue
    assert f"--resume {tmp_path}" in capsys.readouterr().out


@pytest.mark.very_slow
def test_a_run_without_a_data_set_says_that_it_draws_people(tmp_path):
    result = _train(
        tmp_path, "--model", "testing_pose", "--input-hw", 64, 64, "--max-steps", 2,
        "--batch-size", 2,
    )  # fmt: skip
    assert result.returncode == 0, result.stderr
    assert result.stdout.startswith(
        "COCO is not in data/coco: training on synthetic people"
    )
    (run_dir,) = (tmp_path / "runs").iterdir()
    recipe = json.loads((run_dir / "recipe.json").read_text())
    assert (recipe["model"], recipe["dataset"]) == ("testing_pose", "synthetic")
    assert f"run         runs/{run_dir.name}" in result.stdout
    # Start-up chatter of TensorFlow would drown what matters.
    assert "cuInit" not in result.stderr
    assert "oneDNN" not in result.stderr


@pytest.mark.very_slow
def test_hrnet_trains_under_two_replicas_from_anywhere(tmp_path):
    result = _train(
        tmp_path, "--model", "testing_hrnet", "--dataset", "synthetic", "--max-steps", 1,
        "--devices", "cpu:2", "--batch-size", 1, "--input-hw", 64, 64,
    )  # fmt: skip
    assert result.returncode == 0, result.stderr
    assert "2 replicas" in result.stdout
    (run_dir,) = (tmp_path / "runs").iterdir()
    assert (run_dir / "best.keras").exists()
