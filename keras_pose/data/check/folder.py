"""A folder of labels, read without refusing anything, and all checks over it."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from keras_pose.data.check.findings import ERROR, WARNING, Finding, Split
from keras_pose.data.check.label_checks import check_people
from keras_pose.data.check.picture_checks import check_pictures
from keras_pose.data.datasets import locate_split, open_dataset
from keras_pose.data.own import own_skeleton, skeleton_of_labels
from keras_pose.data.readers.checks import Notes
from keras_pose.data.readers.coco import Reading, locate_images
from keras_pose.data.readers.coco_categories import choose_category
from keras_pose.data.readers.coco_people import ReadingRules, read_people
from keras_pose.data.readers.labels import as_coco
from keras_pose.data.readers.tools import READ, find_labels
from keras_pose.data.specs import SPECS
from keras_pose.data.unpacked_folders import Located, find_unpacked
from keras_pose.skeleton import Skeleton

_SPLITS = ("train", "val", "test")


@dataclass(frozen=True)
class Report:
    """The findings about a folder, and the splits that were checked.

    Attributes:
        folder: folder of the set.
        format: tool that wrote it.
        skeleton: its keypoints.
        splits: splits that were checked.
        findings: suspicious things, errors first.
    """

    folder: Path
    format: str
    skeleton: Skeleton
    splits: Sequence[Split]
    findings: Sequence[Finding] = field(default_factory=list)

    def as_json(self) -> dict[str, Any]:
        """Returns counts and findings as JSON has them."""
        return {
            "folder": str(self.folder),
            "format": self.format,
            "keypoints": list(self.skeleton.names),
            "mirrored": [list(pair) for pair in self.skeleton.mirrored],
            "splits": {
                split.name: {
                    "pictures": len(split.people.images.ids),
                    "people": int(split.people.is_labelled.sum()),
                }
                for split in self.splits
            },
            "findings": [finding.as_json() for finding in self.findings],
        }


def check_folder(folder, reading: Reading | None = None) -> Report:
    """Reads a folder and returns all that is suspicious about it.

    What training would refuse is a finding here, so that all is reported at once.

    Args:
        folder: folder in COCO's format or a tool's own, see docs/data.md.
        reading: options of the user for reading the files.

    Raises:
        FileNotFoundError: where no labels are found.
        ValueError: where the files cannot be parsed; names the place.
    """
    folder, reading = Path(folder), reading or Reading()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # `_told` has them
        written, skeleton, splits = read_splits(folder, reading)
    findings = [
        *_told(folder, skeleton, [s.name for s in splits if s.name != "test"], reading),
        *check_people(splits),
        *check_pictures(splits),
    ]
    findings.sort(key=lambda finding: finding.level != ERROR)
    return Report(folder, written, skeleton, splits, findings)


def read_splits(folder: Path, reading: Reading) -> tuple[str, Skeleton, list[Split]]:
    """Returns format, keypoints and splits of a folder as they stand in its files.

    Raises:
        FileNotFoundError: where no labels are found.
        ValueError: where the files cannot be parsed; names the place.
    """
    located = {
        name: found for name in _SPLITS if (found := _located(folder, name)) is not None
    }
    if located:
        skeleton = own_skeleton(folder.name, folder, reading)
        whole = {
            name: found
            for name, found in located.items()
            # In a file that is the only split, all are looked at once.
            if name == "train" or found.paths != getattr(located.get("train"), "paths", 0)
        }
        splits = [_coco(name, one, skeleton, reading) for name, one in whole.items()]
        return "COCO's format", skeleton, splits
    labels = find_labels(folder, reading.category)
    if labels is None:
        raise FileNotFoundError(f"{folder} has no labels that are read: {READ}.")
    skeleton = skeleton_of_labels(folder.name, labels)
    splits = []
    for name in _SPLITS:
        pictures = [p for p in labels.pictures if (p.split or "train") == name]
        if pictures:
            people = as_coco(labels, pictures)
            splits.append(_with_pictures(name, people, labels.folder, skeleton))
    return labels.tool, skeleton, splits


def _located(folder, name) -> Located | None:
    if name == "test":  # COCO's own has no labels
        return find_unpacked(folder, name)
    return locate_split(SPECS["coco"], folder, name)


def _coco(name, located, skeleton, reading) -> Split:
    path = located.paths[0]
    rules = ReadingRules(skeleton.num_keypoints)
    category = choose_category(path, reading.category)
    people = read_people(path, category, rules, Notes(path))
    return _with_pictures(name, people, located.images, skeleton)


def _with_pictures(name, people, folder, skeleton) -> Split:
    used = np.unique(people.image_index[people.is_labelled])
    names, root = locate_images(people, folder, used)
    return Split(name, people, names, root, skeleton)


def _told(folder, skeleton, names, reading) -> list[Finding]:
    """Returns what a training would refuse, or say at its start."""
    found, said_before = [], set()
    for name in names:
        with warnings.catch_warnings(record=True) as said:
            warnings.simplefilter("always")
            try:
                open_dataset("coco", folder, name, skeleton, reading, is_whole=True)
            except (ValueError, OSError) as error:
                found.append(_said("refused", f"{name}: {error}", ERROR))
        lines = [str(warning.message) for warning in said]
        fresh = [line for line in dict.fromkeys(lines) if line not in said_before]
        said_before |= set(fresh)  # a file of several splits is read for each
        found += [_said("made good", f"{name}: {line}", WARNING) for line in fresh]
    return found


def _said(kind, text, level) -> Finding:
    return Finding(kind, text, (), level, 1)
