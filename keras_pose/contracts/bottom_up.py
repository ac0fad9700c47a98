"""The contract of bottom-up networks: an entry of `pose_model.json` like any other, of the
task "bottom_up". `entries` reads and writes the files.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Any

from keras_pose.codecs.part_affinity import PartAffinityCodec
from keras_pose.contracts.crowd_fields import CrowdContract
from keras_pose.contracts.fields import (
    INPUT_NAME,
    TensorSpec,
    known,
    output_to_dict,
    plain_field_errors,
    task_of,
    tensor_spec,
)
from keras_pose.contracts.operator_audit import OperatorShare
from keras_pose.pictures.normalization import Normalization
from keras_pose.skeleton import Skeleton

BOTTOM_UP = "bottom_up"


@dataclass(frozen=True)
class BottomUpContract(CrowdContract):
    """Facts that a program needs to run one bottom-up file.

    Attributes:
        model: zoo name.
        input: the image tensor. Pixels are RGB, 0 to 255, unless `normalization` says
            that the caller must normalise; `boxes.letterbox` fits pictures in.
        heatmaps: (B, h, w, K + 1), the last of which is the background.
        fields: (B, h, w, 2 L), x and y of each limb's unit vector. Heatmaps and fields are
            tensors of their own, so that each has a scale of its own when quantized.
        codec: rules by which heatmaps and fields become people.
        skeleton: the K keypoints, and the L limbs in the order of the fields.
        normalization: None where it is inside the file's graph.
        quantization: number format, such as "int8"; that of a row of
            `exporting.formats.table.FORMATS`.
        signature: name of the file's signature; None for `.keras` and `.onnx`.
        float_operators: names of operators that compute in float, defined as in `Contract`.
        sums_fit_16_bits: True if all processors compute the same, defined as in `Contract`.
        operator_audit: shares that accelerators may take, defined as in `Contract`.

    Raises:
        ValueError: where shapes do not fit together.
    """

    model: str
    input: TensorSpec
    heatmaps: TensorSpec
    fields: TensorSpec
    codec: PartAffinityCodec
    skeleton: Skeleton
    normalization: Normalization | None = None
    quantization: str = "float32"
    signature: str | None = None
    float_operators: tuple[str, ...] = ()
    sums_fit_16_bits: bool | None = None
    operator_audit: tuple[OperatorShare, ...] = ()

    def __post_init__(self) -> None:
        if not self.skeleton.limbs:
            raise ValueError(
                f"Contract of {self.model!r}: a bottom-up network needs a skeleton with "
                f"limbs, got {self.skeleton.name!r} without any."
            )
        expected = self.codec.output_shapes(self.skeleton)
        found = tuple(tuple(spec.shape[1:]) for spec in self.outputs)
        if found != expected:
            raise ValueError(
                f"Contract of {self.model!r}: for input {self.codec.input_hw}, stride "
                f"{self.codec.stride}, and the {self.skeleton.num_keypoints} keypoints and "
                f"{len(self.skeleton.limbs)} limbs of skeleton {self.skeleton.name!r}, "
                f"heatmaps and fields must be {expected} (without batch), got {found}."
            )
        if tuple(self.input.shape[1:3]) != tuple(self.codec.input_hw):
            raise ValueError(
                f"Contract of {self.model!r}: the input is {self.input.shape}, but the "
                f"codec is for (height, width) {self.codec.input_hw}."
            )

    @property
    def outputs(self) -> tuple[TensorSpec, TensorSpec]:
        """Both output tensors."""
        return self.heatmaps, self.fields

    def with_tensors(self, image: TensorSpec, outputs, **values) -> BottomUpContract:
        """Returns the contract of a file with these tensors; `values` as `replace`.

        Outputs are recognised by their names.
        """
        found = {spec.name: spec for spec in outputs}
        heatmaps, fields = (found[spec.name] for spec in self.outputs)
        return dataclasses.replace(
            self, input=image, heatmaps=heatmaps, fields=fields, **values
        )

    def to_dict(self) -> dict[str, Any]:
        return {
            **self._first_to_dict(BOTTOM_UP),
            "heatmaps": output_to_dict(self.heatmaps),
            "fields": output_to_dict(self.fields),
            "codec": self.codec.to_dict(),
            "skeleton": self._skeleton_to_dict(),
        }

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> BottomUpContract:
        """Reads what `to_dict` wrote.

        Raises:
            ValueError: names the field that is missing or does not fit, or the other
                task that the contract is for.
        """
        task = task_of(values)
        if task != BOTTOM_UP:
            raise ValueError(f"This is a contract for {task}, not of a bottom-up network.")
        with plain_field_errors():
            return cls(
                **cls._shared_of_dict(values),
                heatmaps=tensor_spec(values["heatmaps"]),
                fields=tensor_spec(values["fields"]),
                codec=_codec(values["codec"]),
            )


def _codec(values: dict[str, Any]) -> PartAffinityCodec:
    kind = values["kind"]
    if kind != PartAffinityCodec.kind:
        raise ValueError(
            f"A bottom-up network needs the codec {PartAffinityCodec.kind!r}, got {kind!r}."
        )
    fields = known(PartAffinityCodec, values)
    return PartAffinityCodec(**fields | {"input_hw": tuple(fields["input_hw"])})


def bottom_up_contract(
    model, codec: PartAffinityCodec, skeleton: Skeleton, normalization: Normalization
) -> BottomUpContract:
    """Describes an in-memory Keras model, whose name is its name in the zoo.

    Args:
        model: (B, H, W, 3) normalised float32 -> heatmaps and fields, see
            `models.openpose_channels.last_maps`.
        codec: rules by which heatmaps and fields become people.
        skeleton: names keypoints and limbs.
        normalization: mean and std that training applied to the input.
    """
    heatmaps, fields = (
        TensorSpec(name, (1, *output.shape[1:]), "float32")
        for name, output in zip(codec.output_names, model.outputs, strict=True)
    )
    return BottomUpContract(
        model=model.name,
        input=TensorSpec(INPUT_NAME, (1, *model.inputs[0].shape[1:]), "float32"),
        heatmaps=heatmaps,
        fields=fields,
        codec=codec,
        skeleton=skeleton,
        normalization=normalization,
    )
