"""`.npz` files are read right, and believed only as far as their bytes go."""

import io
import zipfile

import numpy as np
import pytest

from keras_pose.weights import npz_reader
from keras_pose.weights.npz_reader import read_npz


@pytest.mark.parametrize("save", [np.savez, np.savez_compressed])
def test_arrays_equal_what_numpy_wrote(save, tmp_path):
    arrays = {
        "conv1.weight": np.arange(24.0, dtype="f4").reshape(2, 3, 4),
        "fortran": np.asfortranarray(np.arange(6).reshape(2, 3)),
        "scalar": np.array(3),
    }
    save(tmp_path / "x.npz", **arrays)

    loaded = read_npz(tmp_path / "x.npz")

    assert list(loaded) == list(arrays)
    np.testing.assert_equal(loaded, arrays)


def test_pickled_objects_are_refused(tmp_path):
    np.savez(tmp_path / "x.npz", evil=np.array([{}], dtype=object))
    with pytest.raises(ValueError, match=r"x.npz .*evil.npy holds pickled objects"):
        read_npz(tmp_path / "x.npz")


def test_header_that_claims_more_than_there_is_is_refused(tmp_path):
    member = io.BytesIO()
    header = {"shape": (10**12,), "fortran_order": False, "descr": "<f4"}
    np.lib.format.write_array_header_1_0(member, header)
    with zipfile.ZipFile(tmp_path / "x.npz", "w") as archive:
        archive.writestr("huge.npy", member.getvalue())
    with pytest.raises(ValueError, match=r"huge.npy has 0 bytes"):
        read_npz(tmp_path / "x.npz")


def test_archive_that_unpacks_to_too_much_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(npz_reader, "MAX_TOTAL_BYTES", 1000)
    np.savez_compressed(tmp_path / "x.npz", zeros=np.zeros(1000))
    with pytest.raises(ValueError, match="unpacks to"):
        read_npz(tmp_path / "x.npz")


def test_other_files_are_refused(tmp_path):
    (tmp_path / "x.npz").write_bytes(b"not a zip file")
    with pytest.raises(ValueError, match=r"x.npz is not an .npz file"):
        read_npz(tmp_path / "x.npz")


def test_small_file_of_endless_zeros_is_refused(tmp_path):
    np.savez_compressed(tmp_path / "bomb.npz", zeros=np.zeros(20_000_000, "f4"))
    with pytest.raises(ValueError, match=r"unpack to \d+: no weights do"):
        read_npz(tmp_path / "bomb.npz")
