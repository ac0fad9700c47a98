"""Training samples of bottom-up networks: pictures with everybody in them.

A person reader passes over crowds and over people without labelled keypoints. Here they are
regions that must not count: a network that finds somebody there is not wrong.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from keras_pose.data.mapping import map_with_middles
from keras_pose.data.pictures import factors_of, smaller_boxes, smaller_xy
from keras_pose.data.readers.coco import AS_WRITTEN, Reading
from keras_pose.data.readers.coco_categories import choose_category, names_of
from keras_pose.data.readers.coco_people import CocoPeople, ReadingRules
from keras_pose.data.records import Id
from keras_pose.data.sources import PersonSource
from keras_pose.data.whole_pictures import (
    WholePictures,
    WholeSplit,
    open_whole,
    read_everybody,
    read_truth,
)
from keras_pose.skeleton import COCO_17, Skeleton


@dataclass(frozen=True)
class CrowdSource(WholePictures):
    """N pictures with T people, and regions in which people are not labelled.

    Attributes:
        skeleton: names and pairs of the K keypoints.
        images: N paths, or N encoded images.
        image_ids: ids of the pictures in the data set.
        starts: (N + 1,) int64; those of picture i are people starts[i] to starts[i + 1].
        keypoints_xy: (T, K, 2) float32, image pixels.
        visibility: (T, K) int32 COCO flags.
        boxes_xywh: (T, 4) float32, image pixels.
        ignored_starts: (N + 1,) int64, the same for the regions.
        ignored_xyxy: (R, 4) float32, image pixels: crowds, and people who are boxes only.
        num_skipped_images: pictures that were left out because they are broken.
        image_hw: (N, 2) int, see `PersonSource`; None where images are trainable.
        is_trainable: True if TensorFlow decodes all images to the pixels meant.
    """

    skeleton: Skeleton
    images: list[Path] | list[bytes]
    image_ids: list[Id]
    starts: np.ndarray
    keypoints_xy: np.ndarray
    visibility: np.ndarray
    boxes_xywh: np.ndarray
    ignored_starts: np.ndarray
    ignored_xyxy: np.ndarray
    num_skipped_images: int = 0
    image_hw: np.ndarray | None = None
    is_trainable: bool = False

    @property
    def num_people(self) -> int:
        return len(self.keypoints_xy)

    def take(self, indices: Sequence[int]) -> CrowdSource:
        """Picks pictures."""
        images: list[Any] = [self.images[i] for i in indices]
        people, starts = _rows_of(self.starts, indices)
        regions, ignored_starts = _rows_of(self.ignored_starts, indices)
        return replace(
            self,
            images=images,
            image_ids=[self.image_ids[i] for i in indices],
            starts=starts,
            keypoints_xy=self.keypoints_xy[people],
            visibility=self.visibility[people],
            boxes_xywh=self.boxes_xywh[people],
            ignored_starts=ignored_starts,
            ignored_xyxy=self.ignored_xyxy[regions],
            image_hw=None if self.image_hw is None else self.image_hw[list(indices)],
        )

    def with_people(self) -> CrowdSource:
        """Leaves out pictures without a labelled person.

        Raises:
            ValueError: when no picture is left.
        """
        found = np.flatnonzero(np.diff(self.starts) > 0)
        if not len(found):
            raise ValueError(
                f"There is nobody with labelled keypoints in the {len(self)} pictures to "
                "train on."
            )
        return self.take(found.tolist())

    def in_images(self, images) -> CrowdSource:
        """Returns the same in images as training reads them, labels as these."""
        factors = factors_of(images)
        of_people = np.repeat(factors, np.diff(self.starts))
        of_regions = np.repeat(factors, np.diff(self.ignored_starts))
        corners = self.ignored_xyxy.reshape(-1, 2, 2)
        return replace(
            self,
            images=images,
            keypoints_xy=smaller_xy(self.keypoints_xy, of_people[:, None, None]),
            boxes_xywh=smaller_boxes(self.boxes_xywh, of_people),
            ignored_xyxy=smaller_xy(corners, of_regions[:, None, None]).reshape(-1, 4),
            image_hw=None,
            is_trainable=True,
        )


def _rows_of(starts, indices):
    """Returns the rows of some pictures, and where each picture's begin among them."""
    counts = np.diff(starts)[list(indices)]
    parts = [np.arange(starts[i], starts[i + 1]) for i in indices]
    rows = np.concatenate(parts) if parts else np.zeros(0, np.int64)
    return rows, np.concatenate([[0], np.cumsum(counts)]).astype(np.int64)


def read_coco_crowds(
    annotation_path, image_folder, skeleton: Skeleton, reading: Reading = AS_WRITTEN
) -> CrowdSource:
    """Reads all pictures of a COCO keypoint file with everybody in them.

    Args:
        annotation_path: file in COCO's format whose category has COCO's 17 keypoints.
        image_folder: folder of the images. Only headers are read here.
        skeleton: the keypoints to return, see `mapping.map_with_middles`.
        reading: options of the user for reading the file.

    Raises:
        FileNotFoundError: for a missing annotation file or image folder.
        ValueError: names file, annotation id and field of what is malformed, or the
            keypoints that the file has instead.
    """
    path = Path(annotation_path)
    category = _category(path, reading)
    rules = ReadingRules(COCO_17.num_keypoints)
    people, paths = read_everybody(path, Path(image_folder), category, rules, reading)
    return _source(people, paths, skeleton)


def read_crowd_truth(split: WholeSplit, reading: Reading = AS_WRITTEN) -> dict[str, Any]:
    """Returns the ground truth of a split that `open_crowds` opened, see `read_truth`."""
    category = _category(split.annotation_path, reading)
    return read_truth(split, category, reading, COCO_17)


def _category(path: Path, reading: Reading) -> dict[str, Any]:
    category = choose_category(path, reading.category)
    names = names_of(category)
    if names and names != COCO_17.names:
        raise ValueError(
            f"{path}: part affinity fields are drawn of COCO's 17 keypoints, got "
            f"{len(names)} keypoints {names}."
        )
    return category


def _source(people: CocoPeople, paths, skeleton: Skeleton) -> CrowdSource:
    is_person = people.is_labelled & ~people.is_crowd
    rows, starts = _by_picture(people, is_person, len(paths))
    has_extent = (people.boxes_xywh[:, 2:] > 0).all(axis=1)
    regions, ignored_starts = _by_picture(people, ~is_person & has_extent, len(paths))
    keypoints_xy, visibility = map_with_middles(
        people.keypoints_xy[rows], people.visibility[rows], COCO_17, skeleton
    )
    near = people.boxes_xywh[regions, :2]
    corners = np.concatenate([near, near + people.boxes_xywh[regions, 2:]], axis=1)
    return CrowdSource(
        skeleton,
        paths,
        people.images.ids,
        starts,
        keypoints_xy,
        visibility,
        people.boxes_xywh[rows].astype(np.float32),
        ignored_starts,
        corners.astype(np.float32),
        image_hw=people.images.sizes_hw.astype(np.int64),
    )


def _by_picture(people: CocoPeople, chosen, num_pictures):
    rows = np.flatnonzero(chosen)
    rows = rows[np.argsort(people.image_index[rows], kind="stable")]
    counts = np.bincount(people.image_index[rows], minlength=num_pictures)
    return rows, np.concatenate([[0], np.cumsum(counts)]).astype(np.int64)


def open_crowds(
    name: str,
    data_dir=None,
    split: str = "val",
    skeleton: Skeleton = COCO_17,
    reading: Reading = AS_WRITTEN,
) -> WholeSplit[CrowdSource]:
    """Opens a split of a data set for bottom-up networks.

    Args:
        name: data set, as `open_whole` takes it.
        data_dir: its folder; None for its usual one.
        split: "train" or "val". The synthetic validation split is drawn on first use.
        skeleton: the keypoints to return.
        reading: options of the user for reading the file.

    Raises:
        ValueError: for another data set, or malformed annotations.
        FileNotFoundError: when the data set is not there.
    """

    def read(annotation_path, image_folder):
        return read_coco_crowds(annotation_path, image_folder, skeleton, reading)

    return open_whole("Bottom-up networks", name, data_dir, split, read)


def crowds_of_people(source: PersonSource, skeleton: Skeleton) -> CrowdSource:
    """Makes pictures with everybody of a source whose people are all labelled."""
    order = np.argsort(source.image_index, kind="stable")
    counts = np.bincount(source.image_index, minlength=len(source.images))
    keypoints_xy, visibility = map_with_middles(
        source.keypoints_xy[order], source.visibility[order], source.skeleton, skeleton
    )
    return CrowdSource(
        skeleton,
        source.images,
        list(range(1, len(source.images) + 1)),
        np.concatenate([[0], np.cumsum(counts)]).astype(np.int64),
        keypoints_xy,
        visibility,
        source.boxes_xywh[order],
        np.zeros(len(source.images) + 1, np.int64),
        np.zeros((0, 4), np.float32),
        image_hw=source.image_hw,
        is_trainable=source.is_trainable,
    )
