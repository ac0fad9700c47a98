"""Images that break between the start of a run and a measurement."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from keras_pose.data.records import PersonRecord
from keras_pose.pictures.images import ImageError, read_labelled


class BrokenImages:
    """Images that could not be read while a figure was measured: it stands on the others.

    A run must not end at a picture that broke after hours.
    """

    def __init__(self):
        self._errors: dict[Path, ImageError] = {}

    def read(self, path: Path, image_hw) -> np.ndarray | None:
        """Reads the pixels that labels are on (see `images.read_labelled`).

        Notes an image that cannot be read, and returns None for it.
        """
        try:
            return read_labelled(path, image_hw)
        except ImageError as error:
            self._errors[path] = error
            return None

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(path.name for path in self._errors)

    def warn(self) -> None:
        """Warns once, with the number of images and what is wrong with the first."""
        if self._errors:
            first = next(iter(self._errors.values()))
            warnings.warn(
                f"{len(self._errors)} images could not be read, and figures stand on the "
                f"others: {first}",
                stacklevel=3,
            )

    def fail(self, count: int) -> None:
        """Raises ImageError if nothing could be read."""
        if self._errors:
            first = next(iter(self._errors.values()))
            raise ImageError(f"None of the {count} images can be read. {first}")

    def without(self, records: Sequence[PersonRecord]) -> list[PersonRecord]:
        """Returns the people of the images that could be read."""
        return [record for record in records if record.image_path not in self._errors]

    def remaining_ids(self, records, image_ids, ground_truth):
        """Returns the ids of images that count; None for all of the ground truth."""
        if not self._errors:
            return image_ids
        gone = {r.image_id for r in records if r.image_path in self._errors}
        if image_ids is None and ground_truth is None:
            return None
        if image_ids is None:
            image_ids = [image["id"] for image in ground_truth["images"]]
        return [image_id for image_id in image_ids if image_id not in gone]
