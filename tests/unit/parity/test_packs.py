"""The files of a parity pack: what is written is read, what is damaged is refused."""

import json
import math

import numpy as np
import pytest

from keras_pose.parity import Case, read_pack, replay, write_pack
from keras_pose.parity.packs import largest_difference
from keras_pose.parity.stored_arrays import MAX_INLINE, ArrayReader, ArrayWriter


@pytest.mark.parametrize(
    "array",
    [
        pytest.param(np.arange(6, dtype=np.int8).reshape(2, 3), id="in_the_json"),
        pytest.param(np.array([1.5, np.nan]), id="not_a_number"),
        pytest.param(
            np.float32(np.pi) * np.arange(300, dtype=np.float32), id="in_the_file"
        ),
        pytest.param(np.zeros((0, 4), np.float32), id="empty"),
        pytest.param(np.array(7, np.uint8), id="a_single_number"),
        pytest.param(np.array([-1, 5], np.int64), id="indices"),
        pytest.param(np.array([True, False]), id="mask"),
    ],
)
def test_arrays_survive(array):
    writer = ArrayWriter()
    stored = json.loads(json.dumps(writer.encode({"x": [array]})))
    (back,) = ArrayReader(writer.content).decode(stored)["x"]

    np.testing.assert_array_equal(back, array)
    assert back.shape == array.shape
    # What JavaScript has no short arrays for is made smaller.
    smaller = {"int64": "int32", "bool": "uint8"}
    assert back.dtype.name == smaller.get(array.dtype.name, array.dtype.name)


def test_large_arrays_are_little_endian_aligned_and_stored_once():
    writer = ArrayWriter()
    odd = np.arange(MAX_INLINE + 1, dtype=np.uint8)
    numbers = np.arange(MAX_INLINE + 1, dtype=">f4")
    first, second, again = writer.encode([odd, numbers.astype("<f4"), odd.copy()])

    assert first["offset"] == again["offset"] == 0
    assert second["offset"] % 8 == 0
    stored = writer.content[second["offset"] :]
    assert stored == numbers.astype("<f4").tobytes()


def test_what_json_has_no_word_for_is_refused():
    with pytest.raises(ValueError, match="no infinite numbers"):
        ArrayWriter().encode(np.array([math.inf]))
    with pytest.raises(ValueError, match="holds arrays of"):
        ArrayWriter().encode(np.zeros(2, complex))


@pytest.mark.parametrize(
    ("actual", "expected", "difference"),
    [
        ([1.0, 2.0], [1.0, 2.5], 0.5),
        ([np.nan, 2.0], [np.nan, 2.0], 0.0),
        ([np.nan, 2.0], [1.0, 2.0], math.inf),
        ([1.0, 2.0, 3.0], [1.0, 2.0], math.inf),
        (np.zeros((0, 2)), np.zeros((0, 2)), 0.0),
    ],
)
def test_difference(actual, expected, difference):
    assert largest_difference(actual, np.array(expected)) == difference


def test_only_what_counts_is_compared():
    expected = np.zeros((2, 2))
    actual = [[0.0, 0.25], [9.0, 9.0]]
    assert largest_difference(actual, expected, where=[1, 0]) == 0.25


def oks_nms_case(name="oks_nms/two"):
    rng = np.random.default_rng(0)
    given = {
        "keypoints_xy": np.repeat(rng.uniform(0, 50, (1, 3, 2)), 2, axis=0),
        "scores": np.array([0.1, 0.2]),
        "areas": np.array([100.0, 100.0]),
        "sigmas": np.full(3, 0.1),
        "threshold": 0.9,
    }
    return Case(name, "oks_nms", given, {"kept": np.array([1])})


def test_a_replay_tells_what_differs(tmp_path):
    right, wrong = oks_nms_case(), oks_nms_case("oks_nms/wrong")
    wrong.expected["kept"] = np.array([0])

    first, second = replay(read_pack(write_pack(tmp_path, [right, wrong])))

    assert first.is_within
    assert not second.is_within
    assert (second.case, second.field, second.difference) == ("oks_nms/wrong", "kept", 1.0)


def test_names_are_unique(tmp_path):
    with pytest.raises(ValueError, match="got twice: \\['oks_nms/two'\\]"):
        write_pack(tmp_path, [oks_nms_case(), oks_nms_case()])
    assert not list(tmp_path.iterdir())


def test_fields_without_a_tolerance_are_refused(tmp_path):
    case = Case("oks/x", "oks", {}, {"likeness": np.zeros(2)})
    with pytest.raises(ValueError, match="has no field 'likeness' to compare"):
        write_pack(tmp_path, [case])


def edit(folder, change):
    path = folder / "index.json"
    index = json.loads(path.read_text())
    change(index)
    path.write_text(json.dumps(index))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda index: index.update(format="other"), "is no parity pack"),
        (lambda index: index.update(format_version="2.0"), "has format 2.0; .* reads 1.x"),
        (lambda index: index.pop("cases"), "is damaged: KeyError"),
        (lambda index: index["cases"][0].pop("given"), "is damaged: KeyError"),
        (lambda index: index["files"].clear(), "is not the file that index.json was"),
        (
            lambda index: index["cases"][0]["given"].update(
                areas={"dtype": "float64", "shape": [1 << 40], "offset": 0}
            ),
            "does not lie in arrays.bin",
        ),
        (
            lambda index: index["cases"][0]["given"].update(
                areas={"dtype": "float64", "shape": [-1], "offset": 0}
            ),
            "whole numbers from 0",
        ),
    ],
)
def test_damage_is_named(tmp_path, change, message):
    write_pack(tmp_path, [oks_nms_case()])
    edit(tmp_path, change)
    with pytest.raises(ValueError, match=message):
        read_pack(tmp_path)


def test_a_newer_minor_version_with_more_fields_is_read(tmp_path):
    write_pack(tmp_path, [oks_nms_case()])

    def change(index):
        index.update(format_version="1.7", mood="good")
        index["cases"][0]["mood"] = "good"

    edit(tmp_path, change)
    assert len(read_pack(tmp_path).cases) == 1


def test_other_bytes_are_refused(tmp_path):
    write_pack(tmp_path, [oks_nms_case()])
    (tmp_path / "arrays.bin").write_bytes(b"other")
    with pytest.raises(ValueError, match=r"arrays\.bin is not the file"):
        read_pack(tmp_path)
    (tmp_path / "arrays.bin").unlink()
    with pytest.raises(FileNotFoundError, match=r"lacks arrays\.bin"):
        read_pack(tmp_path)
