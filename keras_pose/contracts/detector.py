"""The contract of detectors: an entry of `pose_model.json` like any other, of the task
"detection". `entries` reads and writes the files.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass, field
from typing import Any

from keras_pose.contracts.crowd import AnyCrowdContract, is_crowd, read_crowd_contract
from keras_pose.contracts.crowd_fields import letterbox_to_dict
from keras_pose.contracts.entries import named, read_entry
from keras_pose.contracts.fields import (
    INPUT_NAME,
    TensorSpec,
    input_to_dict,
    integers_of,
    integers_to_dict,
    known,
    normalization_of,
    output_to_dict,
    plain_field_errors,
    task_of,
    tensor_spec,
)
from keras_pose.contracts.operator_audit import (
    OperatorShare,
    audit_of,
    audit_to_dict,
)
from keras_pose.contracts.pose import Contract, read_contract
from keras_pose.pictures.boxes import BoxSettings
from keras_pose.pictures.normalization import Normalization

DETECTION = "detection"
PERSON_CLASSES = ("person",)


@dataclass(frozen=True)
class DetectorFacts:
    """Metadata that every detector has, with or without a contract.

    Attributes:
        model: zoo name, or that of the file.
        input_hw: (height, width), pixels.
        quantization: number format, as in the contract; "unknown" without one.
        settings: thresholds and limits of the boxes to keep.
    """

    model: str
    input_hw: tuple[int, int]
    quantization: str
    settings: BoxSettings


@dataclass(frozen=True)
class DetectorContract:
    """Facts that a program needs to run one detector file.

    Attributes:
        model: zoo name.
        input: the image tensor. Pixels are RGB, 0 to 255, unless `normalization` says
            that the caller must normalise; images are fitted in as `boxes.letterbox` does.
        scores: per level (B, H / s, W / s, N) logits of the N classes.
        distances: per level (B, H / s, W / s, 4), input pixels from (s * column, s * row)
            to the left, top, right and bottom side of a box. Scores and distances are
            tensors of their own, so that each has a scale of its own when quantized.
        strides: s of each level.
        class_names: names of the N classes.
        settings: thresholds and limits of the boxes to keep.
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
    scores: tuple[TensorSpec, ...]
    distances: tuple[TensorSpec, ...]
    strides: tuple[int, ...]
    class_names: tuple[str, ...] = PERSON_CLASSES
    settings: BoxSettings = field(default_factory=BoxSettings)
    normalization: Normalization | None = None
    quantization: str = "float32"
    signature: str | None = None
    float_operators: tuple[str, ...] = ()
    sums_fit_16_bits: bool | None = None
    operator_audit: tuple[OperatorShare, ...] = ()

    def __post_init__(self) -> None:
        for kind, channels in (("scores", len(self.class_names)), ("distances", 4)):
            expected = [
                (self.input_hw[0] // stride, self.input_hw[1] // stride, channels)
                for stride in self.strides
            ]
            found = [tuple(spec.shape[1:]) for spec in getattr(self, kind)]
            if found != expected:
                raise ValueError(
                    f"Contract of {self.model!r}: for input {self.input_hw}, strides "
                    f"{self.strides} and {len(self.class_names)} classes, {kind} must be "
                    f"{expected} (without batch), got {found}."
                )

    @property
    def input_hw(self) -> tuple[int, int]:
        return self.input.shape[1], self.input.shape[2]  # type: ignore[return-value]

    @property
    def outputs(self) -> tuple[TensorSpec, ...]:
        """All output tensors: the scores of each level, then its distances."""
        return self.scores + self.distances

    def with_tensors(self, image: TensorSpec, outputs, **values) -> DetectorContract:
        """Returns the contract of a file with these tensors; `values` as `replace`.

        Outputs are recognised by their names.
        """
        found = {spec.name: spec for spec in outputs}
        scores = tuple(found[spec.name] for spec in self.scores)
        distances = tuple(found[spec.name] for spec in self.distances)
        return dataclasses.replace(
            self, input=image, scores=scores, distances=distances, **values
        )

    def to_dict(self) -> dict[str, Any]:
        return {
            "task": DETECTION,
            "model": self.model,
            "quantization": self.quantization,
            **integers_to_dict(self.float_operators, self.sums_fit_16_bits),
            **audit_to_dict(self.operator_audit),
            "signature": self.signature,
            "input": input_to_dict(self.input, self.normalization),
            "letterbox": letterbox_to_dict(),
            "scores": list(map(output_to_dict, self.scores)),
            "score_activation": "sigmoid",
            "distances": list(map(output_to_dict, self.distances)),
            "distance_order": ["left", "top", "right", "bottom"],
            "strides": list(self.strides),
            "class_names": list(self.class_names),
            "settings": dataclasses.asdict(self.settings),
        }

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> DetectorContract:
        """Reads what `to_dict` wrote.

        Raises:
            ValueError: names the field that is missing or does not fit, or the other
                task that the contract is for.
        """
        task = task_of(values)
        if task != DETECTION:
            raise ValueError(f"This is a contract for {task}, not of a detector.")
        with plain_field_errors():
            return cls(
                model=values["model"],
                input=tensor_spec(values["input"]),
                scores=tuple(map(tensor_spec, values["scores"])),
                distances=tuple(map(tensor_spec, values["distances"])),
                strides=tuple(values["strides"]),
                class_names=tuple(values["class_names"]),
                settings=BoxSettings(**known(BoxSettings, values["settings"])),
                normalization=normalization_of(values["input"]),
                quantization=values["quantization"],
                signature=values["signature"],
                **integers_of(values),
                operator_audit=audit_of(values),
            )


# Contracts of files that can be exported.
ModelContract = Contract | DetectorContract | AnyCrowdContract


def detector_contract(
    model,
    normalization: Normalization,
    class_names: tuple[str, ...] = PERSON_CLASSES,
    settings: BoxSettings | None = None,
) -> DetectorContract:
    """Describes an in-memory Keras detector, whose name is its name in the zoo.

    Args:
        model: (B, H, W, 3) normalised float32 -> logits of each level, then distances.
        normalization: mean and std that training applied to the input.
        class_names: one for each channel of the logits.
        settings: None for those of person detectors.
    """
    count = len(model.outputs) // 2
    strides = tuple(model.inputs[0].shape[1] // x.shape[1] for x in model.outputs[:count])

    def specs(kind, outputs):
        return tuple(
            TensorSpec(f"{kind}_{stride}", (1, *x.shape[1:]), "float32")
            for stride, x in zip(strides, outputs, strict=True)
        )

    return DetectorContract(
        model=model.name,
        input=TensorSpec(INPUT_NAME, (1, *model.inputs[0].shape[1:]), "float32"),
        scores=specs("scores", model.outputs[:count]),
        distances=specs("distances", model.outputs[count:]),
        strides=strides,
        class_names=class_names,
        settings=settings or BoxSettings(),
        normalization=normalization,
    )


def read_detector_contract(model_path) -> DetectorContract:
    """Reads the contract of a detector file; errors as `pose.read_contract`."""
    values, path = read_entry(model_path)
    return named(DetectorContract.from_dict, values, path)


def is_detector(model_path) -> bool:
    """Returns True for a detector's contract; errors as `pose.read_contract`."""
    return task_of(read_entry(model_path)[0]) == DETECTION


def read_model_contract(model_path) -> ModelContract:
    """Reads the contract of a file of any kind; errors as `pose.read_contract`."""
    if is_crowd(model_path):
        return read_crowd_contract(model_path)
    read = read_detector_contract if is_detector(model_path) else read_contract
    return read(model_path)
