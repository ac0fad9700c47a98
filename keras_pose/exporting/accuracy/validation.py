"""The metric of a model file on a validation split."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, cast

from keras_pose.bottomup_contract import BottomUpContract
from keras_pose.data.crowds import open_crowds, read_crowd_truth
from keras_pose.data.datasets import coco_ground_truth
from keras_pose.data.mixing import open_validating, parse_mix
from keras_pose.data.readers.coco import AS_WRITTEN, Reading
from keras_pose.detection.people import open_boxes, read_box_truth
from keras_pose.detector_contract import DetectorContract, ModelContract
from keras_pose.metrics import METRICS, default_metrics, evaluate
from keras_pose.metrics.box_ap import evaluate_detector
from keras_pose.metrics.whole_pictures import evaluate_pictures
from keras_pose.runtime.bottom_up import open_bottom_up
from keras_pose.runtime.detector import open_detector
from keras_pose.runtime.loading import open_model

POINTS = 100


@dataclass(frozen=True)
class Validation:
    """A metric on a split.

    Attributes:
        figure: name of the figure, such as "AP".
        description: words for the metric and the people it is measured on.
        measure: path of a `.tflite` or `.onnx` file and its contract -> the figure.
        lower_is_better: True if less is better.
    """

    figure: str
    description: str
    measure: Callable[[Path, ModelContract], float]
    lower_is_better: bool = False

    def drop(self, reference: float, value: float) -> float:
        """Returns what was lost of the reference, in points; negative for a gain."""
        loss = value - reference if self.lower_is_better else reference - value
        return POINTS * loss


def open_validation(
    contract: ModelContract,
    dataset: str,
    data_dir=None,
    limit: int | None = None,
    reading: Reading = AS_WRITTEN,
) -> Validation:
    """Opens the validation split of a data set.

    Args:
        contract: description of the model. It decides the metric: box AP for a detector, AP
            of everybody for a bottom-up network, else the first metric of the set that its
            labels allow, on ground-truth boxes and without flip test.
        dataset: name, or names of which one validates.
        data_dir: its folder; None for its usual one.
        limit: images to measure on, the first ones; None for all.
        reading: options of the user for a file in COCO's format.

    Raises:
        ValueError: for an unknown data set, or one that does not fit.
        FileNotFoundError: when it is not there.
    """
    opened = _open_boxes if isinstance(contract, DetectorContract) else _open_poses
    if isinstance(contract, BottomUpContract):
        opened = _open_pictures
    return opened(contract, dataset, data_dir, limit, reading)


def _open_boxes(contract, dataset, data_dir, limit, reading) -> Validation:
    split = open_boxes(dataset, data_dir, "val", reading)
    source, truth = split.source, read_box_truth(split, reading)
    images = cast(list[Path], source.images[:limit])
    image_ids = source.image_ids[:limit]

    def measure(path, contract):
        detector = open_detector(path, contract)
        found = evaluate_detector(detector, images, image_ids, truth, progress=False)
        return found.stats["AP"]

    return Validation("AP", f"boxes in {len(images)} images of {dataset} val", measure)


def _open_pictures(contract, dataset, data_dir, limit, reading) -> Validation:
    split = open_crowds(dataset, data_dir, "val", reading=reading)
    source, truth = split.source, read_crowd_truth(split, reading)
    images = cast(list[Path], source.images[:limit])
    image_ids = source.image_ids[:limit]

    def measure(path, contract):
        model = open_bottom_up(path, contract)
        found = evaluate_pictures(model, images, image_ids, truth, progress=False)
        return found.stats["AP"]

    return Validation("AP", f"people in {len(images)} images of {dataset} val", measure)


def _open_poses(contract, dataset, data_dir, limit, reading) -> Validation:
    mix = parse_mix(dataset, data_dir, reading=reading)
    people = open_validating(mix, contract.skeleton)
    metrics, reason = default_metrics(people, is_whole=False)
    if reason:
        print(f"measure     {reason}")
    metric = metrics[0]
    records = people.in_first_images(limit).records
    options: dict[str, Any] = {
        "metrics": (metric,),
        "skeleton": people.skeleton,
        "nms": "hard" if people.skeleton.oks_sigmas else "off",
        "progress": False,
        "image_ids": people.first_images(limit),
    }
    figure = METRICS[metric].columns[0]
    return Validation(
        figure,
        f"{len(records)} people of {people.name} {people.split}",
        partial(_measure_poses, records, coco_ground_truth(people), figure, options),
        METRICS[metric].lower_is_better,
    )


def _measure_poses(records, truth, figure, options, path, contract) -> float:
    model = open_model(path, contract)
    return evaluate(model.predict, contract, records, truth, **options).stats[figure]
