"""The words after `keras-pose`, and the scripts that they run."""

import subprocess
import sys

import pytest

from keras_pose.__main__ import main
from keras_pose.commandline import subcommands


@pytest.mark.parametrize("name", subcommands.SUBCOMMANDS)
def test_every_subcommand_finds_its_scripts_in_a_clone(name):
    for relative in subcommands.SUBCOMMANDS[name].scripts.values():
        assert subcommands.find_script(relative) is not None, relative


@pytest.mark.parametrize(
    ("words", "usage"),
    [
        pytest.param(["train"], "keras-pose train", id="train"),
        pytest.param(["evaluate"], "keras-pose evaluate", id="evaluate"),
        pytest.param(["export"], "keras-pose export", id="export_is_tflite"),
        pytest.param(["export", "onnx"], "keras-pose export onnx", id="export_onnx"),
        pytest.param(["export", "npu"], "keras-pose export npu", id="export_npu"),
        pytest.param(["serve"], "keras-pose serve", id="serve"),
        pytest.param(["demo"], "keras-pose demo", id="demo"),
        pytest.param(["models"], "models", id="models"),
        pytest.param(["predict"], "INPUT", id="predict"),
    ],
)
def test_help_needs_no_tensorflow(words, usage, capsys, monkeypatch):
    monkeypatch.setitem(sys.modules, "tensorflow", None)
    monkeypatch.setattr(sys, "argv", ["keras-pose"])
    with pytest.raises(SystemExit) as stopped:
        main([*words, "--help"])
    assert stopped.value.code == 0
    assert usage in capsys.readouterr().out


def test_installed_scripts_come_before_those_of_a_clone(tmp_path, monkeypatch):
    for root in ("installed", "clone"):
        folder = tmp_path / root / "training"
        folder.mkdir(parents=True)
        (folder / "train.py").write_text(f"def main(argv):\n    print('{root}', *argv)\n")
    roots = (tmp_path / "installed", tmp_path / "clone")
    monkeypatch.setattr(subcommands, "ROOTS", roots)
    assert subcommands.find_script("training/train.py").parts[-3] == "installed"
    (tmp_path / "installed" / "training" / "train.py").unlink()
    assert subcommands.find_script("training/train.py").parts[-3] == "clone"


def test_serving_without_a_clone_says_what_it_needs(tmp_path, monkeypatch):
    monkeypatch.setattr(subcommands, "ROOTS", (tmp_path,))
    with pytest.raises(SystemExit, match="needs a clone of the keras_pose repository"):
        main(["serve"])


def test_predict_may_stand_before_the_photo(tmp_path):
    for words in (["predict", "none.jpg"], ["none.jpg"]):
        with pytest.raises(SystemExit, match=r"Photo none\.jpg does not exist"):
            main(words)


def test_missing_package_is_told_with_how_to_install_it():
    code = (
        "import sys\nsys.modules['tensorflow'] = None\n"
        "from keras_pose.__main__ import main\n"
        "main(['train', '--model', 'pose_slim'])"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert result.returncode == 1
    assert "pip install 'keras-pose[train]'" in result.stderr
    assert "Traceback" not in result.stderr
