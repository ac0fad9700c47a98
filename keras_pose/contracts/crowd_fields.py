"""Fields that contracts of networks have which see whole pictures and find everybody."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import asdict
from typing import Any

from keras_pose.contracts.fields import (
    TensorSpec,
    input_to_dict,
    integers_of,
    integers_to_dict,
    normalization_of,
    skeleton_of_dict,
    tensor_spec,
)
from keras_pose.contracts.operator_audit import (
    OperatorShare,
    audit_of,
    audit_to_dict,
)
from keras_pose.pictures.boxes import PAD_VALUE
from keras_pose.pictures.normalization import Normalization
from keras_pose.skeleton import Skeleton


def letterbox_to_dict() -> dict[str, Any]:
    """Describes how `boxes.letterbox` fits pictures in."""
    return {
        "anchor": "top left",
        "border": [PAD_VALUE] * 3,
        "interpolation": "bilinear",
        "rounding": "half up",
    }


class CrowdContract(ABC):
    """Base of `BottomUpContract` and `OneStageContract`, which have these fields.

    Attributes:
        model: zoo name.
        input: the image tensor, (1, H, W, 3).
        skeleton: names of the K keypoints.
        codec: rules by which outputs become people.
        normalization: None where it is inside the file's graph.
        quantization: number format, such as "int8".
        signature: name of the file's signature; None for `.keras` and `.onnx`.
        float_operators: names of operators that compute in float.
        sums_fit_16_bits: True if all processors compute the same.
        operator_audit: shares that accelerators may take.
    """

    model: str
    input: TensorSpec
    skeleton: Skeleton
    codec: Any
    normalization: Normalization | None
    quantization: str
    signature: str | None
    float_operators: tuple[str, ...]
    sums_fit_16_bits: bool | None
    operator_audit: tuple[OperatorShare, ...]

    @property
    def input_hw(self) -> tuple[int, int]:
        return self.input.shape[1], self.input.shape[2]  # type: ignore[return-value]

    @property
    @abstractmethod
    def outputs(self) -> tuple[TensorSpec, ...]:
        """All output tensors."""

    @abstractmethod
    def with_tensors(self, image: TensorSpec, outputs, **values) -> CrowdContract:
        """Returns the contract of a file with these tensors; `values` as `replace`."""

    @abstractmethod
    def to_dict(self) -> dict[str, Any]: ...

    def _first_to_dict(self, task: str) -> dict[str, Any]:
        """Describes all but the outputs and the skeleton."""
        return {
            "task": task,
            "model": self.model,
            "quantization": self.quantization,
            **integers_to_dict(self.float_operators, self.sums_fit_16_bits),
            **audit_to_dict(self.operator_audit),
            "signature": self.signature,
            "input": input_to_dict(self.input, self.normalization),
            "letterbox": letterbox_to_dict(),
        }

    @staticmethod
    def _shared_of_dict(values: dict[str, Any]) -> dict[str, Any]:
        """Reads all but the outputs and the codec."""
        return {
            "model": values["model"],
            "input": tensor_spec(values["input"]),
            "skeleton": skeleton_of_dict(values["skeleton"]),
            "normalization": normalization_of(values["input"]),
            "quantization": values["quantization"],
            "signature": values["signature"],
            **integers_of(values),
            "operator_audit": audit_of(values),
        }

    def _skeleton_to_dict(self) -> dict[str, Any]:
        return {
            **asdict(self.skeleton),
            "mirror_pairs": self.skeleton.mirror_pairs,
            "limb_pairs": self.skeleton.limb_pairs,
        }
