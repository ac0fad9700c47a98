"""PyTorch files are read right, and never run."""

import contextlib
import os
import pickle
import zipfile

import numpy as np
import pytest
from torch_files import literal, tensor, write_archive, write_torch_zip

from keras_pose.weights.torch_reader import UnsafeCheckpointError, read_state_dict

CONTAINERS = ["torch_zip.pth", "torch_legacy.pth"]


@pytest.mark.parametrize("container", CONTAINERS)
def test_tensors_equal_what_torch_wrote(container, golden_dir):
    expected = np.load(golden_dir / "torch_tensors.npz")

    tensors = read_state_dict(golden_dir / container)

    assert list(tensors) == list(expected)
    for key, array in tensors.items():
        np.testing.assert_array_equal(array, expected[key])
    assert tensors["bfloat16"].dtype == np.float32
    assert tensors["half"].dtype == np.float16


def test_our_own_writer_is_read(tmp_path):
    arrays = {"a": np.arange(6.0).reshape(2, 3), "b": np.ones(1)}
    write_torch_zip(tmp_path / "x.pth", arrays)

    tensors = read_state_dict(tmp_path / "x.pth")

    np.testing.assert_equal(tensors, arrays)


class Payload:
    """Unpickled, it would make the folder that its file lies in tell of it."""

    def __init__(self, folder):
        self.folder = folder

    def __reduce__(self):
        return os.mkdir, (self.folder,)


@pytest.mark.parametrize("protocol", [0, 1, 2, 3, 4, 5])
def test_code_in_the_pickle_is_refused_by_name_and_not_run(protocol, tmp_path):
    victim = tmp_path / "victim"
    program = pickle.dumps({"state_dict": Payload(str(victim))}, protocol)
    write_archive(tmp_path / "evil.pth", program)

    with pytest.raises(UnsafeCheckpointError, match=r"evil.pth: it asks for \w+.mkdir"):
        read_state_dict(tmp_path / "evil.pth")

    assert not victim.exists()


def test_code_in_the_older_container_is_refused(tmp_path):
    victim = tmp_path / "victim"
    (tmp_path / "evil.pth").write_bytes(pickle.dumps(Payload(str(victim))))

    with pytest.raises(UnsafeCheckpointError, match="mkdir"):
        read_state_dict(tmp_path / "evil.pth")

    assert not victim.exists()


@pytest.mark.parametrize(
    "program",
    [
        pytest.param(
            b"\x80\x02ctorch._utils\n_rebuild_device_tensor\n.", id="torch_function"
        ),
        pytest.param(b"\x80\x02cbuiltins\ngetattr\n.", id="builtin"),
        pytest.param(b"\x80\x02}(ccollections\nOrderedDict\n)\x81u.", id="new_object"),
        pytest.param(b"\x80\x02\x82\x01.", id="extension_registry"),
    ],
)
def test_instructions_that_tensors_do_not_need_are_refused(program, tmp_path):
    write_archive(tmp_path / "odd.pth", program)
    with pytest.raises(UnsafeCheckpointError, match=r"odd.pth"):
        read_state_dict(tmp_path / "odd.pth")


BYTES = np.zeros(4, "<f4").tobytes()


def archive_of(tensor_program, **options):
    program = b"\x80\x02}" + literal("a") + tensor_program + b"s."
    return {"program": program, "storages": [BYTES], **options}


@pytest.mark.parametrize(
    ("archive", "message"),
    [
        pytest.param(
            archive_of(tensor("0", (4,), num_elements=10**12)),
            r"storage 0 has 16 bytes; 1000000000000 elements",
            id="storage_claims_more_than_the_file",
        ),
        pytest.param(
            archive_of(tensor("0", (4,), offset=1, num_elements=4)),
            r"reaches element 4 of a storage of 4",
            id="tensor_outside_its_storage",
        ),
        pytest.param(
            archive_of(tensor("0", (10**6, 10**6), strides=(0, 0), num_elements=4)),
            r"is larger than its storage",
            id="one_number_blown_up",
        ),
        pytest.param(
            archive_of(tensor("0", (4,), strides=(-1,))),
            r"stride of a tensor is -1",
            id="backwards",
        ),
        pytest.param(
            archive_of(tensor("1", (4,))), r"archive/data/1", id="storage_not_there"
        ),
        pytest.param(
            archive_of(tensor("0", (4,)), compression=zipfile.ZIP_DEFLATED),
            r"is compressed",
            id="zip_bomb",
        ),
        pytest.param(
            {"program": b"\x80\x02}" + literal("a") + literal(3) + b"s."},
            r"entry 'a' is a int, not a tensor",
            id="no_tensors",
        ),
        pytest.param({"program": b"\x80\x02]."}, r"holds a list", id="no_dict"),
        pytest.param(
            {"program": b"\x80\x02\x8d" + b"\xff" * 7 + b"\x7f" + b"abc."},
            r"damaged",
            id="string_longer_than_the_file",
        ),
        pytest.param(
            {"program": b"\x80\x02}(]K\x00u."}, r"key of type list", id="list_as_key"
        ),
    ],
)
def test_what_does_not_add_up_is_refused(archive, message, tmp_path):
    write_archive(tmp_path / "odd.pth", **archive)
    with pytest.raises(ValueError, match=message):
        read_state_dict(tmp_path / "odd.pth")


@pytest.mark.parametrize("content", [b"", b"PK", b"not a checkpoint", b"\x80\x02"])
def test_other_files_are_refused(content, tmp_path):
    (tmp_path / "x.pth").write_bytes(content)
    with pytest.raises(ValueError, match=r"x.pth is not a PyTorch checkpoint"):
        read_state_dict(tmp_path / "x.pth")


@pytest.mark.parametrize("container", CONTAINERS)
def test_damaged_files_raise_value_errors_and_nothing_else(container, golden_dir, tmp_path):
    intact = (golden_dir / container).read_bytes()
    rng = np.random.default_rng(0)
    path = tmp_path / "damaged.pth"
    for _ in range(200):
        damaged = bytearray(intact[: rng.integers(1, len(intact) + 1)])
        damaged[rng.integers(len(damaged))] = rng.integers(256)
        path.write_bytes(damaged)
        with contextlib.suppress(ValueError):
            read_state_dict(path)
