"""`training/prepare_data.py`: what it says of data sets that are whole, or are not."""

import importlib.util
import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from scipy.io import savemat

from keras_pose.data.specs import SPECS

SCRIPT = Path(__file__).resolve().parents[2] / "training" / "prepare_data.py"


@pytest.fixture(scope="module")
def script():
    spec = importlib.util.spec_from_file_location("prepare_script", SCRIPT)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def lsp_dir(tmp_path):
    """Leeds Sports Poses with all labels, and the images of the training split."""
    joints = np.ones((3, 14, 2000)) * np.arange(1, 15)[None, :, None]
    savemat(tmp_path / "joints.mat", {"joints": joints})
    (tmp_path / "images").mkdir()
    for number in range(1, 1001):
        Image.new("L", (1, 1)).save(tmp_path / "images" / f"im{number:04d}.jpg")
    return tmp_path


def test_people_are_counted_and_missing_images_are_told(script, lsp_dir, capsys):
    assert script.main(["lsp", "--data-dir", str(lsp_dir)]) == 1
    train, val = capsys.readouterr().out.splitlines()[-2:]
    assert train.endswith("1,000 images, 1,000 people, officially 1,000")
    assert "1,000 people, officially 1,000: 1,000 IMAGES MISSING in" in val


def test_fewer_people_than_officially_are_not_whole(script, lsp_dir, capsys):
    joints = np.ones((3, 14, 1500)) * np.arange(1, 15)[None, :, None]
    savemat(lsp_dir / "joints.mat", {"joints": joints})
    script.main(["lsp", "--data-dir", str(lsp_dir)])
    assert "500 people, officially 1,000: NOT WHOLE" in capsys.readouterr().out


def test_labels_without_an_image_folder_are_counted_too(script, lsp_dir, capsys):
    (lsp_dir / "images").rename(lsp_dir / "elsewhere")
    assert script.main(["lsp", "--data-dir", str(lsp_dir)]) == 1
    train = capsys.readouterr().out.splitlines()[-2]
    assert "officially 1,000: 1,000 IMAGES MISSING in" in train


def test_what_is_absent_is_told_with_what_to_download(script, tmp_path, capsys):
    assert script.main(["mpii", "--data-dir", str(tmp_path)]) == 1
    printed = capsys.readouterr().out
    assert "download    mpii_human_pose_v1_u12_2.zip" in printed
    assert f"val         is not in {tmp_path}" in printed


def test_all_data_sets_are_listed(script, capsys):
    assert script.main(["--list"]) == 0
    names = [line.split()[0] for line in capsys.readouterr().out.splitlines()]
    assert names == list(SPECS)


def test_a_set_of_ones_own_is_checked_with_pictures(script, tmp_path, capsys):
    names = ("left_ear", "right_ear", "tail")
    places = ((10, 10), (30, 12), (20, 300))  # the last far outside box and picture
    points = "".join(
        f'<points label="{name}" occluded="0" points="{x},{y}"/>'
        for name, (x, y) in zip(names, places, strict=True)
    )
    boxes = '<box label="cat" xtl="5" ytl="5" xbr="40" ybr="40"/>'
    (tmp_path / "a.xml").write_text(
        '<annotations><version>1.1</version><image name="a.png" width="64" height="48">'
        f"{points}{boxes}</image></annotations>"
    )
    Image.new("RGB", (64, 48)).save(tmp_path / "a.png")
    output = tmp_path / "out"
    assert script.main(["--check", str(tmp_path), "--output", str(output)]) == 1
    printed = capsys.readouterr().out
    assert "CVAT's XML 1.1, 3 keypoints" in printed
    assert "outside box: 1 people with a visible label outside their box" in printed
    report = json.loads((output / "check.json").read_text())
    kinds = [finding["kind"] for finding in report["findings"]]
    assert "outside box" in kinds
    with Image.open(output / "outside_box.jpg") as sheet:
        assert sheet.width > 300
