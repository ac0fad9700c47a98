"""Networks that see whole pictures, measured by the AP of everybody in them."""

from __future__ import annotations

from keras_pose.data.crowds import open_crowds, read_crowd_truth
from keras_pose.data.mixing import open_set
from keras_pose.measuring.settings import MeasureSettings
from keras_pose.measuring.split import Measured, PictureSplit
from keras_pose.metrics.evaluator import EvaluationResult
from keras_pose.metrics.picture_evaluator import evaluate_pictures
from keras_pose.metrics.protocol import NO_BOXES, Measurement, build_protocol
from keras_pose.runtime.crowd_model import open_crowd_model


class CrowdSplit(PictureSplit[Measurement, EvaluationResult]):
    """Pictures with the keypoints of everybody in them."""

    def __init__(self, settings: MeasureSettings):
        """Opens the split; raises ValueError or FileNotFoundError if it is not there."""
        opened = open_crowds(*settings.where, reading=settings.reading)
        truth = read_crowd_truth(opened, settings.reading)
        super().__init__(settings, opened, truth, "people")

    def open(self, path, contract):
        return open_crowd_model(path, contract)

    def evaluate(self, model, progress: bool = True) -> EvaluationResult:
        return evaluate_pictures(model, *self.pictures, progress=progress)

    def measure(self, model, path, progress: bool = True) -> Measured:
        result = self.evaluate(model, progress)
        protocol = build_protocol(
            open_set(*self.settings.where, reading=self.settings.reading),
            model.contract,
            path,
            result,
            self.settings.limit is not None,
            NO_BOXES,
        )
        return Measured(Measurement.of(result, protocol), result)
