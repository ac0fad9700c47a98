"""Pictures with people for the cases of a model: drawn, or from a folder."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import cv2
import numpy as np

from keras_pose.inference.frame_sources import pictures_in
from keras_pose.parity.model_cases import Person
from keras_pose.parity.model_file import ModelFile
from keras_pose.pictures.geometry import whole_image_box, xyxy_to_xywh
from keras_pose.pictures.images import read_image

# Longest side of a picture, pixels: a pack is to be small.
MAX_SIDE = 200


def drawn_people(count: int, seed: int = 0) -> list[Person]:
    """Draws that many people, each in a picture of their own."""
    from keras_pose.data.sources import synthetic_source

    source = synthetic_source(count, seed)
    # Of each picture the first person.
    _, first = np.unique(source.image_index, return_index=True)
    samples = [source.load(int(index)) for index in first[:count]]
    return [_smaller(sample.image, sample.box_xywh) for sample in samples]


def finder_of(models: Mapping[str, ModelFile]) -> ModelFile | None:
    """Returns the file of "pose" and "detector" that finds people in whole pictures."""
    pose = models.get("pose")
    return pose if pose and pose.finds_everybody else models.get("detector")


def people_in(folder, count: int, finder: ModelFile | None = None) -> list[Person]:
    """Reads the first pictures of a folder that show somebody.

    Args:
        folder: folder of pictures.
        count: people wanted, one of each picture.
        finder: detector, or network that finds everybody; without one, a picture is one
            person from edge to edge.

    Raises:
        ValueError: if there are not as many.
    """
    people: list[Person] = []
    for path in pictures_in(Path(folder)):
        image = _smaller(read_image(path), np.zeros(4)).image
        box_xywh = _find(image, finder)
        if box_xywh is not None:
            people.append(Person(image, box_xywh))
        if len(people) == count:
            return people
    raise ValueError(
        f"A parity pack of {count} cases needs as many pictures of people, got "
        f"{len(people)} in {folder}."
    )


def _find(image, finder: ModelFile | None) -> np.ndarray | None:
    if finder is None:
        return xyxy_to_xywh(whole_image_box(image.shape[:2]))
    found = (finder.crowd_model if finder.finds_everybody else finder.detector)(image)
    if not len(found):
        return None
    return xyxy_to_xywh(found.boxes_xyxy[0].astype(np.float64))


def _smaller(image, box_xywh) -> Person:
    """Shrinks a picture to `MAX_SIDE`; its box with it."""
    height, width = image.shape[:2]
    scale = min(1.0, MAX_SIDE / max(height, width))
    size = max(1, round(width * scale)), max(1, round(height * scale))
    if scale < 1:
        image = cv2.resize(image, size, interpolation=cv2.INTER_AREA)
    return Person(image, np.asarray(box_xywh, np.float64) * scale)
