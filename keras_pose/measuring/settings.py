"""The settings of a measurement: data, people, metrics."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from keras_pose.data.readers.coco import AS_WRITTEN, Reading
from keras_pose.skeleton import Skeleton


@dataclass(frozen=True)
class MeasureSettings:
    """The data that models are measured on, and how.

    Attributes:
        dataset: name of the data set, or a name of one's own.
        data_dir: folder of the data set; None for its usual one.
        split: split of the data set.
        limit: number of images to measure on, the first ones; None for all.
        reading: options of the user for a file in COCO's format.
        skeleton: keypoints to open the data set with; None for those of the model.
        sigmas: "uniform" for AP of keypoints without OKS sigmas; None for PCK.
        metrics: keys of `official.METRICS`; () for those of the data set.
        only_main: True for the first of the data set's metrics alone.
        boxes: file of person boxes, COCO results; None for the labelled boxes.
        box_threshold: smallest score of boxes that were detected.
        nms: key of `evaluator.NMS`.
        flip_test: True to average mirrored crops in.
        box_padding: factor from person box to crop; None for that of the contract.
        batch_size: people per call of the network.
    """

    dataset: str
    data_dir: str | Path | None = None
    split: str = "val"
    limit: int | None = None
    reading: Reading = AS_WRITTEN
    skeleton: Skeleton | None = None
    sigmas: str | None = None
    metrics: tuple[str, ...] = ()
    only_main: bool = False
    boxes: Path | None = None
    box_threshold: float = 0.0
    nms: str = "hard"
    flip_test: bool = False
    box_padding: float | None = None
    batch_size: int = 32

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> MeasureSettings:
        """Reads what JSON carries to a process of its own.

        Args:
            values: "dataset" and, where they are not the defaults, "data_dir", "split",
                "limit", "flip_test", "sigmas", "category" and "rescale_labels".
        """
        names = ("dataset", "data_dir", "split", "limit", "flip_test", "sigmas")
        reading = Reading(values.get("category"), values.get("rescale_labels", False))
        return cls(
            **{name: values[name] for name in names if name in values}, reading=reading
        )

    @property
    def where(self) -> tuple[str, str | Path | None, str]:
        """The data set's name, its folder and its split."""
        return self.dataset, self.data_dir, self.split
