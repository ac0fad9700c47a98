"""A split of a data set that models of one kind are measured on."""

from __future__ import annotations

import abc
from pathlib import Path
from typing import Any, Generic, NamedTuple, TypeVar, cast

from keras_pose.data.whole_pictures import WholeSplit
from keras_pose.measuring.settings import MeasureSettings
from keras_pose.metrics.box_ap import BoxEvaluation
from keras_pose.metrics.box_protocol import BoxMeasurement
from keras_pose.metrics.evaluator import EvaluationResult
from keras_pose.metrics.protocol import Measurement

M = TypeVar("M", Measurement, BoxMeasurement)
R = TypeVar("R", EvaluationResult, BoxEvaluation)


class Measured(NamedTuple, Generic[M, R]):
    """A measurement, and the predictions that it is made of."""

    measurement: M
    result: R


class Split(abc.ABC, Generic[M, R]):
    """A split of labelled pictures, opened once for any number of models.

    Attributes:
        figure: name of the figure that models are compared by, such as "AP".
        label: the same in words, such as "box AP".
        lower_is_better: True if less of it is better.
        description: words for what it is measured on.
        reason: line that says why the figure is not the data set's official one; "" if it
            is.
        remarks: lines for the user, `reason` among them.
    """

    figure: str = "AP"
    label: str = "AP"
    lower_is_better: bool = False
    description: str
    reason: str = ""
    remarks: tuple[str, ...] = ()

    @abc.abstractmethod
    def open(self, path, contract) -> Any:
        """Opens a `.tflite` or `.onnx` file whose contract is at hand."""

    @abc.abstractmethod
    def evaluate(self, model, progress: bool = True) -> R:
        """Runs a model on the split, and computes all figures.

        Args:
            model: model of `keras_pose.runtime`, of the kind that the split is for.
            progress: True to show a bar, on a terminal.
        """

    @abc.abstractmethod
    def measure(self, model, path: str | Path, progress: bool = True) -> Measured[M, R]:
        """Evaluates the model of a file, and stamps the figures with their protocol."""

    def value_of(self, model) -> float:
        """Returns the figure of a model, without a protocol: it may be in no file."""
        return self.evaluate(model, progress=False).stats[self.figure]


class PictureSplit(Split[M, R]):
    """Whole pictures with everybody in them, for models that need no boxes.

    Attributes:
        settings: the data, and how to measure.
        annotation_path: file of the labels.
        pictures: paths of the pictures, their ids, and their labels in COCO's format.
    """

    def __init__(
        self,
        settings: MeasureSettings,
        opened: WholeSplit,
        truth: dict[str, Any],
        noun: str,
    ):
        """Keeps the first pictures of a split.

        Args:
            settings: the data, and how to measure.
            opened: the split.
            truth: its labels, COCO's format.
            noun: name of what is measured in the pictures, such as "people".
        """
        self.settings, self.annotation_path = settings, opened.annotation_path
        images = cast(list[Path], opened.source.images[: settings.limit])
        image_ids = opened.source.image_ids[: settings.limit]
        self.pictures = images, image_ids, truth
        where = f"{settings.dataset} {settings.split}"
        self.description = f"{noun} in {len(images)} images of {where}"
