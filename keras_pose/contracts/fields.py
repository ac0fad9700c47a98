"""Fields that contracts of all networks have: tensors, normalisation, skeletons."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import asdict, dataclass, fields, replace
from typing import Any

import numpy as np

from keras_pose.pictures.normalization import Normalization
from keras_pose.skeleton import Skeleton

# Name of the image in every file; the codec names the outputs.
INPUT_NAME = "image"
# Task of a contract that names none.
TOP_DOWN = "top_down"
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
