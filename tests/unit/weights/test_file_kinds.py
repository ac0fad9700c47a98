"""Files of weights are recognized by their content, and read within their bounds."""

import contextlib
import json
import tempfile
from pathlib import Path

import hypothesis
import hypothesis.strategies as st
import numpy as np
import pytest
from torch_files import write_torch_zip

from keras_pose.weights.file_kinds import is_checkpoint, kind_of, split_table
from keras_pose.weights.importer import read_checkpoint
from keras_pose.weights.safetensors_reader import read_safetensors

TENSORS = {
    "conv.weight": np.arange(6, dtype="<f4").reshape(2, 3),
    "bias": np.ones(1, "<f4"),
}


def safetensors(entries, content=b"", metadata=None):
    """The bytes of a file: name -> (dtype, shape, begin, end) of what lies in `content`."""
    header = {"__metadata__": metadata} if metadata else {}
    for name, (dtype, shape, begin, end) in entries.items():
        header[name] = {"dtype": dtype, "shape": shape, "data_offsets": [begin, end]}
    text = json.dumps(header).encode()
    return len(text).to_bytes(8, "little") + text + content


def tensors_as_safetensors():
    content, entries = b"", {}
    for name, array in TENSORS.items():
        end = len(content) + array.nbytes
        entries[name] = ("F32", list(array.shape), len(content), end)
        content += array.tobytes()
    return safetensors(entries, content, {"format": "pt"})


@pytest.mark.parametrize("name", ["best.pth", "pytorch_model.bin", "last.ckpt", "model"])
@pytest.mark.parametrize("container", ["torch", "npz", "safetensors"])
def test_content_and_not_the_name_says_what_a_file_is(name, container, tmp_path):
    path = tmp_path / name
    if container == "torch":
        write_torch_zip(path, TENSORS)
    elif container == "npz":
        with path.open("wb") as file:
            np.savez(file, **TENSORS)
    else:
        path.write_bytes(tensors_as_safetensors())

    assert is_checkpoint(path)
    np.testing.assert_equal(read_checkpoint(path), TENSORS)


def test_half_width_floats_are_widened(tmp_path):
    values = np.array([1.5, -2.0], "<f4")
    upper = values.view("<u2")[1::2].tobytes()
    path = tmp_path / "x.safetensors"
    path.write_bytes(safetensors({"a": ("BF16", [2], 0, 4)}, upper))
    np.testing.assert_array_equal(read_safetensors(path)["a"], values)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        pytest.param(b"", "not a .safetensors", id="empty"),
        pytest.param(b"\xff" * 9, "does not fit into it", id="header_longer_than_file"),
        pytest.param(
            safetensors({"a": ("F32", [2], 0, 8)}, b"1234"), "more bytes", id="cut"
        ),
        pytest.param(
            safetensors({"a": ("F32", [2], 0, 4)}, b"1234"), "header says", id="shape"
        ),
        pytest.param(
            safetensors({n: ("BF16", [2], 0, 4) for n in "ab"}, b"1234"),
            "more bytes than it has",
            id="two_tensors_of_the_same_bytes",
        ),
        pytest.param(
            safetensors({"a": ("F32", [-1], 0, 4)}, b"1234"),
            "outside the file",
            id="negative",
        ),
        pytest.param(
            safetensors({"a": ("F8_E4M3", [4], 0, 4)}, b"1234"),
            "of type",
            id="no_such_type",
        ),
    ],
)
def test_what_does_not_add_up_is_refused(content, message, tmp_path):
    (tmp_path / "x.safetensors").write_bytes(content)
    with pytest.raises(ValueError, match=message):
        read_safetensors(tmp_path / "x.safetensors")


@hypothesis.settings(max_examples=100, deadline=None, derandomize=True)
@hypothesis.given(data=st.data())
def test_mutated_safetensors_raise_value_errors(data):
    intact = tensors_as_safetensors()
    start = data.draw(st.integers(0, len(intact)))
    length = data.draw(st.integers(0, 16))
    inserted = data.draw(st.binary(max_size=16))
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "x.safetensors"
        path.write_bytes(intact[:start] + inserted + intact[start + length :])
        with contextlib.suppress(ValueError):
            read_safetensors(path)


@pytest.mark.parametrize(
    ("start", "kind"),
    [(b"\x89HDF\r\n\x1a\n", "Keras weights"), (b"\x20\x00\x00\x00TFL3", "TFLite")],
)
def test_our_own_files_under_another_name_are_named(start, kind, tmp_path):
    path = tmp_path / "best.pth"
    path.write_bytes(start + b"\0" * 32)
    assert kind_of(path) == kind
    with pytest.raises(ValueError, match=f"is a {kind} file under another name"):
        read_checkpoint(path)


def test_a_dict_of_tensors_is_named_behind_the_file(tmp_path):
    assert split_table("runs/x.pth#ema") == (Path("runs/x.pth"), "ema")
    (tmp_path / "a#b.pth").write_bytes(b"")
    assert split_table(tmp_path / "a#b.pth") == (tmp_path / "a#b.pth", None)
    np.savez(tmp_path / "x.npz", **TENSORS)
    with pytest.raises(ValueError, match="no PyTorch file"):
        read_checkpoint(f"{tmp_path / 'x.npz'}#ema")
