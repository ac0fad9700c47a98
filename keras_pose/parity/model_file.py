"""The model files that a pack is of."""

from __future__ import annotations

from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from keras_pose.contracts.crowd import read_crowd_contract
from keras_pose.contracts.crowd_fields import CrowdContract
from keras_pose.contracts.detector import (
    ModelContract,
    read_detector_contract,
    read_model_contract,
)
from keras_pose.contracts.pose import read_contract
from keras_pose.files import file_sha256
from keras_pose.runtime import PoseModel
from keras_pose.runtime.backend import FileBackend
from keras_pose.runtime.crowd_model import CrowdModel, open_crowd_model
from keras_pose.runtime.detector_model import Detector, open_detector
from keras_pose.runtime.loading import open_backend, open_model


class ModelFile:
    """A `.tflite` or `.onnx` file with its contract; opened when it is run.

    Attributes:
        path: the file.
        contract: contract of a pose model of any task, or of a detector.
    """

    def __init__(self, path):
        self.path = Path(path)
        self.contract: ModelContract = read_model_contract(path)

    @cached_property
    def pose_model(self) -> PoseModel:
        return open_model(self.path, read_contract(self.path), num_threads=1)

    @property
    def finds_everybody(self) -> bool:
        """Whether the file sees whole pictures, and finds the people in them itself."""
        return isinstance(self.contract, CrowdContract)

    @cached_property
    def crowd_model(self) -> CrowdModel:
        return open_crowd_model(self.path, read_crowd_contract(self.path), num_threads=1)

    @cached_property
    def detector(self) -> Detector:
        contract = read_detector_contract(self.path)
        return open_detector(self.path, contract, num_threads=1)

    @cached_property
    def backend(self) -> FileBackend:
        return open_backend(self.path, num_threads=1)

    def run(self, images: np.ndarray) -> list[np.ndarray]:
        """Runs the file itself: its input tensor -> its raw outputs, as the contract has
        them in order."""
        raw = self.backend.run_all(images)
        return [raw[spec.name] for spec in self.contract.outputs]

    def to_dict(self) -> dict[str, Any]:
        """Returns what a pack says of the file."""
        return {
            "file": self.path.name,
            "bytes": self.path.stat().st_size,
            "sha256": file_sha256(self.path),
            "contract": self.contract.to_dict(),
        }
