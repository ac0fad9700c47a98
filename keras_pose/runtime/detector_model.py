"""`Detector`: image in, boxes out, whatever the file."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from keras_pose.contracts.detector import (
    DetectorContract,
    DetectorFacts,
    ModelContract,
    read_detector_contract,
)
from keras_pose.contracts.detector_description import read_description
from keras_pose.contracts.fields import TensorSpec
from keras_pose.pictures import boxes
from keras_pose.pictures.structures import Detections
from keras_pose.runtime.backend import OutputsBackend
from keras_pose.runtime.described_detector import DescribedDetector
from keras_pose.runtime.loading import file_type, open_backend, runtime_of
from keras_pose.weights.catalog import is_word
from keras_pose.weights.file_kinds import is_checkpoint
from keras_pose.zoo import ZOO, get_spec


class Detector:
    """A detector that is ready to run.

        detector = load_detector("detector.tflite")
        detections = detector(image)

    Attributes:
        contract: input, outputs, and the settings of the boxes to keep.
        file_type: ".keras", ".tflite" or ".onnx".

    Raises:
        ValueError: if the network is not what the contract says.
    """

    def __init__(
        self,
        contract: DetectorContract,
        file_type: str,
        backend: OutputsBackend,
        path: Path | str | None = None,
    ):
        check_tensors(contract, backend, path or f"The {file_type} detector")
        self.contract = contract
        self.file_type = file_type
        self._backend = backend

    @classmethod
    def from_keras(cls, model, contract: DetectorContract) -> Detector:
        """Wraps a model in memory; later changes of its weights are seen."""
        from keras_pose.runtime.keras_backend import KerasOutputs

        names = [spec.name for spec in contract.outputs]
        return cls(contract, ".keras", KerasOutputs(model, names))

    def __call__(self, image, score_threshold: float = 0.0) -> Detections:
        """Finds what there is in one image.

        Args:
            image: (H, W, 3) uint8 RGB, of any size.
            score_threshold: boxes whose score is not above it are of no use. To leave
                them out before NMS changes none of the others, and saves most of its
                time. The contract's threshold holds where it is higher.

        Returns:
            Boxes in image pixels, within the image, by falling score.

        Raises:
            ValueError: for another shape or type of image.
        """
        boxed, scale_xy = boxes.letterbox(image, self.contract.input_hw)
        outputs = self.predict(boxed)
        num_levels = len(self.contract.strides)
        found = boxes.detect(
            outputs[:num_levels],
            outputs[num_levels:],
            self.contract.strides,
            self.contract.input_hw,
            scale_xy,
            self.contract.settings.above(score_threshold),
        )
        return boxes.clip_to_image(found, np.shape(image)[:2])

    @property
    def facts(self) -> DetectorFacts:
        """Name, input size, number format and settings of the detector."""
        contract = self.contract
        return DetectorFacts(
            contract.model, contract.input_hw, contract.quantization, contract.settings
        )

    def predict(self, boxed) -> list[np.ndarray]:
        """Runs the network on one letterboxed image.

        Args:
            boxed: (*input_hw, 3) uint8 RGB.

        Returns:
            Scores of each level, then its distances, (H / s, W / s, C) float32; real
            values, also of a quantized network.
        """
        images = np.asarray(boxed)[None]
        if self.contract.normalization is not None:
            images = self.contract.normalization(images)
        raw = self._backend.run_all(np.ascontiguousarray(images, self._backend.input.dtype))
        return [spec.to_real(raw[spec.name][0]) for spec in self.contract.outputs]


def load_detector(
    path,
    num_threads: int | None = None,
    model: str | None = None,
    runtime: str | None = None,
) -> Detector | DescribedDetector:
    """Loads a detector file.

    Args:
        path: `.keras`, `.tflite` or `.onnx`, with its contract; a `.json` that describes
            a detector of somebody else's (docs/detectors.md); or with `model` a word for
            official weights, such as "person", a `.weights.h5` or a reference checkpoint.
        num_threads: threads for `.tflite` and `.onnx`; None for all cores.
        model: zoo name, for files that do not say it.
        runtime: key of `loading.RUNTIMES`; None for the usual one of such files.

    Raises:
        FileNotFoundError: if the file or its contract is missing.
        ValueError: if the file is of unknown type, damaged, not the one its contract
            was written for, or no detector.
        ImportError: names the package that is missing to run such a file.
    """
    if model is not None and is_word(path):
        from keras_pose.weights.weight_files import file_of_word

        path = file_of_word(model, path)
    elif model is not None and is_bare(path):
        return Detector.from_keras(*read_bare_detector(path, model))
    if Path(path).suffix == ".json":
        return load_described(path, num_threads, runtime)
    if is_bare(path):
        raise ValueError(
            f"{path} holds nothing but weights: say of which model they are (model=..., "
            "or --model), or convert it (training/import_weights.py --output x.keras)."
        )
    kind = file_type(path)
    runtime_of(kind, runtime)
    contract = read_detector_contract(path)
    if model not in (None, contract.model):
        raise ValueError(
            f"{path} was asked for as model={model!r}, but its contract says "
            f"{contract.model!r}."
        )
    if kind == ".keras":
        from keras_pose.runtime.keras_backend import load_network

        return Detector.from_keras(load_network(path), contract)
    return open_detector(path, contract, num_threads, runtime)


def is_bare(path) -> bool:
    """Returns True for files of weights that say no network."""
    return str(path).endswith(".weights.h5") or is_checkpoint(path)


def is_detector_name(model: str | None) -> bool:
    """Returns True for the zoo's name of a detector."""
    return model in ZOO and ZOO[model].task == "detection"


def read_bare_detector(path, model: str, input_hw=None):
    """Builds a detector of the zoo with weights that say no network, or of a word.

    Returns:
        The `keras.Model` and its `DetectorContract`.

    Raises:
        ValueError: if the model is no detector of people, or the weights are not its.
    """
    from keras_pose.weights.creation import create_model
    from keras_pose.weights.provenance import file_contract_of

    if get_spec(model).task != "detection":
        raise ValueError(f"{model} finds keypoints, not people: it is no detector.")
    network = create_model(model, None, input_hw, path)
    return network, file_contract_of(network)


def load_described(
    path, num_threads: int | None = None, runtime: str | None = None
) -> DescribedDetector:
    """Loads the detector that a description speaks of; errors as `load_detector`."""
    description = read_description(path)
    if file_type(description.model_path) not in (".tflite", ".onnx"):
        raise ValueError(
            f"{path}: file must be a .tflite or .onnx file, got {description.file!r}."
        )
    backend = open_backend(description.model_path, num_threads, runtime)
    return DescribedDetector(description, backend)


def open_detector(
    path,
    contract: DetectorContract,
    num_threads: int | None = None,
    runtime: str | None = None,
) -> Detector:
    """Opens a `.tflite` or `.onnx` file whose contract is at hand."""
    backend = open_backend(path, num_threads, runtime)
    return Detector(contract, file_type(path), backend, path)


def check_tensors(contract: ModelContract, backend: OutputsBackend, path) -> None:
    """Raises ValueError unless the network has the tensors that the contract says."""
    promised = sorted(_essence(spec) for spec in (contract.input, *contract.outputs))
    actual = sorted(_essence(spec) for spec in (backend.input, *backend.outputs))
    if promised != actual:
        raise ValueError(
            f"{path} does not fit its contract: the contract's tensors are {promised}, "
            f"the file's are {actual}."
        )


def _essence(spec: TensorSpec) -> tuple:
    """The parts that must agree; the batch need not, since Keras models take any."""
    scale = None if spec.scale is None else float(np.float32(spec.scale))
    if (scale, spec.zero_point) == (1.0, 0):
        scale = None  # pixels at scale 1 are as good as not quantized
    return spec.name, str(tuple(spec.shape[1:])), spec.dtype, str(scale)
