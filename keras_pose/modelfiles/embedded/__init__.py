"""Text inside a `.tflite` or `.onnx` file, which stays a file that any runtime runs.

What is written is JSON, under one name. It is bound to the file: it holds the SHA-256 of
the file in which its own bytes are zeros. NumPy and runtimes are not needed, neither to
write nor to read, and what is read is not believed: every offset is checked.
"""

from __future__ import annotations

import hashlib
import json
import mmap
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from keras_pose.modelfiles.embedded import onnx, tflite
from keras_pose.modelfiles.embedded.flat import DamagedError

# Contracts have some thousand bytes.
MAX_BYTES = 1 << 20
# Fields of the document that say to which file it belongs.
BINDING, HASH = "embedded", "sha256_with_this_text_as_zeros"
_PARTS = {".tflite": tflite, ".onnx": onnx}
_UNKNOWN_HASH = "0" * 64


def embed(path, document: dict[str, Any], description: Any = None) -> None:
    """Writes a document into a model file, in place of one that it holds.

    Args:
        path: `.tflite` or `.onnx`; changed in place, so give a temporary one.
        document: dictionary that JSON can hold. The file's hash is added to it.
        description: metadata for the tools of others, a `tflite.Description`; only for
            `.tflite`.

    Raises:
        ValueError: for a file of another kind, a damaged one, or a document that is too
            long.
    """
    path = Path(path)
    if path.suffix not in _PARTS:
        raise ValueError(f"{path} is not a file to embed in: {' or '.join(_PARTS)}.")
    with _readable(path) as content:
        original = bytes(content)
    text = _text(document, _UNKNOWN_HASH)
    if len(text) > MAX_BYTES:
        raise ValueError(f"A contract may have {MAX_BYTES} bytes, got {len(text)}.")
    try:
        written, start = _PARTS[path.suffix].with_text(original, text, description)
    except DamagedError as error:
        raise ValueError(f"{path} is damaged: {error}.") from error
    final = _text(document, _hash(written, start, len(text)))
    path.write_bytes(b"".join([written[:start], final, written[start + len(text) :]]))


def rebind(path) -> None:
    """Binds the document inside a model file to the file's bytes as they are now, in place.

    For files that another tool made of one with a document, which it took along. Nothing
    moves: compiled files name places of their own by their distance from the beginning.

    Raises:
        ValueError: for a file that is damaged, or holds no document.
    """
    path = Path(path)
    with _readable(path) as content:
        found = _find(path, content)
        if found is None:
            raise ValueError(f"{path} holds no contract to bind to it.")
        start, length = found
        document = _parse(path, bytes(content[start : start + length]))
        text = _text(document, _hash(content, start, length))
    if len(text) != length:
        raise ValueError(f"The contract in {path} was not written by keras_pose.")
    with open(path, "r+b") as file:
        file.seek(start)
        file.write(text)


def _text(document, digest: str) -> bytes:
    values = {**document, BINDING: {HASH: digest}}
    return json.dumps(values, separators=(",", ":"), allow_nan=False).encode()


def extract(path) -> dict[str, Any] | None:
    """Reads the document out of a model file.

    Returns:
        The document; None for a file that holds none, or is of another kind.

    Raises:
        FileNotFoundError: if there is no such file.
        ValueError: if the file is damaged, the document is no JSON object, or it was
            written for other bytes.
    """
    path = Path(path)
    if path.suffix not in _PARTS:
        return None
    with _readable(path) as content:
        found = _find(path, content)
        if found is None:
            return None
        start, length = found
        document = _parse(path, bytes(content[start : start + length]))
        _check_binding(path, document, content, start, length)
    return document


@contextmanager
def _readable(path: Path) -> Iterator[memoryview]:
    """Maps a file into memory, so that only what is looked at is read."""
    if not path.is_file():
        raise FileNotFoundError(f"Model file {path} does not exist.")
    if not path.stat().st_size:
        yield memoryview(b"")
        return
    with (
        open(path, "rb") as file,
        mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as mapped,
        memoryview(mapped) as content,
    ):
        yield content


def _find(path: Path, content: memoryview) -> tuple[int, int] | None:
    try:
        found = _PARTS[path.suffix].find_text(content)
    except DamagedError as error:
        raise ValueError(f"{path} is damaged: {error}.") from error
    if found is not None and found[1] > MAX_BYTES:
        raise ValueError(
            f"{path} holds a contract of {found[1]} bytes; it may have {MAX_BYTES}."
        )
    return found


def _parse(path: Path, text: bytes) -> dict[str, Any]:
    try:
        document = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise ValueError(f"The contract in {path} is not valid JSON: {error}.") from error
    if not isinstance(document, dict):
        raise ValueError(f"The contract in {path} is no JSON object.")
    return document


def _check_binding(path, document, content, start, length) -> None:
    binding = document.get(BINDING)
    said = binding.get(HASH) if isinstance(binding, dict) else None
    actual = _hash(content, start, length)
    if said != actual:
        raise ValueError(
            f"{path} is not the file that the contract inside was written for: its "
            f"SHA-256 begins {actual[:12]}, the contract says {str(said)[:12]}."
        )


def _hash(content, start: int, length: int) -> str:
    """Returns the hex SHA-256 of a file in which some bytes are zeros."""
    digest = hashlib.sha256()
    with memoryview(content) as view:
        digest.update(view[:start])
        digest.update(bytes(length))
        digest.update(view[start + length :])
    return digest.hexdigest()
