"""Writing files so that nothing half-written ever stands under its final name."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import shutil
import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path

# Environment variable that moves the folder of what is kept between runs.
HOME_VARIABLE = "KERAS_POSE_HOME"


def _writer() -> str:
    """Returns a part of names of temporary files: one for every thread that writes."""
    return f"{os.getpid()}-{threading.get_ident()}"


def cache_dir() -> Path:
    """Returns the folder of downloads, converted weights and converted pictures."""
    return Path(os.environ.get(HOME_VARIABLE) or "~/.cache/keras_pose").expanduser()


@contextlib.contextmanager
def atomic_path(path) -> Iterator[Path]:
    """Yields a temporary path beside `path`, and renames it when the block succeeds.

    The temporary name keeps the suffix, since Keras and Pillow choose by it.

    Raises:
        PermissionError: names the folder, before any work is done.
        IsADirectoryError: when `path` is a folder.
    """
    path = Path(path)
    check_writable(path.parent)
    with _renamed(path) as temporary:
        yield temporary


@contextlib.contextmanager
def _renamed(path: Path) -> Iterator[Path]:
    if path.is_dir():
        raise IsADirectoryError(f"Cannot write {path}: it is a folder, not a file name.")
    temporary = path.with_name(f".{path.stem}.{_writer()}.tmp{path.suffix}")
    try:
        yield temporary
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


@contextlib.contextmanager
def atomic_folder(path) -> Iterator[Path]:
    """Yields a temporary name beside `path` for a folder, and renames it at the end.

    What stands at `path` is replaced when the block succeeds, and stays when it does not.

    Raises:
        PermissionError: names the parent folder, before any work is done.
        NotADirectoryError: when `path` is a file.
    """
    path = Path(path)
    check_writable(path.parent)
    if path.is_file():
        raise NotADirectoryError(f"Cannot write {path}: it is a file, not a folder.")
    number = _writer()
    temporary, old = (
        path.with_name(f".{path.stem}.{number}.{word}{path.suffix}")
        for word in ("tmp", "old")
    )
    try:
        yield temporary
        if path.exists():
            os.replace(path, old)
        os.replace(temporary, path)
    finally:
        if old.exists() and not path.exists():
            os.replace(old, path)
        for folder in (temporary, old):
            shutil.rmtree(folder, ignore_errors=True)


def check_writable(folder) -> Path:
    """Makes a folder if need be, and raises PermissionError early if it takes no files."""
    folder = Path(folder)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        # Under a name of its own: several threads may ask at once.
        tempfile.NamedTemporaryFile(dir=folder, prefix=".write_probe.").close()
    except (PermissionError, FileExistsError, NotADirectoryError) as error:
        raise PermissionError(f"Cannot write into {folder}: {error.strerror}.") from error
    except OSError as error:  # a read-only file system, for one
        raise PermissionError(f"Cannot write into {folder}: {error}.") from error
    return folder


def write_json(path, values) -> Path:
    """Writes JSON whole or not at all; keys keep their order.

    Raises:
        PermissionError: names the folder.
        IsADirectoryError: when `path` is a folder.
    """
    path = Path(path)
    text = json.dumps(values, indent=2) + "\n"
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with _renamed(path) as temporary:
            temporary.write_text(text, encoding="utf-8")
    except OSError:
        # Only now: a probe before each of many small files would cost as much as they do.
        check_writable(path.parent)
        raise
    return path


def read_json(path):
    """Reads a JSON file: UTF-8, or what a byte order mark says, as tools on Windows write.

    Raises:
        FileNotFoundError: names the file.
        ValueError: names the file and the place where it stops being JSON.
    """
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"File {path} does not exist.")
    try:
        return json.loads(path.read_bytes())
    except (json.JSONDecodeError, UnicodeDecodeError, RecursionError) as error:
        raise ValueError(f"File {path} is not valid JSON: {error}.") from error


def file_sha256(path) -> str:
    """Returns the hex SHA-256 of a file's bytes; of a folder, of its files' sums."""
    path = Path(path)
    if path.is_dir():
        lines = [f"{file_sha256(file)}  {name}\n" for name, file in _files_below(path)]
        return hashlib.sha256("".join(lines).encode()).hexdigest()
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def num_bytes(path) -> int:
    """Returns the size of a file, or of all files in a folder."""
    path = Path(path)
    if path.is_dir():
        return sum(file.stat().st_size for _, file in _files_below(path))
    return path.stat().st_size


def _files_below(folder: Path) -> list[tuple[str, Path]]:
    """Returns names, with slashes, and paths of a folder's files, in the names' order."""
    files = [path for path in folder.rglob("*") if path.is_file()]
    return sorted((path.relative_to(folder).as_posix(), path) for path in files)
