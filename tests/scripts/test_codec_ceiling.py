"""`training/codec_ceiling.py`: labels that are encoded and decoded, by a set's metric."""

import importlib.util
import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from keras_pose.codecs import CODECS
from keras_pose.data.synthetic import write_coco_dataset

SCRIPT = Path(__file__).resolve().parents[2] / "training" / "codec_ceiling.py"


@pytest.fixture(scope="module")
def script():
    spec = importlib.util.spec_from_file_location("codec_ceiling_script", SCRIPT)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def figures(script, capsys, *options):
    """Returns figure and value by codec."""
    script.main([*options, "--input-hw", "128", "96"])
    lines = [line.split(" | ") for line in capsys.readouterr().out.splitlines()]
    return {line[4].split()[0]: line[0].split() for line in lines}


def test_labels_score_high_by_every_codec(script, tmp_path, capsys):
    write_coco_dataset(tmp_path, 3, split="val")
    found = figures(script, capsys, "--dataset", "synthetic", "--data-dir", str(tmp_path))
    assert set(found) == set(CODECS)
    assert {name for name, _ in found.values()} == {"AP"}
    values = {codec: float(value) for codec, (_, value) in found.items()}
    assert values["regression"] == 1  # it keeps coordinates as they are
    assert min(values.values()) > 0.7


def test_other_sets_are_measured_by_their_own_metric(script, tmp_path, capsys):
    joints = np.random.default_rng(0).uniform(21, 81, (16, 2)).tolist()
    person = {"image": "a.png", "center": [50.0, 50.0], "scale": 0.4}
    person |= {"joints": joints, "joints_vis": [1] * 16}
    (tmp_path / "annot").mkdir()
    (tmp_path / "images").mkdir()
    (tmp_path / "annot" / "valid.json").write_text(json.dumps([person]))
    Image.new("RGB", (100, 100)).save(tmp_path / "images" / "a.png")
    found = figures(script, capsys, "--dataset", "mpii", "--data-dir", str(tmp_path))
    # Head sizes are absent, so PCKh is not to be had. A heatmap pixel is 100 / 24 image
    # pixels, half of that is near enough.
    assert found == {codec: ["PCK_box@0.1", "1.000"] for codec in CODECS}


def test_labels_of_whole_pictures_score_high_by_their_fields(script, tmp_path, capsys):
    write_coco_dataset(tmp_path, 3, split="val")
    script.main(["--bottom-up", "--data-dir", str(tmp_path), "--input-hw", "256", "256"])
    lines = capsys.readouterr().out.splitlines()
    heads = [line for line in lines if line.startswith("AP ")]
    assert [line.split(" | ")[3] for line in heads] == [
        "part_affinity codec, limbs of coco_17",
        "part_affinity codec, limbs of openpose_coco_18",
    ]
    assert min(float(line.split()[1].rstrip(",")) for line in heads) > 0.7
    assert any(line.startswith("  all others: ") for line in lines)


def test_labelled_keypoints_without_a_chain_of_limbs_do_not_hang_together(script):
    limbs = [(0, 1), (1, 2), (3, 2)]
    assert script.hang_together([0, 1, 2, 3], limbs)
    assert not script.hang_together([0, 2, 3], limbs)
