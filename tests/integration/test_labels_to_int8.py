"""From an export of CVAT to an int8 file with its drop, by three commands."""

import importlib.util
import json
import re
from pathlib import Path
from xml.sax.saxutils import quoteattr

import numpy as np
import pytest

from keras_pose.contracts.pose import read_contract
from keras_pose.data.synthetic import write_coco_dataset
from keras_pose.skeleton import COCO_17

ROOT = Path(__file__).resolve().parents[2]
# Keypoints of one's own: no built-in skeleton has these, and so no sigmas.
NAMES = ("nose", "left_wrist", "right_wrist", "left_ankle", "right_ankle")
NUM_PICTURES = 24


def run_script(path, *arguments):
    """Runs a script of the project in this process, which has TensorFlow loaded."""
    module_spec = importlib.util.spec_from_file_location(path.stem, path)
    script = importlib.util.module_from_spec(module_spec)
    module_spec.loader.exec_module(script)
    return script.main([str(argument) for argument in arguments])


def write_cvat_export(folder):
    """Draws people, and writes the labels of five keypoints as CVAT exports a task."""
    drawn = json.loads(write_coco_dataset(folder / "images", NUM_PICTURES).read_text())
    columns = [COCO_17.index(name) for name in NAMES]
    shapes: dict[int, str] = {}
    for annotation in drawn["annotations"]:
        triples = np.reshape(annotation["keypoints"], (17, 3))[columns]
        points = "".join(
            f'<points label="{name}" outside="{int(v == 0)}" occluded="{int(v == 1)}" '
            f'points="{x:.2f},{y:.2f}"/>'
            for name, (x, y, v) in zip(NAMES, triples, strict=True)
        )
        x, y, w, h = annotation["bbox"]
        group = annotation["id"]
        shapes[annotation["image_id"]] = shapes.get(annotation["image_id"], "") + (
            f'<skeleton label="person" group_id="{group}">{points}</skeleton>'
            f'<box label="person" group_id="{group}" xtl="{x}" ytl="{y}" xbr="{x + w}" '
            f'ybr="{y + h}"/>'
        )
    labels = "".join(
        f"<label><name>{name}</name><type>points</type><parent>person</parent></label>"
        for name in NAMES
    )
    images = "".join(
        f"<image name={quoteattr(image['file_name'])} width='{image['width']}' "
        f"height='{image['height']}'>{shapes.get(image['id'], '')}</image>"
        for image in drawn["images"]
    )
    (folder / "annotations.xml").write_text(
        "<annotations><version>1.1</version><meta><task><labels><label><name>person</name>"
        f"<type>skeleton</type></label>{labels}</labels></task></meta>{images}</annotations>"
    )
    # What the pictures were drawn from is no part of an export.
    for leftover in (folder / "images").rglob("*.json"):
        leftover.unlink()


@pytest.mark.very_slow
@pytest.mark.filterwarnings("ignore")
def test_an_export_of_cvat_becomes_an_int8_file_with_its_drop(tmp_path, capsys):
    write_cvat_export(tmp_path / "mine")

    report = tmp_path / "check"
    run_script(
        *(ROOT / "training" / "prepare_data.py", "--check", tmp_path / "mine"),
        *("--output", report),
    )
    checked = json.loads((report / "check.json").read_text())
    assert checked["splits"]["train"]["pictures"] == NUM_PICTURES
    assert checked["keypoints"] == list(NAMES)
    assert not [f for f in checked["findings"] if f["level"] == "error"]

    run = tmp_path / "run"
    run_script(
        *(ROOT / "training" / "train.py", "--model", "testing_pose", "--run-dir", run),
        *("--dataset", f"mine={tmp_path / 'mine'}", "--input-hw", 64, 64),
        *("--batch-size", 4, "--max-steps", 2),
    )
    capsys.readouterr()
    run_script(
        *(ROOT / "export" / "to_tflite.py", "--weights", run / "best.keras", "--int8"),
        *("--max-drop", 100, "--calibration-images", 8),
    )
    printed = capsys.readouterr().out
    contract = read_contract(run / "export" / "int8" / "pose_model.tflite")
    assert contract.skeleton.names == NAMES
    assert contract.skeleton.mirrored == (
        ("left_wrist", "right_wrist"),
        ("left_ankle", "right_ankle"),
    )
    # A tenth of the pictures, two, are what the drop is measured on.
    assert re.search(r"PCK.*mine val", printed), printed
