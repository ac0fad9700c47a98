"""`training/compare_recipes.py` and `training/plot_run.py` as a user calls them."""

import importlib.util
import json
from pathlib import Path

import pytest

from keras_pose.data.synthetic import write_coco_dataset
from keras_pose.pictures.images import read_image

ROOT = Path(__file__).resolve().parents[2]


def load_script(name):
    spec = importlib.util.spec_from_file_location(name, ROOT / "training" / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.very_slow
def test_losses_are_compared_and_a_second_call_trains_nothing(tmp_path, capsys):
    write_coco_dataset(tmp_path / "coco", 6, split="train")
    write_coco_dataset(tmp_path / "coco", 2, split="val")
    words = ["--model", "testing_pose", "--data-dir", str(tmp_path / "coco")]
    words += ["--losses", "joints_mse", "focused_mse", "--steps", "3"]
    words += ["--batch-size", "4", "--input-hw", "64", "48", "--output", str(tmp_path)]
    script = load_script("compare_recipes")

    script.main(words)

    table = capsys.readouterr().out
    assert "| joints_mse | " in table
    assert "loss focused_mse |" in table
    first = json.loads((tmp_path / "comparison.json").read_text())
    assert first["steps"] == 3
    assert first["accuracy"]["values"].keys() == {"joints_mse", "focused_mse"}
    assert read_image(tmp_path / "curves.png").std() > 10
    files = [tmp_path / loss / "log.csv" for loss in ("joints_mse", "focused_mse")]
    logs = [file.read_text() for file in files]
    assert logs[0] != logs[1]

    script.main(words)

    assert [file.read_text() for file in files] == logs
    assert json.loads((tmp_path / "comparison.json").read_text()) == first


def test_variants_have_to_come_from_somewhere(capsys):
    with pytest.raises(SystemExit):
        load_script("compare_recipes").main(["--model", "testing_pose"])
    assert "--losses --variants is required" in capsys.readouterr().err


def test_curves_of_two_runs_are_drawn_over_each_other(tmp_path, capsys):
    for name in "ab":
        (tmp_path / name).mkdir()
        (tmp_path / name / "log.csv").write_text("epoch,loss,val_loss\n0,3,4\n1,2,3\n")
    runs = [str(tmp_path / name) for name in "ab"]
    load_script("plot_run").main([*runs, "--output", str(tmp_path / "c.png")])
    assert "c.png" in capsys.readouterr().out
    assert read_image(tmp_path / "c.png").std() > 10
