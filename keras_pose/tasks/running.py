"""What every pose network can do, whatever its file: photos to people, a set to figures.

Runs without TensorFlow where the network is a `.tflite` or `.onnx` file.
"""

from __future__ import annotations

import contextlib
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from keras_pose.contracts.crowd_fields import CrowdContract
from keras_pose.inference import PoseEstimator
from keras_pose.pictures.structures import Poses
from keras_pose.runtime.crowd_model import CrowdModel
from keras_pose.runtime.pose_model import PoseModel
from keras_pose.skeleton import Skeleton
from keras_pose.tasks import presets
from keras_pose.tasks.folders import PoseContract
from keras_pose.tasks.opening import Opened
from keras_pose.tasks.photos import as_photos

if TYPE_CHECKING:
    from keras_pose.metrics.protocol import Measurement


class RunnableTask:
    """A pose network that takes photos and is measured; `PoseTask` trains it, too."""

    network: Any
    contract: PoseContract
    facts: dict[str, Any]
    recipe: dict[str, Any]
    measured: list[Measurement]

    def _begin(self, opened: Opened, detector) -> None:
        """Begins with what was opened, and a source of people."""
        self.facts = opened.facts
        self._detector = detector
        self._asked = opened.skeleton
        self._take(opened)

    def _take(self, opened: Opened) -> None:
        """Takes a network, or a file to run; what was found of another one is forgotten."""
        self.network, self.contract = opened.network, opened.contract
        self.recipe, self.measured = opened.recipe, []
        self._is_untrained = opened.untrained
        self._file = opened.file  # that has the weights as they are
        self._network_file = opened.network_file
        self._runnable: PoseModel | CrowdModel | None = opened.runnable
        self._estimator: PoseEstimator | None = None

    @property
    def skeleton(self) -> Skeleton:
        """Names and limbs of the keypoints."""
        return self.contract.skeleton

    @property
    def estimator(self) -> PoseEstimator:
        """What `predict` asks: the network with what finds people."""
        if self._estimator is None:
            detector = self._detector
            if isinstance(detector, str) and _is_detector_preset(detector):
                entry = presets.detector_preset(detector)
                detector = presets.converted_preset(entry)
            self._estimator = PoseEstimator(self._model(), detector)
        return self._estimator

    def _model(self) -> PoseModel | CrowdModel:
        """Returns the network ready to run; changes of its weights are seen."""
        if self._is_untrained:
            raise ValueError(
                f"{self._is_untrained} gives the weights of a trunk; its head starts at "
                "random, so there is nothing to run before fit(...)."
            )
        if self._runnable is None:
            network, contract = self.network, self.contract
            if isinstance(contract, CrowdContract):
                self._runnable = CrowdModel.from_keras(network, contract)
            else:
                self._runnable = PoseModel.from_keras(network, contract)
        return self._runnable

    def predict(self, photos) -> Poses | list[Poses]:
        """Finds the people in photos, and their keypoints.

        Args:
            photos: a path, (H, W, 3) uint8 RGB pixels, an image of Pillow's, or whatever
                else `images.as_image` takes; or a list of such, or (N, H, W, 3) pixels.

        Returns:
            The `Poses` of a photo, or a list with those of each of several.

        Raises:
            ValueError: for what is no photo; says which of several it is.
            images.ImageError: for a file that cannot be read.
        """
        given, is_single = as_photos(photos)
        poses = [self.estimator(image, image_id=name) for name, image in given]
        return poses[0] if is_single else poses

    def evaluate(
        self,
        data,
        *,
        dataset: str | None = None,
        split: str = "val",
        metrics: Sequence[str] | None = None,
        flip_test: bool = False,
        limit: int | None = None,
    ) -> Measurement:
        """Measures the network on the labelled people of a set, in their own boxes.

        Args:
            data: folder of a labelled set, or words such as "coco".
            dataset: name of the folder's set, see `tasks.sets.name_set`.
            split: "val" or "train".
            metrics: keys of `metrics.METRICS`; None for those of the data set.
            flip_test: True to average mirrored crops in.
            limit: images to take, the first of the split; None for all.

        Returns:
            Figures with the protocol they were measured under; they are printed, and go
            into the model card.

        Raises:
            ValueError, FileNotFoundError: for a set that does not fit or is not there.
        """
        from keras_pose.measuring import MeasureSettings, open_split
        from keras_pose.tasks.sets import name_set

        named, model = name_set(data, dataset), self._model()
        if isinstance(model, CrowdModel):
            refuse(
                {"metrics": metrics, "flip_test": flip_test},
                "is not for networks that see whole pictures",
            )
        settings = MeasureSettings(
            named.name,
            named.data_dir,
            split,
            limit,
            metrics=tuple(metrics or ()),
            flip_test=flip_test,
        )
        opened = open_split(self.contract, settings)
        for remark in opened.remarks:
            print(remark)
        with self._as_file() as file:
            measurement: Measurement = opened.measure(model, file).measurement
        print(measurement.describe())
        self.measured.append(measurement)
        return measurement

    @contextlib.contextmanager
    def _as_file(self) -> Iterator[Path]:
        """Yields a file of the weights as they are."""
        if self._file is not None:
            yield self._file
            return
        from keras_pose.contracts.entries import save_keras_model

        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / f"{self.contract.model}.keras"
            yield save_keras_model(self.network, path, self.contract)


def _is_detector_preset(detector: str) -> bool:
    return presets.is_preset_name(detector) and not Path(detector).exists()


def refuse(given: dict[str, Any], why: str) -> None:
    """Refuses arguments that would have no effect."""
    for name, value in given.items():
        if value:
            raise ValueError(f"{name} {why}.")
