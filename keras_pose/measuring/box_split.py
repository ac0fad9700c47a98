"""Detectors of people, measured by box AP."""

from __future__ import annotations

from keras_pose.data.person_boxes import open_boxes, read_box_truth
from keras_pose.measuring.settings import MeasureSettings
from keras_pose.measuring.split import Measured, PictureSplit
from keras_pose.metrics.box_ap import BoxEvaluation, evaluate_detector
from keras_pose.metrics.box_protocol import BoxMeasurement, build_box_protocol
from keras_pose.runtime.detector_model import open_detector
from keras_pose.weights.file_kinds import split_table


class BoxSplit(PictureSplit[BoxMeasurement, BoxEvaluation]):
    """Pictures with the boxes of everybody in them."""

    label = "box AP"

    def __init__(self, settings: MeasureSettings):
        """Opens the split; raises ValueError or FileNotFoundError if it is not there."""
        opened = open_boxes(*settings.where, settings.reading)
        truth = read_box_truth(opened, settings.reading)
        super().__init__(settings, opened, truth, "boxes")

    def open(self, path, contract):
        return open_detector(path, contract)

    def evaluate(self, model, progress: bool = True) -> BoxEvaluation:
        return evaluate_detector(model, *self.pictures, progress=progress)

    def measure(self, model, path, progress: bool = True) -> Measured:
        result = self.evaluate(model, progress)
        protocol = build_box_protocol(
            (self.settings.dataset, self.settings.split),
            self.annotation_path,
            model.facts,
            split_table(path)[0],
            result,
            self.settings.limit is not None,
        )
        return Measured(BoxMeasurement.of(result, protocol), result)
