"""Skeleton files are read strictly: what is wrong is named."""

import json

import numpy as np
import pytest

from keras_pose.skeleton import COCO_17, SKELETONS, UNIFORM_SIGMA, Skeleton
from keras_pose.skeleton.files import read_skeleton, write_skeleton

GOOD = {
    "name": "hand_3",
    "names": ["wrist", "left_tip", "right_tip"],
    "mirrored": [["left_tip", "right_tip"]],
    "limbs": [["wrist", "left_tip"]],
}


def write(tmp_path, values):
    path = tmp_path / "skeleton.json"
    path.write_text(json.dumps(values))
    return path


def test_file_becomes_a_skeleton(tmp_path):
    skeleton = read_skeleton(write(tmp_path, GOOD))

    assert skeleton == Skeleton(
        name="hand_3",
        names=("wrist", "left_tip", "right_tip"),
        mirrored=(("left_tip", "right_tip"),),
        limbs=(("wrist", "left_tip"),),
    )
    assert skeleton.mirror_pairs == ((1, 2),)


@pytest.mark.parametrize("skeleton", SKELETONS.values(), ids=SKELETONS)
def test_written_skeletons_come_back(skeleton, tmp_path):
    assert read_skeleton(write_skeleton(tmp_path / "x.json", skeleton)) == skeleton


def test_the_files_that_are_written_are_short(tmp_path):
    path = write_skeleton(tmp_path / "x.json", Skeleton(name="one", names=("dot",)))
    assert json.loads(path.read_text()) == {"name": "one", "names": ["dot"]}
    assert "oks_sigmas" in write_skeleton(path, COCO_17).read_text()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"names": None}, r"names must be a list \[...\], got None"),
        ({"names": []}, "must be unique and not empty"),
        ({"names": ["a", "a"]}, "must be unique"),
        ({"names": ["a", 3]}, r"names\[1\] must be words in quotes, got 3"),
        ({"name": ""}, "name must be words"),
        ({"limb": []}, "unknown field 'limb'. Did you mean 'limbs'"),
        ({"limbs": [["wrist"]]}, r"limbs\[0\] must be two different names"),
        ({"limbs": [["wrist", "wrist"]]}, r"limbs\[0\] must be two different"),
        ({"limbs": [["wrist", "elbow"]]}, r"mention \['elbow'\]"),
        (
            {"mirrored": [["wrist", "left_tip"], ["wrist", "right_tip"]]},
            r"mirrored: \['wrist'\] stand in more than one pair",
        ),
        ({"upper_body": ["head"]}, r"mention \['head'\]"),
        ({"oks_sigmas": [0.1]}, "one OKS sigma per keypoint"),
        ({"oks_sigmas": [0.1, 0, 0.1]}, r"oks_sigmas\[1\] must be a positive number"),
        ({"oks_sigmas": [0.1, True, 0.1]}, r"oks_sigmas\[1\] must be a positive"),
        ({"oks_sigmas": 3}, "oks_sigmas must be a list"),
    ],
)
def test_mistakes_are_named_with_file_and_field(change, message, tmp_path):
    path = write(tmp_path, GOOD | change)
    with pytest.raises(ValueError, match=rf"Skeleton file .*skeleton.json: .*{message}"):
        read_skeleton(path)


@pytest.mark.parametrize("field", ["name", "names"])
def test_missing_fields_are_named(field, tmp_path):
    values = {key: value for key, value in GOOD.items() if key != field}
    with pytest.raises(ValueError, match=f"the field '{field}' is missing"):
        read_skeleton(write(tmp_path, values))


def test_another_kind_of_json_is_refused(tmp_path):
    with pytest.raises(ValueError, match="must hold one object"):
        read_skeleton(write(tmp_path, ["nose"]))


def test_uniform_sigmas_are_the_mean_of_cocos():
    # Digits are those that COCO's own have.
    assert pytest.approx(np.mean(COCO_17.oks_sigmas), abs=5e-4) == UNIFORM_SIGMA
    one = Skeleton(name="one", names=("dot", "dash")).with_uniform_sigmas()
    assert one.oks_sigmas == (UNIFORM_SIGMA, UNIFORM_SIGMA)
    with pytest.raises(ValueError, match="'coco_17' has"):
        COCO_17.with_uniform_sigmas()
