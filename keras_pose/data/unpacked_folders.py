"""Folders in COCO's format as annotation tools unpack them: CVAT, Roboflow, and their like.

An annotation file belongs to the split whose word stands in its name, or else in the
name of its folder. Where there is but one split, a tenth of its pictures are `val` and the
others `train`: always the same, by a hash of their names.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from keras_pose.data.readers.coco_categories import names_of, read_categories
from keras_pose.data.readers.json_sections import read_sections
from keras_pose.data.readers.labels import SPLIT_WORDS
from keras_pose.data.readers.tools import is_of_a_tool

VAL_SHARE = 10  # one picture in so many
_PATTERNS = ("*.json", "annotations/*.json", "labels/*.json", "*/*.json")
_LOOKED_AT = 32  # images by which the folder of pictures is found


@dataclass(frozen=True)
class Located:
    """Files and folders of a split.

    Attributes:
        paths: annotation files.
        images: folder of the images.
        part: "train" or "val" where the files hold both; None where they are the split.
    """

    paths: tuple[Path, ...]
    images: Path
    part: str | None = None


def find_unpacked(data_dir, split: str) -> Located | None:
    """Finds a split of a folder in COCO's format; None if there is none.

    Args:
        data_dir: the folder.
        split: "train", "val" or "test".

    Raises:
        ValueError: lists the annotation files where several might be the split.
    """
    files = _annotation_files(Path(data_dir))
    by_split: dict[str | None, list[Path]] = {}
    for path in files:
        by_split.setdefault(split_of(path, Path(data_dir)), []).append(path)
    if split in by_split:
        part = split if split == "train" and "val" not in by_split else None
        return _located(by_split[split], data_dir, split, part)
    # One split only: a name without a word for one, or the train split alone.
    whole = by_split.get(None) or (by_split.get("train") if split == "val" else None)
    if whole is None or split not in ("train", "val"):
        return None
    return _located(whole, data_dir, split, split)


def has_split(data_dir, split: str) -> bool:
    """Returns True if any annotation file of a folder is named after a split."""
    folder = Path(data_dir)
    return any(split_of(path, folder) == split for path in _annotation_files(folder))


def split_of(path: Path, data_dir: Path) -> str | None:
    """Returns the split that a file is named after, or else its folder."""
    for text in (path.stem, "" if path.parent == data_dir else path.parent.name):
        words = re.findall(r"[a-z]+", text.lower())
        for split, names in SPLIT_WORDS.items():
            if set(words) & set(names):
                return split
    return None


def share_of(names: Iterable[str], part: str) -> set[str]:
    """Returns which pictures are in a part, "train" or "val", by their names."""
    ordered = sorted(set(names), key=lambda name: hashlib.sha256(name.encode()).digest())
    num_val = max(1, len(ordered) // VAL_SHARE)
    return set(ordered[:num_val] if part == "val" else ordered[num_val:])


def _annotation_files(folder: Path) -> list[Path]:
    """Returns the files in COCO's format: those that name keypoints, if any do."""
    found = [path for pattern in _PATTERNS for path in sorted(folder.glob(pattern))]
    files = [path for path in dict.fromkeys(found) if _categories(path) is not None]
    with_keypoints = [p for p in files if any(map(names_of, _categories(p) or ()))]
    return with_keypoints or files


def _categories(path):
    if is_of_a_tool(path):  # labelme has as many files as pictures: none is parsed
        return None
    try:
        return read_categories(path)
    except (ValueError, OSError):
        return None


def _located(paths: Sequence[Path], data_dir, split, part) -> Located | None:
    named = [path for path in paths if "keypoints" in path.stem] or list(paths)
    if len(named) > 1:
        raise ValueError(
            f"Several files of {data_dir} might be its {split} split: "
            f"{', '.join(str(path.relative_to(data_dir)) for path in named)}. Leave one."
        )
    folder = _image_folder(named[0], Path(data_dir), split)
    return None if folder is None else Located((named[0],), folder, part)


def _image_folder(path: Path, data_dir: Path, split: str) -> Path | None:
    """Returns the folder in which most of a file's first images are; None without any."""
    names = _first_names(path)
    words = (*SPLIT_WORDS.get(split, ()), split + "2017", "default", "Train", "Validation")
    roots = [path.parent, path.parent.parent, data_dir]
    inner = ["", "images", *words, *(f"images/{word}" for word in words)]
    tried = dict.fromkeys(root / folder for root in roots for folder in inner)
    counts = {
        folder: sum((folder / name).is_file() for name in names)
        for folder in tried
        if folder.is_dir() and folder.is_relative_to(data_dir)
    }
    best = max(counts, key=lambda folder: counts[folder], default=None)
    return best if best is not None and counts[best] else None


def _first_names(path: Path) -> list[str]:
    for section, values in read_sections(path, ("images", "annotations")):
        if section == "images" and isinstance(values, list):
            found = [v.get("file_name") for v in values[:_LOOKED_AT] if isinstance(v, dict)]
            plain = [name.replace("\\", "/") for name in found if isinstance(name, str)]
            return [n for n in plain if not n.startswith("/") and ".." not in n.split("/")]
    return []
