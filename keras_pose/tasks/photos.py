"""What a task takes as photos: one or many."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from keras_pose.pictures.images import as_image


def as_photos(photos: Any) -> tuple[Iterable[tuple[Any, np.ndarray]], bool]:
    """Returns photos one by one, so that memory does not grow with their number.

    Args:
        photos: one photo or several, as `PoseTask.predict` takes them.

    Returns:
        Pairs of a name (its path, or None) and (H, W, 3) uint8 RGB pixels, and whether
        what came was a single photo.

    Raises:
        ValueError: for what is neither; while iterating, for one of several that is no
            photo.
    """
    if _is_single(photos):
        return [_read(photos)], True
    if isinstance(photos, np.ndarray | list | tuple):
        if not len(photos):
            raise ValueError("There are no photos: the list is empty.")
        return _numbered(photos), False
    raise ValueError(
        "Photos are a path, an array of pixels, an image of Pillow's, or a list of these; "
        f"got {type(photos).__name__}."
    )


def _is_single(photos) -> bool:
    if isinstance(photos, str | Path) and Path(photos).is_dir():
        raise ValueError(
            f"{photos} is a folder: give its pictures, sorted(Path({str(photos)!r})"
            '.glob("*.jpg")).'
        )
    if isinstance(photos, np.ndarray):
        return photos.ndim != 4
    return isinstance(photos, str | Path | bytes | Image.Image) or hasattr(photos, "read")


def _numbered(photos):
    for number, photo in enumerate(photos):
        try:
            if photo is not None and not _is_single(photo) and not hasattr(photo, "shape"):
                raise ValueError(f"It is of the type {type(photo).__name__}.")
            yield _read(photo)
        except ValueError as error:
            raise type(error)(f"Photo {number} of {len(photos)}: {error}") from error


def _read(photo) -> tuple[Any, np.ndarray]:
    name = photo if isinstance(photo, str | Path) else None
    return name, as_image(photo)
