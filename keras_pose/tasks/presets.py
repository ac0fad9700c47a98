"""Preset names: every row of the catalogue of official weights, and the shipped model.

A name is the network's and the weights' word: "rtmpose_s_coco" is `create_model`'s
("rtmpose_s", weights="coco").
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from pathlib import Path

from keras_pose.shipped import SHIPPED
from keras_pose.weights.catalog import CatalogEntry, all_entries
from keras_pose.weights.download import download_path, is_here
from keras_pose.zoo import get_spec
from keras_pose.zoo.spec import CROWD_TASKS

POSE_TASKS = ("top_down", *CROWD_TASKS)
NUM_NEAR = 3
BYTES_PER_FLOAT = 4


def preset_name(entry: CatalogEntry) -> str:
    """Returns the name of a row of the catalogue."""
    return f"{entry.model}_{entry.weights}"


def list_presets(task: str | None = None) -> list[str]:
    """Returns the names of presets.

    Args:
        task: one of `zoo.TASKS`; None for all rows of the catalogue.
    """
    return [
        preset_name(entry)
        for entry in all_entries()
        if entry.is_usable and task in (None, get_spec(entry.model).task)
    ]


def is_preset_name(text: str) -> bool:
    """Returns True for a word, which is no path, address or file name."""
    return text.isidentifier()


def find_preset(name: str) -> CatalogEntry:
    """Returns the row of the catalogue that a preset is.

    Raises:
        ValueError: for a name that is not there; near names are suggested.
    """
    known = {preset_name(entry): entry for entry in all_entries() if entry.is_usable}
    if name in known:
        return known[name]
    near = difflib.get_close_matches(name, [*known, SHIPPED], n=NUM_NEAR, cutoff=0.5)
    hint = f" Did you mean {' or '.join(near)}?" if near else ""
    raise ValueError(
        f"There is no preset {name!r}.{hint} Presets are the {len(known)} names of "
        "keras_pose.tasks.presets.list_presets(), folders that save_to_preset wrote, "
        "hf://OWNER/REPO and kaggle://OWNER/MODEL/keras/VARIATION."
    )


def pose_preset(name: str) -> CatalogEntry:
    """Returns the row of a preset that finds keypoints.

    Raises:
        ValueError: for an unknown name, and for detectors, classifiers and features;
            says what they are for.
    """
    entry = find_preset(name)
    task = get_spec(entry.model).task
    if task in POSE_TASKS:
        return entry
    if task == "detection":
        raise ValueError(
            f"{name} finds people, not keypoints: give it as detector={name!r} to a preset "
            "of a pose network."
        )
    raise ValueError(
        f"{name} is for {task}, not for keypoints: "
        f'create_model("{entry.model}", weights="{entry.weights}") builds it.'
    )


def detector_preset(name: str) -> CatalogEntry:
    """Returns the row of a preset that finds people.

    Raises:
        ValueError: for another name; lists those there are.
    """
    entry = find_preset(name)
    is_of_people = get_spec(entry.model).task == "detection" and entry.num_keypoints == 1
    if not is_of_people:
        known = [
            preset_name(each)
            for each in all_entries()
            if get_spec(each.model).task == "detection" and each.num_keypoints == 1
        ]
        raise ValueError(f"{name} is no detector of people; those are {', '.join(known)}.")
    return entry


def is_downloaded(entry: CatalogEntry) -> bool:
    """Returns True if the publisher's file, or the converted one, is on this machine."""
    from keras_pose.weights.weight_files import conversion_path

    return is_here(entry) or (not entry.is_backbone and conversion_path(entry).exists())


def describe_download(entry: CatalogEntry) -> str:
    """Returns what a first use downloads: name, size, licence."""
    return (
        f"{preset_name(entry)}: {_size_text(entry)}, trained on {entry.trained_on}; "
        f"licence: {entry.licence}"
    )


def announce(entries: Iterable[CatalogEntry]) -> None:
    """Says sizes and licences of what is about to be downloaded, before it is."""
    for entry in entries:
        if not is_downloaded(entry):
            print(f"download    {describe_download(entry)}", flush=True)


def where_to_put(entry: CatalogEntry) -> str:
    """Returns what to fetch by hand, and where to put it."""
    return f"{entry.url or entry.found_in} -> {download_path(entry)}"


def converted_preset(entry: CatalogEntry) -> Path:
    """Returns the Keras file of a row; sizes and licence are said before a download."""
    from keras_pose.weights.weight_files import converted_file

    announce([entry])
    return converted_file(entry)


def _size_text(entry: CatalogEntry) -> str:
    if entry.num_bytes:
        return f"{entry.num_bytes / 1e6:.0f} MB"
    megabytes = get_spec(entry.model).params * BYTES_PER_FLOAT / 1e6
    return f"{megabytes:.0f} MB of weights (the file may hold more)"
