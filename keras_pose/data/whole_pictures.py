"""Reading and opening of whole pictures, be their labels boxes or everybody's keypoints.

A person reader passes over crowds and people without keypoints; these sources keep them.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Generic, NamedTuple, Self, TypeVar

from keras_pose.data.datasets import (
    DEFAULT_DIRS,
    SPECS,
    check_dataset_name,
    locate_split,
    open_dataset,
)
from keras_pose.data.own import is_own
from keras_pose.data.pictures import InPictures, readable_images
from keras_pose.data.readers.checks import Notes
from keras_pose.data.readers.coco import Reading, locate_images, read_coco_truth
from keras_pose.data.readers.coco_people import CocoPeople, ReadingRules, read_people
from keras_pose.data.readers.coco_sizes import settle_sizes
from keras_pose.data.records import Id
from keras_pose.data.unpacked_folders import share_of
from keras_pose.skeleton import Skeleton

# Their files label everybody in a picture, or say where they do not.
WHOLE_DATASETS = ("coco", "synthetic")


class WholePictures(InPictures):
    """N pictures with what is in each; subclasses are dataclasses with these fields."""

    image_ids: list[Id]
    num_skipped_images: int

    def __len__(self) -> int:
        return len(self.images)

    def take(self, indices: Sequence[int]) -> Self:
        """Picks pictures with their labels."""
        raise NotImplementedError

    def without_broken_images(self) -> Self:
        """Decodes every image once, and leaves out those that cannot be, with a warning.

        What comes back is `trainable`.

        Raises:
            ImageError: when no image is left.
            ValueError: names an image that is not of the size its labels were made for.
        """
        images, broken = readable_images(self.images, self.image_hw)
        ready = self.in_images(images)
        kept: Any = ready.take([i for i in range(len(self)) if i not in broken])
        return replace(kept, num_skipped_images=len(broken))


Source = TypeVar("Source", bound=WholePictures)


class WholeSplit(NamedTuple, Generic[Source]):
    """A split of a data set: its pictures, and where they and their labels are from."""

    source: Source
    annotation_path: Path
    image_folder: Path


def read_everybody(
    path: Path, folder: Path, category, rules: ReadingRules, reading: Reading
) -> tuple[CocoPeople, list[Path]]:
    """Reads the people of a COCO file, crowds included, and where its pictures are.

    Args:
        path: annotation file.
        folder: folder of the pictures. Only headers are read here.
        category: entry of the people's category in the file.
        rules: meaning of the file's numbers.
        reading: options of the user for reading the file.

    Raises:
        FileNotFoundError: for a missing image folder.
        ValueError: names file, annotation id and field of what is malformed.
    """
    if not folder.is_dir():
        raise FileNotFoundError(f"Image folder {folder} does not exist.")
    notes = Notes(path)
    people = read_people(path, category, rules, notes)
    everything = range(len(people.images.ids))
    found, root = locate_images(people, folder, everything)
    people = settle_sizes(people, found, root, notes, reading.rescale_labels)
    notes.warn()
    names = people.images.names
    return people, [root / found.get(i, names[i]) for i in everything]


def open_whole(
    who: str, name: str, data_dir, split: str, read: Callable[[Path, Path], Source]
) -> WholeSplit[Source]:
    """Opens a split of a data set whose pictures are labelled whole.

    Args:
        who: name of the task that needs such a set, for messages.
        name: one of `WHOLE_DATASETS`, or a name of one's own for a set in COCO's format,
            which must label everybody, too.
        data_dir: folder of the set; None for its usual one.
        split: "train" or "val". The synthetic validation split is drawn on first use.
        read: function from annotation file and image folder to the source.

    Raises:
        ValueError: for another data set, or malformed annotations.
        FileNotFoundError: when the data set is not there.
    """
    if is_own(name) and data_dir is not None:
        name = "coco"
    if check_dataset_name(name) not in WHOLE_DATASETS:
        raise ValueError(
            f"{who} need a data set in which everybody is labelled: "
            f"{' or '.join(WHOLE_DATASETS)}, got {name!r}."
        )
    data_dir = Path(data_dir or DEFAULT_DIRS[name])
    found = locate_split(SPECS["coco"], data_dir, split)
    if found is None:
        open_dataset(name, data_dir, split)  # draws it, or says where it looked
        found = locate_split(SPECS["coco"], data_dir, split)
    if found is None:
        raise FileNotFoundError(f"No {split} split of {name} in {data_dir}.")
    source = read(found.paths[0], found.images)
    if found.part is not None:
        names = [os.path.relpath(str(path), found.images) for path in source.images]
        chosen = share_of(names, found.part)
        source = source.take([i for i, name in enumerate(names) if name in chosen])
    return WholeSplit(source, found.paths[0], found.images)


def read_truth(
    split: WholeSplit, category, reading: Reading, skeleton: Skeleton | None = None
) -> dict[str, Any]:
    """Returns the ground truth of a split: the file's people, with liberties made good.

    Args:
        split: split that `open_whole` opened.
        category: entry of the people's category in the file.
        reading: options with which it was opened.
        skeleton: keypoints that the file must have; None for any number.
    """
    # Sizes of pictures matter to labels only where these are scaled to them.
    folder = split.image_folder if reading.rescale_labels else None
    return read_coco_truth(
        split.annotation_path,
        folder,
        skeleton,
        reading,
        category=category,
        needs_all_images=True,
    )
