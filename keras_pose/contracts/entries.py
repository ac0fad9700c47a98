"""Contracts in files: what stands of a model file, whatever it is for.

Exported files (`.tflite`, `.onnx`) have theirs in `pose_model.json` in the same
folder, one entry per file name, with the file's hash, and a copy inside, so that one file
can travel alone (`modelfiles.embedded`). A `.keras` file carries its own inside (a `.keras`
file is a zip archive; Keras ignores further members).
"""

from __future__ import annotations

import json
import zipfile
from pathlib import Path
from typing import Any, Protocol

from keras_pose.files import (
    atomic_path,
    file_sha256,
    num_bytes,
    read_json,
    write_json,
)
from keras_pose.modelfiles.embedded import MAX_BYTES, extract

CONTRACT_NAME = "pose_model.json"
# Another version is another contract; another minor version has more fields.
SCHEMA_VERSION, SCHEMA_MINOR = 1, 6
VERSION_FIELDS = {"schema_version": SCHEMA_VERSION, "schema_minor": SCHEMA_MINOR}


class AnyContract(Protocol):
    """A contract of any task, which can be written beside a model file or into it."""

    def to_dict(self) -> dict[str, Any]: ...


def write_contract(model_path, contract: AnyContract) -> Path:
    """Writes the entry of an exported file into `pose_model.json` beside it.

    Entries of other files in the folder stay; those whose file is gone go.

    Returns:
        The path of `pose_model.json`.
    """
    model_path = Path(model_path)
    path = model_path.with_name(CONTRACT_NAME)
    models = {
        name: entry
        for name, entry in contracts_beside(model_path).items()
        if path.with_name(name).exists()
    }
    file = {"bytes": num_bytes(model_path), "sha256": file_sha256(model_path)}
    models[model_path.name] = {"file": file, **contract.to_dict()}
    return write_json(path, {**VERSION_FIELDS, "models": models})


def contracts_beside(model_path) -> dict[str, Any]:
    """Returns the entries of the `pose_model.json` in a file's folder; {} without one.

    Raises:
        ValueError: if it is no contract, or one of another version. `write_contract`
            would not add to it either, which is better known before a conversion.
    """
    path = Path(model_path).with_name(CONTRACT_NAME)
    return _read_models(path) if path.exists() else {}


def read_entry(model_path) -> tuple[dict[str, Any], Path]:
    """Reads what stands of a file in its contract, whatever the file is for.

    Returns:
        The values, and the file they are from. Errors as `pose.read_contract`.
    """
    model_path = Path(model_path)
    if model_path.suffix == ".keras":
        return _read_archived(model_path), model_path
    path = model_path.with_name(CONTRACT_NAME)
    beside = contracts_beside(model_path)
    if model_path.name in beside:
        return _checked(beside[model_path.name], model_path), path
    inside = extract(model_path)
    if inside is not None:
        check_version(inside, model_path)
        return inside, model_path
    if not path.exists():
        raise FileNotFoundError(
            f"{model_path} has no contract: expected {path.name} in the same folder, or "
            "one inside. export/to_tflite.py and export/to_onnx.py write both."
        )
    raise ValueError(
        f"{path} describes {sorted(beside)}, but not {model_path.name}: was the "
        "file renamed? (It holds no contract of its own.)"
    )


def says_sums_fit(model_path) -> bool:
    """Returns True if the contract inside a file promises `sums_fit_16_bits`.

    What cannot be read promises nothing; whoever needs the contract reads and refuses it.
    """
    try:
        inside = extract(model_path)
    except (OSError, ValueError):
        return False
    return inside is not None and inside.get("sums_fit_16_bits") is True


def _checked(entry: dict[str, Any], model_path: Path) -> dict[str, Any]:
    """Returns an entry whose file is the one it was written for."""
    file, actual = entry.get("file"), file_sha256(model_path)
    if not isinstance(file, dict) or file.get("sha256") != actual:
        raise ValueError(
            f"{model_path} is not the file its contract describes: its SHA-256 begins "
            f"{actual[:12]}, {CONTRACT_NAME} says {str(file)[:80]}."
        )
    return entry


def _read_models(path: Path) -> dict[str, Any]:
    values = read_json(path)
    check_version(values, path)
    models = values.get("models")
    if not isinstance(models, dict) or not all(map(_is_object, models.values())):
        raise ValueError(
            f"{path}: models must map file names to contracts, got {str(models)[:80]}."
        )
    return models


def _is_object(value) -> bool:
    return isinstance(value, dict)


def check_version(values, path) -> None:
    """Raises ValueError for a contract that this version cannot read, or that is none.

    A newer minor version is read: what it has more of may be ignored.
    """
    version = values.get("schema_version") if isinstance(values, dict) else None
    if version == SCHEMA_VERSION:
        return
    hint = ""
    if isinstance(version, int) and version > SCHEMA_VERSION:
        hint = " A newer version of keras_pose wrote it: update this one."
    raise ValueError(
        f"{path} has contract schema_version {version}; this version of keras_pose "
        f"reads {SCHEMA_VERSION}.{hint}"
    )


def named(read, values, path):
    """Adds the file's name to what `read` complains about."""
    try:
        return read(values)
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from error


def save_keras_model(model, path, contract: AnyContract) -> Path:
    """Saves a Keras model, whole or not at all, with its contract inside."""
    path = Path(path)
    with atomic_path(path) as temporary:
        model.save(temporary)
        with zipfile.ZipFile(temporary, "a") as archive:
            values = {**VERSION_FIELDS, **contract.to_dict()}
            archive.writestr(CONTRACT_NAME, json.dumps(values, indent=2))
    return path


def replace_archived_contract(path, contract: AnyContract) -> Path:
    """Writes another contract into a `.keras` file; all else in it stays as it is."""
    path = Path(path)
    with (
        atomic_path(path) as temporary,
        zipfile.ZipFile(path) as old,
        zipfile.ZipFile(temporary, "w") as new,
    ):
        for member in old.infolist():
            if member.filename != CONTRACT_NAME:
                new.writestr(member, old.read(member.filename))
        values = {**VERSION_FIELDS, **contract.to_dict()}
        new.writestr(CONTRACT_NAME, json.dumps(values, indent=2))
    return path


def _read_archived(path: Path) -> dict[str, Any]:
    if not path.is_file():
        raise FileNotFoundError(f"Model file {path} does not exist.")
    try:
        with zipfile.ZipFile(path) as archive:
            size = archive.getinfo(CONTRACT_NAME).file_size
            if size > MAX_BYTES:
                raise ValueError(
                    f"{path} holds a contract of {size} bytes; it may have {MAX_BYTES}."
                )
            values = json.loads(archive.read(CONTRACT_NAME))
    except zipfile.BadZipFile as error:
        raise ValueError(f"{path} is not a .keras file, or is damaged: {error}.") from error
    except KeyError as error:
        raise FileNotFoundError(
            f"{path} holds no contract ({CONTRACT_NAME}): it was not saved by keras_pose. "
            "Save it with keras_pose.contracts.save_keras_model."
        ) from error
    except (json.JSONDecodeError, UnicodeDecodeError, RecursionError) as error:
        raise ValueError(f"The contract in {path} is not valid JSON: {error}.") from error
    if isinstance(values, dict) and "schema_version" in values:  # the first had none
        check_version(values, path)
    return values
