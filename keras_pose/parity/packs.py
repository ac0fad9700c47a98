"""Packs on disk: writing and reading the format of docs/parity_pack.md."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

import keras_pose
from keras_pose.files import atomic_path, read_json
from keras_pose.parity.stored_arrays import ArrayReader, ArrayWriter
from keras_pose.parity.tolerances import annotate

FORMAT = "keras_pose parity pack"
FORMAT_VERSION = "1.0"
INDEX_NAME = "index.json"
ARRAYS_NAME = "arrays.bin"


@dataclass(frozen=True)
class Case:
    """One golden case.

    Attributes:
        name: unique in its pack.
        kind: key of `kinds.KINDS`.
        given: fields with arrays, numbers and the like.
        expected: fields; arrays, or lists of fields.
        needs: models that must be run: "pose", "detector".
        where: for fields of `expected`, uint8 arrays of the shape of their first axes:
            entries that are compared. All are, of fields that are not here.
        tolerances: tolerance by field, where the usual one is not right.
    """

    name: str
    kind: str
    given: dict[str, Any]
    expected: dict[str, Any]
    needs: tuple[str, ...] = ()
    where: dict[str, Any] = field(default_factory=dict)
    tolerances: dict[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class Pack:
    """Contents of a folder of cases.

    Attributes:
        cases: `expected` holds objects with an "array", its "tolerance" and its "where".
        models: "pose" and "detector" -> the pack's description of that model file.
    """

    cases: list[Case]
    models: dict[str, Any]


def write_pack(folder, cases: Sequence[Case], models=None, images=None) -> Path:
    """Writes a pack, each file whole or not at all, the index last.

    Args:
        folder: made if need be.
        cases: cases with unique names.
        models: for each of "pose" and "detector", `ModelFile.to_dict()`.
        images: name -> (H, W, 3) uint8, for people to look at.

    Returns:
        The folder.

    Raises:
        ValueError: for names that are there twice.
        PermissionError: if the folder cannot be written.
    """
    names = [case.name for case in cases]
    if len(set(names)) != len(names):
        twice = sorted({name for name in names if names.count(name) > 1})
        raise ValueError(f"Cases of a pack need different names, got twice: {twice}.")
    folder = Path(folder)
    writer = ArrayWriter()
    lines = [_dumps(_encode(case, writer)) for case in cases]
    for name, image in (images or {}).items():
        with atomic_path(folder / "images" / f"{name}.png") as temporary:
            Image.fromarray(image).save(temporary, optimize=True)
    content = writer.content
    with atomic_path(folder / ARRAYS_NAME) as temporary:
        temporary.write_bytes(content)
    head = {
        "format": FORMAT,
        "format_version": FORMAT_VERSION,
        "keras_pose": keras_pose.__version__,
        "files": {ARRAYS_NAME: {"bytes": len(content), "sha256": _sha256(content)}},
        "models": models or {},
    }
    _write_index(folder / INDEX_NAME, head, lines)
    return folder


def _encode(case: Case, writer: ArrayWriter) -> dict[str, Any]:
    expected = annotate(case.kind, case.expected, case.where, own=case.tolerances)
    return {
        "name": case.name,
        "kind": case.kind,
        "needs": list(case.needs),
        "given": writer.encode(case.given),
        "expected": _encode_expected(expected, writer),
    }


def _encode_expected(value, writer: ArrayWriter):
    """Merges an annotated array with its tolerance into one object."""
    if isinstance(value, list):
        return [_encode_expected(item, writer) for item in value]
    if "array" not in value:
        return {key: _encode_expected(item, writer) for key, item in value.items()}
    rest = {key: item for key, item in value.items() if key != "array"}
    return writer.encode(value["array"]) | writer.encode(rest)


def _write_index(path, head, lines):
    text = json.dumps(head, indent=1)[:-2] + ',\n "cases": [\n' + ",\n".join(lines)
    with atomic_path(path) as temporary:
        temporary.write_text(text + "\n ]\n}\n", encoding="utf-8")


def _dumps(values) -> str:
    return json.dumps(values, separators=(",", ":"), allow_nan=False)


def _sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def read_pack(folder) -> Pack:
    """Reads a pack.

    Raises:
        FileNotFoundError: if a file is missing.
        ValueError: for what is no pack, is of another major version, or is damaged.
    """
    folder = Path(folder)
    index = read_json(folder / INDEX_NAME)
    _check_version(folder, index)
    path = folder / ARRAYS_NAME
    if not path.is_file():
        raise FileNotFoundError(f"The parity pack {folder} lacks {ARRAYS_NAME}.")
    content = path.read_bytes()
    said = index.get("files", {}).get(ARRAYS_NAME, {}).get("sha256")
    if said != _sha256(content):
        raise ValueError(f"{path} is not the file that {INDEX_NAME} was written with.")
    reader = ArrayReader(content)
    try:
        cases = [_decode(case, reader) for case in index["cases"]]
        return Pack(cases, index["models"])
    except (KeyError, TypeError, AttributeError) as error:
        raise ValueError(f"{folder / INDEX_NAME} is damaged: {error!r}.") from error


def _check_version(folder, index) -> None:
    if not isinstance(index, dict) or index.get("format") != FORMAT:
        raise ValueError(f"{folder} is no parity pack: {INDEX_NAME} does not say so.")
    version = str(index.get("format_version"))
    if version.partition(".")[0] != FORMAT_VERSION.partition(".")[0]:
        raise ValueError(
            f"The parity pack {folder} has format {version}; this version of keras_pose "
            f"reads {FORMAT_VERSION.partition('.')[0]}.x."
        )


def _decode(values, reader: ArrayReader) -> Case:
    return Case(
        name=values["name"],
        kind=values["kind"],
        given=reader.decode(values["given"]),
        expected=_decode_expected(values["expected"], reader),
        needs=tuple(values["needs"]),
    )


def _decode_expected(value, reader: ArrayReader):
    if isinstance(value, list):
        return [_decode_expected(item, reader) for item in value]
    if "tolerance" not in value:
        return {key: _decode_expected(item, reader) for key, item in value.items()}
    array = reader.decode(value)
    where = reader.decode(value["where"]) if "where" in value else None
    return {"array": array, "tolerance": value["tolerance"], "where": where}


def largest_difference(actual, expected: np.ndarray, where=None) -> float:
    """Compares as docs/parity_pack.md says: NaN equals NaN, other shapes are infinity."""
    actual = np.asarray(actual, np.float64)
    expected = np.asarray(expected, np.float64)
    if actual.shape != expected.shape:
        return math.inf
    both_nan = np.isnan(actual) & np.isnan(expected)
    difference = np.where(both_nan, 0.0, np.abs(actual - expected))
    difference = np.where(np.isnan(difference), math.inf, difference)
    if where is not None:
        counts = np.asarray(where, bool)
        difference = difference[counts]
    return float(difference.max(initial=0.0))
