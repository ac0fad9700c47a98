"""A file's contract inside the file, and what other tools like to read there."""

from __future__ import annotations

import shutil
from pathlib import Path

import keras_pose
from keras_pose.contracts.bottom_up import BottomUpContract
from keras_pose.contracts.certainty import KINDS
from keras_pose.contracts.crowd_fields import CrowdContract
from keras_pose.contracts.detector import ModelContract
from keras_pose.contracts.entries import (
    VERSION_FIELDS,
    replace_archived_contract,
    write_contract,
)
from keras_pose.contracts.fields import TensorSpec
from keras_pose.contracts.pose import Contract
from keras_pose.files import atomic_path
from keras_pose.modelfiles.embedded import embed
from keras_pose.modelfiles.embedded.tflite import Description, TensorNote
from keras_pose.pictures.normalization import Normalization

_PIXELS = "RGB pixels from 0 to 255"


def embed_contract(path, contract: ModelContract) -> None:
    """Writes a contract into a `.tflite` or `.onnx` file, in place.

    The file runs as before. A `.tflite` file also gets the official metadata (names,
    normalisation, labels), which Android Studio and MediaPipe show.

    Raises:
        ValueError: for a file that is damaged, or of another kind.
    """
    document = {**VERSION_FIELDS, **contract.to_dict()}
    embed(path, document, describe(contract))


def replace_contract(path, contract: ModelContract) -> None:
    """Writes another contract for a file that has one; the network stays to the bit.

    Args:
        path: `.keras`, `.tflite` or `.onnx`.
        contract: its contract, with other values.

    Raises:
        ValueError: for a file of another kind.
    """
    path = Path(path)
    if path.suffix == ".keras":
        replace_archived_contract(path, contract)
        return
    with atomic_path(path) as temporary:
        shutil.copyfile(path, temporary)
        embed_contract(temporary, contract)
    write_contract(path, contract)


def describe(contract: ModelContract) -> Description:
    """Returns the contract's facts about the tensors, in the official form."""
    what = "boxes of people"
    if isinstance(contract, Contract):
        what = "one person's keypoints"
    elif isinstance(contract, CrowdContract):
        of_limbs = isinstance(contract, BottomUpContract)
        what = "everybody's keypoints and limbs" if of_limbs else "everybody's keypoints"
    return Description(
        name=contract.model,
        text=f"Finds {what}. Written by keras_pose {keras_pose.__version__}; the entry "
        "KERAS_POSE_CONTRACT says how to use it.",
        version=contract.quantization,
        image=_image_note(contract.input, contract.normalization),
        outputs=tuple(_output_note(contract, output) for output in contract.outputs),
    )


def _image_note(image: TensorSpec, normalization: Normalization | None) -> TensorNote:
    """Returns the note on the image; exported files normalise it themselves."""
    if normalization is None:
        return TensorNote(image.name, f"{_PIXELS}, as they are", (0.0,), (1.0,))
    mean = tuple(255 * value for value in normalization.mean)
    std = tuple(255 * value for value in normalization.std)
    return TensorNote(image.name, f"{_PIXELS}, to be normalised", mean, std)


def _output_note(contract: ModelContract, output: TensorSpec) -> TensorNote:
    if isinstance(contract, BottomUpContract):
        if output == contract.fields:
            return TensorNote(output.name, "x and y along each limb")
        labels = (*contract.skeleton.names, "background")
        return TensorNote(output.name, "heatmaps", labels=labels)
    if isinstance(contract, CrowdContract):
        return TensorNote(output.name, f"{output.name.replace('_', ', ')}, input pixels")
    if not isinstance(contract, Contract):
        is_score = output in contract.scores
        labels = contract.class_names if is_score else ()
        return TensorNote(output.name, "logits" if is_score else "distances", labels=labels)
    if contract.visibility is not None and output == contract.visibility.output:
        return TensorNote(output.name, f"logits of {', '.join(KINDS)}, for each keypoint")
    # Channels, where there is one a keypoint; the axis of keypoints is not last elsewhere.
    names = (
        contract.skeleton.names if output.shape[-1] == len(contract.skeleton.names) else ()
    )
    return TensorNote(output.name, f"for the codec {contract.codec.kind}", labels=names)
