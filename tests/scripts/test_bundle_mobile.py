"""The program that fills the apps."""

import importlib.util
from pathlib import Path

import pytest

from keras_pose import shipped

SCRIPT = Path(__file__).resolve().parents[2] / "export" / "bundle_mobile.py"


@pytest.fixture(scope="module")
def script():
    spec = importlib.util.spec_from_file_location("bundle_mobile_script", SCRIPT)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_all_apps_are_filled_or_those_that_are_named(script, monkeypatch, tmp_path):
    monkeypatch.setattr(script, "MOBILE", tmp_path)
    assert script.targets(script.parse_args([])) == [
        tmp_path / "web/models",
        tmp_path / "android/app/src/main/assets/models",
        tmp_path / "ios/App/Resources/models",
    ]
    asked = script.targets(script.parse_args(["--apps", "ios", "android"]))
    assert asked == [
        tmp_path / "ios/App/Resources/models",
        tmp_path / "android/app/src/main/assets/models",
    ]
    assert script.targets(script.parse_args(["--output", "out"])) == [Path("out")]


def test_apps_and_a_folder_exclude_each_other(script, capsys):
    with pytest.raises(SystemExit):
        script.parse_args(["--apps", "web", "--output", "out"])
    assert "exclude each other" in capsys.readouterr().err


def test_a_copy_without_models_says_what_to_name(script, monkeypatch, tmp_path):
    monkeypatch.setattr(shipped, "FOLDER", tmp_path)
    with pytest.raises(SystemExit, match="comes without models: name one, as --weights"):
        script.main(["--output", str(tmp_path / "out")])


def test_a_network_that_finds_everybody_needs_no_detector(script, tmp_path, capsys):
    from mobile.colour_models import export_models, export_one_stage

    path = export_one_stage(tmp_path / "lights.tflite")
    _, detector = export_models(tmp_path)
    options = ["--weights", str(path), "--output", str(tmp_path / "out"), "--cases", "1"]
    script.main(options)
    assert "pose.tflite" in capsys.readouterr().out
    assert not (tmp_path / "out" / "detector.tflite").exists()
    with pytest.raises(SystemExit, match=r"or of one network that finds everybody"):
        script.main([*options, "--detector", str(detector)])


def test_files_that_are_not_there_are_named(script, tmp_path):
    with pytest.raises(SystemExit, match=r"error: .*missing\.tflite"):
        script.main(["--weights", str(tmp_path / "missing.tflite"), "--output", "out"])
