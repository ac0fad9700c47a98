"""How good a model file is on a validation split, by the data set's own metric."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from keras_pose.contracts.detector import ModelContract
from keras_pose.data.mixing import parse_mix, validating_set
from keras_pose.data.readers.coco import AS_WRITTEN, Reading
from keras_pose.measuring import MeasureSettings, open_split
from keras_pose.metrics.drop import POINTS, drop


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
        return POINTS * drop(reference, value, self.lower_is_better)


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
    name, folder, reading = validating_set(parse_mix(dataset, data_dir, reading=reading))
    settings = MeasureSettings(name, folder, "val", limit, reading, only_main=True)
    split = open_split(contract, settings)
    for line in split.remarks:
        print(line)

    def measure(path, contract):
        return split.value_of(split.open(path, contract))

    return Validation(split.figure, split.description, measure, split.lower_is_better)
