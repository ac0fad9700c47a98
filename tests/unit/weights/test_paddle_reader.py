"""PaddlePaddle's files are read right, and never run."""

import os
import pickle

import numpy as np
import pytest

from keras_pose.weights.paddle_reader import NAME_TABLE, read_pdparams
from keras_pose.weights.torch_reader import UnsafeCheckpointError

ARRAYS = {
    "backbone.conv.weight": np.arange(24, dtype=np.float32).reshape(2, 3, 4, 1),
    "backbone.norm._mean": np.linspace(0, 1, 5),
    "head.half": np.float16([[1.5, -2.0], [0.25, 4.0]]),
    "turned": np.asfortranarray(np.arange(6.0).reshape(2, 3)),
    "big_endian": np.arange(3, dtype=">f4"),
    "step": np.array(7),
}


def write(path, saved, protocol=4):
    """Writes as `paddle.save` does, which pickles a dictionary of arrays."""
    path.write_bytes(pickle.dumps(saved, protocol))
    return path


@pytest.mark.parametrize("protocol", [2, 3, 4])
def test_arrays_equal_what_was_pickled(protocol, tmp_path):
    table = {NAME_TABLE: {name: f"param_{i}" for i, name in enumerate(ARRAYS)}}
    path = write(tmp_path / "x.pdparams", ARRAYS | table, protocol)

    read = read_pdparams(path)

    assert list(read) == list(ARRAYS)
    for name, array in ARRAYS.items():
        np.testing.assert_array_equal(read[name], array)
        assert read[name].dtype == array.dtype


class Pair:
    """Paddle's tensors of later versions: a tuple of their own name and the array."""

    def __init__(self, name, array):
        self.pair = (name, array)

    def __reduce__(self):
        return tuple, (self.pair,)


def test_arrays_that_come_with_a_name_are_read(tmp_path):
    saved = {name: Pair("linear_0.w_0", array) for name, array in ARRAYS.items()}
    read = read_pdparams(write(tmp_path / "x.pdparams", saved))
    np.testing.assert_equal(read, ARRAYS)


class Payload:
    def __init__(self, folder):
        self.folder = folder

    def __reduce__(self):
        return os.mkdir, (self.folder,)


@pytest.mark.parametrize("protocol", [2, 3, 4])
def test_code_is_refused_by_name_and_not_run(protocol, tmp_path):
    victim = tmp_path / "victim"
    path = write(tmp_path / "x.pdparams", {"a": Payload(str(victim))}, protocol)

    with pytest.raises(UnsafeCheckpointError, match=r"x.pdparams: it asks for \w+.mkdir"):
        read_pdparams(path)

    assert not victim.exists()


@pytest.mark.parametrize(
    ("saved", "message"),
    [
        pytest.param([1, 2], "it holds a list, not a dictionary", id="no_dictionary"),
        pytest.param({"lr": 0.1}, "entry 'lr' is no array", id="no_array"),
        pytest.param({"a": np.array(["x"])}, "array of type 'U1': no numbers", id="text"),
        pytest.param({"a": np.array([None])}, "type 'O8': no numbers", id="objects"),
    ],
)
def test_other_contents_are_refused(saved, message, tmp_path):
    path = write(tmp_path / "x.pdparams", saved)
    with pytest.raises(ValueError, match=rf"x.pdparams is not .* damaged: .*{message}"):
        read_pdparams(path)


def test_array_of_another_size_than_its_bytes_is_refused(tmp_path):
    program = pickle.dumps({"a": np.zeros(65, np.uint8)}, 4)
    shape, claimed = b"K\x01K\x41\x85", b"K\x01K\x42\x85"  # (1, (65,), and (1, (66,),
    assert program.count(shape) == 1
    path = tmp_path / "x.pdparams"
    path.write_bytes(program.replace(shape, claimed))
    with pytest.raises(ValueError, match=r"array of shape \(66,\) and uint8 in 65 bytes"):
        read_pdparams(path)


def test_file_that_was_cut_is_refused(tmp_path):
    path = write(tmp_path / "x.pdparams", ARRAYS)
    path.write_bytes(path.read_bytes()[:-40])
    with pytest.raises(ValueError, match=r"is not a .pdparams file, or it is damaged"):
        read_pdparams(path)
