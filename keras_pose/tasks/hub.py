"""Presets on Hugging Face and Kaggle, through their own clients.

    hf://OWNER/REPO, hf://OWNER/REPO@REVISION
    kaggle://OWNER/MODEL/keras/VARIATION, kaggle://OWNER/MODEL/keras/VARIATION/VERSION

Tokens, caches, mirrors (HF_ENDPOINT) and working offline (HF_HUB_OFFLINE) are the clients'
own affair. They are installed by the extra "hub".
"""

from __future__ import annotations

import importlib
import re
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType

from keras_pose.tasks.folders import CONFIG_NAME, FILE_NAMES

EXTRA = "pip install keras_pose[hub]"
_HF, _KAGGLE = "hf://", "kaggle://"
_PART = r"[A-Za-z0-9][A-Za-z0-9._-]*"
_FORMS = {
    _HF: (
        re.compile(rf"(?P<handle>{_PART}/{_PART})(@(?P<revision>[\w./-]+))?"),
        "hf://OWNER/REPO or hf://OWNER/REPO@REVISION",
    ),
    _KAGGLE: (
        re.compile(rf"(?P<handle>{_PART}/{_PART}/{_PART}/{_PART}(/[0-9]+)?)"),
        "kaggle://OWNER/MODEL/keras/VARIATION, and /VERSION if wanted",
    ),
}


class HubError(OSError):
    """A preset could not be had from a hub, or not be brought there."""


@dataclass(frozen=True)
class Address:
    """The address of a preset on a hub.

    Attributes:
        scheme: "hf://" or "kaggle://".
        handle: name there.
        revision: branch, tag or commit on Hugging Face; None for the main branch.
    """

    scheme: str
    handle: str
    revision: str | None = None

    def __str__(self) -> str:
        return f"{self.scheme}{self.handle}" + (
            f"@{self.revision}" if self.revision else ""
        )


def is_address(text: str) -> bool:
    """Returns True for what begins as an address on a hub, or on anything else."""
    return "://" in text


def parse_address(text: str) -> Address:
    """Reads an address.

    Raises:
        ValueError: for another scheme, or a name of another form.
    """
    for scheme, (pattern, form) in _FORMS.items():
        if text.startswith(scheme):
            found = pattern.fullmatch(text.removeprefix(scheme))
            if found is None or ".." in text:
                raise ValueError(f"The address must be {form}, got {text!r}.")
            return Address(scheme, found["handle"], found.groupdict().get("revision"))
    forms = "; ".join(form for _, form in _FORMS.values())
    raise ValueError(f"An address of a preset is {forms}; got {text!r}.")


def download(address: Address) -> Path:
    """Downloads a preset, or finds it in the client's cache; returns its folder.

    Only files of a preset are fetched, and the weights only if there is a config.json.

    Raises:
        ImportError: if the client is not installed; says how to get it.
        HubError: if the preset cannot be had; the client's reason is named.
    """
    if address.scheme == _KAGGLE:
        client = _client("kagglehub")
        try:
            return Path(client.model_download(address.handle))
        except Exception as error:  # of many classes, without a common base
            raise _failed(address, "downloaded", error) from error
    client = _client("huggingface_hub")
    where = {"repo_id": address.handle, "revision": address.revision}
    try:
        client.hf_hub_download(filename=CONFIG_NAME, **where)
        folder = client.snapshot_download(allow_patterns=list(FILE_NAMES), **where)
    except Exception as error:  # likewise
        raise _failed(address, "downloaded", error) from error
    return Path(folder)


def upload(address: Address, folder: Path, message: str, licence: str | None = None) -> str:
    """Uploads the folder of a preset; what is not there is made.

    Args:
        address: place on the hub; without a revision or a version, which hubs give
            themselves.
        folder: folder that `folders.write_preset` wrote.
        message: description of the change.
        licence: name of the licence as Kaggle lists it; None to leave it open.

    Returns:
        The address.

    Raises:
        ImportError, HubError: as `download`.
        ValueError: for an address with a revision or a version.
    """
    if address.revision or address.handle.count("/") == 4:
        raise ValueError(
            f"The hub numbers uploads itself: leave revision or version out of {address}."
        )
    try:
        if address.scheme == _KAGGLE:
            client = _client("kagglehub")
            client.model_upload(
                address.handle, str(folder), license_name=licence, version_notes=message
            )
        else:
            api = _client("huggingface_hub").HfApi()
            api.create_repo(repo_id=address.handle, exist_ok=True)
            api.upload_folder(
                repo_id=address.handle,
                folder_path=str(folder),
                allow_patterns=list(FILE_NAMES),
                commit_message=message,
            )
    except ImportError:
        raise
    except Exception as error:
        raise _failed(address, "uploaded", error) from error
    return str(address)


def _client(package: str) -> ModuleType:
    """Imports a hub's client: the one place where it enters."""
    try:
        return importlib.import_module(package)
    except ModuleNotFoundError as error:
        if error.name != package:
            raise
        raise ImportError(
            f"Presets on hubs need the package {package}, which is not installed: {EXTRA}"
        ) from error


def _failed(address: Address, done: str, error: Exception) -> HubError:
    reason = " ".join(str(error).split())
    hint = ""
    if type(error).__name__ in ("EntryNotFoundError", "RemoteEntryNotFoundError"):
        hint = f" It has no {CONFIG_NAME}, so it is no preset."
    return HubError(
        f"The preset {address} could not be {done}.{hint} {type(error).__name__}: {reason}"
    )
