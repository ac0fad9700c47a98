from pathlib import Path

import keras_pose
from keras_pose.files import write_json
from keras_pose.files.runs import lies_in_run, results_folder, training_history


def write_run(folder, weights=None):
    folder.mkdir()
    write_json(folder / "recipe.json", {"name": folder.name, "weights": weights})
    return str(folder / "best.keras")


def test_the_history_of_weights_begins_with_the_first_run(tmp_path):
    first = write_run(tmp_path / "first")
    second = write_run(tmp_path / "second", first)
    third = write_run(tmp_path / "third", second)
    names = [recipe["name"] for recipe in training_history(third)]
    assert names == ["first", "second", "third"]


def test_the_history_ends_where_weights_are_no_run_s(tmp_path, monkeypatch):
    write_run(tmp_path / "here")
    monkeypatch.chdir(tmp_path / "here")  # whose recipe is not that of official weights
    assert training_history(tmp_path / "downloaded.keras") == []
    named = write_run(tmp_path / "official", "coco")
    lost = write_run(tmp_path / "lost", str(tmp_path / "gone" / "best.keras"))
    assert len(training_history(named)) == len(training_history(lost)) == 1


def test_runs_that_name_each_other_are_told_once(tmp_path):
    write_run(tmp_path / "first", str(tmp_path / "second" / "best.keras"))
    second = write_run(tmp_path / "second", str(tmp_path / "first" / "best.keras"))
    assert len(training_history(second)) == 2


def test_figures_stay_with_their_run_or_go_into_the_working_folder(tmp_path):
    best = Path(write_run(tmp_path / "run"))
    for inside in (best, best.parent / "export" / "int8" / "pose_model.tflite"):
        assert lies_in_run(inside)
        assert results_folder(inside) == inside.parent
    for outside in (
        tmp_path / "downloaded.keras",
        Path(keras_pose.__file__).parent / "shipped" / "pose.tflite",
    ):
        assert not lies_in_run(outside)
        assert results_folder(outside) == Path("results")
