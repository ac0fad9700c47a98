"""The contract: what anyone who runs a model file must know. Read and written here only.

Exported files (`.tflite`, `.onnx`) have theirs in `pose_model.json` in the same
folder, one entry per file name, with the file's hash, and a copy inside, so that one file
can travel alone (`modelfiles.embedded`). A `.keras` file carries its own inside (a `.keras`
file is a zip archive; Keras ignores further members).

docs/contract.md explains every field, `pose_model.schema.json` is the JSON Schema. Within
a version, fields are only added, and those that a reader does not know it may ignore.
"""

from __future__ import annotations

import contextlib
import json
import zipfile
from collections.abc import Iterator
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from keras_pose.codecs import Codec, codec_class, codec_from_dict
from keras_pose.files import (
    atomic_path,
    file_sha256,
    num_bytes,
    read_json,
    write_json,
)
from keras_pose.modelfiles.embedded import MAX_BYTES, extract
from keras_pose.pictures.geometry import BOX_PADDING
from keras_pose.pictures.normalization import Normalization
from keras_pose.skeleton import Skeleton

CONTRACT_NAME = "pose_model.json"
# Another version is another contract; another minor version has more fields.
SCHEMA_VERSION, SCHEMA_MINOR = 1, 3
# Name of the image in every file; the codec names the outputs.
INPUT_NAME = "image"
TOP_DOWN = "top_down"
VERSION_FIELDS = {"schema_version": SCHEMA_VERSION, "schema_minor": SCHEMA_MINOR}
# Of tensors.
DTYPES = ("uint8", "int8", "int16", "int32", "int64", "float16", "float32")


@dataclass(frozen=True)
class TensorSpec:
    """One input or output of a model file.

    Attributes:
        name: name in the file's signature.
        shape: sizes with the batch (None: any number); layout is NHWC throughout.
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
    """Facts that a program needs to run one model file.

    Attributes:
        model: zoo name.
        input: the image tensor. Pixels are RGB, 0 to 255, unless
            `normalization` says that the caller must normalise.
        output: tensor that the codec decodes, such as (B, H, W, K) heatmaps.
        codec: rules by which outputs become keypoints, and crops are cut.
        skeleton: names and pairs of the K keypoints.
        normalization: None where it is inside the file's graph.
        quantization: number format, such as "int8"; that of a row of
            `exporting.formats.table.FORMATS`.
        box_padding: factor from person box to crop, see `geometry.box_to_crop`.
        signature: name of the file's signature; None for `.keras` and `.onnx`.
        float_operators: operators of an integer file that compute in float, since too
            much was lost without, by the names of what they give; for people.
        sums_fit_16_bits: True for an int8 ONNX file that all processors compute alike,
            False for one whose sums x86 without VNNI may cut off; None for other files.
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
    float_operators: tuple[str, ...] = ()
    sums_fit_16_bits: bool | None = None

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
        return replace(self, input=image, output=output, **values)

    def to_dict(self) -> dict[str, Any]:
        return {
            "task": TOP_DOWN,
            "model": self.model,
            "quantization": self.quantization,
            **integers_to_dict(self.float_operators, self.sums_fit_16_bits),
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
                **asdict(self.skeleton),
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
        task = task_of(values)
        if task != TOP_DOWN:
            raise ValueError(
                f"This is a contract for {task}, not of a network that finds one "
                "person's keypoints. Detectors are loaded by runtime.load_detector, "
                "bottom-up networks by runtime.load_bottom_up."
            )
        with plain_field_errors():
            return cls(
                model=values["model"],
                input=tensor_spec(values["input"]),
                output=tensor_spec(values["output"]),
                codec=_codec(values["codec"]),
                skeleton=skeleton_of_dict(values["skeleton"]),
                normalization=normalization_of(values["input"]),
                quantization=values["quantization"],
                box_padding=_positive(values["crop"], "box_padding"),
                signature=values["signature"],
                **integers_of(values),
            )


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


def integers_to_dict(
    float_operators: tuple[str, ...], sums_fit_16_bits: bool | None
) -> dict[str, Any]:
    """Describes what only some files of integers have to say, of any network."""
    said: dict[str, Any] = {}
    if float_operators:
        said["float_operators"] = list(float_operators)
    if sums_fit_16_bits is not None:
        said["sums_fit_16_bits"] = sums_fit_16_bits
    return said


def integers_of(values: dict[str, Any]) -> dict[str, Any]:
    """Reads what `integers_to_dict` wrote, as fields of a contract."""
    fit = values.get("sums_fit_16_bits")
    if fit is not None and type(fit) is not bool:
        raise ValueError(
            f"The contract's sums_fit_16_bits must be true or false, got {fit!r}."
        )
    float_operators = tuple(values.get("float_operators", ()))
    return {"float_operators": float_operators, "sums_fit_16_bits": fit}


def input_to_dict(image: TensorSpec, normalization: Normalization | None) -> dict[str, Any]:
    """Describes the image tensor of any network."""
    return {
        **asdict(image),
        "layout": "NHWC",
        "channel_order": "RGB",
        "value_range": [0, 255],
        "normalization": normalization.to_dict() if normalization else None,
    }


def output_to_dict(output: TensorSpec) -> dict[str, Any]:
    """Describes one output tensor of any network."""
    return {**asdict(output), "layout": "NHWC"}


def task_of(values: dict[str, Any]) -> str:
    """Returns what a contract is for.

    Raises:
        ValueError: for what is no contract.
    """
    if not isinstance(values, dict):
        raise ValueError(f"A contract is a JSON object, got {str(values)[:60]}.")
    # Those of the first versions were all of one task, and do not say it.
    return str(values.get("task", TOP_DOWN))


@contextlib.contextmanager
def plain_field_errors() -> Iterator[None]:
    """Turns errors of a contract's fields into a ValueError that names the field."""
    try:
        yield
    except KeyError as error:
        raise ValueError(f"The contract lacks the field {error}.") from error
    except (TypeError, AttributeError) as error:
        raise ValueError(f"A field of the contract has another type: {error}.") from error


def tensor_spec(values: dict[str, Any]) -> TensorSpec:
    """Reads a tensor's entry, of which there may be more than `TensorSpec` holds.

    Raises:
        ValueError: for what describes no tensor.
    """
    spec = TensorSpec(**{field.name: values[field.name] for field in fields(TensorSpec)})
    is_size = all(size is None or (type(size) is int and size > 0) for size in spec.shape)
    if not is_size or spec.dtype not in DTYPES:
        raise ValueError(
            f"The contract's tensor {spec.name!r} needs sizes above 0 and one of the types "
            f"{DTYPES}, got {spec.shape} {spec.dtype!r}."
        )
    if spec.scale is not None and not (spec.scale > 0 and type(spec.zero_point) is int):
        raise ValueError(
            f"The contract's tensor {spec.name!r} needs a scale above 0 and a whole zero "
            f"point, got {spec.scale!r} and {spec.zero_point!r}."
        )
    return replace(spec, shape=tuple(spec.shape))


def normalization_of(image: dict[str, Any]) -> Normalization | None:
    """Reads what the image tensor's entry says of normalisation."""
    values = image["normalization"]
    return None if values is None else Normalization.from_dict(known(Normalization, values))


def known(kind: type, values: dict[str, Any]) -> dict[str, Any]:
    """Leaves out what a dataclass has no field for: a newer version's additions."""
    names = {field.name for field in fields(kind)}
    return {name: value for name, value in values.items() if name in names}


def _codec(values: dict[str, Any]) -> Codec:
    kind = values["kind"]
    return codec_from_dict({"kind": kind, **known(codec_class(kind), values)})


def _positive(values: dict[str, Any], name: str) -> float:
    if not values[name] > 0:
        raise ValueError(f"The contract's {name} must be above 0, got {values[name]!r}.")
    return values[name]


def skeleton_of_dict(values: dict[str, Any]) -> Skeleton:
    """Reads the entry of a contract that names keypoints and limbs."""
    return Skeleton(
        name=values["name"],
        names=tuple(values["names"]),
        mirrored=tuple((left, right) for left, right in values["mirrored"]),
        limbs=tuple((start, end) for start, end in values["limbs"]),
        upper_body=tuple(values["upper_body"]),
        oks_sigmas=tuple(values["oks_sigmas"]),
    )


class AnyContract(Protocol):
    """A contract of any task, which can be written beside a model file or into it."""

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
    file = {"bytes": num_bytes(model_path), "sha256": file_sha256(model_path)}
    models[model_path.name] = {"file": file, **contract.to_dict()}
    return write_json(path, {**VERSION_FIELDS, "models": models})


def contracts_beside(model_path) -> dict[str, Any]:
    """Returns the entries of the `pose_model.json` in a file's folder; {} without one.

    Raises:
        ValueError: if it is no contract, or one of another version. `write_contract`
            would not add to it either, which is better known before a conversion.
    """
    path = Path(model_path).with_name(CONTRACT_NAME)
    return _read_models(path) if path.exists() else {}


def read_contract(model_path) -> Contract:
    """Reads the contract of a `.keras`, `.tflite`, `.onnx` or `.mlpackage` file.

    That of the folder's `pose_model.json` is preferred to the one inside the file.

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
        return _read_archived(model_path), model_path
    path = model_path.with_name(CONTRACT_NAME)
    beside = contracts_beside(model_path)
    if model_path.name in beside:
        return _checked(beside[model_path.name], model_path), path
    inside = extract(model_path)
    if inside is not None:
        check_version(inside, model_path)
        return inside, model_path
    if not path.exists():
        raise FileNotFoundError(
            f"{model_path} has no contract: expected {path.name} in the same folder, or "
            "one inside. export/to_tflite.py and export/to_onnx.py write both."
        )
    raise ValueError(
        f"{path} describes {sorted(beside)}, but not {model_path.name}: was the "
        "file renamed? (It holds no contract of its own.)"
    )


def says_sums_fit(model_path) -> bool:
    """Returns True if the contract inside a file promises `sums_fit_16_bits`.

    What cannot be read promises nothing; whoever needs the contract reads and refuses it.
    """
    try:
        inside = extract(model_path)
    except (OSError, ValueError):
        return False
    return inside is not None and inside.get("sums_fit_16_bits") is True


def _checked(entry: dict[str, Any], model_path: Path) -> dict[str, Any]:
    """Returns an entry whose file is the one it was written for."""
    file, actual = entry.get("file"), file_sha256(model_path)
    if not isinstance(file, dict) or file.get("sha256") != actual:
        raise ValueError(
            f"{model_path} is not the file its contract describes: its SHA-256 begins "
            f"{actual[:12]}, {CONTRACT_NAME} says {str(file)[:80]}."
        )
    return entry


def _read_models(path: Path) -> dict[str, Any]:
    values = read_json(path)
    check_version(values, path)
    models = values.get("models")
    if not isinstance(models, dict) or not all(map(_is_object, models.values())):
        raise ValueError(
            f"{path}: models must map file names to contracts, got {str(models)[:80]}."
        )
    return models


def _is_object(value) -> bool:
    return isinstance(value, dict)


def check_version(values, path) -> None:
    """Raises ValueError for a contract that this version cannot read, or that is none.

    A newer minor version is read: what it has more of may be ignored.
    """
    version = values.get("schema_version") if isinstance(values, dict) else None
    if version == SCHEMA_VERSION:
        return
    hint = ""
    if isinstance(version, int) and version > SCHEMA_VERSION:
        hint = " A newer version of keras_pose wrote it: update this one."
    raise ValueError(
        f"{path} has contract schema_version {version}; this version of keras_pose "
        f"reads {SCHEMA_VERSION}.{hint}"
    )


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
            values = {**VERSION_FIELDS, **contract.to_dict()}
            archive.writestr(CONTRACT_NAME, json.dumps(values, indent=2))
    return path


def _read_archived(path: Path) -> dict[str, Any]:
    if not path.is_file():
        raise FileNotFoundError(f"Model file {path} does not exist.")
    try:
        with zipfile.ZipFile(path) as archive:
            size = archive.getinfo(CONTRACT_NAME).file_size
            if size > MAX_BYTES:
                raise ValueError(
                    f"{path} holds a contract of {size} bytes; it may have {MAX_BYTES}."
                )
            values = json.loads(archive.read(CONTRACT_NAME))
    except zipfile.BadZipFile as error:
        raise ValueError(f"{path} is not a .keras file, or is damaged: {error}.") from error
    except KeyError as error:
        raise FileNotFoundError(
            f"{path} holds no contract ({CONTRACT_NAME}): it was not saved by keras_pose. "
            "Save it with keras_pose.contracts.pose.save_keras_model."
        ) from error
    except (json.JSONDecodeError, UnicodeDecodeError, RecursionError) as error:
        raise ValueError(f"The contract in {path} is not valid JSON: {error}.") from error
    if isinstance(values, dict) and "schema_version" in values:  # the first had none
        check_version(values, path)
    return values
