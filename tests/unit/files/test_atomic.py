"""Files are written whole or not at all, with errors that name the folder."""

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from keras_pose.files import (
    atomic,
    atomic_folder,
    atomic_path,
    check_writable,
    file_sha256,
    num_bytes,
    read_json,
    write_json,
)


def test_json_is_written_into_new_folders_and_nothing_else_is_left(tmp_path):
    path = write_json(tmp_path / "new" / "a.json", {"b": 1, "a": [2]})
    assert list(read_json(path).items()) == [("b", 1), ("a", [2])]
    assert [each.name for each in path.parent.iterdir()] == ["a.json"]


def test_a_folder_is_probed_only_after_json_could_not_be_written(tmp_path, monkeypatch):
    def probe(folder):
        raise PermissionError(f"probed {folder}")

    monkeypatch.setattr(atomic, "check_writable", probe)
    write_json(tmp_path / "a.json", 1)
    with pytest.raises(PermissionError, match="probed"), atomic_path(tmp_path / "b.pt"):
        pass
    with pytest.raises(PermissionError, match="probed"):
        write_json(tmp_path / "a.json" / "b.json", 1)


def test_json_that_cannot_be_written_names_the_folder(tmp_path):
    file = write_json(tmp_path / "a.json", 1)
    with pytest.raises(PermissionError, match=r"Cannot write into .*a\.json"):
        write_json(file / "b.json", 2)
    with pytest.raises(IsADirectoryError, match="it is a folder, not a file name"):
        write_json(tmp_path, 3)


def test_what_cannot_be_json_leaves_the_old_file(tmp_path):
    path = write_json(tmp_path / "a.json", "old")
    with pytest.raises(TypeError):
        write_json(path, object())
    assert read_json(path) == "old"
    assert len(list(tmp_path.iterdir())) == 1


def test_a_folder_is_replaced_whole_or_not_at_all(tmp_path):
    path = tmp_path / "a.mlpackage"
    with atomic_folder(path) as temporary:
        (temporary / "in").mkdir(parents=True)
        (temporary / "in" / "x").write_text("old")
    old = file_sha256(path)
    assert num_bytes(path) == 3

    def fail():
        with atomic_folder(path) as temporary:
            temporary.mkdir()
            raise OSError("disk full")

    with pytest.raises(OSError, match="disk full"):
        fail()
    assert file_sha256(path) == old
    with atomic_folder(path) as temporary:
        temporary.mkdir()
        (temporary / "y").write_text("old")
    assert file_sha256(path) != old
    assert [x.name for x in tmp_path.rglob("*")] == ["a.mlpackage", "y"]


def test_a_file_in_the_way_of_a_folder_is_named(tmp_path):
    (tmp_path / "a.mlpackage").write_text("")
    with (
        pytest.raises(NotADirectoryError, match=r"a\.mlpackage: it is a file"),
        atomic_folder(tmp_path / "a.mlpackage"),
    ):
        pass


def test_threads_write_one_file_and_ask_for_one_folder_at_once(tmp_path):
    together = threading.Barrier(2, timeout=20)

    def write(text):
        with atomic_path(tmp_path / "a.txt") as path:
            path.write_text(text)
            together.wait()  # both are written before one is put in place
        return [check_writable(tmp_path) for _ in range(300)]

    with ThreadPoolExecutor(2) as pool:
        list(pool.map(write, ("one", "two")))
    assert (tmp_path / "a.txt").read_text() in ("one", "two")
    assert [each.name for each in tmp_path.iterdir()] == ["a.txt"]
