"""Mixing data sets: names, skeletons, and a stream that depends on position alone."""

import dataclasses

import numpy as np
import pytest

from keras_pose.data import pipeline
from keras_pose.data.mixing import map_record, parse_mix, union_skeleton
from keras_pose.data.records import PersonRecord
from keras_pose.data.sources import PersonSource, mix_sources
from keras_pose.skeleton import COCO_17, LSP_14, MPII_16


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
    index_at = pipeline._order(source, seed)
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
