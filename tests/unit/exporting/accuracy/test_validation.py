"""What `--max-drop` measures on."""

import json

import pytest
from own_keypoints import ToyModel, write_toys

from keras_pose.data.readers.coco import Reading
from keras_pose.exporting.accuracy import validation
from keras_pose.measuring import people_split


def test_own_keypoints_are_opened_by_the_model(tmp_path, monkeypatch, capsys):
    model = ToyModel()
    monkeypatch.setattr(people_split, "open_model", lambda *_: model)
    folder = write_toys(tmp_path / "toys")

    opened = validation.open_validation(model.contract, "coco", folder)

    assert opened.figure == "PCK_box@0.1"
    assert opened.description == "3 people of coco val"
    # One of five keypoints, the hands' middle, lies near the middle of its box.
    assert 0 <= opened.measure(tmp_path / "toy.tflite", model.contract) < 0.5
    assert "no OKS sigmas" in capsys.readouterr().out


def test_of_two_categories_the_one_that_was_said_is_measured_on(tmp_path):
    folder = write_toys(tmp_path / "toys")
    values = json.loads((folder / "person_keypoints_val.json").read_text())
    other = {"id": 2, "name": "robot", "keypoints": ["arm"], "skeleton": []}
    robot = values["annotations"][0] | {"id": 9, "category_id": 2, "keypoints": [1, 1, 2]}
    values["categories"] = [values["categories"][0] | {"name": "toy"}, other]
    values["annotations"].append(robot)
    for split in ("train", "val"):
        (folder / f"person_keypoints_{split}.json").write_text(json.dumps(values))
    contract = ToyModel().contract

    with pytest.raises(ValueError, match="--category"):
        validation.open_validation(contract, "coco", folder)
    said = Reading("toy")
    opened = validation.open_validation(contract, "coco", folder, reading=said)
    assert opened.description == "3 people of coco val"
    opened = validation.open_validation(contract, f"mine={folder}", reading=said)
    assert opened.description == "3 people of mine val"
