"""`PersonRecord`: one labelled person, whatever data set they come from; and many."""

from __future__ import annotations

import weakref
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, overload

import numpy as np

# Id of an image, a person or a track in a file: any whole number, or text.
Id = int | str


@dataclass(frozen=True)
class PersonRecord:
    """One person of one image.

    Attributes:
        image_path: file of the image.
        image_id: id of the image in the data set.
        annotation_id: id of the person in the data set.
        box_xywh: (4,) float64, image pixels, cleaned by the reader.
        keypoints_xy: (K, 2) float32, image pixels; (0, 0) where not labelled.
        visibility: (K,) uint8: 0 not labelled, 1 occluded, 2 visible.
        area: square pixels, as the data set gives it; scales OKS.
        score: confidence in the box, 1 for ground truth.
        head_size: pixels; the unit of PCKh. None where the data set has none.
        track_id: id of the person throughout a video; None without one.
        video: name of the video the image is a frame of.
        ignore_regions: (P, 2) outlines in the image, pixels, in which people are not
            labelled.
        image_hw: (height, width) of the picture that the labels are on: as it is stored,
            or as EXIF turns it. None where the data set does not say; labels are on the
            stored pixels then.
    """

    image_path: Path
    image_id: Id
    annotation_id: Id
    box_xywh: np.ndarray
    keypoints_xy: np.ndarray
    visibility: np.ndarray
    area: float
    score: float = 1.0
    head_size: float | None = None
    track_id: Id | None = None
    video: str | None = None
    ignore_regions: tuple[np.ndarray, ...] = ()
    image_hw: tuple[int, int] | None = None


@dataclass(frozen=True, eq=False)
class PersonTable(Sequence[PersonRecord]):
    """N labelled people of M images as arrays; a record is made when it is asked for.

    A million people take 300 MB so. Records that the caller holds are the same objects
    whenever they are asked for.

    Attributes:
        folder: folder that image names start from.
        image_names: (M,) file names, with forward slashes.
        image_ids: (M,) ids of the images in the data set.
        image_sizes_hw: (M, 2) of the pictures that labels are on; 0 where not known.
        videos: (M,) names of the videos that images are frames of; None without any.
        image_index: (N,) int32, the image that each person is in.
        annotation_ids: (N,) ids of the people in the data set.
        boxes_xywh: (N, 4) float64, image pixels.
        keypoints_xy: (N, K, 2) float32, image pixels; (0, 0) where not labelled.
        visibility: (N, K) uint8 COCO flags.
        areas: (N,) float64 square pixels.
        track_ids: (N,) ids of the people within a video; None without any.
        is_mended: True if anything in the file had to be repaired, so that the file itself
            is not the ground truth.
    """

    folder: Path
    image_names: list[str]
    image_ids: list[Id]
    image_sizes_hw: np.ndarray
    videos: list[Any] | None
    image_index: np.ndarray
    annotation_ids: np.ndarray
    boxes_xywh: np.ndarray
    keypoints_xy: np.ndarray
    visibility: np.ndarray
    areas: np.ndarray
    track_ids: np.ndarray | None
    is_mended: bool = False
    _made: weakref.WeakValueDictionary[int, PersonRecord] = field(
        default_factory=weakref.WeakValueDictionary, repr=False
    )

    def __len__(self) -> int:
        return len(self.image_index)

    @overload
    def __getitem__(self, index: int) -> PersonRecord: ...

    @overload
    def __getitem__(self, index: slice) -> PersonTable: ...

    def __getitem__(self, index):
        if isinstance(index, slice):
            return self.take(np.arange(len(self))[index])
        place = range(len(self))[index]  # negative ones, and IndexError
        record = self._made.get(place)
        if record is None:
            record = self._made[place] = self._record(place)
        return record

    def __iter__(self) -> Iterator[PersonRecord]:
        return (self[i] for i in range(len(self)))

    def _record(self, i: int) -> PersonRecord:
        image = int(self.image_index[i])
        height, width = self.image_sizes_hw[image].tolist()
        return PersonRecord(
            image_path=self.image_path(image),
            image_id=self.image_ids[image],
            annotation_id=self.annotation_ids[i],
            box_xywh=self.boxes_xywh[i],
            keypoints_xy=self.keypoints_xy[i],
            visibility=self.visibility[i],
            area=float(self.areas[i]),
            track_id=None if self.track_ids is None else self.track_ids[i],
            video=None if self.videos is None else self.videos[image],
            image_hw=(int(height), int(width)) if height and width else None,
        )

    def image_path(self, image: int) -> Path:
        """Returns the file of an image, by its place in the table."""
        return self.folder / self.image_names[image]

    def take(self, indices) -> PersonTable:
        """Picks people by an array of indices or of truth values; images stay."""
        return replace(
            self,
            image_index=self.image_index[indices],
            annotation_ids=self.annotation_ids[indices],
            boxes_xywh=self.boxes_xywh[indices],
            keypoints_xy=self.keypoints_xy[indices],
            visibility=self.visibility[indices],
            areas=self.areas[indices],
            track_ids=None if self.track_ids is None else self.track_ids[indices],
            _made=weakref.WeakValueDictionary(),
        )

    @property
    def used_images(self) -> np.ndarray:
        """(I,) places of the images in which somebody is, in order of first appearance."""
        images, first = np.unique(self.image_index, return_index=True)
        return images[np.argsort(first)]
