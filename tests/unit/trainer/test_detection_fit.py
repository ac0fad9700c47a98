"""A whole training run of a detector, on people drawn on the fly."""

import csv
import dataclasses
import signal

import keras
import numpy as np
import pytest

from keras_pose.contracts.detector import read_detector_contract
from keras_pose.contracts.entries import save_keras_model
from keras_pose.data.detection_pipeline import BoxAugmentation
from keras_pose.data.synthetic import write_coco_dataset
from keras_pose.exporting.formats.tflite_export import TFLiteConversion
from keras_pose.exporting.inputs import open_source
from keras_pose.files.runs import read_progress
from keras_pose.losses.detection_losses import BoxLoss
from keras_pose.pictures.normalization import Normalization
from keras_pose.runtime.detector_model import load_detector
from keras_pose.trainer import callbacks
from keras_pose.trainer.detection_fit import (
    _training_source,
    fit_detector,
    training_model,
)
from keras_pose.trainer.detection_recipes import DetectionRecipe, get_detection_recipe
from keras_pose.trainer.detector_teacher import (
    load_teacher,
    seen_by_teacher,
    with_teacher,
)
from keras_pose.trainer.recipes import quantization_aware_settings
from keras_pose.trainer.run_dirs import (
    open_run_dir,
    read_recipe,
    recipe_for,
)
from keras_pose.weights.creation import create_model
from keras_pose.weights.provenance import file_contract_of


def test_recipes_survive_their_file_and_refuse_strangers(tmp_path):
    recipe = get_detection_recipe("rtmdet_nano").override(
        epochs=3, augmentation=BoxAugmentation(color=0.0)
    )
    run_dir = open_run_dir(tmp_path / "run", recipe)

    assert read_recipe(run_dir) == recipe
    with pytest.raises(ValueError, match="epochs: 3 there, 4 now"):
        open_run_dir(run_dir, recipe.override(epochs=4))
    with pytest.raises(ValueError, match="DetectionRecipe has no entry 'codec'"):
        recipe.override(codec="dark")


def test_each_model_gets_its_kind_of_recipe():
    assert isinstance(recipe_for("rtmdet_nano"), DetectionRecipe)
    assert not isinstance(recipe_for("pose_slim"), DetectionRecipe)
    with pytest.raises(ValueError, match="no detector"):
        DetectionRecipe("pose_slim")


@pytest.mark.parametrize(
    ("field", "value"), [("epochs", 0), ("ema_momentum", 1.0), ("weight_decay", -0.1)]
)
def test_recipes_out_of_range_are_refused(field, value):
    with pytest.raises(ValueError, match=field):
        get_detection_recipe("rtmdet_nano").override(**{field: value})


def test_averages_are_lent_to_the_model_and_given_back():
    model = keras.Sequential([keras.Input((1,)), keras.layers.Dense(1, use_bias=False)])
    model.compile(keras.optimizers.SGD(0.1, use_ema=True, ema_momentum=0.5), "mse")
    x = np.ones((4, 1), np.float32)
    model.train_on_batch(x, 3 * x)
    first = model.get_weights()[0]
    model.train_on_batch(x, 3 * x)
    second = model.get_weights()[0]

    with callbacks.averaged_weights(model):
        np.testing.assert_allclose(model.get_weights()[0], (first + second) / 2, rtol=1e-6)
    np.testing.assert_array_equal(model.get_weights()[0], second)


def test_validation_sees_the_averages_and_training_goes_on_without():
    model = keras.Sequential([keras.Input((1,)), keras.layers.Dense(1, use_bias=False)])
    model.compile(keras.optimizers.SGD(0.1, use_ema=True, ema_momentum=0.5), "mse")
    x = np.ones((4, 1), np.float32)
    trained = []
    keep = keras.callbacks.LambdaCallback(
        on_epoch_end=lambda *_: trained.append(model.get_weights()[0].item())
    )

    history = model.fit(
        x, 3 * x, batch_size=2, validation_data=(x, 3 * x), verbose=0,
        callbacks=[callbacks.ValidateAverages(), keep],
    )  # fmt: skip

    average = model.get_weights()[0].item()  # what Keras leaves behind at the end
    assert trained != [average]
    np.testing.assert_allclose(history.history["val_loss"], (average - 3) ** 2, rtol=1e-5)


@pytest.fixture
def recipe(tmp_path):
    for split, count in (("train", 8), ("val", 2)):
        write_coco_dataset(tmp_path / "data", count, split=split)
    return get_detection_recipe("testing_detector", "synthetic").override(
        data_dir=str(tmp_path / "data"), input_hw=(64, 64), batch_size=4, epochs=2
    )


@pytest.mark.very_slow
@pytest.mark.parametrize("is_taught", [False, True])
def test_a_resumed_run_ends_as_an_uninterrupted_one(recipe, teacher, tmp_path, is_taught):
    recipe = recipe.override(teacher=str(teacher) if is_taught else None)
    whole = fit_detector(recipe, tmp_path / "whole")

    # At the last of an epoch's two steps: what is left of it is to measure.
    def end(batch, logs):
        if batch == 1:
            signal.raise_signal(signal.SIGTERM)

    watcher = keras.callbacks.LambdaCallback(on_train_batch_begin=end)
    with pytest.raises(callbacks.StopRun):
        fit_detector(recipe, tmp_path / "halves", watchers=[watcher])
    assert read_progress(tmp_path / "halves")["steps_done"] == 2
    halves = fit_detector(read_recipe(tmp_path / "halves"), tmp_path / "halves")

    expected = keras.models.load_model(whole / "last.keras").get_weights()
    actual = keras.models.load_model(halves / "last.keras").get_weights()
    for a, b in zip(expected, actual, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-3, atol=1e-5)
    with open(halves / "log.csv") as file:
        assert [row["epoch"] for row in csv.DictReader(file)] == ["0", "1"]
    assert read_detector_contract(halves / "best.keras").input_hw == (64, 64)
    load_detector(halves / "best.keras")(np.zeros((9, 9, 3), np.uint8))


@pytest.mark.very_slow
def test_quantization_aware_training_of_a_detector_gives_the_export_its_ranges(
    recipe, tmp_path, capsys
):
    start = create_model("testing_detector", 1, recipe.input_hw)
    save_keras_model(start, tmp_path / "start.keras", file_contract_of(start))
    recipe = recipe.override(weights=str(tmp_path / "start.keras"))
    recipe = recipe.override(**quantization_aware_settings(recipe) | {"epochs": 1})
    run = fit_detector(recipe, tmp_path / "run")
    # Training starts from the channels that calibrated files are made of.
    assert "equalized   0 " not in (said := capsys.readouterr().out)
    assert "equalized   " in said

    kinds = {
        type(layer).__name__ for layer in keras.models.load_model(run / "last.keras").layers
    }
    assert {"FakeQuantizedKernel", "FakeQuantizedTensor", "FrozenStatistics"} <= kinds
    source = open_source(run / "best.keras")
    assert [x.name for x in source.model.layers] == [x.name for x in start.layers]
    crops = np.random.default_rng(0).integers(0, 256, (4, *recipe.input_hw, 3), np.uint8)
    conversion = TFLiteConversion(source.model, source.contract, crops)
    # The int8 file takes the ranges that training found. How good it is cannot be told:
    # noise is beyond the ranges of drawn people.
    assert len(conversion.trained_ranges) > 10
    path = tmp_path / "detector.tflite"
    contract = conversion.draft(path, "int8").contract
    assert path.read_bytes() != conversion.quantized("int8", known_ranges={})
    assert {spec.dtype for spec in contract.outputs} == {"int8"}


@pytest.fixture
def teacher(recipe, tmp_path):
    """File of a detector that sees images otherwise than its student does."""
    network = create_model("testing_detector", 1, recipe.input_hw)
    for layer in network.layers:
        if layer.name.startswith("bbox_head-rtm_cls"):
            layer.bias.assign(keras.ops.zeros_like(layer.bias))  # sure of something
    other = Normalization((0.4, 0.5, 0.6), (0.2, 0.3, 0.4), "bgr")
    contract = dataclasses.replace(file_contract_of(network), normalization=other)
    save_keras_model(network, tmp_path / "teacher.keras", contract)
    return tmp_path / "teacher.keras"


@pytest.mark.very_slow
def test_a_detector_that_learns_from_another_comes_to_agree_with_it(
    recipe, teacher, tmp_path
):
    recipe = recipe.override(teacher=str(teacher), teacher_share=1.0, epochs=3, ap_every=3)
    run = fit_detector(
        recipe.override(learning_rate=0.01, warmup_steps=0), tmp_path / "run"
    )

    with open(run / "log.csv") as file:
        losses = [float(row["loss"]) for row in csv.DictReader(file)]
    assert losses[0] > losses[1] > losses[2]
    # The teacher is no part of what is saved.
    kept = [keras.models.load_model(run / name) for name in ("best.keras", "last.keras")]
    assert kept[0].count_params() == kept[1].count_params()


@pytest.mark.very_slow
def test_the_loss_is_of_labels_and_of_a_teacher_on_the_same_pixels(recipe, teacher):
    own, share = Normalization((0.1, 0.2, 0.3), (0.4, 0.5, 0.6)), 0.25
    network = create_model("testing_detector", 1, recipe.input_hw)
    rows_model = training_model(network)
    loss = BoxLoss(recipe.input_hw, (8, 16, 32))
    model = with_teacher(rows_model, str(teacher), share, network, own, loss)
    model.compile("sgd", loss, loss_weights=[1 - share])
    pixels = np.random.default_rng(0).integers(0, 256, (2, *recipe.input_hw, 3))
    pixels = pixels.astype(np.float32)
    truth = np.tile(np.float32([[8, 8, 50, 40, 0]]), (2, 1, 1))

    rows = rows_model([own(pixels)], training=True)
    from_labels = float(loss(truth, rows))
    taught = load_teacher(str(teacher), network)
    seen = read_detector_contract(teacher).normalization(pixels)
    distance = loss.distance(rows, training_model(taught)([seen], training=False))
    expected = (1 - share) * from_labels + share * float(np.mean(distance))

    assert model.train_on_batch([own(pixels)], truth) == pytest.approx(expected, rel=1e-4)


def test_a_teacher_sees_the_pixels_in_its_own_way():
    own = Normalization((0.1, 0.2, 0.3), (0.4, 0.5, 0.6))
    other = Normalization((0.7, 0.6, 0.5), (0.3, 0.2, 0.1), "bgr")
    image = np.random.default_rng(0).integers(0, 256, (1, 2, 2, 3)).astype(np.float32)
    np.testing.assert_allclose(
        seen_by_teacher(own(image), own, other), other(image), atol=1e-5
    )


def test_teachers_that_cannot_teach_are_refused(recipe, teacher, tmp_path):
    network = create_model("testing_detector", 1, recipe.input_hw)
    with pytest.raises(ValueError, match=r"learns from a \.keras file, got x\.tflite"):
        load_teacher("x.tflite", network)
    short = keras.Model(network.inputs, network.outputs[1:], name=network.name)
    with pytest.raises(ValueError, match="the same strides and one class"):
        load_teacher(str(teacher), short)
    with pytest.raises(ValueError, match="teacher_share must be 0 to 1, got 2"):
        recipe.override(teacher_share=2)


def test_detectors_learn_from_several_sets(recipe, tmp_path):
    write_coco_dataset(tmp_path / "more", 4, split="train")
    more = recipe.override(data_dir=str(tmp_path / "more"))
    together = recipe.override(
        dataset=f"coco,more={tmp_path / 'more'}", data_dir=f"coco={recipe.data_dir}"
    )
    parts = [_training_source(each, 4) for each in (recipe, more)]
    source = _training_source(together, 4)
    assert source.num_boxes == sum(part.num_boxes for part in parts) > 4
    assert len(source) == sum(map(len, parts))
