"""Data sets of one's own: named on the command line, mixed by names of keypoints."""

import json

import numpy as np
import pytest
from PIL import Image
from says import Says

from keras_pose.data.mixing import (
    open_measured,
    open_train,
    open_val,
    parse_mix,
    target_skeleton,
    validating_set,
)
from keras_pose.data.own import mirror_pairs_of, other_side, side_of
from keras_pose.data.readers.coco import Reading
from keras_pose.data.remarks import label_remarks
from keras_pose.data.sources import mix_sources, records_source
from keras_pose.files.runs import new_run_dir
from keras_pose.skeleton import COCO_17, SKELETONS, Skeleton

NAMES = ("tail", "left_knee", "right_knee", "nose")


def write(folder, names, splits=("train", "val"), **category):
    """Writes a set whose keypoint k is at (10 + k, 20 + k)."""
    (folder / "images").mkdir(parents=True)
    Image.new("RGB", (64, 64)).save(folder / "images/a.png")
    keypoints = [value for k in range(len(names)) for value in (10 + k, 20 + k, 2)]
    values = {
        "images": [{"id": 1, "file_name": "a.png", "width": 64, "height": 64}],
        "annotations": [{
            "id": 1, "image_id": 1, "category_id": 1, "bbox": [5, 5, 40, 50], "area": 900,
            "iscrowd": 0, "keypoints": keypoints, "num_keypoints": len(names),
        }],
        "categories": [{"id": 1, "name": "dog", "keypoints": list(names)} | category],
    }  # fmt: skip
    for split in splits:
        (folder / f"person_keypoints_{split}.json").write_text(json.dumps(values))
    return folder


def test_own_and_coco_train_together_by_names(tmp_path):
    mine = write(tmp_path / "mine", NAMES, skeleton=[[1, 4], [2, 4]])
    coco = write(tmp_path / "coco", COCO_17.names)
    mix = parse_mix(f"mine={mine},coco={coco}", shares="mine=2,coco=1")
    target = target_skeleton(mix)
    assert mix.names == ("mine", "coco")
    assert target.names == (*NAMES, *(n for n in COCO_17.names if n not in NAMES))
    assert ("left_knee", "right_knee") in target.mirrored
    assert {("tail", "nose"), ("left_knee", "nose")} <= set(target.limbs)
    own, other = open_train(mix)
    assert own.name == "mine"
    knee = target.index("left_knee")
    np.testing.assert_array_equal(own.records[0].keypoints_xy[knee], [11, 21])
    np.testing.assert_array_equal(
        other.records[0].keypoints_xy[knee],
        np.array([10, 20]) + COCO_17.index("left_knee"),
    )
    assert other.records[0].visibility[target.index("tail")] == 0
    sources = [records_source(each.records, each.skeleton) for each in (own, other)]
    assert mix_sources(sources, mix.shares).set_quotas.tolist() == [1, 1]
    assert open_val(mix).name == "mine"
    assert open_measured(mix).skeleton.names == NAMES
    assert validating_set(mix)[:2] == ("mine", mix.data_dirs[0])


def test_own_alone_has_the_keypoints_of_its_file(tmp_path):
    mix = parse_mix(f"mine={write(tmp_path / 'mine', NAMES)}")
    assert target_skeleton(mix) == Skeleton(
        "mine", NAMES, mirrored=(("left_knee", "right_knee"),)
    )
    assert open_val(mix).has_coco_file


def test_a_new_name_alone_may_have_its_folder_apart(tmp_path):
    mix = parse_mix("mine", write(tmp_path / "mine", NAMES))
    assert (mix.names, open_val(mix).name) == (("mine",), "mine")
    with pytest.raises(ValueError, match="Did you mean coco"):
        parse_mix("cocoo", tmp_path / "mine")


def test_own_data_alone_may_have_a_skeleton_file(tmp_path):
    folder = write(tmp_path / "mine", NAMES)
    skeleton = tmp_path / "mine.json"
    skeleton.write_text(json.dumps({"name": "dog", "names": ["nose", "tail"]}))
    dataset = open_val(parse_mix("mine", folder, skeleton=str(skeleton)))
    assert dataset.skeleton.names == ("nose", "tail")
    np.testing.assert_array_equal(dataset.records[0].keypoints_xy, [[13, 23], [10, 20]])


def test_own_files_of_coco_keypoints_have_cocos_sigmas(tmp_path):
    mix = parse_mix(f"mine={write(tmp_path / 'mine', COCO_17.names)}")
    assert target_skeleton(mix) is COCO_17


def test_all_is_trained_on_where_another_set_validates(tmp_path):
    coco = write(tmp_path / "coco", COCO_17.names)
    mine = write(tmp_path / "mine", NAMES, splits=("train",))
    mix = parse_mix(f"coco={coco},mine={mine}")
    assert [len(dataset.records) for dataset in open_train(mix)] == [1, 1]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("mine", "Unknown data set 'mine'"),
        ("mine=", "needs its folder: mine=FOLDER"),
        ("my set=folder", "letters, digits"),
        ("mine=a,mine=b", "once"),
    ],
)
def test_names_of_ones_own_need_a_folder(words, message):
    with pytest.raises(ValueError, match=message):
        parse_mix(words)


def test_own_files_must_name_their_keypoints(tmp_path):
    folder = write(tmp_path / "mine", NAMES, keypoints=[])
    said = Says(
        "does not name its keypoints, so they cannot be matched",
        do="Add the names as 'keypoints' to the category of the annotation file.",
    )
    with said.refuses():
        target_skeleton(parse_mix(f"mine={folder}"))
    with pytest.raises(FileNotFoundError, match="No annotation file in COCO's format"):
        target_skeleton(parse_mix(f"mine={tmp_path / 'coco'}"))


def test_the_category_goes_through_a_mix(tmp_path):
    folder = write(tmp_path / "mine", NAMES)
    reading = Reading(category="cat")
    with pytest.raises(ValueError, match="no category 'cat'"):
        open_val(parse_mix(f"mine={folder}", reading=reading))


def test_run_folders_are_named_without_folders(tmp_path):
    name = new_run_dir(tmp_path, "pose_slim", "mine=/data/mine,coco").name
    assert name.startswith("pose_slim_mine+coco_")


@pytest.mark.parametrize(
    ("name", "other"),
    [
        ("left_knee", "right_knee"),
        ("RightKnee", "LeftKnee"),
        ("knee_LEFT", "knee_RIGHT"),
        ("knee-right", "knee-left"),
        ("nose", None),
        ("leftover", None),
    ],
)
def test_sides_are_told_by_names(name, other):
    assert other_side(name) == other


def test_mirror_pairs_of_built_in_skeletons_follow_from_their_names():
    for skeleton in SKELETONS.values():
        found = {frozenset(pair) for pair in mirror_pairs_of(skeleton.names)}
        # Points of a face are numbered: no name tells their sides.
        named = [pair for pair in skeleton.mirrored if side_of(pair[0])]
        assert found == {frozenset(pair) for pair in named}


def test_clean_labels_have_no_remarks():
    for skeleton in SKELETONS.values():
        assert not label_remarks(skeleton, np.full((2, skeleton.num_keypoints), 2))


def test_odd_labels_are_remarked_upon():
    odd = Skeleton(
        "odd",
        ("hat", "left_hand", "right_hand", "left_foot", "right_foot"),
        mirrored=(("left_foot", "left_hand"),),
    )
    flags = np.array([[0, 2, 2, 2, 2]])
    unlabelled, across = label_remarks(odd, flags)
    assert unlabelled.startswith("hat: labelled of nobody")
    assert across.startswith("left_foot and left_hand: mirror pairs of keypoints that are")
    (unpaired,) = label_remarks(Skeleton("odd", odd.names), np.full((1, 5), 2))
    assert unpaired.startswith(
        "left_foot and right_foot, left_hand and right_hand: no mirr"
    )
