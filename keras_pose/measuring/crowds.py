"""Networks that see whole pictures, measured by the AP of everybody in them."""

from __future__ import annotations

from pathlib import Path
from typing import cast

from keras_pose.data.crowds import open_crowds, read_crowd_truth
from keras_pose.data.mixing import open_set
from keras_pose.measuring.settings import MeasureSettings
from keras_pose.measuring.split import Measured, Split
from keras_pose.metrics.evaluator import EvaluationResult
from keras_pose.metrics.protocol import NO_BOXES, Measurement, build_protocol
from keras_pose.metrics.whole_pictures import evaluate_pictures
from keras_pose.runtime.bottom_up import open_bottom_up


class CrowdSplit(Split[Measurement, EvaluationResult]):
    """Pictures with the keypoints of everybody in them."""

    def __init__(self, settings: MeasureSettings):
        """Opens the split; raises ValueError or FileNotFoundError if it is not there."""
        self._settings = settings
        split = open_crowds(*settings.where, reading=settings.reading)
        self._images = cast(list[Path], split.source.images[: settings.limit])
        self._image_ids = split.source.image_ids[: settings.limit]
        self._truth = read_crowd_truth(split, settings.reading)
        where = f"{settings.dataset} {settings.split}"
        self.description = f"people in {len(self._images)} images of {where}"

    def open(self, path, contract):
        return open_bottom_up(path, contract)

    def evaluate(self, model, progress: bool = True) -> EvaluationResult:
        return evaluate_pictures(
            model, self._images, self._image_ids, self._truth, progress=progress
        )

    def measure(self, model, path, progress: bool = True) -> Measured:
        result = self.evaluate(model, progress)
        protocol = build_protocol(
            open_set(*self._settings.where, reading=self._settings.reading),
            model.contract,
            path,
            result,
            self._settings.limit is not None,
            NO_BOXES,
        )
        return Measured(Measurement.of(result, protocol), result)
