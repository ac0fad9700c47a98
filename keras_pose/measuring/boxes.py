"""Detectors of people, measured by box AP."""

from __future__ import annotations

from pathlib import Path
from typing import cast

from keras_pose.detection.people import open_boxes, read_box_truth
from keras_pose.measuring.settings import MeasureSettings
from keras_pose.measuring.split import Measured, Split
from keras_pose.metrics.box_ap import BoxEvaluation, evaluate_detector
from keras_pose.metrics.box_protocol import BoxMeasurement, build_box_protocol
from keras_pose.runtime.detector import open_detector
from keras_pose.weights.file_kinds import split_table


class BoxSplit(Split[BoxMeasurement, BoxEvaluation]):
    """Pictures with the boxes of everybody in them."""

    label = "box AP"

    def __init__(self, settings: MeasureSettings):
        """Opens the split; raises ValueError or FileNotFoundError if it is not there."""
        self._settings = settings
        split = open_boxes(*settings.where, settings.reading)
        self._annotation_path = split.annotation_path
        self._images = cast(list[Path], split.source.images[: settings.limit])
        self._image_ids = split.source.image_ids[: settings.limit]
        self._truth = read_box_truth(split, settings.reading)
        where = f"{settings.dataset} {settings.split}"
        self.description = f"boxes in {len(self._images)} images of {where}"

    def open(self, path, contract):
        return open_detector(path, contract)

    def evaluate(self, model, progress: bool = True) -> BoxEvaluation:
        return evaluate_detector(
            model, self._images, self._image_ids, self._truth, progress=progress
        )

    def measure(self, model, path, progress: bool = True) -> Measured:
        result = self.evaluate(model, progress)
        protocol = build_box_protocol(
            (self._settings.dataset, self._settings.split),
            self._annotation_path,
            model.facts,
            split_table(path)[0],
            result,
            self._settings.limit is not None,
        )
        return Measured(BoxMeasurement.of(result, protocol), result)
