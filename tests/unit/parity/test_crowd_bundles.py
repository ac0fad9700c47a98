"""Bundles and packs of networks that find everybody by themselves."""

import numpy as np
import pytest
from mobile.colour_models import (
    SKELETON,
    export_bottom_up,
    export_models,
    export_one_stage,
    frame,
)
from PIL import Image
from says import Says

from keras_pose.parity import read_pack, replay
from keras_pose.parity.bundle import check_bundle, check_models, write_bundle
from keras_pose.parity.model_cases import Person, crowd_cases
from keras_pose.parity.model_file import ModelFile
from keras_pose.parity.model_pictures import finder_of, people_in

CROWDS = {"one_stage": export_one_stage, "bottom_up": export_bottom_up}
WHOLE = np.zeros(4)  # nobody is cut out


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    folder = tmp_path_factory.mktemp("lights")
    pose, detector = export_models(folder)
    paths = {"top_down": pose, "detection": detector}
    paths |= {task: make(folder / f"{task}.tflite") for task, make in CROWDS.items()}
    return {task: ModelFile(path) for task, path in paths.items()}


@pytest.mark.parametrize(("task", "num_people"), [("one_stage", 2), ("bottom_up", 6)])
def test_a_network_that_finds_everybody_is_a_bundle_alone(
    files, tmp_path, task, num_people
):
    people = [Person(frame(i), WHOLE) for i in range(2)]
    folder = write_bundle(tmp_path / "models", {"pose": files[task]}, people)
    manifest = check_bundle(folder)

    assert manifest["task"] == task
    assert manifest["models"] == {"pose": "pose.tflite"}
    assert manifest["labels"] == {"pose": "keypoints.txt"}
    assert (folder / "keypoints.txt").read_text().split() == list(SKELETON.names)
    assert manifest["settings"] == {"box_threshold": None}
    assert not list(folder.glob("*detector*"))
    bundled = ModelFile(folder / "pose.tflite")
    assert bundled.contract.to_dict()["task"] == task

    pack = read_pack(folder / manifest["parity"]["models"])
    cases = {case.kind: case for case in pack.cases}
    assert list(cases) == ["letterbox", "input", "model", "people", "crowd"]
    found = cases["crowd"].expected["keypoints_xy"]
    assert found["array"].shape == (num_people, 3, 2)
    assert np.all(found["where"])
    # Half a pixel of the input: the picture is 2.5 times as large.
    assert found["tolerance"] == pytest.approx(1.25)
    results = replay(pack, {"pose": bundled})
    assert len({result.case for result in results}) == 5
    assert [result for result in results if not result.is_within] == []


def test_a_pair_says_that_it_is_one(files, tmp_path):
    person = Person(frame(0), np.array([30.0, 50, 60, 100]))
    models = {"pose": files["top_down"], "detector": files["detection"]}
    manifest = check_bundle(write_bundle(tmp_path / "models", models, [person]))
    assert manifest["task"] == "top_down"


def test_a_bundle_refuses_a_mix(files):
    one_stage, detector = files["one_stage"], files["detection"]
    with Says(
        "A bundle is of a pose model and a detector, or of one network that finds "
        "everybody by itself (one-stage, bottom-up), got",
        do="Leave --detector out for a network that finds everybody.",
    ).refuses() as error:
        check_models({"pose": one_stage, "detector": detector})
    assert "one_stage.tflite (one_stage), detector.tflite (detection)" in str(error.value)
    with pytest.raises(ValueError, match=r"got pose\.tflite \(top_down\)\."):
        check_models({"pose": files["top_down"]})
    with pytest.raises(ValueError, match="was given as the detector, which it is not"):
        check_models({"pose": files["top_down"], "detector": one_stage})
    with pytest.raises(ValueError, match="got nothing"):
        check_models({})


def test_nobody_and_whom_a_shaken_picture_hides_are_compared_step_by_step_only(files):
    # Patches of noise are peaks, and not, by a level.
    noise = np.random.default_rng(0).integers(70, 190, (96, 128, 3), np.uint8)
    for image in (noise, np.zeros_like(noise)):
        kinds = [case.kind for case in crowd_cases(files["bottom_up"], [image])]
        assert kinds == ["letterbox", "input", "model", "people"]


def test_pictures_of_people_are_those_in_which_the_network_finds_some(files, tmp_path):
    pictures = [np.zeros((96, 128, 3), np.uint8), frame(0), frame(1)]
    for i, picture in enumerate(pictures):
        Image.fromarray(picture).save(tmp_path / f"{i}.png")
    finder = finder_of({"pose": files["bottom_up"]})
    assert finder is files["bottom_up"]
    people = people_in(tmp_path, 2, finder)
    assert [int(person.image.max() > 50) for person in people] == [1, 1]
    with pytest.raises(ValueError, match="got 2"):
        people_in(tmp_path, 3, finder)
    assert finder_of({"pose": files["top_down"]}) is None
    pair = {"pose": files["top_down"], "detector": files["detection"]}
    assert finder_of(pair) is files["detection"]
