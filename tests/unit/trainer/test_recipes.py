"""Recipes: defaults of the families, and what is refused."""

import importlib.util
import json
from pathlib import Path

import keras
import numpy as np
import pytest
from own_keypoints import TOY
from says import Says

from keras_pose.codecs import CODECS
from keras_pose.data.mixing import parse_mix
from keras_pose.skeleton.files import skeleton_from_dict, write_skeleton
from keras_pose.trainer.optimization import (
    make_loss,
    make_optimizer,
    make_schedule,
    steps_taken,
)
from keras_pose.trainer.recipes import (
    CUT_PROBABILITY,
    Recipe,
    get_recipe,
    visibility_settings,
)
from keras_pose.trainer.run_dirs import (
    open_run_dir,
    read_recipe,
    recipe_for,
    recipe_to_resume,
    with_entries_of,
)
from keras_pose.trainer.run_recipe import precision_policy
from keras_pose.zoo import ZOO

SHORT_RUN = Path(__file__).parents[3] / "training" / "short_run.json"
TRAIN = Path(__file__).parents[3] / "training" / "train.py"
TOP_DOWN = [name for name, spec in ZOO.items() if spec.task == "top_down"]


@pytest.mark.parametrize("model", TOP_DOWN)
def test_every_top_down_model_has_a_recipe_that_survives_json(model):
    recipe = get_recipe(model)
    assert Recipe.from_dict(recipe.to_dict()) == recipe


def test_hrnet_trains_as_the_official_configuration():
    recipe = get_recipe("hrnet_w32")
    assert (recipe.epochs, recipe.optimizer, recipe.weight_decay) == (210, "adam", 0)
    schedule = make_schedule(recipe, total_steps=2100)
    rates = [float(schedule(step)) for step in (0, 1699, 1701, 1999, 2001, 2100)]
    assert rates == pytest.approx([1e-3, 1e-3, 1e-4, 1e-4, 1e-5, 1e-5])


def test_vitposes_and_rtmposes_train_as_mmposes_configurations():
    vitpose, small, large = (get_recipe(x) for x in ("vitpose_s", "rtmpose_s", "rtmpose_l"))
    assert (vitpose.codec, vitpose.weight_decay, vitpose.clip_norm) == ("udp", 0.1, 1.0)
    assert (small.weight_decay, large.weight_decay) == (0.0, 0.05)
    # Theirs stay within 80 degrees, ours within twice the number.
    assert (
        vitpose.augmentation.rotation_degrees == large.augmentation.rotation_degrees == 40
    )


def test_long_gradients_are_cut_where_the_recipe_says_so():
    lengths = {}
    for clip_norm in (0.0, 0.5):
        recipe = get_recipe("hrnet_w32").override(clip_norm=clip_norm)
        optimizer = make_optimizer(recipe, total_steps=1)
        gradients = optimizer._clip_gradients([keras.ops.ones(4), 2 * keras.ops.ones(8)])
        total = sum(float(keras.ops.sum(g**2)) for g in gradients)
        lengths[clip_norm] = total**0.5
    assert lengths == pytest.approx({0.0: 6.0, 0.5: 0.5})


def test_drawn_people_are_varied_less_than_photos():
    photos, drawn = (get_recipe("hrnet_w32", name) for name in ("coco", "synthetic"))
    assert drawn.augmentation.scale < photos.augmentation.scale
    assert drawn.override(dataset="coco", augmentation=photos.augmentation) == photos


def test_warm_up_grows_linearly_and_cosine_ends_at_zero():
    recipe = get_recipe("pose_slim").override(warmup_steps=100, learning_rate=1.0)
    schedule = make_schedule(recipe, total_steps=10_000)
    assert float(schedule(0)) == pytest.approx(1e-3)
    assert float(schedule(50)) == pytest.approx(0.5, rel=1e-3)
    assert float(schedule(5000)) == pytest.approx(0.5, rel=1e-3)
    assert float(schedule(10_000)) == pytest.approx(0.0, abs=1e-6)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        pytest.param({"epoch": 3}, "no entry 'epoch'. Did you mean 'epochs'", id="unknown"),
        pytest.param({"loss": "joint_mse"}, "Did you mean 'joints_mse'", id="loss"),
        pytest.param({"codec": "drak"}, "Did you mean 'dark'", id="codec"),
        pytest.param(
            {"codec": "simcc"},
            "'simcc' is for networks that give simcc; pose_slim gives heatmaps of 'dark': "
            "choose gaussian or dark or udp or udp_offset",
            id="codec_of_other_outputs",
        ),
        pytest.param(
            {"loss": "l1"},
            "'l1' does not fit the targets of the codec 'dark': choose joints_mse",
            id="loss_of_other_targets",
        ),
        pytest.param({"batch_size": 0}, "batch_size must be positive", id="batch"),
        ({"box_padding": 0}, "box_padding must be positive"),
        pytest.param({"max_steps": -1}, "max_steps must not be negative", id="steps"),
        pytest.param({"clip_norm": -1}, "clip_norm must not be negative", id="clip_norm"),
        ({"mixed_precision": "float8"}, "float16 or bfloat16, got 'float8'"),
        ({"accumulate": 0}, "accumulate must be positive"),
    ],
)
def test_senseless_values_are_refused(values, message):
    with pytest.raises(ValueError, match=message):
        get_recipe("pose_slim").override(**values)


@pytest.mark.parametrize(
    ("entry", "policy"),
    [
        (False, "float32"),
        (True, "mixed_float16"),
        ("float16", "mixed_float16"),
        ("bfloat16", "mixed_bfloat16"),
    ],
)
def test_recipes_say_what_is_computed_in(entry, policy):
    recipe = get_recipe("pose_slim").override(mixed_precision=entry)
    assert precision_policy(recipe.mixed_precision) == policy
    assert Recipe.from_dict(json.loads(json.dumps(recipe.to_dict()))) == recipe


def test_accumulated_steps_change_weights_as_their_batches_together():
    recipe = get_recipe("pose_slim").override(optimizer="adam", warmup_steps=0)
    data = np.random.default_rng(0)
    x, y = data.normal(size=(8, 3)), data.normal(size=(8, 1))

    def trained(accumulate, batch_size):
        keras.utils.set_random_seed(0)
        network = keras.Sequential([keras.Input((3,)), keras.layers.Dense(1)])
        # Steps are far fewer than the schedule's, so that its rate is one for all.
        optimizer = make_optimizer(recipe.override(accumulate=accumulate), 10**6)
        network.compile(optimizer, "mse", run_eagerly=True)
        for start in range(0, len(x), batch_size):
            network.train_on_batch(
                x[start : start + batch_size], y[start : start + batch_size]
            )
        assert steps_taken(optimizer) == len(x) // batch_size
        return network.get_weights()

    for parts, whole in zip(trained(2, 2), trained(1, 4), strict=True):
        np.testing.assert_allclose(parts, whole, rtol=1e-4)


def test_an_unknown_model_gets_a_suggestion():
    with pytest.raises(ValueError, match="hrnet_w32"):
        get_recipe("hrnet_w23")


def test_a_network_of_three_maps_a_keypoint_cannot_give_one():
    recipe = get_recipe("hrnet_w32_udp_offset")
    assert recipe.codec == "udp_offset"
    with pytest.raises(ValueError, match="of 'udp_offset': choose udp_offset"):
        recipe.override(codec="udp")


def test_the_recipe_for_short_runs_fits_every_family():
    entries = json.loads(SHORT_RUN.read_text())
    augmentation = entries.pop("augmentation")
    for model in TOP_DOWN:
        recipe = with_entries_of(get_recipe(model, "mpii"), SHORT_RUN)
        assert (recipe.model, recipe.dataset) == (model, "mpii")
        assert recipe.input_hw == get_recipe(model).input_hw  # of which it says nothing
        found = recipe.to_dict()
        assert {name: found[name] for name in entries} == entries
        assert found["augmentation"] == found["augmentation"] | augmentation


def test_another_runs_recipe_is_taken_but_for_model_and_data(tmp_path):
    path = tmp_path / "recipe.json"
    other = get_recipe("hrnet_w32").override(epochs=3, data_dir="elsewhere", seed=7)
    path.write_text(json.dumps(other.to_dict()))
    recipe = with_entries_of(get_recipe("hrnet_w18", "mpii"), path)
    assert recipe == get_recipe("hrnet_w18", "mpii").override(epochs=3, seed=7)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        pytest.param('{"epoch": 3}', "no entry 'epoch'. Did you mean 'epochs'", id="name"),
        pytest.param('{"epochs": 0}', "epochs must be positive, got 0", id="value"),
        pytest.param('{"augmentation": 3}', "must be a mapping", id="kind"),
        pytest.param("[3]", "one JSON object", id="list"),
        pytest.param("{", "not valid JSON", id="broken"),
    ],
)
@pytest.mark.parametrize("model", ["pose_slim", "rtmdet_nano"])
def test_a_file_that_is_no_recipe_is_named(model, text, message, tmp_path):
    path = tmp_path / "mine.json"
    path.write_text(text)
    with pytest.raises(ValueError, match=message) as caught:
        with_entries_of(recipe_for(model), path)
    assert str(path) in str(caught.value)


@pytest.mark.parametrize(
    ("settings", "num_keypoints", "top_k", "warns"),
    [
        ({}, 17, 8, False),
        ({}, 8, 8, False),
        ({}, 5, 5, True),
        ({"ohkm_top_k": 3}, 5, 3, False),
    ],
)
def test_hard_keypoints_are_no_more_than_there_are(
    settings, num_keypoints, top_k, warns, recwarn
):
    recipe = get_recipe("pose_slim").override(loss="ohkm", **settings)
    codec = CODECS[recipe.codec].for_input(recipe.input_hw)
    assert make_loss(recipe, codec, num_keypoints).top_k == top_k
    told = [str(warning.message) for warning in recwarn]
    assert told == [] if not warns else "but there are 5: it takes all" in told[0]


def test_a_run_keeps_its_skeleton_when_the_file_goes(tmp_path):
    path = write_skeleton(tmp_path / "toy.json", TOY.with_uniform_sigmas())
    recipe = get_recipe("pose_slim").override(skeleton=str(path))
    run = open_run_dir(tmp_path / "run", recipe)
    assert open_run_dir(run, recipe) == run  # the same recipe still
    path.unlink()

    kept = read_recipe(run)

    mix = parse_mix(kept.dataset, "somewhere", skeleton=kept.skeleton)
    assert mix.skeleton == TOY.with_uniform_sigmas()
    assert open_run_dir(run, kept) == run


@pytest.fixture
def run_of_ten_epochs(tmp_path):
    return open_run_dir(tmp_path / "run", get_recipe("pose_slim").override(epochs=10))


def test_a_run_goes_on_with_more_epochs(run_of_ten_epochs, capsys):
    longer = recipe_to_resume(run_of_ten_epochs, {"epochs": 12})
    assert longer == get_recipe("pose_slim").override(epochs=12)
    assert read_recipe(run_of_ten_epochs) == longer
    assert "12 in place of 10: the learning rate goes on" in capsys.readouterr().out


def test_what_a_run_has_anyway_changes_nothing(run_of_ten_epochs, capsys):
    recipe = get_recipe("pose_slim").override(epochs=10)
    same = {name: getattr(recipe, name) for name in ("model", "input_hw", "batch_size")}
    assert recipe_to_resume(run_of_ten_epochs, {"epochs": 10} | same) == recipe
    assert capsys.readouterr().out == ""


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (
            {"learning_rate": 0.5},
            Says(
                "cannot go on with learning_rate ...: its schedule and the optimizer",
                do="Leave the option out, or start a new run: --weights RUN/best.keras.",
            ),
        ),
        (
            {"batch_size": 7, "epochs": 12},
            Says(
                "cannot go on with batch_size ...: its order of samples",
                do="Leave the option out, or start a new run: --weights RUN/best.keras.",
            ),
        ),
        (
            {"loss": "ohkm"},
            Says(
                "cannot go on with ... a run is what its recipe says, from the first step",
                do="--resume takes more --epochs and --devices; for all else start a new "
                "run: --weights RUN/best.keras.",
            ),
        ),
        (
            {"epochs": 9},
            Says(
                "can be given more of them, not",
                do="To end a run early, stop it: best.keras is its best so far.",
            ),
        ),
    ],
)
def test_what_a_run_cannot_go_on_with_is_refused(run_of_ten_epochs, given, message):
    with message.refuses(ValueError):
        recipe_to_resume(run_of_ten_epochs, given)
    assert read_recipe(run_of_ten_epochs).epochs == 10


def test_more_epochs_do_not_lengthen_a_run_of_so_many_steps(tmp_path):
    run = open_run_dir(tmp_path / "run", get_recipe("pose_slim").override(max_steps=3))
    says = Says(
        "ends after ... steps, whatever its epochs",
        do="Start a new run without --max-steps: --weights RUN/best.keras.",
    )
    with says.refuses(ValueError):
        recipe_to_resume(run, {"epochs": 999})


def test_options_that_a_resumed_run_ignored_are_refused(run_of_ten_epochs, capsys):
    script = train_script()
    run = str(run_of_ten_epochs)
    args = script.parse_args(["--resume", run, "--batch-size", "7", "--epochs", "20"])
    with pytest.raises(ValueError, match="batch_size 7"):
        script.resumed(args)
    args = script.parse_args(["--resume", run, "--model", "pose_slim", "--epochs", "20"])
    assert script.resumed(args).epochs == 20
    with pytest.raises(SystemExit):
        script.parse_args(["--resume", run, "--output-dir", "elsewhere"])
    assert "leave --output-dir out" in capsys.readouterr().err


def train_script():
    spec = importlib.util.spec_from_file_location("train_script", TRAIN)
    script = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(script)
    return script


def recipe_of(*options):
    """The recipe that `training/train.py` makes of its options."""
    script = train_script()
    return script.make_recipe(script.parse_args(["--model", "pose_slim", *options]))


def test_uniform_sigmas_go_into_the_recipe_with_the_skeleton(tmp_path):
    path = write_skeleton(tmp_path / "toy.json", TOY)
    data = ["--dataset", "coco", "--data-dir", str(tmp_path), "--skeleton", str(path)]
    recipe = recipe_of(*data, "--sigmas", "uniform", "--loss", "ohkm", "--ohkm-top-k", "3")
    assert recipe.ohkm_top_k == 3
    assert skeleton_from_dict(recipe.skeleton) == TOY.with_uniform_sigmas()
    with pytest.raises(ValueError, match="'coco_17' has"):
        recipe_of(*data[:4], "--sigmas", "uniform")


def test_mining_is_of_one_loss():
    with pytest.raises(ValueError, match="is for --loss ohkm; the loss is the usual one"):
        recipe_of("--dataset", "synthetic", "--ohkm-top-k", "3")


def test_a_head_for_visibility_needs_peaks_and_alone_trained_weights():
    recipe = get_recipe("testing_pose")
    with pytest.raises(ValueError, match="give a file or a word as weights, got none"):
        recipe.override(visibility="only")
    with pytest.raises(ValueError, match="Did you mean 'only'"):
        recipe.override(visibility="onyl")
    with pytest.raises(ValueError, match="heatmaps or simcc; deep_pose_resnet18 gives"):
        get_recipe("deep_pose_resnet18").override(visibility="with")
    changed = recipe.override(**visibility_settings(recipe, "with"))
    assert changed.augmentation.cut_probability == CUT_PROBABILITY
