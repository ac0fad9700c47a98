"""PyTorch files are read right, and never run."""

import argparse
import collections
import contextlib
import datetime
import os
import pickle
import pickletools
import struct
import tempfile
import tracemalloc
import zipfile
from pathlib import Path

import hypothesis
import hypothesis.strategies as st
import numpy as np
import pytest
from says import Says
from torch_files import literal, name, tensor, write_archive, write_torch_zip

from keras_pose.weights.torch_reader import (
    UnsafeCheckpointError,
    read_state_dict,
)

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

    with Says(
        "evil.pth: it asks for ... .mkdir",
        do="Nothing of it was run. With PyTorch, save the state_dict() of what you trust.",
    ).refuses():
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


def checkpoint_of(*entries):
    """A program that makes {"state_dict": {"a": tensor}, entry: value, ...}."""
    state = b"}" + literal("a") + tensor("0", (4,)) + b"s"
    beside = b"".join(literal(f"beside_{i}") + entry for i, entry in enumerate(entries))
    program = b"\x80\x02}(" + literal("state_dict") + state + beside + b"u."
    return {"program": program, "storages": [BYTES]}


@pytest.mark.parametrize(
    "beside",
    [
        pytest.param(literal({"sigmas": np.arange(17.0)}), id="array"),
        pytest.param(literal(np.float64(0.76)), id="number"),
        pytest.param(literal(datetime.datetime(2022, 9, 9)), id="date"),
        pytest.param(
            name("mmengine.logging.history_buffer", "HistoryBuffer")
            + b")\x81}"
            + literal("_log_history")
            + literal(np.arange(3.0))
            + b"sb",
            id="history",
        ),
        pytest.param(literal({1, 2}), id="set"),
        pytest.param(literal(collections.Counter("aab")), id="counter"),
        pytest.param(pickle.dumps(frozenset([3]), 4)[11:-1], id="frozen_set"),
        pytest.param(literal(collections.defaultdict(list, a=[1])), id="defaultdict"),
        pytest.param(name("torch", "Size") + literal(((1, 2),)) + b"R", id="size"),
        pytest.param(name("torch", "device") + literal(("cuda", 0)) + b"R", id="device"),
        pytest.param(name("torch", "float32"), id="type"),
        pytest.param(literal(argparse.Namespace(lr=1)), id="namespace"),
        pytest.param(
            name("mmengine.config", "ConfigDict") + b")\x81" + literal("k") + b"Ns",
            id="dictionary_of_another_class",
        ),
    ],
)
def test_what_frameworks_keep_beside_the_tensors_is_passed_over(beside, tmp_path):
    write_archive(tmp_path / "mm.pth", **checkpoint_of(beside))
    assert list(read_state_dict(tmp_path / "mm.pth")) == ["a"]


def table(**tensors):
    """The program of a dictionary of tensors, name -> number of elements."""
    entries = [literal(n) + tensor("0", (size,)) for n, size in tensors.items()]
    return b"}(" + b"".join(entries) + b"u"


def checkpoint(tmp_path, **entries):
    items = b"".join(literal(name) + program for name, program in entries.items())
    write_archive(tmp_path / "x.pth", b"\x80\x02}(" + items + b"u.", [BYTES])
    return tmp_path / "x.pth"


OPTIMIZER = b"}" + literal("state") + b"}K\x00" + table(step=4, exp_avg=4) + b"ss"


@pytest.mark.parametrize("wrapper", ["model", "model_state_dict", "net", "ema_state_dict"])
def test_the_one_dict_of_tensors_is_found_whatever_its_name(wrapper, tmp_path):
    entries = {wrapper: table(a=4, b=4), "epoch": literal(3), "optimizer": OPTIMIZER}
    path = checkpoint(tmp_path, **entries, rng=tensor("0", (4,)))
    assert list(read_state_dict(path)) == ["a", "b"]


def test_of_several_dicts_of_tensors_one_must_be_named(tmp_path):
    path = checkpoint(tmp_path, model=table(a=4), ema=table(b=4))
    with Says(
        "'model' (1 tensors), 'ema' ... such as x.pth#model",
        do="Name one behind the file: --weights FILE#NAME.",
    ).refuses():
        read_state_dict(path)
    assert list(read_state_dict(path, "ema")) == ["b"]
    with Says(
        "no tensors under 'emma', but 'model'", do="Take one of the names that it lists."
    ).refuses():
        read_state_dict(path, "emma")


def test_what_lies_among_the_tensors_is_left_out_by_name(tmp_path, capsys):
    path = checkpoint(tmp_path, a=tensor("0", (4,)), epoch=literal(3))
    assert list(read_state_dict(path)) == ["a"]
    assert "no tensors, left out: 'epoch'" in capsys.readouterr().out


def test_a_whole_model_is_refused_with_what_to_do(tmp_path):
    path = checkpoint(tmp_path, model=name("torch.nn.modules.conv", "Conv2d") + b")\x81")
    with Says(
        "whole model ... model.state_dict()",
        do="With PyTorch: torch.save(model.state_dict(), FILE).",
    ).refuses():
        read_state_dict(path)


def test_one_dict_repeated_in_each_other_is_looked_into_once(tmp_path):
    # Four levels of 1000 keys for the level below, which the memo repeats.
    program = table(a=4) + b"q\x00"
    for level in range(4):
        keys = b"".join(literal(f"k{i}") + b"h" + bytes([level]) for i in range(1000))
        program += b"}(" + keys + b"uq" + bytes([level + 1])
    write_archive(tmp_path / "x.pth", b"\x80\x02" + program + b".", [BYTES])
    with Says(
        "no dict in it holds tensors",
        do="It is no checkpoint of a network: bring the file that has the weights.",
    ).refuses():
        read_state_dict(tmp_path / "x.pth")


def test_what_is_passed_over_is_no_tensor(tmp_path):
    program = b"\x80\x02}" + literal("a") + literal(np.arange(3.0)) + b"s."
    write_archive(tmp_path / "x.pth", program)
    with pytest.raises(ValueError, match="entry 'a' is a _Unread, not a tensor"):
        read_state_dict(tmp_path / "x.pth")


def test_one_list_given_to_a_million_calls_costs_no_memory(tmp_path):
    # (list of 100 000 pairs) put into the memo, then made into dictionaries for ever.
    pairs = b"](" + b"K\x00K\x01\x86" * 100_000 + b"eq\x00"
    calls = (name("collections", "OrderedDict") + b"h\x00\x85R") * 10_000
    write_archive(tmp_path / "bomb.pth", b"\x80\x02" + pairs + b"(" + calls + b"l.")
    with pytest.raises(ValueError, match="instructions"):
        read_state_dict(tmp_path / "bomb.pth")


@pytest.mark.parametrize("kind", ["FloatStorage", "BFloat16Storage"])
def test_many_tensors_of_one_storage_take_its_memory_once(kind, tmp_path):
    count, size = 300, 250_000
    entries = b"".join(
        literal(f"tensor_{i}")
        + tensor("0", (size,)).replace(b"FloatStorage", kind.encode())
        for i in range(count)
    )
    content = np.zeros(size, "<u2" if kind == "BFloat16Storage" else "<f4").tobytes()
    write_archive(tmp_path / "x.pth", b"\x80\x02}(" + entries + b"u.", [content])

    tracemalloc.start()
    tensors = read_state_dict(tmp_path / "x.pth")
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()

    assert len(tensors) == count
    assert peak < 20 * size  # apart, they would take 4 * size * count


def test_numbers_that_take_hours_to_multiply_are_refused(tmp_path):
    huge = b"\x8b" + struct.pack("<i", 10**6) + b"\x01" * 10**6  # LONG4
    size = huge + b"\x85"
    place = b"K\x00" + size + size
    storage = tensor("0", (4,)).partition(literal(0) + literal((4,)))[0]
    program = b"\x80\x02}" + literal("a") + storage + place + b"\x89NtRs."
    write_archive(tmp_path / "x.pth", program, [BYTES])
    with pytest.raises(ValueError, match="beyond all bounds"):
        read_state_dict(tmp_path / "x.pth")


def test_messages_stay_short(tmp_path):
    long_name = "x" * 1_000_000
    program = b"\x80\x02}" + literal(long_name) + literal(3) + b"s."
    write_archive(tmp_path / "x.pth", program)
    with pytest.raises(ValueError, match="not a tensor") as caught:
        read_state_dict(tmp_path / "x.pth")
    assert len(str(caught.value)) < 1000

    write_archive(tmp_path / "x.pth", b"\x80\x02" + name("os", long_name) + b".")
    with pytest.raises(UnsafeCheckpointError) as caught:
        read_state_dict(tmp_path / "x.pth")
    assert len(str(caught.value)) < 1000


GOLDEN = Path(__file__).resolve().parents[2] / "golden"
INTACT = {container: (GOLDEN / container).read_bytes() for container in CONTAINERS}


@pytest.mark.parametrize("container", CONTAINERS)
@hypothesis.settings(max_examples=150, deadline=None, derandomize=True)
@hypothesis.given(data=st.data())
def test_mutated_files_raise_value_errors_in_bounded_memory(container, data):
    intact = INTACT[container]
    start = data.draw(st.integers(0, len(intact)), label="start")
    length = data.draw(st.integers(0, 64), label="bytes cut out")
    inserted = data.draw(st.binary(max_size=64), label="bytes put in")
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "mutated.pth"
        path.write_bytes(intact[:start] + inserted + intact[start + length :])
        tracemalloc.start()
        with contextlib.suppress(ValueError):
            read_state_dict(path)
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
    assert peak < 5_000_000


@hypothesis.settings(max_examples=150, deadline=None, derandomize=True)
@hypothesis.given(
    program=st.lists(
        st.sampled_from(
            [
                *(opcode.code.encode("latin1") for opcode in pickletools.opcodes),
                name("torch._utils", "_rebuild_tensor_v2"),
                name("collections", "OrderedDict"),
                tensor("0", (4,)),
                literal("key"),
                literal(3),
                b"q\x00",
                b"h\x00",
            ]
        ),
        max_size=40,
    )
)
def test_programs_at_random_raise_value_errors(program):
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "random.pth"
        write_archive(path, b"\x80\x02" + b"".join(program) + b".", [BYTES])
        with contextlib.suppress(ValueError):
            read_state_dict(path)


@pytest.mark.parametrize("content", [b"", b"PK", b"not a checkpoint", b"\x80\x02"])
def test_other_files_are_refused(content, tmp_path):
    (tmp_path / "x.pth").write_bytes(content)
    with Says(
        "x.pth is not a PyTorch checkpoint",
        do="Fetch the file again: it is cut off, or a page that a server gave for it.",
    ).refuses():
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
