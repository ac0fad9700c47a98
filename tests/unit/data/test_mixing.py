"""Mixing data sets: names, skeletons, and a stream that depends on position alone."""

import dataclasses
import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from keras_pose.data import PoseDataset, coco_ground_truth, open_dataset, pipeline
from keras_pose.data.mapping import map_record
from keras_pose.data.mixing import for_model, parse_mix, union_skeleton
from keras_pose.data.records import PersonRecord
from keras_pose.data.sources import PersonSource, mix_sources
from keras_pose.skeleton import COCO_17, LSP_14, MPII_16, Skeleton


@pytest.mark.parametrize(
    ("words", "message"),
    [
        pytest.param(("coco,coco",), "once", id="twice"),
        pytest.param(("coco,cocoo",), "Did you mean coco", id="unknown"),
        pytest.param(("coco,mpii", None, "coco=0,mpii=1"), "above 0 for coco", id="zero"),
        pytest.param(("coco,mpii", None, "coco=nan,mpii=1"), "above 0", id="nan"),
        pytest.param(("coco,mpii", None, "coco=1"), "mpii is missing", id="missing"),
        pytest.param(("coco,mpii", None, "coco=1,lsp=2"), "got 'lsp=2'", id="other"),
        pytest.param(("coco,mpii", "/data"), "--data-dir must be like", id="folder"),
        pytest.param(("coco", None, None, "coco_18"), "neither a file", id="skeleton"),
    ],
)
def test_nonsense_is_refused(words, message):
    with pytest.raises(ValueError, match=message):
        parse_mix(*words)


def test_a_union_has_each_name_and_pair_once():
    union = union_skeleton([COCO_17, LSP_14, MPII_16])
    assert union.names[:17] == COCO_17.names
    assert set(union.names) == {*COCO_17.names, *LSP_14.names, *MPII_16.names}
    assert len(union.mirrored) == len(COCO_17.mirrored)
    assert not union.oks_sigmas  # nobody defines that of the top of the head


def test_keypoints_are_matched_by_name():
    points = np.arange(28, dtype=np.float32).reshape(14, 2)
    record = PersonRecord("a", 1, 1, np.ones(4), points, np.full(14, 2, np.uint8), 1.0)
    mapped = map_record(record, LSP_14, COCO_17)
    left_knee = mapped.keypoints_xy[COCO_17.index("left_knee")]
    np.testing.assert_array_equal(left_knee, points[LSP_14.index("left_knee")])
    assert mapped.visibility[COCO_17.index("nose")] == 0
    assert (mapped.visibility > 0).sum() == 12


def _labelled(skeleton):
    points = np.arange(2.0 * skeleton.num_keypoints).reshape(-1, 2)
    flags = np.full(skeleton.num_keypoints, 2, np.uint8)
    record = PersonRecord(Path("a"), 1, 1, np.ones(4), points, flags, 1.0)
    return PoseDataset("a_set", "val", skeleton, [record], Path("a.json"))


def test_a_model_of_more_keypoints_is_measured_on_the_set_as_it_is():
    dataset = _labelled(LSP_14)
    assert for_model(dataset, union_skeleton([COCO_17, LSP_14])) is dataset


def test_a_model_of_fewer_keypoints_is_measured_on_those():
    mapped = for_model(_labelled(LSP_14), COCO_17)
    assert mapped.name == "a_set (12 of 14 keypoints)"
    assert mapped.skeleton == COCO_17
    assert not mapped.has_coco_file
    assert (mapped.records[0].visibility > 0).sum() == 12


def _own_file(folder, names):
    """A person in COCO's format; keypoint k is at (10 + k, 20 + k)."""
    keypoints = [number for k in range(len(names)) for number in (10 + k, 20 + k, 2)]
    values = {
        "images": [{"id": 1, "file_name": "a.png", "width": 64, "height": 64}],
        "annotations": [{
            "id": 1, "image_id": 1, "category_id": 1, "bbox": [5, 5, 40, 50], "area": 900,
            "keypoints": keypoints, "iscrowd": 0,
        }],
        "categories": [{"id": 1, "name": "person", "keypoints": list(names)}],
    }  # fmt: skip
    (folder / "person_keypoints_val.json").write_text(json.dumps(values))
    (folder / "images").mkdir()
    Image.new("RGB", (64, 64)).save(folder / "images" / "a.png")
    return folder


OWN = Skeleton("own", ("nose", "left_hand", "right_hand"), oks_sigmas=(0.1, 0.1, 0.1))


def test_own_keypoints_that_are_some_of_a_files_are_found_by_name(tmp_path):
    folder = _own_file(tmp_path, ("right_hand", "hat", "left_hand", "nose"))
    dataset = open_dataset("coco", folder, "val", OWN)
    assert dataset.skeleton == OWN
    expected = [[13, 23], [12, 22], [10, 20]]
    np.testing.assert_array_equal(dataset.records[0].keypoints_xy, expected)
    truth = coco_ground_truth(dataset)  # as the file has other keypoints, of the records
    assert truth["categories"][0]["keypoints"] == list(OWN.names)


def test_own_keypoints_that_a_file_has_not_are_told_and_never_labelled(tmp_path):
    folder = _own_file(tmp_path, ("nose", "left_hand"))
    with pytest.warns(UserWarning, match="no keypoints right_hand.*never labelled"):
        dataset = open_dataset("coco", folder, "val", OWN)
    assert dataset.records[0].visibility.tolist() == [2, 2, 0]


def test_own_keypoints_none_of_which_a_file_has_are_refused(tmp_path):
    folder = _own_file(tmp_path, ("cabin", "hook"))
    with pytest.raises(ValueError, match=r"has 2 keypoints .*'hook'.* expected the 3"):
        open_dataset("coco", folder, "val", OWN)


def _source(size):
    return PersonSource(
        COCO_17,
        [b""] * size,
        np.arange(size, dtype=np.int32),
        np.ones((size, 4), np.float32),
        np.ones((size, 17, 2), np.float32),
        np.ones((size, 17), np.int32),
    )


def _stream(source, positions, seed=3):
    index_at = pipeline.person_order(source, seed)
    return [int(index_at(np.int64(position))) for position in positions]


def test_shares_are_kept_and_everybody_comes_before_anybody_again():
    mix = mix_sources([_source(6), _source(9)], (2.0, 1.0))
    assert mix.set_quotas.tolist() == [10, 5]
    stream = _stream(mix, range(45))  # three epochs
    first = [i for i in stream if i < 6]
    second = [i for i in stream if i >= 6]
    assert (len(first), len(second)) == (30, 15)
    assert np.bincount(first).tolist() == [5] * 6
    assert set(np.bincount(second)[6:].tolist()) == {1, 2}


def test_the_stream_depends_on_seed_and_position_alone():
    mix = mix_sources([_source(6), _source(9)])
    whole = _stream(mix, range(30))
    assert _stream(mix, range(20, 30)) == whole[20:]
    assert sorted(whole[:15]) == list(range(15))
    assert _stream(mix, range(30), seed=4) != whole


def test_skeletons_of_a_mix_must_be_one():
    other = dataclasses.replace(_source(2), skeleton=MPII_16)
    with pytest.raises(ValueError, match="one skeleton"):
        mix_sources([_source(2), other])
