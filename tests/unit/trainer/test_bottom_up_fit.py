"""A whole training run of a bottom-up network; the network itself is a tiny one."""

import csv

import keras
import numpy as np
import pytest
from says import Says

from keras_pose.data.crowd_pipeline import CrowdAugmentation
from keras_pose.data.synthetic import write_coco_dataset
from keras_pose.runtime.crowd_model import load_crowd_model
from keras_pose.skeleton import COCO_17
from keras_pose.trainer import bottom_up_fit
from keras_pose.trainer.bottom_up_fit import fit_bottom_up
from keras_pose.trainer.bottom_up_recipes import BottomUpRecipe, get_bottom_up_recipe
from keras_pose.trainer.optimization import make_schedule
from keras_pose.trainer.run_dirs import (
    open_run_dir,
    read_recipe,
    recipe_for,
    recipe_to_resume,
)


def tiny_network(name, num_keypoints, input_hw, weights=None):
    """Returns two stages of one layer, with the maps of lightweight OpenPose."""
    image = keras.Input((*input_hw, 3), name="image")
    x = keras.layers.AveragePooling2D(8)(image)
    channels = (num_keypoints + 1, 38) * 2
    maps = [
        keras.layers.Conv2D(n, 3, padding="same", name=f"maps-{i}")(x)
        for i, n in enumerate(channels)
    ]
    return keras.Model(image, maps, name=name)


@pytest.fixture(scope="module")
def data_dir(tmp_path_factory):
    folder = tmp_path_factory.mktemp("crowds")
    write_coco_dataset(folder, 3, split="train")
    write_coco_dataset(folder, 2, split="val")
    return folder


def recipe_on(data_dir, **values):
    return get_bottom_up_recipe("openpose_light_1").override(
        data_dir=str(data_dir),
        input_hw=(64, 64),
        batch_size=2,
        learning_rate=0.01,
        milestones=(1.0,),
        **values,
    )


def log_of(run_dir):
    with open(run_dir / "log.csv", encoding="utf-8") as file:
        return list(csv.DictReader(file))


@pytest.mark.slow
def test_a_run_that_goes_on_leaves_a_network_that_finds_people_by_itself(
    tmp_path, data_dir, monkeypatch, capsys
):
    monkeypatch.setattr(bottom_up_fit, "create_model", tiny_network)
    run_dir = fit_bottom_up(recipe_on(data_dir, epochs=1, ap_every=1), tmp_path / "run")
    fit_bottom_up(recipe_to_resume(run_dir, {"epochs": 2}), run_dir)

    printed = capsys.readouterr().out
    assert "3 images with" in printed
    assert "masked_maps of 4 outputs" in printed
    assert "from epoch 2" in printed
    rows = log_of(run_dir)
    assert float(rows[1]["loss"]) < float(rows[0]["loss"])
    assert 0 <= float(rows[1]["val_ap"]) <= 1
    optimizer = keras.models.load_model(run_dir / "last.keras").optimizer
    assert int(optimizer.iterations) == 4  # two batches of two of three pictures, twice
    model = load_crowd_model(run_dir / "best.keras")
    assert model.contract.skeleton == COCO_17
    heatmaps, fields = model.predict(np.zeros((64, 64, 3), np.uint8))
    assert (heatmaps.shape, fields.shape) == ((8, 8, 18), (8, 8, 38))


def test_recipes_survive_their_file_and_refuse_strangers(tmp_path):
    recipe = recipe_for("openpose_light_1").override(
        epochs=3, augmentation=CrowdAugmentation(color=0.5)
    )
    assert isinstance(recipe, BottomUpRecipe)
    assert read_recipe(open_run_dir(tmp_path / "run", recipe)) == recipe
    with pytest.raises(ValueError, match="BottomUpRecipe has no entry 'codec'"):
        recipe.override(codec="dark")
    with pytest.raises(ValueError, match="no bottom-up network"):
        BottomUpRecipe("pose_slim")


def test_rates_fall_in_steps_or_along_a_cosine():
    steps = make_schedule(get_bottom_up_recipe("openpose_light_1"), 280, drop=0.5)
    cosine = make_schedule(get_bottom_up_recipe("openpose_lite"), 4000)

    assert [float(steps(step)) for step in (99, 101, 279)] == pytest.approx(
        [4e-5, 2e-5, 5e-6]
    )
    assert [float(cosine(step)) for step in (100, 2000, 4000)] == pytest.approx(
        [0.5e-3, 0.5e-3, 0], rel=0.01
    )


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("schedule", "linear"),
        ("epochs", 0),
        ("milestones", (0.5, 0.2)),
        ("weight_decay", -0.1),
    ],
)
def test_recipes_out_of_range_are_refused(field, value):
    with pytest.raises(ValueError, match=field):
        get_bottom_up_recipe("openpose_light_1").override(**{field: value})


def test_an_input_that_is_no_multiple_of_the_stride_is_refused_first(tmp_path, data_dir):
    recipe = recipe_on(data_dir).override(input_hw=(60, 64))
    with Says(
        "must be a multiple of its stride 8 in height and width, got (60, 64)",
        do="Choose an --input-hw whose height and width are multiples of 8.",
    ).refuses():
        fit_bottom_up(recipe, tmp_path / "run")
