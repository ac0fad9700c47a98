"""Where training samples come from: labelled files, or people drawn on the fly."""

from __future__ import annotations

import threading
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np

from keras_pose.data.records import PersonRecord
from keras_pose.data.synthetic import draw_scene, scene_seed
from keras_pose.images import ImageError, read_image
from keras_pose.skeleton import COCO_17, Skeleton


@dataclass(frozen=True)
class PersonSample:
    """One person with the pixels: (H, W, 3) uint8 RGB; the rest as in `PersonRecord`."""

    image: np.ndarray
    box_xywh: np.ndarray
    keypoints_xy: np.ndarray
    visibility: np.ndarray


class PersonSource(Protocol):
    """A fixed number of samples, each loaded by its index, in any order, by any thread."""

    skeleton: Skeleton

    def __len__(self) -> int: ...

    def load(self, index: int) -> PersonSample: ...


class RecordSource:
    """Samples from the records of a reader.

    An image that cannot be read is warned about once, counted in
    `num_skipped_images`, and the next record takes its place, so that one bad
    file neither stops a run nor shifts the order of the others.
    """

    def __init__(self, records: list[PersonRecord], skeleton: Skeleton):
        self.skeleton = skeleton
        self._records = records
        self._unreadable: set[Path] = set()
        self._lock = threading.Lock()  # tf.data loads from several threads

    def __len__(self) -> int:
        return len(self._records)

    @property
    def num_skipped_images(self) -> int:
        return len(self._unreadable)

    def load(self, index: int) -> PersonSample:
        for step in range(len(self._records)):
            record = self._records[(index + step) % len(self._records)]
            if record.image_path in self._unreadable:
                continue
            try:
                # Labels are on the stored pixels, whatever EXIF says.
                image = read_image(record.image_path, honour_exif=False)
            except ImageError as error:
                self._skip(record.image_path, error)
                continue
            return PersonSample(
                image, record.box_xywh, record.keypoints_xy, record.visibility
            )
        raise ImageError(
            f"None of the {self.num_skipped_images} images of the data set can be read."
        )

    def _skip(self, path: Path, error: ImageError) -> None:
        with self._lock:
            if path not in self._unreadable:
                self._unreadable.add(path)
                count = self.num_skipped_images
                warnings.warn(f"Skipped image {count}: {error}", stacklevel=3)


class SyntheticSource:
    """Synthetic people, drawn when asked for: sample i is a person of scene i."""

    skeleton = COCO_17

    def __init__(self, num_samples: int, seed: int = 0, split: str = "train"):
        self._num_samples = num_samples
        self._seed = scene_seed(seed, split)

    def __len__(self) -> int:
        return self._num_samples

    def load(self, index: int) -> PersonSample:
        # A scene in which nobody can be labelled is passed over, as in `load` above.
        for attempt in range(100):
            scene = draw_scene(self._seed, index + attempt * self._num_samples)
            people = [person for person in scene.people if person.visibility.any()]
            if people:
                person = people[index % len(people)]
                return PersonSample(
                    scene.image, person.box_xywh, person.keypoints_xy, person.visibility
                )
        raise RuntimeError(f"100 scenes from number {index} on hold nobody with keypoints.")
