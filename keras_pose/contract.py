"""The contract: what anyone who runs a model file must know. Read and written here only.

Exported files (`.tflite`, `.onnx`) have theirs in `pose_model.json` in the same
folder, one entry per file name, with the file's hash. A `.keras` file carries
its own inside (a `.keras` file is a zip archive; Keras ignores further members).
"""

from __future__ import annotations

import dataclasses
import json
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from keras_pose.codecs import Codec, codec_from_dict
from keras_pose.files import atomic_path, file_sha256, read_json, write_json
from keras_pose.geometry import BOX_PADDING
from keras_pose.normalization import Normalization
from keras_pose.skeleton import Skeleton

CONTRACT_NAME = "pose_model.json"
SCHEMA_VERSION = 1
# What the image is called in every file; outputs are called as their codec says.
INPUT_NAME = "image"
TOP_DOWN = "top_down"


@dataclass(frozen=True)
class TensorSpec:
    """One input or output of a model file.

    Attributes:
        name: name in the file's signature.
        shape: with batch (None: any number); layout is NHWC throughout.
        dtype: NumPy name, such as "uint8".
        scale: real value of one integer step; None for real numbers and for
            pixels, which are taken as they are.
        zero_point: the integer that stands for the real 0.
    """

    name: str
    shape: tuple[int | None, ...]
    dtype: str
    scale: float | None = None
    zero_point: int | None = None

    def to_real(self, values) -> np.ndarray:
        """Turns a tensor's values into the real numbers they stand for, float32."""
        values = np.asarray(values).astype(np.float32)
        if self.scale is None:
            return values
        return (values - self.zero_point) * np.float32(self.scale)


@dataclass(frozen=True)
class Contract:
    """What a program needs in order to run one model file.

    Attributes:
        model: zoo name.
        input: the image tensor. Pixels are RGB, 0 to 255, unless
            `normalization` says that the caller must normalise.
        output: what the codec decodes, such as (B, H, W, K) heatmaps.
        codec: how outputs become keypoints, and how crops are cut.
        skeleton: what the K keypoints are.
        normalization: None where it is inside the file's graph.
        quantization: "float32", "float16", "dynamic" or "int8".
        box_padding: factor from person box to crop, see `geometry.box_to_crop`.
        signature: name of the file's signature; None for `.keras` and `.onnx`.
    """

    model: str
    input: TensorSpec
    output: TensorSpec
    codec: Codec
    skeleton: Skeleton
    normalization: Normalization | None = None
    quantization: str = "float32"
    box_padding: float = BOX_PADDING
    signature: str | None = None

    def __post_init__(self) -> None:
        expected = self.codec.output_shape(self.skeleton.num_keypoints)
        if tuple(self.output.shape[1:]) != expected:
            raise ValueError(
                f"Contract of {self.model!r}: a {self.codec.kind!r} codec with the "
                f"{self.skeleton.num_keypoints} keypoints of skeleton "
                f"{self.skeleton.name!r} needs outputs of shape (B, "
                f"{', '.join(map(str, expected))}), got {self.output.shape}."
            )
        if tuple(self.input.shape[1:3]) != tuple(self.codec.input_hw):
            raise ValueError(
                f"Contract of {self.model!r}: the input is {self.input.shape}, but the "
                f"codec is for (height, width) {self.codec.input_hw}."
            )

    @property
    def input_hw(self) -> tuple[int, int]:
        return self.codec.input_hw

    @property
    def outputs(self) -> tuple[TensorSpec, ...]:
        """All output tensors, of which there is one."""
        return (self.output,)

    def with_tensors(self, image: TensorSpec, outputs, **values) -> Contract:
        """Returns the contract of a file with these tensors; `values` as `replace`."""
        (output,) = outputs
        return dataclasses.replace(self, input=image, output=output, **values)

    def to_dict(self) -> dict[str, Any]:
        return {
            "task": TOP_DOWN,
            "model": self.model,
            "quantization": self.quantization,
            "signature": self.signature,
            "input": input_to_dict(self.input, self.normalization),
            "output": output_to_dict(self.output),
            "crop": {
                "box_padding": self.box_padding,
                "aspect_ratio": self.input_hw[1] / self.input_hw[0],
                # UDP: the crop's width maps onto input width - 1, not input width.
                "is_unbiased": self.codec.is_unbiased,
                "interpolation": "bilinear",
                "border": [0, 0, 0],
            },
            "codec": self.codec.to_dict(),
            "skeleton": {
                **dataclasses.asdict(self.skeleton),
                "mirror_pairs": self.skeleton.mirror_pairs,
                "limb_pairs": self.skeleton.limb_pairs,
            },
        }

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> Contract:
        """Reads what `to_dict` wrote.

        Raises:
            ValueError: names the field that is missing or does not fit.
        """
        # Contracts of the first versions were all of one task, and do not say it.
        if values.get("task", TOP_DOWN) != TOP_DOWN:
            raise ValueError(
                f"This is a contract for {values['task']}, not of a network that finds one "
                "person's keypoints. Detectors are loaded by runtime.load_detector."
            )
        try:
            normalization = values["input"]["normalization"]
            return cls(
                model=values["model"],
                input=tensor_spec(values["input"]),
                output=tensor_spec(values["output"]),
                codec=codec_from_dict(values["codec"]),
                skeleton=_skeleton(values["skeleton"]),
                normalization=normalization and Normalization.from_dict(normalization),
                quantization=values["quantization"],
                box_padding=values["crop"]["box_padding"],
                signature=values["signature"],
            )
        except (KeyError, TypeError) as error:
            raise ValueError(f"The contract lacks the field {error}.") from error


def keras_contract(
    model,
    codec: Codec,
    skeleton: Skeleton,
    normalization: Normalization,
) -> Contract:
    """Describes an in-memory Keras model, whose name is its name in the zoo.

    Args:
        model: (B, H, W, 3) normalised float32 -> what the codec decodes, or a list
            of that, one per stack, of which the last counts.
    """
    output = model.outputs[-1]
    return Contract(
        model=model.name,
        input=TensorSpec(INPUT_NAME, (1, *model.inputs[0].shape[1:]), "float32"),
        output=TensorSpec(codec.output_name, (1, *output.shape[1:]), "float32"),
        codec=codec,
        skeleton=skeleton,
        normalization=normalization,
    )


def input_to_dict(image: TensorSpec, normalization: Normalization | None) -> dict[str, Any]:
    """Describes the image tensor of any network."""
    return {
        **dataclasses.asdict(image),
        "layout": "NHWC",
        "channel_order": "RGB",
        "value_range": [0, 255],
        "normalization": normalization.to_dict() if normalization else None,
    }


def output_to_dict(output: TensorSpec) -> dict[str, Any]:
    """Describes one output tensor of any network."""
    return {**dataclasses.asdict(output), "layout": "NHWC"}


def tensor_spec(values: dict[str, Any]) -> TensorSpec:
    """Reads a tensor's entry, of which there may be more than `TensorSpec` holds."""
    fields = {field.name for field in dataclasses.fields(TensorSpec)}
    spec = TensorSpec(**{key: values[key] for key in fields})
    return dataclasses.replace(spec, shape=tuple(spec.shape))


def _skeleton(values: dict[str, Any]) -> Skeleton:
    return Skeleton(
        name=values["name"],
        names=tuple(values["names"]),
        mirrored=tuple((left, right) for left, right in values["mirrored"]),
        limbs=tuple((start, end) for start, end in values["limbs"]),
        upper_body=tuple(values["upper_body"]),
        oks_sigmas=tuple(values["oks_sigmas"]),
    )


class AnyContract(Protocol):
    """What can be written beside a model file, or into it."""

    def to_dict(self) -> dict[str, Any]: ...


def write_contract(model_path, contract: AnyContract) -> Path:
    """Writes the entry of an exported file into `pose_model.json` beside it.

    Entries of other files in the folder stay; those whose file is gone go.

    Returns:
        The path of `pose_model.json`.
    """
    model_path = Path(model_path)
    path = model_path.with_name(CONTRACT_NAME)
    models = {
        name: entry
        for name, entry in contracts_beside(model_path).items()
        if path.with_name(name).exists()
    }
    file = {"bytes": model_path.stat().st_size, "sha256": file_sha256(model_path)}
    models[model_path.name] = {"file": file, **contract.to_dict()}
    return write_json(path, {"schema_version": SCHEMA_VERSION, "models": models})


def contracts_beside(model_path) -> dict[str, Any]:
    """Returns the entries of the `pose_model.json` in a file's folder; {} without one.

    Raises:
        ValueError: if it is no contract, or one of another version. `write_contract`
            would not add to it either, which is better known before a conversion.
    """
    path = Path(model_path).with_name(CONTRACT_NAME)
    return _read_models(path) if path.exists() else {}


def read_contract(model_path) -> Contract:
    """Reads the contract of a `.keras`, `.tflite` or `.onnx` file.

    Raises:
        FileNotFoundError: when there is no contract.
        ValueError: when it is of another version, has no entry for the file,
            or the file's bytes are not those it was written for.
    """
    values, path = read_entry(model_path)
    return named(Contract.from_dict, values, path)


def read_entry(model_path) -> tuple[dict[str, Any], Path]:
    """Reads what stands of a file in its contract, whatever the file is for.

    Returns:
        The values, and the file they are from. Errors as `read_contract`.
    """
    model_path = Path(model_path)
    if model_path.suffix == ".keras":
        return _read_embedded(model_path), model_path
    path = model_path.with_name(CONTRACT_NAME)
    if not path.exists():
        raise FileNotFoundError(
            f"{model_path} has no contract: expected {path.name} in the same folder. "
            "export/to_tflite.py and export/to_onnx.py write both; copy both."
        )
    models = _read_models(path)
    if model_path.name not in models:
        raise ValueError(
            f"{path} describes {sorted(models)}, but not {model_path.name}: was the "
            "file renamed?"
        )
    entry = models[model_path.name]
    actual = file_sha256(model_path)
    if entry.get("file", {}).get("sha256") != actual:
        raise ValueError(
            f"{model_path} is not the file its contract describes: its SHA-256 begins "
            f"{actual[:12]}, {path.name} says {str(entry.get('file'))[:80]}."
        )
    return entry, path


def _read_models(path: Path) -> dict[str, Any]:
    values = read_json(path)
    version = values.get("schema_version") if isinstance(values, dict) else None
    if version != SCHEMA_VERSION:
        raise ValueError(
            f"{path} has contract schema_version {version}; this version of keras_pose "
            f"reads {SCHEMA_VERSION}."
        )
    models = values.get("models")
    if not isinstance(models, dict):
        raise ValueError(
            f"{path}: models must map file names to contracts, got {models!r}."
        )
    return models


def named(read, values, path):
    """Adds the file's name to what `read` complains about."""
    try:
        return read(values)
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from error


def save_keras_model(model, path, contract: AnyContract) -> Path:
    """Saves a Keras model, whole or not at all, with its contract inside."""
    path = Path(path)
    with atomic_path(path) as temporary:
        model.save(temporary)
        with zipfile.ZipFile(temporary, "a") as archive:
            archive.writestr(CONTRACT_NAME, json.dumps(contract.to_dict(), indent=2))
    return path


def _read_embedded(path: Path) -> dict[str, Any]:
    if not path.is_file():
        raise FileNotFoundError(f"Model file {path} does not exist.")
    try:
        with zipfile.ZipFile(path) as archive:
            return json.loads(archive.read(CONTRACT_NAME))
    except zipfile.BadZipFile as error:
        raise ValueError(f"{path} is not a .keras file, or is damaged: {error}.") from error
    except KeyError as error:
        raise FileNotFoundError(
            f"{path} holds no contract ({CONTRACT_NAME}): it was not saved by keras_pose. "
            "Save it with keras_pose.contract.save_keras_model."
        ) from error
