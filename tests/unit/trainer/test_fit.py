"""Whole training runs, of a small network on people drawn on the fly."""

import csv
import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import keras
import numpy as np
import pytest
from PIL import Image
from scipy.io import savemat

from keras_pose.contracts.activation_ranges import read_ranges
from keras_pose.contracts.entries import save_keras_model
from keras_pose.contracts.pose import read_contract
from keras_pose.data.mixing import open_val, parse_mix
from keras_pose.files.runs import read_progress
from keras_pose.pictures.normalization import IMAGENET, Normalization
from keras_pose.runtime.keras_backend import load_network
from keras_pose.trainer import fit
from keras_pose.trainer.callbacks import StopRun
from keras_pose.trainer.optimization import make_optimizer, steps_taken
from keras_pose.trainer.recipes import (
    get_recipe,
    overfit_settings,
    quantization_aware_settings,
)
from keras_pose.trainer.run_dirs import open_run_dir, read_recipe, recipe_to_resume
from keras_pose.weights.creation import create_model
from keras_pose.weights.provenance import Provenance, contract_of, set_provenance

ROOT = Path(__file__).resolve().parents[3]
BLUE_FIRST = Normalization(IMAGENET.mean, IMAGENET.std, channel_order="bgr")
pytestmark = pytest.mark.slow


def _recipe(**changes):
    values = {"input_hw": (64, 64), "batch_size": 4, "synthetic_images": 10, "epochs": 2}
    return get_recipe("testing_pose", "synthetic").override(**values | changes)


class KillError(Exception):
    pass


class Kill(keras.callbacks.Callback):
    """Dies at a step."""

    def __init__(self, step):
        super().__init__()
        self._step = step

    def on_train_batch_end(self, batch, logs=None):
        if int(self.model.optimizer.iterations.numpy()) == self._step:
            raise KillError


class Terminate(keras.callbacks.Callback):
    """Asks the process to end while it validates."""

    def on_test_batch_begin(self, batch, logs=None):
        os.kill(os.getpid(), signal.SIGTERM)


def _weights(run_dir, name="last.keras"):
    return keras.models.load_model(run_dir / name).get_weights()


@pytest.fixture(scope="module")
def whole_run(tmp_path_factory):
    return fit.fit(_whole(), tmp_path_factory.mktemp("run") / "whole")


def _whole():
    """A recipe with what a resumed run must bring back, too."""
    return _recipe(ema_momentum=0.9, freeze=("stem",), box_padding=1.1)


def test_frozen_layers_stay_and_averages_are_kept_as_best(whole_run):
    best, last = (
        keras.models.load_model(whole_run / name) for name in ("best.keras", "last.keras")
    )
    keras.utils.set_random_seed(_whole().seed)
    start = create_model(_whole().model, 17, (64, 64))
    pairs = {
        layer.name: (layer.get_weights(), last.get_layer(layer.name).get_weights())
        for layer in best.layers
        if layer.weights
    }
    frozen = [name for name in pairs if name.startswith("stem")]
    assert frozen
    for name in frozen:
        for trained in pairs[name]:
            for value, old in zip(
                trained, start.get_layer(name).get_weights(), strict=True
            ):
                np.testing.assert_array_equal(value, old)
    averaged, newest = pairs["heatmaps"]
    assert not np.array_equal(averaged[0], newest[0])


@pytest.mark.very_slow
def test_a_head_for_visibility_is_trained_alone_and_goes_on(tmp_path, whole_run):
    trained = whole_run / "best.keras"
    settings = {"weights": str(trained), "visibility": "only", "epochs": 1}
    recipe = _recipe(**settings)

    run = fit.fit(recipe, tmp_path / "run")

    contract = read_contract(run / "best.keras")
    assert contract.visibility.output.shape == (1, 17, 3)
    assert {"kind_accuracy", "val_kind_accuracy"} <= set(
        next(csv.DictReader((run / "log.csv").open()))
    )
    before, after = load_network(trained), load_network(run / "best.keras")
    for layer in before.layers:
        pairs = zip(
            layer.get_weights(), after.get_layer(layer.name).get_weights(), strict=True
        )
        assert all(np.array_equal(*pair) for pair in pairs), layer.name
    hidden = after.get_layer("visibility-of_features").get_weights()[0]
    fit.fit(recipe_to_resume(run, {"epochs": 2}), run)
    resumed = load_network(run / "last.keras").get_layer("visibility-of_features")
    assert not np.array_equal(resumed.get_weights()[0], hidden)


def test_freezing_what_is_not_there_is_refused(tmp_path):
    with pytest.raises(ValueError, match="begins with 'trunk', which freeze names"):
        fit.fit(_recipe(freeze=("trunk",)), tmp_path / "run")


def test_a_run_leaves_all_its_files(whole_run):
    names = {path.name for path in whole_run.iterdir()}
    assert {"last.keras", "best.keras", "progress.json", "log.csv", "tensorboard"} <= names
    rows = list(csv.DictReader((whole_run / "log.csv").open()))
    assert [row["epoch"] for row in rows] == ["0", "1"]
    assert {"loss", "pck", "val_loss", "val_pck"} <= set(rows[0])
    assert not list(whole_run.glob(".*tmp*"))


@pytest.mark.very_slow
def test_the_best_of_a_network_of_several_outputs_is_kept(tmp_path, monkeypatch):
    measured = iter([0.2, 0.6, 0.4])
    best = {}

    class Measured(keras.callbacks.Callback):
        """Says how good the epochs were, and remembers the best one's weights."""

        def on_epoch_end(self, epoch, logs=None):
            (name,) = [name for name in logs if name.startswith("val_") and "pck" in name]
            assert name != "val_pck"  # Keras puts the output's name before it
            logs[name] = next(measured)
            if logs[name] == 0.6:
                best["weights"] = self.model.get_weights()

    make_callbacks = fit._make_callbacks
    monkeypatch.setattr(
        fit, "_make_callbacks", lambda *args: [Measured(), *make_callbacks(*args)]
    )
    recipe = get_recipe("testing_stacks", "synthetic").override(
        input_hw=(64, 64), batch_size=2, synthetic_images=2, epochs=3
    )

    run = fit.fit(recipe, tmp_path / "run")

    rows = list(csv.DictReader((run / "log.csv").open()))
    assert [float(row["val_pck"]) for row in rows] == [0.2, 0.6, 0.4]
    assert "pck" in rows[0]
    assert read_progress(run)["best_val_pck"] == 0.6
    for kept, expected in zip(_weights(run, "best.keras"), best["weights"], strict=True):
        np.testing.assert_array_equal(kept, expected)


def test_the_best_model_carries_its_contract_and_no_optimizer(whole_run):
    contract = read_contract(whole_run / "best.keras")
    assert contract.model == "testing_pose"
    assert contract.input_hw == (64, 64)
    assert contract.box_padding == 1.1
    assert not hasattr(keras.models.load_model(whole_run / "best.keras"), "optimizer")
    assert hasattr(keras.models.load_model(whole_run / "last.keras"), "optimizer")


def test_an_interrupted_run_resumed_equals_an_uninterrupted_one(whole_run, tmp_path):
    run_dir = open_run_dir(tmp_path / "run", _whole())
    # Epochs have 6 steps. Saved after every step, it dies within one.
    with pytest.raises(KillError):
        fit.fit(_whole(), run_dir, watchers=[Kill(8)], save_minutes=1e-9)
    progress = read_progress(run_dir)
    assert (progress["epochs_done"], progress["steps_done"]) == (1, 2)
    # Told to end while it validates, it has saved the epoch's last step.
    handler = signal.getsignal(signal.SIGTERM)
    with pytest.raises(StopRun) as stopped:
        fit.fit(read_recipe(run_dir), run_dir, watchers=[Terminate()])
    assert stopped.value.code == 75
    assert signal.getsignal(signal.SIGTERM) == handler
    assert read_progress(run_dir)["steps_done"] == 6

    fit.fit(read_recipe(run_dir), run_dir)

    for resumed, whole in zip(_weights(run_dir), _weights(whole_run), strict=True):
        np.testing.assert_array_equal(resumed, whole)
    rows, expected = (
        list(csv.DictReader((run / "log.csv").open())) for run in (run_dir, whole_run)
    )
    assert len(rows) == 2
    for row, whole in zip(rows, expected, strict=True):
        assert {name: float(value) for name, value in row.items()} == pytest.approx(
            {name: float(value) for name, value in whole.items()}
        )


def test_a_loss_that_is_no_number_names_pictures_and_leaves_what_was_saved(tmp_path):
    class Poison(keras.callbacks.Callback):
        def on_epoch_begin(self, epoch, logs=None):
            self.model.get_layer("heatmaps").bias.assign([float("nan")] * 17)

    with pytest.raises(
        ValueError, match=r"loss is nan after step 1 .*number \d+ in memory"
    ):
        fit.fit(_recipe(), tmp_path / "run", watchers=[Poison()])
    assert not (tmp_path / "run" / "last.keras").exists()


@pytest.mark.very_slow
def test_a_run_that_ended_goes_on_with_more_epochs(tmp_path):
    run_dir = fit.fit(_recipe(epochs=1, synthetic_images=4), tmp_path / "run")
    first = keras.models.load_model(run_dir / "last.keras").optimizer
    steps = int(first.iterations)
    fit.fit(recipe_to_resume(run_dir, {"epochs": 3}), run_dir)
    rows = list(csv.DictReader((run_dir / "log.csv").open()))
    assert [row["epoch"] for row in rows] == ["0", "1", "2"]
    optimizer = keras.models.load_model(run_dir / "last.keras").optimizer
    assert int(optimizer.iterations) == 3 * steps
    # Where the first recipe's rate had reached its end, the longer one's has not.
    expected = float(make_optimizer(_recipe(epochs=3), 3 * steps)._learning_rate(steps))
    ended = float(make_optimizer(_recipe(epochs=1), steps)._learning_rate(steps))
    assert float(optimizer._learning_rate(steps)) == pytest.approx(expected)
    assert expected > 10 * ended


def test_a_run_folder_of_another_recipe_is_refused(whole_run, tmp_path):
    run_dir = open_run_dir(tmp_path / "run", _recipe())
    assert open_run_dir(run_dir, _recipe()) == run_dir
    with pytest.raises(ValueError, match="epochs: 2 there, 3 now"):
        open_run_dir(run_dir, _recipe(epochs=3))


def test_max_steps_ends_a_run_early(tmp_path, capsys):
    recipe = _recipe(epochs=50, max_steps=4, mixed_precision="bfloat16", accumulate=2)
    fit.fit(recipe, tmp_path / "run")
    model = keras.models.load_model(tmp_path / "run" / "last.keras")
    assert steps_taken(model.optimizer) == 4
    assert int(model.optimizer.iterations) == 2  # changes of weights
    assert model.get_layer("stem-conv").compute_dtype == "bfloat16"


def test_crops_stay_those_of_the_weights_that_a_run_starts_from(whole_run, tmp_path):
    recipe = _recipe(epochs=1, max_steps=1, weights=str(whole_run / "best.keras"))
    run = fit.fit(recipe, tmp_path / "run")
    assert read_contract(run / "best.keras").box_padding == 1.1
    network = create_model("testing_pose", weights=str(run / "best.keras"))
    assert contract_of(network).box_padding == 1.1


def test_a_network_is_computed_for_its_steps_only(tmp_path, monkeypatch):
    # To train and to validate: a large network's trace takes many seconds.
    kind = type(create_model("testing_pose", input_hw=(64, 64)))
    traced, call = [], kind.call

    def counted(model, *args, **options):
        traced.append(model.name)
        return call(model, *args, **options)

    monkeypatch.setattr(kind, "call", counted)
    fit.fit(_recipe(epochs=1, max_steps=2), tmp_path / "run")
    assert len(traced) == 2


def test_a_stacked_model_trains_every_stack(tmp_path):
    recipe = _recipe(max_steps=1, batch_size=1, synthetic_images=1).override(
        model="testing_stacks", optimizer="rmsprop", loss="focused_mse"
    )
    run_dir = fit.fit(recipe, tmp_path / "run")
    assert len(keras.models.load_model(run_dir / "last.keras").outputs) == 2
    rows = list(csv.DictReader((run_dir / "log.csv").open()))
    assert np.isfinite(float(rows[0]["loss"]))


def test_ap_is_measured_on_the_validation_split(tmp_path, monkeypatch):
    from keras_pose.data.synthetic import write_coco_dataset

    write_coco_dataset(tmp_path / "data", 6, split="train")
    write_coco_dataset(tmp_path / "data", 3, split="val")
    recipe = _recipe(max_steps=2, ap_every=1, data_dir=str(tmp_path / "data"))
    run_dir = fit.fit(recipe, tmp_path / "run")
    rows = list(csv.DictReader((run_dir / "log.csv").open()))
    assert 0 <= float(rows[-1]["val_ap"]) <= 1


@pytest.mark.very_slow
def test_a_few_images_are_learned_by_heart(tmp_path, capsys):
    from keras_pose.data.synthetic import write_coco_dataset

    data_dir = _write_val_only(tmp_path / "data", write_coco_dataset)
    settings = overfit_settings(2) | {"data_dir": str(data_dir), "ap_every": 9}
    settings |= {"epochs": 9, "learning_rate": 3e-3}
    recipe = _recipe(**settings).override(model="pose_slim")  # large enough to learn
    people = open_val(parse_mix("synthetic", str(data_dir))).in_first_images(2).records
    assert 0 < len({person.image_id for person in people}) <= 2

    run_dir = fit.fit(recipe, tmp_path / "run")

    counts = {"train": len(people), "val": len(people)}
    assert f"{counts} people" in capsys.readouterr().out
    rows = list(csv.DictReader((run_dir / "log.csv").open()))
    assert float(rows[-1]["loss"]) < 0.7 * float(rows[0]["loss"])
    assert 0 <= float(rows[-1]["val_ap"]) <= 1


def _write_val_only(folder, write):
    """Draws a training split that nobody is to read, and a validation split."""
    write(folder, 1, split="train")
    write(folder, 4, split="val")
    (folder / "annotations" / "person_keypoints_train2017.json").write_text("{}")
    return folder


def test_drawn_people_can_be_learned_by_heart(tmp_path):
    recipe = _recipe(**overfit_settings(3))
    sources = [fit._open_source(recipe, split, 4) for split in ("train", "val")]
    np.testing.assert_array_equal(sources[0].keypoints_xy, sources[1].keypoints_xy)
    assert len(sources[0].images) == 3


def test_images_to_learn_by_heart_are_of_the_set_that_a_mix_validates_on(
    mix_recipe, tmp_path, capsys
):
    recipe = mix_recipe.override(**overfit_settings(1) | {"epochs": 1})
    fit.fit(recipe, tmp_path / "run")
    said = capsys.readouterr().out
    assert "overfit" in said
    assert "samples an epoch" not in said


def _write_mpii(folder, num_people):
    """People of one joint pattern, on noise, in the form that HRNet's code reads."""
    rng = np.random.default_rng(0)
    (folder / "annot").mkdir(parents=True)
    (folder / "images").mkdir()
    people = []
    for i in range(num_people):
        pixels = rng.integers(0, 255, (80, 80, 3), np.uint8)
        Image.fromarray(pixels).save(folder / "images" / f"{i}.png")
        joints = rng.uniform(20, 60, (16, 2)).tolist()
        people.append({"image": f"{i}.png", "center": [40.0, 36.0], "scale": 0.3,
                       "joints": joints, "joints_vis": [1] * 16})  # fmt: skip
    for name in ("train", "valid"):
        (folder / "annot" / f"{name}.json").write_text(json.dumps(people))
    return folder


def _write_heads(folder, num_people):
    heads = np.zeros((2, 2, num_people))
    heads[1] = [[24], [32]]  # a diagonal of 40 pixels
    savemat(folder / "annot" / "gt_valid.mat", {"headboxes_src": heads})


@pytest.mark.parametrize(
    ("has_heads", "column"), [(True, "val_pckh@0.5"), (False, "val_pck_box@0.1")]
)
def test_mpii_is_measured_by_its_own_metric(tmp_path, capsys, has_heads, column):
    folder = _write_mpii(tmp_path / "mpii", 3)
    if has_heads:
        _write_heads(folder, 3)
    recipe = _recipe(max_steps=1, ap_every=1).override(dataset="mpii", data_dir=str(folder))
    run_dir = fit.fit(recipe, tmp_path / "run")
    rows = list(csv.DictReader((run_dir / "log.csv").open()))
    assert 0 <= float(rows[-1][column]) <= 1
    assert "on 3 people of mpii val, every 1 epochs" in capsys.readouterr().out


@pytest.fixture(scope="module")
def mix_recipe(tmp_path_factory):
    """Two sets of different keypoints."""
    from keras_pose.data.synthetic import write_coco_dataset

    folder = tmp_path_factory.mktemp("mix")
    for split in ("train", "val"):
        write_coco_dataset(folder / "coco", 2, split=split)
    _write_mpii(folder / "mpii", 3)
    return _recipe(ap_every=1, batch_size=2).override(
        dataset="coco,mpii",
        data_dir=f"coco={folder / 'coco'},mpii={folder / 'mpii'}",
        mix="coco=2,mpii=1",
    )


@pytest.mark.very_slow
def test_a_mixed_run_measures_the_official_figure_and_resumes(mix_recipe, tmp_path):
    whole = fit.fit(mix_recipe, tmp_path / "whole")
    assert read_contract(whole / "best.keras").skeleton.num_keypoints == 17 + 4
    rows = list(csv.DictReader((whole / "log.csv").open()))
    # The union has no sigmas; COCO's people are measured by COCO's keypoints.
    assert all(0 <= float(row["val_ap"]) <= 1 for row in rows)

    steps = int(keras.models.load_model(whole / "last.keras").optimizer.iterations)
    assert steps % 2 == 0  # two epochs
    assert steps >= 4
    run_dir = open_run_dir(tmp_path / "run", mix_recipe)
    with pytest.raises(KillError):
        fit.fit(mix_recipe, run_dir, watchers=[Kill(steps * 3 // 4)])
    assert read_progress(run_dir)["epochs_done"] == 1
    fit.fit(read_recipe(run_dir), run_dir)

    for resumed, expected in zip(_weights(run_dir), _weights(whole), strict=True):
        np.testing.assert_allclose(resumed, expected, rtol=1e-5, atol=1e-6)


_TWO_REPLICAS = """
import json, sys
import keras
from keras_pose.trainer import fit
from keras_pose.trainer.callbacks import StopRun
from keras_pose.trainer.recipes import Recipe
devices, batch_size, run_dir, recipe = sys.argv[1:]
recipe = Recipe.from_dict(json.loads(recipe)).override(batch_size=int(batch_size))
fit.fit(recipe, run_dir, devices)
"""


def _fit_in_a_process(run_dir, devices, batch_size):
    """Logical devices are set once per process, so each strategy needs its own."""
    # SGD-like steps: Adam would blow rounding up where gradients are near 0.
    recipe = _recipe(max_steps=2, epochs=1, synthetic_images=16).to_dict()
    recipe |= {"optimizer": "rmsprop", "learning_rate": 1e-4}
    args = [devices, str(batch_size), str(run_dir), json.dumps(recipe)]
    command = [sys.executable, "-c", _TWO_REPLICAS, *args]
    result = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert result.returncode == 0, result.stderr[-2000:]
    return list(csv.DictReader((run_dir / "log.csv").open())), result.stdout


@pytest.mark.very_slow
def test_two_replicas_report_the_loss_of_one_with_the_same_global_batch(tmp_path):
    one, _ = _fit_in_a_process(tmp_path / "one", "cpu:1", 8)
    two, printed = _fit_in_a_process(tmp_path / "two", "cpu:2", 4)
    assert "2 replicas" in printed
    # Batch norm is synchronised, so only rounding remains.
    assert float(two[0]["loss"]) == pytest.approx(float(one[0]["loss"]), rel=1e-3)


def test_a_run_keeps_the_channel_order_of_its_start(tmp_path):
    name = "testing_pose"
    start = set_provenance(
        create_model(name, 17, (64, 64)), Provenance("a paper", BLUE_FIRST)
    )
    save_keras_model(start, tmp_path / "start.keras", contract_of(start))
    recipe = get_recipe(name, "synthetic").override(
        input_hw=(64, 64),
        batch_size=2,
        synthetic_images=4,
        max_steps=1,
        weights=str(tmp_path / "start.keras"),
    )

    run = fit.fit(recipe, tmp_path / "run")

    assert read_contract(run / "best.keras").normalization == BLUE_FIRST


@pytest.mark.very_slow
def test_quantization_aware_training_leaves_a_plain_network_with_its_ranges(
    whole_run, tmp_path, capsys
):
    recipe = _recipe(weights=str(whole_run / "best.keras"), epochs=1)
    settings = quantization_aware_settings(recipe)
    assert settings["learning_rate"] == pytest.approx(recipe.learning_rate / 10)
    run = fit.fit(recipe.override(**settings), tmp_path / "run")
    assert "equalized   0 " not in (said := capsys.readouterr().out)
    assert "equalized   " in said

    kinds = {
        type(layer).__name__ for layer in keras.models.load_model(run / "last.keras").layers
    }
    assert {"FakeQuantizedKernel", "FakeQuantizedTensor"} <= kinds
    best = load_network(run / "best.keras")
    before = load_network(whole_run / "best.keras")
    assert [layer.name for layer in best.layers] == [layer.name for layer in before.layers]
    assert not all(map(np.array_equal, best.get_weights(), before.get_weights()))
    ranges = read_ranges(run / "best.keras")
    assert ranges["stem-relu"][0] == 0 < ranges["stem-relu"][1]
    assert read_ranges(whole_run / "best.keras") == {}


@pytest.mark.very_slow
def test_quantization_aware_training_resumed_equals_an_uninterrupted_one(
    whole_run, tmp_path
):
    recipe = _recipe(weights=str(whole_run / "best.keras"))
    recipe = recipe.override(**quantization_aware_settings(recipe) | {"epochs": 2})
    whole = fit.fit(recipe, tmp_path / "whole")
    run_dir = open_run_dir(tmp_path / "run", recipe)
    with pytest.raises(KillError):
        fit.fit(recipe, run_dir, watchers=[Kill(8)])  # within epoch 2, of 6 steps each
    assert read_progress(run_dir)["epochs_done"] == 1

    fit.fit(read_recipe(run_dir), run_dir)

    # What the rounding layers know of their tensors is among the weights.
    for resumed, expected in zip(_weights(run_dir), _weights(whole), strict=True):
        np.testing.assert_allclose(resumed, expected, rtol=1e-5, atol=1e-6)
    ranges = read_ranges(whole / "best.keras")
    assert len(ranges) > 10
    assert read_ranges(run_dir / "best.keras") == {
        layer: pytest.approx(limits, rel=1e-5) for layer, limits in ranges.items()
    }


def test_quantization_aware_training_from_scratch_is_refused():
    with pytest.raises(ValueError, match="goes on from trained weights"):
        _recipe(quantization_aware=True)
