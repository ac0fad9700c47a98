"""What a user installs: the wheel, in an environment without TensorFlow.

Needs a package registry. `uv` is used where it is there; else `venv` and `pip`.
"""

import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from keras_pose.demo.stills import FOLDER
from keras_pose.pictures.images import read_image

ROOT = Path(__file__).resolve().parents[2]
PARTS = ("keras_pose", "training", "export")
FILES = ("pyproject.toml", "setup.py", "README.md", "LICENSE")

pytestmark = pytest.mark.very_slow


def _run(*command, **options):
    result = subprocess.run([*map(str, command)], capture_output=True, text=True, **options)
    assert result.returncode == 0, result.stderr[-3000:]
    return result.stdout


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    """The wheel, built from a copy: building writes beside the sources."""
    folder = tmp_path_factory.mktemp("wheel")
    for part in PARTS:
        ignored = shutil.ignore_patterns("__pycache__")
        shutil.copytree(ROOT / part, folder / "source" / part, ignore=ignored)
    for name in FILES:
        shutil.copy(ROOT / name, folder / "source")
    _run(sys.executable, "-m", "pip", "wheel", "--no-deps", "-w", folder, "./source",
         cwd=folder)  # fmt: skip
    (path,) = folder.glob("*.whl")
    return path


@pytest.fixture(scope="module")
def installed(wheel):
    """The programs of a fresh environment with the wheel and what it needs."""
    folder = wheel.parent / "environment"
    if uv := shutil.which("uv"):
        _run(uv, "venv", "--python", sys.executable, folder)
        _run(uv, "pip", "install", "--python", folder / "bin" / "python", wheel)
    else:
        _run(sys.executable, "-m", "venv", folder)
        _run(folder / "bin" / "python", "-m", "pip", "install", "--quiet", wheel)
    return folder / "bin"


def test_wheel_holds_every_file_of_the_package(wheel):
    names = set(zipfile.ZipFile(wheel).namelist())
    wanted = {
        f"keras_pose/{path.relative_to(ROOT / 'keras_pose').as_posix()}"
        for path in (ROOT / "keras_pose").rglob("*")
        if path.is_file() and path.parent.name != "__pycache__"
    }
    assert not wanted - names
    assert {
        f"keras_pose/scripts/{folder}/{path.name}"
        for folder in ("training", "export")
        for path in (ROOT / folder).glob("*.py")
    } <= names
    # Nothing at the top but the package and its description.
    assert {name.split("/")[0].split("-")[0] for name in names} == {"keras_pose"}


def test_photo_and_film_are_drawn_in_an_environment_without_tensorflow(installed, tmp_path):
    code = "import importlib.util as u; print(u.find_spec('tensorflow'))"
    assert _run(installed / "python", "-c", code).strip() == "None"

    photo = FOLDER / "grace_hopper.jpg"
    printed = _run(installed / "keras-pose", "predict", photo, "--output", "out.png",
                   cwd=tmp_path)  # fmt: skip
    assert "person 1" in printed
    assert (read_image(tmp_path / "out.png") != read_image(photo)).any()

    _run(installed / "keras-pose", "demo", "--only-photographs", cwd=tmp_path)
    assert (tmp_path / "demo" / "photographs" / "film.mp4").stat().st_size > 10_000


def test_scripts_came_along_and_say_what_they_need(installed, tmp_path):
    command = [installed / "keras-pose", "train", "--model", "pose_slim"]
    assert "keras-pose train" in _run(*command, "--help", cwd=tmp_path)
    result = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
    assert result.returncode == 1
    assert "pip install 'keras-pose[train]'" in result.stderr
