"""The door of the zoo: names, arguments and weights files."""

import dataclasses
import subprocess
import sys
from collections import Counter
from importlib import import_module
from pathlib import Path
from unittest import mock

import numpy as np
import pytest

from keras_pose.weights.creation import create_model
from keras_pose.zoo import ZOO, build_model, get_spec, list_models, rows

MODULES = [
    import_module(f"keras_pose.zoo.rows.{path.stem}")
    for path in Path(rows.__file__).parent.glob("[!_]*.py")
]


def test_models_are_listed_in_the_order_of_the_table():
    assert list_models() == [spec.name for spec in ZOO.values()]
    assert {"hrnet", "simple_baseline", "hourglass"} < {s.family for s in ZOO.values()}


def test_networks_for_tests_are_known_by_name_and_in_no_list():
    assert get_spec("testing_pose").family == "slim"
    assert not [name for name in list_models() if name.startswith("testing")]
    with pytest.raises(ValueError, match="no model 'testing_post'") as caught:
        get_spec("testing_post")
    assert "testing_pose" not in str(caught.value)


def test_each_module_of_rows_has_a_place_of_its_own():
    places = Counter(module.PLACE for module in MODULES if module.PLACE is not None)
    assert set(places.values()) == {1}


def test_each_family_is_built_by_one_function_and_is_of_some_row():
    stated = Counter(family for module in MODULES for family in module.BUILDERS)
    assert set(stated.values()) == {1}
    used = {spec.family for module in MODULES for spec in module.ROWS}
    assert set(stated) == set(rows.BUILDERS) == used
    for place in rows.BUILDERS.values():
        file, function = place.split(".")
        assert callable(getattr(import_module(f"keras_pose.models.{file}"), function))


def test_a_row_whose_family_has_no_builder_is_refused():
    spec = dataclasses.replace(get_spec("pose_slim"), family="slimmer")
    with (
        mock.patch.dict(ZOO, {"pose_slim": spec}),
        pytest.raises(ValueError, match=r"family 'slimmer', which no BUILDERS of"),
    ):
        build_model("pose_slim")


def test_models_are_listed_without_keras():
    program = "import sys; from keras_pose.zoo import list_models; list_models(); "
    program += "sys.exit('keras' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", program]).returncode == 0


# Published figures, rounded as published: golden fixtures' table, CONVENTIONS.
@pytest.mark.parametrize(
    ("name", "millions", "gigamacs"),
    [
        ("hrnet_w32", 28.536, 7.65),
        ("hrnet_w48", 63.596, 15.69),
        ("simple_baseline_resnet18", 15.377, 2.90),
        ("simple_baseline_resnet34", 25.485, 4.71),
        ("simple_baseline_resnet50", 34.000, 5.43),
        ("simple_baseline_resnet101", 52.992, 9.06),
        ("simple_baseline_resnet152", 68.635, 12.70),
    ],
)
def test_size_is_that_of_the_reference(name, millions, gigamacs):
    spec = get_spec(name)
    assert round(spec.params / 1e6, 3) == millions
    assert round(spec.macs / 1e9, 2) == gigamacs


@pytest.mark.parametrize(
    ("name", "millions", "gigamacs"),
    [
        ("hourglass_1", 3.587, 5.80),
        ("hourglass_2", 6.731, 8.99),
        ("hourglass_8", 25.595, 28.09),
    ],
)
def test_size_of_hourglasses_is_that_of_the_reference_for_16_keypoints(
    name, millions, gigamacs
):
    spec = get_spec(name)
    stacks = spec.options["num_stacks"]
    # One keypoint more: a 1x1 convolution from 256, with bias, in every stack, and one
    # back to 256 in every stack but the last.
    params = spec.params - stacks * 257 - (stacks - 1) * 256
    macs = spec.macs - 64 * 64 * 256 * (2 * stacks - 1)
    assert round(params / 1e6, 3) == millions
    assert round(macs / 1e9, 2) == gigamacs


def test_unknown_name_suggests_near_ones():
    with pytest.raises(ValueError, match=r"no model 'hrnet_w23'.*Did you mean hrnet_w32"):
        create_model("hrnet_w23")


@pytest.mark.parametrize(
    "input_hw", [(250, 192), (0, 32), (32,), 64, (32, 32, 3), (32.5, 32)]
)
def test_input_size_that_does_not_fit_is_refused(input_hw):
    with pytest.raises(ValueError, match="multiples of 32"):
        create_model("pose_slim", input_hw=input_hw)


@pytest.mark.parametrize("num_keypoints", [0, -1, 2.5, True])
def test_number_of_keypoints_that_is_none_is_refused(num_keypoints):
    with pytest.raises(ValueError, match="num_keypoints must be"):
        create_model("pose_slim", num_keypoints=num_keypoints)


@pytest.fixture(scope="module")
def slim_weights(tmp_path_factory):
    path = tmp_path_factory.mktemp("zoo") / "slim.weights.h5"
    create_model("testing_pose", num_keypoints=3, input_hw=(32, 32)).save_weights(path)
    return path


def test_weights_of_another_input_size_fit(slim_weights):
    create_model("testing_pose", num_keypoints=3, input_hw=(64, 32), weights=slim_weights)


def test_number_of_keypoints_is_that_of_the_weights(slim_weights):
    model = create_model("testing_pose", input_hw=(32, 32), weights=slim_weights)
    assert model.output_shape[-1] == 3


def test_another_number_of_keypoints_keeps_the_body_and_says_so(slim_weights, capsys):
    trained = create_model("testing_pose", input_hw=(32, 32), weights=slim_weights)
    model = create_model("testing_pose", 5, (32, 32), slim_weights)

    assert model.output_shape[-1] == 5
    said = capsys.readouterr().out
    assert "are for 3 keypoints, so for 5 these layers start at random: heatmaps." in said
    for layer in model.layers:
        pairs = zip(layer.weights, trained.get_layer(layer.name).weights, strict=True)
        for new, old in pairs:
            if layer.name != "heatmaps":
                np.testing.assert_array_equal(new, old)


def test_weights_of_another_model_are_refused(slim_weights):
    with pytest.raises(ValueError, match=r"does not fit hourglass_1: it lacks \d+ layers"):
        create_model("hourglass_1", input_hw=(64, 64), weights=slim_weights)


def test_weights_with_more_layers_than_the_model_are_refused(tmp_path):
    path = tmp_path / "two_stacks.weights.h5"
    create_model("hourglass_2", input_hw=(64, 64)).save_weights(path)
    with pytest.raises(ValueError, match=r"lacks no layer and has \d+ layers"):
        create_model("hourglass_1", input_hw=(64, 64), weights=path)


def test_damaged_weights_are_refused(slim_weights, tmp_path):
    path = tmp_path / "cut.weights.h5"
    content = slim_weights.read_bytes()
    path.write_bytes(content[: len(content) // 2])
    with pytest.raises(ValueError, match=r"cut.weights.h5 is not .* or it is damaged"):
        create_model("testing_pose", num_keypoints=3, input_hw=(32, 32), weights=path)


def test_weights_of_another_ending_are_refused(tmp_path):
    path = tmp_path / "slim.tflite"
    path.touch()
    with pytest.raises(ValueError, match=r"must be a .keras, .weights.h5, .pth"):
        create_model("testing_pose", input_hw=(32, 32), weights=path)


def test_missing_weights_are_named():
    with pytest.raises(FileNotFoundError, match=r"nowhere.keras"):
        create_model("testing_pose", input_hw=(32, 32), weights="nowhere.keras")
