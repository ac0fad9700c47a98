"""Bundles for apps: models, their contracts, labels, parity packs, and a manifest.

The manifest names every file with its size and hash; apps check them when they start, so
that a half-copied bundle is a message on the screen and not a strange skeleton.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import keras_pose
from keras_pose.contracts.detector import DetectorContract
from keras_pose.contracts.entries import write_contract
from keras_pose.contracts.fields import task_of
from keras_pose.exporting.inspection.audit import with_audit
from keras_pose.files import check_writable, file_sha256, read_json, write_json
from keras_pose.parity.maths import maths_cases
from keras_pose.parity.model_cases import Person, model_cases
from keras_pose.parity.model_file import ModelFile
from keras_pose.parity.packs import write_pack

FORMAT, FORMAT_VERSION = "keras_pose mobile bundle", "1.2"
MANIFEST_NAME = "manifest.json"
# Where the apps look, from the folder `mobile_demo`.
APP_FOLDERS = {
    "web": "web/models",
    "android": "android/app/src/main/assets/models",
    "ios": "ios/App/Resources/models",
}
SUFFIX = ".tflite"
LABELS = {"pose": "keypoints.txt", "detector": "classes.txt"}
PACKS = {"maths": "parity/maths", "models": "parity/models"}


def write_bundle(
    folder,
    models: Mapping[str, ModelFile],
    people: Sequence[Person],
    box_threshold: float | None = None,
) -> Path:
    """Writes a bundle, whole or not at all; one that was there is replaced.

    Args:
        folder: folder that becomes the bundle.
        models: `.tflite` files: "pose" and "detector", or "pose" alone where it finds
            everybody in whole pictures.
        people: people for the cases of the models' parity pack.
        box_threshold: score above which the app believes the detector's boxes; None for
            what the core takes for any detector.

    Returns:
        The folder.

    Raises:
        ValueError: for models that are missing, too many, of other types or tasks, and for
            a folder with files that are of no bundle.
        PermissionError: if the folder cannot be written.
    """
    check_models(models)
    with _replaced(Path(folder)) as temporary:
        names = {}
        for task, file in models.items():
            path = temporary / f"{task}{SUFFIX}"
            shutil.copyfile(file.path, path)
            # By the rules of today; files of older versions do not say it at all.
            write_contract(path, with_audit(file.contract, path))
            (temporary / LABELS[task]).write_text(_labels(file), encoding="utf-8")
            names[task] = path.name
        write_pack(temporary / PACKS["maths"], maths_cases())
        described = {task: file.to_dict() for task, file in models.items()}
        write_pack(temporary / PACKS["models"], model_cases(models, people), described)
        manifest = _manifest(temporary, names) | {
            "task": task_of(models["pose"].contract.to_dict()),
            "settings": {"box_threshold": box_threshold},
        }
        write_json(temporary / MANIFEST_NAME, manifest)
    return Path(folder)


def check_models(models: Mapping[str, ModelFile]) -> None:
    """Raises ValueError unless there are a pose model and a detector for phones, or one
    network that finds everybody."""
    for task, file in models.items():
        if file.path.suffix != SUFFIX:
            raise ValueError(f"A bundle holds {SUFFIX} files, got {file.path}.")
        if isinstance(file.contract, DetectorContract) != (task == "detector"):
            raise ValueError(f"{file.path} was given as the {task}, which it is not.")
    pose = models.get("pose")
    if pose is None or set(models) != _needed_with(pose):
        raise ValueError(
            "A bundle is of a pose model and a detector, or of one network that finds "
            f"everybody by itself (one-stage, bottom-up), got {_described(models)}."
        )


def _needed_with(pose: ModelFile) -> set[str]:
    return {"pose"} if pose.finds_everybody else {"pose", "detector"}


def _described(models: Mapping[str, ModelFile]) -> str:
    names = [
        f"{file.path.name} ({task_of(file.contract.to_dict())})" for file in models.values()
    ]
    return ", ".join(names) or "nothing"


@contextmanager
def _replaced(folder: Path) -> Iterator[Path]:
    """Yields an empty folder that takes the place of `folder` when the block succeeds."""
    if folder.is_dir() and any(folder.iterdir()) and not _is_bundle(folder):
        raise ValueError(f"{folder} holds files that are of no bundle; empty it first.")
    check_writable(folder.parent)
    temporary = folder.with_name(f".{folder.name}.{os.getpid()}.tmp")
    old = folder.with_name(f".{folder.name}.{os.getpid()}.old")
    temporary.mkdir()
    try:
        yield temporary
        if folder.is_dir():
            folder.rename(old)
        temporary.rename(folder)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
        shutil.rmtree(old, ignore_errors=True)


def _is_bundle(folder: Path) -> bool:
    path = folder / MANIFEST_NAME
    return path.is_file() and read_json(path).get("format") == FORMAT


def _labels(file: ModelFile) -> str:
    contract = file.contract
    if isinstance(contract, DetectorContract):
        names = contract.class_names
    else:
        names = contract.skeleton.names
    return "\n".join(names) + "\n"


def _manifest(folder: Path, names: Mapping[str, str]) -> dict[str, Any]:
    paths = sorted(path for path in folder.rglob("*") if path.is_file())
    return {
        "format": FORMAT,
        "format_version": FORMAT_VERSION,
        "keras_pose": keras_pose.__version__,
        "models": dict(names),
        "labels": {task: LABELS[task] for task in names},
        "parity": PACKS,
        "files": {
            path.relative_to(folder).as_posix(): {
                "bytes": path.stat().st_size,
                "sha256": file_sha256(path),
            }
            for path in paths
        },
    }


def check_bundle(folder) -> dict[str, Any]:
    """Does what an app does when it starts; returns the manifest.

    Raises:
        FileNotFoundError: if a file is missing.
        ValueError: for what is no bundle, is of another version, or was changed.
    """
    folder = Path(folder)
    manifest = read_json(folder / MANIFEST_NAME)
    if not isinstance(manifest, dict) or manifest.get("format") != FORMAT:
        raise ValueError(f"{folder} is no bundle: {MANIFEST_NAME} does not say so.")
    version = str(manifest.get("format_version"))
    if version.partition(".")[0] != FORMAT_VERSION.partition(".")[0]:
        raise ValueError(f"The bundle {folder} has version {version}, which is not known.")
    for name, said in manifest["files"].items():
        path = folder / name
        if not path.is_file():
            raise FileNotFoundError(f"The bundle {folder} lacks {name}; write it anew.")
        if file_sha256(path) != said["sha256"]:
            raise ValueError(f"{path} is not the file of its bundle; write it anew.")
    return manifest


def describe_bundle(folder) -> str:
    """Returns a bundle's contents and size in words."""
    manifest = check_bundle(folder)
    sizes = {name: file["bytes"] for name, file in manifest["files"].items()}
    models = ", ".join(
        f"{name} {sizes[name] / 1e6:.2f} MB" for name in manifest["models"].values()
    )
    return f"{folder}: {models}; {len(sizes)} files, {sum(sizes.values()) / 1e6:.2f} MB"
