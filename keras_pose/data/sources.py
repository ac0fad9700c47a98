"""Training samples: labelled files, or people drawn when asked for.

A source is a table, because the pipeline must run without Python: TensorFlow may
take an iterator down while holding Python's lock, and waits for ever for a Python
function that is still loading a sample.
"""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from tqdm import tqdm

from keras_pose.data.pictures import (
    InPictures,
    factors_of,
    readable_images,
    smaller_boxes,
    smaller_xy,
)
from keras_pose.data.records import PersonRecord, PersonTable
from keras_pose.data.synthetic import draw_scenes, scene_seed
from keras_pose.pictures.images import read_labelled
from keras_pose.skeleton import COCO_17, Skeleton

SYNTHETIC_HW = (256, 256)


@dataclass(frozen=True)
class PersonSample:
    """One person with the pixels: (H, W, 3) uint8 RGB; the rest as in `PersonRecord`."""

    image: np.ndarray
    box_xywh: np.ndarray
    keypoints_xy: np.ndarray
    visibility: np.ndarray


@dataclass(frozen=True)
class PersonSource(InPictures):
    """N people in M images.

    Attributes:
        skeleton: names and pairs of the K keypoints.
        images: M paths, or M encoded images.
        image_index: (N,) int32, the image that each person is in.
        boxes_xywh: (N, 4) float32, image pixels.
        keypoints_xy: (N, K, 2) float32, image pixels.
        visibility: (N, K) int32 COCO flags.
        num_skipped_images: images that were left out because they are broken.
        confidence: (N, K) float32, how much a label weighs; None for 1 each.
        set_index: (N,) int32, the data set that each person is from, rising; None for
            one set.
        shares: relative sampling weights of a mix; () weights each set by its number of
            people.
        image_hw: (M, 2) int sizes that labels were made for; with `is_trainable`, a field
            of `pictures.InPictures`.
    """

    skeleton: Skeleton
    images: list[Path] | list[bytes]
    image_index: np.ndarray
    boxes_xywh: np.ndarray
    keypoints_xy: np.ndarray
    visibility: np.ndarray
    num_skipped_images: int = 0
    set_index: np.ndarray | None = None
    shares: tuple[float, ...] = ()
    image_hw: np.ndarray | None = None
    is_trainable: bool = False
    confidence: np.ndarray | None = None

    def __len__(self) -> int:
        return len(self.image_index)

    @property
    def set_sizes(self) -> np.ndarray:
        """(S,) int64: people of each data set."""
        if self.set_index is None:
            return np.array([len(self)])
        return np.bincount(self.set_index, minlength=len(self.shares))

    @property
    def set_quotas(self) -> np.ndarray:
        """(S,) int64: samples that an epoch of training takes from each data set."""
        if not self.shares:
            return self.set_sizes
        shares = np.array(self.shares) / sum(self.shares)
        return np.maximum(1, np.rint(shares * len(self))).astype(np.int64)

    @property
    def epoch_size(self) -> int:
        """Samples of an epoch of training."""
        return int(self.set_quotas.sum())

    @property
    def says_hidden(self) -> np.ndarray:
        """(N,) bool: people of data sets whose flags call any keypoint hidden.

        Others have one flag for all that is labelled, which says nothing.
        """
        sets = np.zeros(len(self), int) if self.set_index is None else self.set_index
        has_hidden = (self.visibility == 1).any(axis=1)
        counts = np.bincount(sets, has_hidden, minlength=len(self.shares) or 1)
        says: np.ndarray = counts[sets] > 0
        return says

    def load(self, index: int) -> PersonSample:
        """Reads one sample, as the pipeline does in TensorFlow.

        Raises:
            ImageError: names the file.
        """
        number = self.image_index[index]
        size_hw = None if self.image_hw is None else self.image_hw[number]
        is_known = size_hw is not None and bool(np.all(size_hw))
        return PersonSample(
            read_labelled(_openable(self.images[number]), size_hw if is_known else None),
            self.boxes_xywh[index],
            self.keypoints_xy[index],
            self.visibility[index],
        )

    def names(self, indices) -> list[str]:
        """Returns the files of people, or the numbers of their images in memory."""
        numbers = self.image_index[indices].tolist()
        return [
            f"number {number} in memory"
            if isinstance(self.images[number], bytes)
            else str(self.images[number])
            for number in numbers
        ]

    def in_images(self, images) -> PersonSource:
        """Returns the same people in images as training reads them, labels as these."""
        factors = factors_of(images)[self.image_index]
        return replace(
            self,
            images=images,
            boxes_xywh=smaller_boxes(self.boxes_xywh, factors),
            keypoints_xy=smaller_xy(self.keypoints_xy, factors[:, None, None]),
            image_hw=None,
            is_trainable=True,
        )

    def without_broken_images(self) -> PersonSource:
        """Decodes every image once, and leaves out those that cannot be, with a warning.

        What comes back is `trainable`.

        Raises:
            ImageError: when no image is left.
            ValueError: names an image that is not of the size its labels were made for.
        """
        images, broken = readable_images(self.images, self.image_hw)
        keep = ~np.isin(self.image_index, list(broken))
        ready = self.in_images(images)
        return replace(
            ready,
            image_index=self.image_index[keep],
            boxes_xywh=ready.boxes_xywh[keep],
            keypoints_xy=ready.keypoints_xy[keep],
            visibility=self.visibility[keep],
            num_skipped_images=len(broken),
            set_index=None if self.set_index is None else self.set_index[keep],
            confidence=None if self.confidence is None else self.confidence[keep],
        )


def _progress(steps, title, count):
    """Shows a bar on a terminal, and nothing in a log file."""
    return tqdm(steps, title, count, unit="image", disable=None)


def _openable(image):
    return io.BytesIO(image) if isinstance(image, bytes) else image


def records_source(records: Sequence[PersonRecord], skeleton: Skeleton) -> PersonSource:
    """Makes a source of the people that a reader found."""
    if isinstance(records, PersonTable):
        return _table_source(records, skeleton)
    pictures = list(dict.fromkeys(map(_picture, records)))
    numbers = {picture: i for i, picture in enumerate(pictures)}
    return PersonSource(
        skeleton,
        [path for path, _ in pictures],
        np.array([numbers[_picture(record)] for record in records], np.int32),
        np.array([record.box_xywh for record in records], np.float32),
        np.array([record.keypoints_xy for record in records], np.float32),
        np.array([record.visibility for record in records], np.int32),
        image_hw=np.array([size_hw or (0, 0) for _, size_hw in pictures], np.int64),
    )


def _picture(record):
    return record.image_path, record.image_hw


def _table_source(table: PersonTable, skeleton: Skeleton) -> PersonSource:
    """Makes a source of a table, without making its records."""
    used = table.used_images
    sizes = map(tuple, table.image_sizes_hw[used].astype(int).tolist())
    pictures = list(zip([table.image_names[i] for i in used.tolist()], sizes, strict=True))
    # Two images of a file may be of one name.
    numbers = {picture: i for i, picture in enumerate(dict.fromkeys(pictures))}
    places = np.zeros(len(table.image_names), np.int32)
    places[used] = [numbers[picture] for picture in pictures]
    return PersonSource(
        skeleton,
        [table.folder / name for name, _ in numbers],
        places[table.image_index],
        table.boxes_xywh.astype(np.float32),
        table.keypoints_xy,
        table.visibility.astype(np.int32),
        image_hw=np.array([size_hw for _, size_hw in numbers], np.int64).reshape(-1, 2),
    )


def mix_sources(
    sources: Sequence[PersonSource], shares: tuple[float, ...] = ()
) -> PersonSource:
    """Puts the people of several data sets, all of one skeleton, into one source.

    Raises:
        ValueError: for different skeletons, or a number of shares that does not fit.
    """
    if len({source.skeleton for source in sources}) != 1:
        names = [source.skeleton.name for source in sources]
        raise ValueError(f"A mix needs one skeleton, got {names}: map them first.")
    if shares and len(shares) != len(sources):
        raise ValueError(f"{len(sources)} sources need as many shares, got {shares}.")
    if len(sources) == 1:
        return sources[0]
    offsets = np.cumsum([0, *(len(source.images) for source in sources[:-1])])
    moved = zip(sources, offsets.tolist(), strict=True)
    images: Any = [image for source in sources for image in source.images]
    return PersonSource(
        sources[0].skeleton,
        images,
        np.concatenate(
            [source.image_index + offset for source, offset in moved], dtype=np.int32
        ),
        np.concatenate([source.boxes_xywh for source in sources]),
        np.concatenate([source.keypoints_xy for source in sources]),
        np.concatenate([source.visibility for source in sources]),
        sum(source.num_skipped_images for source in sources),
        np.repeat(np.arange(len(sources), dtype=np.int32), [len(s) for s in sources]),
        shares,
        np.concatenate([_sizes(source) for source in sources]),
        all(source.is_trainable for source in sources),
        _confidences(sources),
    )


def _confidences(sources: Sequence[PersonSource]) -> np.ndarray | None:
    if all(source.confidence is None for source in sources):
        return None
    return np.concatenate(
        [
            np.ones(source.visibility.shape, np.float32)
            if source.confidence is None
            else source.confidence
            for source in sources
        ]
    )


def _sizes(source: PersonSource) -> np.ndarray:
    if source.image_hw is None:
        return np.zeros((len(source.images), 2), np.int64)
    return source.image_hw


def synthetic_source(num_images: int, seed: int = 0, split: str = "train") -> PersonSource:
    """Draws synthetic people, on all cores, and keeps them in memory (20 kB an image)."""
    stream = scene_seed(seed, split)
    scenes = draw_scenes(stream, range(num_images), SYNTHETIC_HW)
    drawn = list(_progress(scenes, f"drawing {split}", num_images))
    people = [(i, person) for i, scene in enumerate(drawn) for person in scene.people]
    return PersonSource(
        COCO_17,
        [scene.jpeg for scene in drawn],
        np.array([i for i, _ in people], np.int32),
        np.array([person.box_xywh for _, person in people], np.float32),
        np.array([person.keypoints_xy for _, person in people], np.float32),
        np.array([person.visibility for _, person in people], np.int32),
    )
