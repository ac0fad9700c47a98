"""`CrowdModel`: picture in, people out, whatever the file, of a network that sees whole
pictures."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from keras_pose.contracts.crowd import (
    AnyCrowdContract,
    is_crowd,
    read_crowd_contract,
)
from keras_pose.pictures.structures import Poses
from keras_pose.runtime.backend import OutputsBackend
from keras_pose.runtime.crowd_steps import find_poses
from keras_pose.runtime.detector_model import check_tensors
from keras_pose.runtime.loading import (
    KERAS_TYPES,
    check_agrees,
    file_type,
    is_official,
    load_model,
    open_backend,
)
from keras_pose.runtime.pose_model import PoseModel
from keras_pose.skeleton import Skeleton
from keras_pose.zoo import ZOO
from keras_pose.zoo.spec import CROWD_TASKS


class CrowdModel:
    """A bottom-up or one-stage network that is ready to run.

        model = load_crowd_model("pose_model.tflite")
        poses = model(image)

    Attributes:
        contract: input, outputs, and their meaning.
        file_type: ".keras", ".tflite" or ".onnx".

    Raises:
        ValueError: if the network is not what the contract says.
    """

    def __init__(
        self,
        contract: AnyCrowdContract,
        file_type: str,
        backend: OutputsBackend,
        path: Path | str | None = None,
    ):
        check_tensors(contract, backend, path or f"The {file_type} network")
        self.contract = contract
        self.file_type = file_type
        self._backend = backend

    @classmethod
    def from_keras(cls, model, contract: AnyCrowdContract) -> CrowdModel:
        """Wraps a model in memory; later changes of its weights are seen."""
        from keras_pose.runtime.keras_backend import KerasOutputs

        names = [spec.name for spec in contract.outputs]
        return cls(contract, ".keras", KerasOutputs(model, names))

    @property
    def num_keypoints(self) -> int:
        return self.contract.skeleton.num_keypoints

    def __call__(self, image) -> Poses:
        """Finds everybody in one image.

        Args:
            image: (H, W, 3) uint8 RGB, of any size.

        Raises:
            ValueError: for another shape or type of image.
        """
        return find_poses(self.predict, image, self.contract)

    def predict(self, boxed) -> list[np.ndarray]:
        """Runs the network on one letterboxed image.

        Args:
            boxed: (*input_hw, 3) uint8 RGB.

        Returns:
            The outputs of the contract without batch, float32; real values, also of a
            quantized network.
        """
        images = np.asarray(boxed)[None]
        if self.contract.normalization is not None:
            images = self.contract.normalization(images)
        raw = self._backend.run_all(np.ascontiguousarray(images, self._backend.input.dtype))
        return [spec.to_real(raw[spec.name][0]) for spec in self.contract.outputs]


def load_crowd_model(
    path,
    model: str | None = None,
    num_keypoints: int | None = None,
    input_hw: tuple[int, int] | None = None,
    num_threads: int | None = None,
) -> CrowdModel:
    """Loads a bottom-up or one-stage network.

    Args:
        path: `.keras`, `.tflite` or `.onnx`, with its contract; or with `model` a word for
            official weights, a reference checkpoint or `.weights.h5`.
        model: zoo name, for weights that do not say it; must agree for the others.
        num_keypoints: number of keypoints, for weights that do not say it; None for the
            zoo's.
        input_hw: (height, width) in pixels, for weights that do not say it; None for the
            zoo's.
        num_threads: threads for `.tflite` and `.onnx`; None for all cores.

    Raises:
        FileNotFoundError: if the file or its contract is missing.
        ValueError: if the file is of unknown type, damaged, not the one its contract
            was written for, or of no network that sees whole pictures.
        ImportError: names the package that is missing to run such a file.
    """
    if is_official(path) or file_type(path) in KERAS_TYPES:
        network, contract = load_keras_crowd(path, model, num_keypoints, input_hw)
        return CrowdModel.from_keras(network, contract)
    contract = read_crowd_contract(path)
    check_agrees(path, contract, model, num_keypoints, input_hw)
    return open_crowd_model(path, contract, num_threads)


def load_pose(
    path,
    model: str | None = None,
    num_keypoints: int | None = None,
    input_hw: tuple[int, int] | None = None,
    num_threads: int | None = None,
    skeleton: Skeleton | None = None,
) -> PoseModel | CrowdModel:
    """Loads a pose network of either kind; arguments and errors as `load_model`."""
    if is_of_crowd(path, model):
        return load_crowd_model(path, model, num_keypoints, input_hw, num_threads)
    return load_model(path, model, num_keypoints, input_hw, num_threads, skeleton)


def is_of_crowd(path, model: str | None = None) -> bool:
    """Returns True for such a file by its contract, for weights by their model."""
    if is_official(path) or file_type(path) == ".weights.h5":
        return model in ZOO and ZOO[model].task in CROWD_TASKS
    return is_crowd(path)


def load_keras_crowd(path, model=None, num_keypoints=None, input_hw=None):
    """Loads such a network of Keras; arguments and errors as `load_crowd_model`.

    Returns:
        The `keras.Model` of what files hold (of bottom-up networks the last heatmaps and
        fields), and its contract.
    """
    if not is_official(path) and file_type(path) == ".keras":
        from keras_pose.runtime.keras_backend import load_network

        contract = read_crowd_contract(path)
        check_agrees(path, contract, model, num_keypoints, input_hw)
        return load_network(path), contract
    if model is None:
        raise ValueError(
            f"{path} holds nothing but weights: say of which model they are (model=..., or "
            "--model on the command line)."
        )
    from keras_pose.weights.creation import create_model
    from keras_pose.weights.provenance import crowd_contract_of, runnable_network

    network = runnable_network(create_model(model, num_keypoints, input_hw, path))
    return network, crowd_contract_of(network)


def open_crowd_model(
    path, contract: AnyCrowdContract, num_threads: int | None = None
) -> CrowdModel:
    """Opens a `.tflite` or `.onnx` file whose contract is at hand."""
    return CrowdModel(contract, file_type(path), open_backend(path, num_threads), path)
