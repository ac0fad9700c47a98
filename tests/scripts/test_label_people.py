"""`training/label_people.py`: labels by a model, for trainings to read."""

import importlib.util
import json
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from light_model import light_at, make_model
from PIL import Image

from keras_pose import inference
from keras_pose.data import open_dataset
from keras_pose.data.person_boxes import read_coco_boxes
from keras_pose.losses.detection_losses import IGNORED
from keras_pose.pictures.structures import Detections
from keras_pose.runtime import detector_model
from keras_pose.skeleton import COCO_17

SCRIPT = Path(__file__).resolve().parents[2] / "training" / "label_people.py"


@pytest.fixture
def script(monkeypatch):
    estimator = inference.PoseEstimator
    monkeypatch.setattr(
        inference,
        "PoseEstimator",
        lambda *args, **options: estimator(make_model(), "whole image"),
    )
    spec = importlib.util.spec_from_file_location("label_people", SCRIPT)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def photos(tmp_path):
    folder = tmp_path / "photos"
    (folder / "more").mkdir(parents=True)
    Image.fromarray(light_at(150, 120)).save(folder / "a.png")
    Image.fromarray(light_at(60, 200)).save(folder / "more" / "b.png")
    return folder


def test_pictures_become_a_data_set_that_trainings_read(script, photos, tmp_path, capsys):
    output = tmp_path / "out"
    options = ["--pose", "x", "--images", str(photos), "--output", str(output)]
    for split in ("train", "val"):
        script.main([*options, "--split", split])
        assert "2 labelled" in capsys.readouterr().out
    dataset = open_dataset("coco", output, "train")
    records = sorted(dataset.records, key=lambda record: record.image_path.name)
    for record, light in zip(records, [(150, 120), (60, 200)], strict=True):
        assert (record.visibility == 2).all()
        assert np.abs(record.keypoints_xy - light).max() < 8
        assert record.image_path.is_file()
    # The same command again replaces what it wrote.
    script.main(options)
    assert len(open_dataset("coco", output, "train").records) == 2


def _labels(path, **changes):
    names = list(COCO_17.names)
    points = [100, 50, 2] * 17
    people = [
        {"id": 7, "image_id": 1, "bbox": [90, 60, 120, 120], "keypoints": points},
        {"id": 8, "image_id": 1, "bbox": [90, 60, 120, 120], "area": 99},
        {"id": 9, "image_id": 1, "bbox": [300, 200, 60, 60]},  # where it is dark
        {"id": 10, "image_id": 1, "bbox": [90, 60, 120, 120], "iscrowd": 1},
    ]
    values = {
        "images": [{"id": 1, "file_name": "a.png", "width": 400, "height": 300}],
        "annotations": [{"category_id": 1, "iscrowd": 0} | entry for entry in people],
        "categories": [{"id": 1, "name": "person", "keypoints": names}],
    }
    path.write_text(json.dumps(values | changes))
    return str(path)


@pytest.mark.parametrize("relabel", [[], ["--relabel"]])
def test_people_without_keypoints_are_labelled(script, photos, tmp_path, relabel, capsys):
    labels = _labels(tmp_path / "labels.json")
    output = tmp_path / "out"
    options = ["--pose", "x", "--images", str(photos), "--labels", labels]
    script.main([*options, "--output", str(output), "--min-score", "0.5", *relabel])
    words = capsys.readouterr().out
    expected = "1 kept as they were, 2 labelled, 1" if relabel else "2 kept as they were, 1"
    assert expected in words
    written = json.loads(
        (output / "annotations/person_keypoints_train2017.json").read_text()
    )
    people = {entry["id"]: entry for entry in written["annotations"]}
    assert sorted(people) == [7, 8, 10]
    assert people[8]["labelled_by"] == "brightness"
    assert people[8]["area"] == 99
    assert people[8]["num_keypoints"] == 17
    assert ("labelled_by" in people[7]) == bool(relabel)


def test_labels_of_other_keypoints_are_refused(script, photos, tmp_path):
    category = {"id": 1, "name": "person", "keypoints": ["paw"]}
    labels = _labels(tmp_path / "labels.json", categories=[category])
    options = ["--pose", "x", "--images", str(photos), "--labels", labels]
    with pytest.raises(SystemExit, match=r"the keypoints paw; the model gives nose"):
        script.main([*options, "--output", str(tmp_path / "out")])


def test_boxes_alone_leave_the_rest_of_a_picture_unlabelled(
    script, photos, tmp_path, monkeypatch
):
    class OneBox:
        contract = SimpleNamespace(model="one_box")

        def __call__(self, image, score_threshold):
            boxes = np.array([[10, 20, 50, 80], [0, 0, 9, 9], [0, 0, 9, 9]], np.float64)
            is_lit = image[120, 150].sum() > 300  # in one of the two
            found = Detections(boxes, np.array([0.9, 0.4, 0.9]), np.array([0, 0, 1]))
            return found[np.full(3, is_lit)]

    monkeypatch.setattr(detector_model, "load_detector", lambda path: OneBox())
    options = ["--boxes-only", "--detector", "x", "--images", str(photos)]
    script.main([*options, "--output", str(tmp_path / "out")])
    folder = tmp_path / "out"
    labels = folder / "annotations" / "person_keypoints_train2017.json"
    source = read_coco_boxes(labels, folder / "train2017")
    assert source.num_boxes == len(source) == 1
    np.testing.assert_array_equal(source.boxes[0, 0], [10, 20, 50, 80, 0])
    labels = source.boxes[0, :, 4].tolist()
    assert labels.count(IGNORED) == 1


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--images", "nowhere"], "nowhere is not a folder"),
        (["--images", "empty"], "no pictures in"),
        (["--images", "empty", "--relabel"], "--relabel is for --labels"),
        (["--images", "empty", "--boxes-only"], "either --pose FILE, or --boxes-only"),
    ],
)
def test_wrong_options_end_in_one_line(
    script, tmp_path, monkeypatch, capsys, options, message
):
    (tmp_path / "empty").mkdir()
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SystemExit) as caught:
        script.main(["--pose", "x", "--output", "out", *options])
    assert message in f"{caught.value.code} {capsys.readouterr().err}"
