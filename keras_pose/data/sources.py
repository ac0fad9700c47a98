"""Where training samples come from: labelled files, or people drawn when asked for.

A source is a table, because the pipeline must run without Python: TensorFlow may
take an iterator down while holding Python's lock, and waits for ever for a Python
function that is still loading a sample.
"""

from __future__ import annotations

import io
import os
import warnings
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from tqdm import tqdm

from keras_pose.data.records import PersonRecord
from keras_pose.data.synthetic import draw_scenes, scene_seed
from keras_pose.images import ImageError, check_image, read_image
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
class PersonSource:
    """N people in M images.

    Attributes:
        skeleton: what the K keypoints are.
        images: M paths, or M encoded images.
        image_index: (N,) int32, the image that each person is in.
        boxes_xywh: (N, 4) float32, image pixels.
        keypoints_xy: (N, K, 2) float32, image pixels.
        visibility: (N, K) int32 COCO flags.
        num_skipped_images: images that were left out because they are broken.
    """

    skeleton: Skeleton
    images: list[Path] | list[bytes]
    image_index: np.ndarray
    boxes_xywh: np.ndarray
    keypoints_xy: np.ndarray
    visibility: np.ndarray
    num_skipped_images: int = 0

    def __len__(self) -> int:
        return len(self.image_index)

    def load(self, index: int) -> PersonSample:
        """Reads one sample, as the pipeline does in TensorFlow.

        Raises:
            ImageError: names the file.
        """
        image = self.images[self.image_index[index]]
        return PersonSample(
            # Labels are on the stored pixels, whatever EXIF says.
            read_image(_openable(image), honour_exif=False),
            self.boxes_xywh[index],
            self.keypoints_xy[index],
            self.visibility[index],
        )

    def without_broken_images(self) -> PersonSource:
        """Decodes every image once, and leaves out those that cannot be, with a warning.

        Raises:
            ImageError: when no image is left.
        """
        broken = broken_images(self.images)
        keep = ~np.isin(self.image_index, broken)
        if not keep.any():
            raise ImageError(
                f"None of the {len(self.images)} images of the data set can be read."
            )
        return replace(
            self,
            image_index=self.image_index[keep],
            boxes_xywh=self.boxes_xywh[keep],
            keypoints_xy=self.keypoints_xy[keep],
            visibility=self.visibility[keep],
            num_skipped_images=len(broken),
        )


def broken_images(images: list[Path] | list[bytes]) -> list[int]:
    """Decodes every image once; warns of those that cannot be, and returns their places."""
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        problems = pool.map(_problem, images)
        bar = _progress(problems, "checking images", len(images))
        return [i for i, problem in enumerate(bar) if _warn(problem)]


def _progress(steps, title, count):
    """Shows a bar on a terminal, and nothing in a log file."""
    return tqdm(steps, title, count, unit="image", disable=None)


def _openable(image):
    return io.BytesIO(image) if isinstance(image, bytes) else image


def _problem(image) -> ImageError | None:
    try:
        check_image(_openable(image))
    except ImageError as error:
        return error
    return None


def _warn(problem) -> bool:
    if problem is not None:
        warnings.warn(f"Skipped: {problem}", stacklevel=3)
    return problem is not None


def records_source(records: list[PersonRecord], skeleton: Skeleton) -> PersonSource:
    """Makes a source of the people that a reader found."""
    paths = list(dict.fromkeys(record.image_path for record in records))
    numbers = {path: i for i, path in enumerate(paths)}
    return PersonSource(
        skeleton,
        paths,
        np.array([numbers[record.image_path] for record in records], np.int32),
        np.array([record.box_xywh for record in records], np.float32),
        np.array([record.keypoints_xy for record in records], np.float32),
        np.array([record.visibility for record in records], np.int32),
    )


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
