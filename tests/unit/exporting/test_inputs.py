import json
import os

import keras
import pytest
from own_keypoints import TOY, write_toys
from says import Says

from keras_pose.contracts.detector import detector_contract
from keras_pose.contracts.entries import save_keras_model
from keras_pose.exporting.inputs import calibration_source, newest_checkpoint, open_source
from keras_pose.pictures.normalization import IMAGENET


def make_run(runs_dir, name, age_seconds, files=("best.keras", "last.keras")):
    run = runs_dir / name
    run.mkdir()
    for file in files:
        (run / file).touch()
        os.utime(run / file, (1e9 - age_seconds, 1e9 - age_seconds))
    return run


def test_newest_run_is_the_one_written_to_last(tmp_path):
    make_run(tmp_path, "z_old", age_seconds=60)
    new = make_run(tmp_path, "a_new", age_seconds=0)
    make_run(tmp_path, "m_without_checkpoints", age_seconds=0, files=())

    assert newest_checkpoint(tmp_path) == new / "best.keras"


def test_last_checkpoint_stands_in_for_the_best(tmp_path):
    run = make_run(tmp_path, "short", age_seconds=0, files=("last.keras",))
    assert newest_checkpoint(tmp_path) == run / "last.keras"


def test_no_run_says_how_to_make_one(tmp_path):
    with Says(
        "no run in ... python training/train.py",
        do="Train, or name a file: --weights FILE.",
    ).refuses():
        newest_checkpoint(tmp_path / "runs")


def test_source_is_named_and_brings_its_recipe(exported, tmp_path, capsys):
    weights = tmp_path / "best.keras"
    weights.write_bytes(exported.paths[".keras"].read_bytes())
    (tmp_path / "recipe.json").write_text(json.dumps({"dataset": "coco"}))

    source = open_source(weights)

    assert str(weights) in capsys.readouterr().out
    assert source.recipe == {"dataset": "coco"}
    assert source.contract == exported.contract
    expected = tmp_path / "export" / "int8" / "pose_model.tflite"
    assert source.default_output("int8", ".tflite") == expected


def test_exported_file_cannot_be_exported_again(exported):
    with Says(
        "is not a Keras file", do="Export from the .keras file: an exported one is final."
    ).refuses():
        open_source(exported.paths["int8"])


@pytest.mark.parametrize(
    ("asked", "message"),
    [
        ({"model": "pose_slim"}, "asked for as model='pose_slim'.* says 'rtmdet_nano'"),
        ({"input_hw": (64, 64)}, r"input_hw=\(64, 64\).* says \(32, 32\)"),
        ({"num_keypoints": 17}, "is a detector, which has no num_keypoints"),
    ],
)
def test_detector_that_is_not_what_was_asked_for_is_refused(tmp_path, asked, message):
    image = keras.Input((32, 32, 3), name="image")
    outputs = [keras.layers.Conv2D(size, 8, strides=8)(image) for size in (1, 4)]
    model = keras.Model(image, outputs, name="rtmdet_nano")
    path = tmp_path / "best.keras"
    save_keras_model(model, path, detector_contract(model, IMAGENET))
    assert open_source(path).contract.model == "rtmdet_nano"
    with pytest.raises(ValueError, match=message):
        open_source(path, **asked)


def test_synthetic_people_are_drawn_as_the_run_drew_them():
    people, words = calibration_source(
        {"dataset": "synthetic", "data_dir": None, "seed": 4}
    )
    assert isinstance(people.images[0], bytes)  # drawn, not files
    assert words == "synthetic people, drawn now"


@pytest.mark.parametrize(
    "recipe",
    [
        pytest.param({}, id="of_no_run"),
        pytest.param({"dataset": "coco", "skeleton": "gone.json"}, id="file_is_gone"),
    ],
)
def test_own_keypoints_are_opened_with_the_models_skeleton(recipe, tmp_path):
    people, words = calibration_source(recipe, "coco", write_toys(tmp_path / "a"), TOY)
    assert people.skeleton == TOY
    assert words.startswith("the train split of coco")


def test_unknown_training_set_is_said_aloud():
    people, words = calibration_source({})
    assert isinstance(people.images[0], bytes)  # drawn, not files
    assert "not known" in words


def test_training_set_that_is_gone_is_said_aloud(tmp_path):
    recipe = {"dataset": "coco", "data_dir": str(tmp_path)}
    people, words = calibration_source(recipe)
    assert isinstance(people.images[0], bytes)  # drawn, not files
    assert "INSTEAD of the training set" in words


def test_data_set_that_was_asked_for_must_be_there(tmp_path):
    with Says(
        "No train split of coco",
        do="Name the folder: --data-dir; training/prepare_data.py says what to download.",
    ).refuses():
        calibration_source({}, "coco", tmp_path)


def test_misspelt_data_set_suggests_the_name(tmp_path):
    with pytest.raises(ValueError, match="Did you mean coco"):
        calibration_source({}, "cocoo", tmp_path)
