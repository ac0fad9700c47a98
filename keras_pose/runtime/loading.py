"""From a file name to a `PoseModel`."""

from __future__ import annotations

import dataclasses
import difflib
from pathlib import Path

from keras_pose.contracts.crowd_fields import CrowdContract
from keras_pose.contracts.pose import Contract, read_contract
from keras_pose.runtime.backend import FileBackend
from keras_pose.runtime.pose_model import PoseModel
from keras_pose.skeleton import Skeleton, is_numbered

# A folder, which other systems than Apple's show as such.
COREML_TYPE = ".mlpackage"
FILE_TYPES = (".keras", ".weights.h5", ".tflite", ".onnx", COREML_TYPE)
KERAS_TYPES = (".keras", ".weights.h5")
# Runtimes by name -> files that they run. The first that runs a type is its usual one.
RUNTIMES = {
    "litert": (".tflite",),
    "onnxruntime": (".onnx",),
    "openvino": (".onnx", ".tflite"),
    "coreml": (COREML_TYPE,),
    "keras": KERAS_TYPES,
}


def load_model(
    path,
    model: str | None = None,
    num_keypoints: int | None = None,
    input_hw: tuple[int, int] | None = None,
    num_threads: int | None = None,
    skeleton: Skeleton | None = None,
    runtime: str | None = None,
) -> PoseModel:
    """Loads a model file.

    Args:
        path: one of `FILE_TYPES`, or what `create_model` takes as weights besides: a
            word such as "coco", or a reference checkpoint. All but `.weights.h5` and
            checkpoints bring their contract.
        model: zoo name; needed for `.weights.h5`, checkpoints and words, must agree for
            the others.
        num_keypoints: number of keypoints, for the files that need `model`; None for the
            zoo's.
        input_hw: (height, width) in pixels, for the files that need `model`; None for the
            zoo's.
        num_threads: threads for `.tflite` and `.onnx`; None for all cores. TensorFlow has
            one pool of threads for everything, which is not touched.
        skeleton: names of the keypoints, for files that do not say them (see
            `named_keypoints`); of others it is not needed, and `check_keypoints` compares.
        runtime: key of `RUNTIMES`; None for the usual one of such files.

    Raises:
        FileNotFoundError: if the file or its contract is missing.
        ValueError: if the file is of unknown type, damaged, not the one its contract
            was written for, not what the other arguments say, or not of the runtime's.
        ImportError: names the package that is missing to run such a file.
    """
    kind = ".keras" if is_official(path) else file_type(path)
    runtime_of(kind, runtime)
    if kind in KERAS_TYPES:
        network, contract = load_keras(path, model, num_keypoints, input_hw, skeleton)
        pose_model = PoseModel.from_keras(network, contract)
        pose_model.file_type = kind
        return pose_model
    path = Path(path)
    contract = read_contract(path)
    check_agrees(path, contract, model, num_keypoints, input_hw)
    contract = named_keypoints(contract, skeleton, path)
    return open_model(path, contract, num_threads, runtime)


def load_keras(path, model=None, num_keypoints=None, input_hw=None, skeleton=None):
    """Loads a `.keras` or `.weights.h5` file; arguments and errors as `load_model`.

    Returns:
        The `keras.Model` and its `Contract`.
    """
    from keras_pose.runtime.keras_backend import read_keras_file, read_weights_file

    if is_official(path):
        network, contract = _load_official(path, model, num_keypoints, input_hw)
        return network, _said_keypoints(contract, skeleton, path)
    path = Path(path)
    kind = file_type(path)
    if kind not in KERAS_TYPES:
        raise ValueError(f"{path} is not a Keras file ({' or '.join(KERAS_TYPES)}).")
    if kind == ".weights.h5":
        if model is None:
            raise ValueError(
                f"{path} holds nothing but weights: say of which model they are "
                "(model=..., or --model on the command line)."
            )
        network, contract = read_weights_file(path, model, num_keypoints, input_hw)
        return network, _said_keypoints(contract, skeleton, path)
    network, contract = read_keras_file(path)
    check_agrees(path, contract, model, num_keypoints, input_hw)
    return network, named_keypoints(contract, skeleton, path)


def named_keypoints(contract: Contract, skeleton: Skeleton | None, path) -> Contract:
    """Returns the contract with names for its keypoints, if it has numbers for them.

    Raises:
        ValueError: if the skeleton has another number of keypoints.
    """
    count = contract.skeleton.num_keypoints
    if skeleton is None or not is_numbered(contract.skeleton):
        return contract
    if skeleton.num_keypoints != count:
        raise ValueError(
            f"{path} predicts {count} keypoints, the skeleton {skeleton.name!r} has "
            f"{skeleton.num_keypoints}."
        )
    return dataclasses.replace(contract, skeleton=skeleton)


def check_keypoints(
    contract: Contract | CrowdContract, skeleton: Skeleton | None, path
) -> None:
    """Raises ValueError for a skeleton that contradicts the contract."""
    if skeleton is not None and skeleton.names != contract.skeleton.names:
        raise ValueError(
            f"{path} says itself that its keypoints are those of "
            f"{contract.skeleton.name!r}, not of {skeleton.name!r}: leave --skeleton out."
        )


def _said_keypoints(contract: Contract, skeleton: Skeleton | None, path) -> Contract:
    """Names the keypoints of bare weights, or says that they are numbered."""
    contract = named_keypoints(contract, skeleton, path)
    if is_numbered(contract.skeleton):
        print(
            f"{path} does not say which {contract.skeleton.num_keypoints} keypoints it "
            "predicts: they are numbered (--skeleton names them, such as coco_17)."
        )
    return contract


def is_official(path) -> bool:
    """Returns True for words and reference checkpoints, False for files of our own."""
    from keras_pose.weights.catalog import is_word
    from keras_pose.weights.file_kinds import is_checkpoint

    return is_word(path) or is_checkpoint(path)


def _load_official(path, model, num_keypoints, input_hw):
    from keras_pose.weights.catalog import is_word
    from keras_pose.weights.creation import create_model
    from keras_pose.weights.provenance import contract_of, provenance_of
    from keras_pose.weights.weight_files import file_of_word

    if model is None:
        raise ValueError(
            f"{path} is not a model file: the names of those end in "
            f"{', '.join(FILE_TYPES)}. If it stands for weights, say of which model they "
            "are (model=..., or --model on the command line)."
        )
    if is_word(path):
        file_of_word(model, path)  # refuses backbones
    # Not with num_keypoints: a head that starts at random is nothing to run.
    network = create_model(model, None, input_hw, path)
    if provenance_of(network).is_backbone:
        raise ValueError(
            f"{path} holds a backbone of {model} alone: nothing to run before it is "
            "trained (training/train.py starts from it)."
        )
    contract = contract_of(network)
    check_agrees(path, contract, model, num_keypoints, input_hw)
    return network, contract


def open_model(
    path, contract: Contract, num_threads: int | None = None, runtime: str | None = None
) -> PoseModel:
    """Opens an exported file whose contract is at hand."""
    backend = open_backend(path, num_threads, runtime)
    return PoseModel(contract, file_type(path), backend, path)


def open_backend(
    path, num_threads: int | None = None, runtime: str | None = None
) -> FileBackend:
    """Opens a `.tflite`, `.onnx` or `.mlpackage` file, also one without a contract.

    Args:
        path: path of the file.
        num_threads: threads for `.tflite` and `.onnx`; None for all cores.
        runtime: key of `RUNTIMES`; None for the usual one of such files.
    """
    runtime = runtime_of(file_type(path), runtime)
    if runtime == "coreml":
        from keras_pose.runtime.coreml_backend import CoreMLBackend

        return CoreMLBackend(path)
    if runtime == "openvino":
        from keras_pose.runtime.openvino_backend import OpenVinoBackend

        return OpenVinoBackend(path, num_threads)
    if runtime == "litert":
        from keras_pose.runtime.litert_backend import LiteRTBackend

        return LiteRTBackend(path, num_threads)
    from keras_pose.runtime.onnx_backend import OnnxBackend

    return OnnxBackend(path, num_threads)


def runtime_of(kind: str, runtime: str | None = None) -> str:
    """Returns the runtime of a type of files: the one that was asked for, or the usual one.

    Args:
        kind: one of `FILE_TYPES`.
        runtime: key of `RUNTIMES`; None for the usual one.

    Raises:
        ValueError: for an unknown runtime, or one that does not run such files.
    """
    able = [name for name, kinds in RUNTIMES.items() if kind in kinds]
    if runtime is None:
        return able[0]
    if runtime not in able:
        raise ValueError(
            f"A {kind} file is run by {' or '.join(able)}, not by runtime={runtime!r}."
        )
    return runtime


def file_type(path) -> str:
    """Returns which of `FILE_TYPES` an existing file is, by its name.

    Raises:
        ValueError: for another name; suggests the nearest.
        FileNotFoundError: if there is no such file.
    """
    path = Path(path)
    known = [suffix for suffix in FILE_TYPES if path.name.endswith(suffix)]
    if not known:
        near = difflib.get_close_matches(path.suffix, (*FILE_TYPES, ".h5"), n=1)
        near = [".weights.h5" if suffix == ".h5" else suffix for suffix in near]
        hint = f" Did you mean {near[0]}?" if near else ""
        raise ValueError(
            f"{path} is not a model file: its name must end in one of "
            f"{', '.join(FILE_TYPES)}.{hint}"
        )
    if not (path.is_dir() if known[0] == COREML_TYPE else path.is_file()):
        raise FileNotFoundError(f"Model file {path} does not exist.")
    return known[0]


def check_agrees(path, contract, model, num_keypoints, input_hw) -> None:
    """Refuses arguments that contradict the contract, rather than ignoring them."""
    actual = {
        "model": contract.model,
        "num_keypoints": contract.skeleton.num_keypoints,
        "input_hw": tuple(contract.input_hw),
    }
    asked = {
        "model": model,
        "num_keypoints": num_keypoints,
        "input_hw": input_hw and tuple(input_hw),
    }
    for field, value in asked.items():
        if value is not None and value != actual[field]:
            raise ValueError(
                f"{path} was asked for as {field}={value!r}, but its contract says "
                f"{actual[field]!r}."
            )
