"""People that a detector found, in place of the labelled boxes, and the time of both."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from keras_pose.data import PoseDataset
from keras_pose.data.own import is_own
from keras_pose.data.records import PersonRecord
from keras_pose.data.whole_pictures import WHOLE_DATASETS
from keras_pose.inference import detectors
from keras_pose.metrics.box_ap import BoxEvaluation, evaluate_detector
from keras_pose.metrics.broken_images import BrokenImages
from keras_pose.metrics.stages import NUM_IMAGES, describe_stages, time_stages
from keras_pose.pictures.boxes import BoxSettings
from keras_pose.pictures.structures import Detections


@dataclass(frozen=True)
class Finder:
    """A detector that finds the people of pictures.

    Attributes:
        path: file or description of the detector.
        find: function from a picture, (H, W, 3) uint8 RGB, to its people.
        settings: the boxes that it keeps.
    """

    path: Path
    find: Callable[[np.ndarray], Detections]
    settings: BoxSettings


def open_finder(path) -> Finder:
    """Opens a detector.

    Raises:
        ValueError: for a file of boxes, which is no detector.
    """
    detector: Any = detectors.open_detector(path)
    if isinstance(detector, detectors.DetectionFile):
        raise ValueError(f"{path} holds boxes, and is no detector: --boxes {path}")

    def find(image):
        return detectors.people_among(detector(image), image.shape[:2])

    return Finder(Path(path), find, detector.facts.settings)


def find_people(
    finder: Finder, dataset: PoseDataset, truth: dict[str, Any], limit: int | None
) -> BoxEvaluation:
    """Runs a detector on the pictures of a data set.

    Args:
        finder: the detector.
        dataset: labelled people.
        truth: their annotations, COCO's format.
        limit: number of images, the first ones; None for all.
    """
    folder = image_folder(dataset.records[0], truth)
    images = {image["id"]: folder / image["file_name"] for image in truth["images"]}
    if limit is not None:
        images = {i: images[i] for i in dataset.first_images(limit)}
    is_scored = dataset.name in WHOLE_DATASETS or is_own(dataset.name)
    return evaluate_detector(
        finder.find, list(images.values()), list(images), truth, is_scored=is_scored
    )


def image_folder(record: PersonRecord, truth: dict[str, Any]) -> Path:
    """Returns the folder that the file names of the annotations start from."""
    for image in truth["images"]:
        if image["id"] == record.image_id:
            name = Path(image["file_name"])
            if name.is_absolute():  # of sets whose ground truth is made of the records
                return Path(name.anchor)
            return record.image_path.parents[len(name.parts) - 1]
    raise ValueError(f"The ground truth lacks the image id {record.image_id}.")


def time_pipeline(finder: Finder, predict, contract, records, flip_test: bool):
    """Times detector, crop, pose and decoding; returns milliseconds by people."""
    people: dict[Any, list[np.ndarray]] = {}
    for record in sorted(records, key=lambda record: -record.score):
        picture = record.image_path, record.image_hw
        people.setdefault(picture, []).append(record.box_xywh)
    broken = BrokenImages()  # the evaluation has reported them
    images, boxes = [], []
    for picture in sorted(people, key=lambda picture: picture[0]):
        image = broken.read(*picture)
        if image is not None:
            images.append(image)
            boxes.append(np.stack(people[picture]))
        if len(images) == NUM_IMAGES:
            break
    return time_stages(finder.find, predict, contract, images, boxes, flip_test)


def pipeline_tables(found: BoxEvaluation, milliseconds) -> dict[str, dict[str, float]]:
    """Returns what a measurement keeps of a detector and of the time of both."""
    times = {f"milliseconds, {n} people": values for n, values in milliseconds.items()}
    return {**({"box": found.stats} if found.stats else {}), **times}


def describe_pipeline(tables: dict[str, dict[str, float]], finder: Finder, dataset: str):
    """Returns box AP and the times of the stages, for people to read.

    Args:
        tables: return value of `pipeline_tables`.
        finder: the detector.
        dataset: name of the data set.
    """
    box = tables.get("box")
    times = {
        int(name.split()[1]): values for name, values in tables.items() if name != "box"
    }
    if box is None:
        line = f"box AP      not measured: {dataset} does not label everybody"
    else:
        main = ", ".join(f"{name} {box[name]:.3f}" for name in ("AP", "AP50"))
        line = f"box AP      {main}, AR {box['AR100']:.3f}, of {finder.path}"
    return f"{line}\n{describe_stages(times)}"
