"""The contract of one-stage networks, whose files give people: an entry of
`pose_model.json` like any other, of the task "one_stage". `entries` reads and writes the
files.
"""

from __future__ import annotations

import dataclasses
from dataclasses import asdict, dataclass, field
from typing import Any, ClassVar

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
from keras_pose.pictures.boxes import BoxSettings
from keras_pose.pictures.normalization import Normalization
from keras_pose.skeleton import Skeleton

ONE_STAGE = "one_stage"
# Fields of the contract; a file's tensors have these names behind `PREFIX`.
FIELDS = ("scores", "boxes", "keypoints", "visibility")
PREFIX = "people_"


@dataclass(frozen=True)
class PeopleCodec:
    """Rules by which the people of a one-stage network's outputs are told apart.

    Attributes:
        score_threshold: score that a person must exceed.
        iou_threshold: people whose box overlaps that of a better one by more than this go.
        max_people: people kept at the end.
    """

    score_threshold: float = 0.1
    iou_threshold: float = 0.65
    max_people: int = 100

    kind: ClassVar[str] = "people"

    def __post_init__(self) -> None:
        self.box_settings()  # refuses what is no threshold

    def box_settings(self) -> BoxSettings:
        """Returns the same for the functions of `pictures.boxes`."""
        return BoxSettings(
            self.score_threshold, self.iou_threshold, max_detections=self.max_people
        )

    def to_dict(self) -> dict[str, Any]:
        return {"kind": self.kind, **asdict(self)}


@dataclass(frozen=True)
class OneStageContract(CrowdContract):
    """Facts that a program needs to run one file of a one-stage network.

    The outputs are N people by falling score, several of whom may be one person; N is the
    same for all pictures. They are real numbers, in files of integers, too.

    Attributes:
        model: zoo name.
        input: the image tensor. Pixels are RGB, 0 to 255, unless `normalization` says
            that the caller must normalise; `boxes.letterbox` fits pictures in.
        scores: (B, N), in [0, 1].
        boxes: (B, N, 4), x1, y1, x2, y2 in input pixels.
        keypoints: (B, N, 2 K), x and y of each keypoint in input pixels.
        visibility: (B, N, K), in [0, 1]: how sure it is that a keypoint is to be seen.
        skeleton: names of the K keypoints.
        codec: rules by which people are told apart.
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
    scores: TensorSpec
    boxes: TensorSpec
    keypoints: TensorSpec
    visibility: TensorSpec
    skeleton: Skeleton
    codec: PeopleCodec = field(default_factory=PeopleCodec)
    normalization: Normalization | None = None
    quantization: str = "float32"
    signature: str | None = None
    float_operators: tuple[str, ...] = ()
    sums_fit_16_bits: bool | None = None
    operator_audit: tuple[OperatorShare, ...] = ()

    def __post_init__(self) -> None:
        num_keypoints = self.skeleton.num_keypoints
        num_people = self.scores.shape[-1]
        expected = ((), (4,), (2 * num_keypoints,), (num_keypoints,))
        found = tuple(tuple(spec.shape[1:]) for spec in self.outputs)
        if found != tuple((num_people, *shape) for shape in expected):
            raise ValueError(
                f"Contract of {self.model!r}: for N people with the {num_keypoints} "
                f"keypoints of skeleton {self.skeleton.name!r}, {', '.join(FIELDS)} must "
                f"be (N), (N, 4), (N, {2 * num_keypoints}) and (N, {num_keypoints}) "
                f"(without batch), got {found}."
            )

    @property
    def outputs(self) -> tuple[TensorSpec, ...]:
        """The tensors of scores, boxes, keypoints and visibility."""
        return self.scores, self.boxes, self.keypoints, self.visibility

    def with_tensors(self, image: TensorSpec, outputs, **values) -> OneStageContract:
        """Returns the contract of a file with these tensors; `values` as `replace`.

        Outputs are recognised by their names.
        """
        found = {spec.name: spec for spec in outputs}
        named = {name: found[getattr(self, name).name] for name in FIELDS}
        return dataclasses.replace(self, input=image, **named, **values)

    def to_dict(self) -> dict[str, Any]:
        return {
            **self._first_to_dict(ONE_STAGE),
            **{name: output_to_dict(getattr(self, name)) for name in FIELDS},
            "codec": self.codec.to_dict(),
            "skeleton": self._skeleton_to_dict(),
        }

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> OneStageContract:
        """Reads what `to_dict` wrote.

        Raises:
            ValueError: names the field that is missing or does not fit, or the other
                task that the contract is for.
        """
        task = task_of(values)
        if task != ONE_STAGE:
            raise ValueError(f"This is a contract for {task}, not of a one-stage network.")
        with plain_field_errors():
            tensors: dict[str, Any] = {name: tensor_spec(values[name]) for name in FIELDS}
            codec = _codec(values["codec"])
            return cls(**cls._shared_of_dict(values), **tensors, codec=codec)


def _codec(values: dict[str, Any]) -> PeopleCodec:
    if values["kind"] != PeopleCodec.kind:
        raise ValueError(
            f"A one-stage network needs the codec {PeopleCodec.kind!r}, got "
            f"{values['kind']!r}."
        )
    return PeopleCodec(**known(PeopleCodec, values))


def one_stage_contract(
    model,
    skeleton: Skeleton,
    normalization: Normalization,
    codec: PeopleCodec | None = None,
) -> OneStageContract:
    """Describes an in-memory Keras model, whose name is its name in the zoo.

    Args:
        model: (B, H, W, 3) normalised float32 -> people, see `models.rtmo.build_rtmo`.
        skeleton: names of the K keypoints.
        normalization: mean and std that training applied to the input.
        codec: rules by which people are told apart; None for the usual ones.
    """
    named: dict[str, Any] = {
        name: TensorSpec(f"{PREFIX}{name}", (1, *output.shape[1:]), "float32")
        for name, output in zip(FIELDS, model.outputs, strict=True)
    }
    return OneStageContract(
        model=model.name,
        input=TensorSpec(INPUT_NAME, (1, *model.inputs[0].shape[1:]), "float32"),
        **named,
        skeleton=skeleton,
        codec=codec or PeopleCodec(),
        normalization=normalization,
    )
