"""`PersonRecord`: one labelled person, whatever data set they come from."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

# What a file may call an image, a person or a track: any whole number, or text.
Id = int | str


@dataclass(frozen=True)
class PersonRecord:
    """One person of one image.

    Attributes:
        image_path: file of the image.
        image_id: what the data set calls the image.
        annotation_id: what the data set calls the person.
        box_xywh: (4,) float64, image pixels, cleaned by the reader.
        keypoints_xy: (K, 2) float32, image pixels; (0, 0) where not labelled.
        visibility: (K,) uint8: 0 not labelled, 1 occluded, 2 visible.
        area: square pixels, as the data set gives it; scales OKS.
        score: confidence in the box, 1 for ground truth.
        head_size: pixels; the unit of PCKh. None where the data set has none.
        track_id: what names the person throughout a video.
        video: name of the video the image is a frame of.
        ignore_regions: (P, 2) outlines in the image, pixels, in which people are not
            labelled.
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
