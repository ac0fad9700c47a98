"""`training/estimate_sigmas.py`: from two workers' folders to a skeleton file."""

import importlib.util
import json
from pathlib import Path

import numpy as np
import pytest
from own_keypoints import ToyModel, write_toys
from PIL import Image
from says import Says

from keras_pose.inference import estimator
from keras_pose.skeleton.files import read_skeleton

SCRIPT = Path(__file__).resolve().parents[2] / "training" / "estimate_sigmas.py"
PLACES = {"left_ear": (20, 20), "right_ear": (60, 22), "tail": (40, 90)}


@pytest.fixture(scope="module")
def script():
    spec = importlib.util.spec_from_file_location("sigmas_script", SCRIPT)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def write_worker(folder, moved_by, num_pictures=6):
    """Writes labelme files of one cat a picture, in a box of 100 x 100."""
    folder.mkdir()
    for i in range(num_pictures):
        Image.new("RGB", (120, 110)).save(folder / f"{i}.png")
        shapes = [
            {"label": name, "points": [[x + moved_by, y]], "shape_type": "point"}
            for name, (x, y) in PLACES.items()
        ]
        corners = [[5, 5], [105, 105]]
        shapes.append({"label": "cat", "points": corners, "shape_type": "rectangle"})
        size = {"imageHeight": 110, "imageWidth": 120}
        values = {"shapes": shapes, "imagePath": f"{i}.png"} | size
        (folder / f"{i}.json").write_text(json.dumps(values))
    return folder


def test_two_workers_give_the_sigmas_of_how_far_they_are_apart(script, tmp_path, capsys):
    folders = [write_worker(tmp_path / name, moved) for name, moved in (("a", 0), ("b", 4))]
    output = tmp_path / "cat.json"
    script.main(["--labels", *map(str, folders), "--least", "6", "--output", str(output)])
    assert "6 pairs of poses in 6 pictures" in capsys.readouterr().out
    skeleton = read_skeleton(output)
    # Apart by 4 pixels, sqrt(area) is 100: 0.04 / sqrt(2) each.
    np.testing.assert_allclose(skeleton.oks_sigmas, [0.02828] * 3, atol=1e-5)
    assert skeleton.name.endswith("(sigmas of repeated labels)")
    assert skeleton.mirrored == (("left_ear", "right_ear"),)


def test_too_few_pairs_are_refused(script, tmp_path):
    folders = [write_worker(tmp_path / name, 0, 2) for name in "ab"]
    said = Says(
        "A sigma must be from at least 10 pairs of labels, got left_ear (4)",
        do="Label more pictures twice.",
    )
    with said.refuses():
        script.main(["--labels", *map(str, folders), "--output", str(tmp_path / "c.json")])


def test_labels_of_other_pictures_are_refused(script, tmp_path):
    folders = [write_worker(tmp_path / name, 0, 1) for name in "ab"]
    (folders[1] / "0.json").rename(folders[1] / "x.json")
    (folders[1] / "0.png").rename(folders[1] / "x.png")
    text = (folders[1] / "x.json").read_text()
    (folders[1] / "x.json").write_text(text.replace("0.png", "x.png"))
    with Says("Nobody is labelled twice in", do="Give pictures the same names.").refuses():
        script.main(["--labels", *map(str, folders)])


@pytest.mark.filterwarnings("ignore:.*labelled more than once")
def test_a_label_studio_export_holds_several_workers(script, tmp_path, capsys):
    def annotation(worker, moved_by):
        size = {"original_width": 100, "original_height": 100, "type": "keypointlabels"}
        result = [
            {"id": f"{worker}{name}", "value": {"x": x + moved_by, "y": y,
             "keypointlabels": [name]}} | size
            for name, (x, y) in PLACES.items()
        ]  # fmt: skip
        return {"completed_by": worker, "result": result}

    tasks = [
        {"id": i, "data": {"image": f"/data/upload/1/{i}.png"},
         "annotations": [annotation(1, 0), annotation(2, 2)]}
        for i in range(3)
    ]  # fmt: skip
    (tmp_path / "export.json").write_text(json.dumps(tasks))
    for i in range(3):
        Image.new("RGB", (100, 100)).save(tmp_path / f"{i}.png")
    script.main(["--labels", str(tmp_path)])
    assert "3 pairs of poses in 3 pictures" in capsys.readouterr().out


class ShiftedModel(ToyModel):
    """Finds every keypoint one heatmap pixel further to the right."""

    def predict(self, crops):
        return np.roll(super().predict(crops), 1, axis=2)


def test_two_models_give_the_sigmas_of_how_far_they_are_apart(
    script, tmp_path, capsys, monkeypatch
):
    models = {"a.tflite": ToyModel(), "b.tflite": ShiftedModel()}
    monkeypatch.setattr(estimator, "load_pose", lambda path, **_: models[str(path)])
    folder = write_toys(tmp_path / "toys")
    output = tmp_path / "toy.json"
    options = ("--data-dir", str(folder), "--least", "3", "--output", str(output))
    script.main(["--models", *models, *options])
    assert "agreement of two models: 3 pairs" in capsys.readouterr().out
    skeleton = read_skeleton(output)
    # Clipping takes a row of the box's 80; its crop is 1.25 times as high, of 16 heatmap
    # pixels. The area is 2400.
    expected = 79 * 1.25 / 16 / np.sqrt(2400) / np.sqrt(2)
    np.testing.assert_allclose(skeleton.oks_sigmas, [expected] * 5, rtol=1e-3)
    assert skeleton.name.endswith("(sigmas of agreement of two models)")


def test_models_need_people_to_run_on(script, capsys):
    with pytest.raises(SystemExit):
        script.main(["--models", "a.tflite", "b.tflite"])
    assert "go together" in capsys.readouterr().err
