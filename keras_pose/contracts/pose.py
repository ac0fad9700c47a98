"""The contract of networks that find one person's keypoints."""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from typing import Any

from keras_pose.codecs import Codec, codec_class, codec_from_dict
from keras_pose.contracts.certainty import (
    KINDS,
    VISIBILITY_NAME,
    ScoreCalibration,
    Visibility,
    certainty_of,
    certainty_to_dict,
    split_outputs,
)
from keras_pose.contracts.entries import named, read_entry
from keras_pose.contracts.fields import (
    INPUT_NAME,
    TOP_DOWN,
    TensorSpec,
    input_to_dict,
    integers_of,
    integers_to_dict,
    known,
    normalization_of,
    output_to_dict,
    plain_field_errors,
    skeleton_of_dict,
    task_of,
    tensor_spec,
)
from keras_pose.contracts.operator_audit import (
    OperatorShare,
    audit_of,
    audit_to_dict,
)
from keras_pose.pictures.geometry import BOX_PADDING
from keras_pose.pictures.normalization import Normalization
from keras_pose.skeleton import Skeleton


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
        operator_audit: shares of the operators that accelerators of phones are expected to
            take of a `.tflite` file; none where nobody looked.
        visibility: output of the head for visibility; None for networks without one.
        score_calibration: function from scores to shares of keypoints that are right, of
            networks for which it was fitted; None for others.
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
    operator_audit: tuple[OperatorShare, ...] = ()
    visibility: Visibility | None = None
    score_calibration: ScoreCalibration | None = None

    def __post_init__(self) -> None:
        if self.visibility is not None:
            kinds = (self.skeleton.num_keypoints, len(KINDS))
            if tuple(self.visibility.output.shape[1:]) != kinds:
                raise ValueError(
                    f"Contract of {self.model!r}: the visibility of {kinds[0]} keypoints "
                    f"needs an output of shape (B, {kinds[0]}, {kinds[1]}), got "
                    f"{self.visibility.output.shape}."
                )
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
        """All output tensors: that of the codec, then that of visibility, if any."""
        return (self.output, *([self.visibility.output] if self.visibility else []))

    def with_tensors(self, image: TensorSpec, outputs, **values) -> Contract:
        """Returns the contract of a file with these tensors; `values` as `replace`."""
        output, logits = split_outputs(outputs)
        if (logits is None) != (self.visibility is None):
            raise ValueError(
                f"{self.model!r} has {'no' if logits is None else 'an'} output "
                f"{VISIBILITY_NAME!r} in the file, but its contract says otherwise."
            )
        if self.visibility is not None and logits is not None:
            values["visibility"] = replace(self.visibility, output=logits)
        return replace(self, input=image, output=output, **values)

    def to_dict(self) -> dict[str, Any]:
        return {
            "task": TOP_DOWN,
            "model": self.model,
            "quantization": self.quantization,
            **integers_to_dict(self.float_operators, self.sums_fit_16_bits),
            **audit_to_dict(self.operator_audit),
            "signature": self.signature,
            "input": input_to_dict(self.input, self.normalization),
            "output": output_to_dict(self.output),
            **certainty_to_dict(self.visibility, self.score_calibration),
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
                "networks of whole pictures by runtime.crowd_model.load_crowd_model."
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
                operator_audit=audit_of(values),
                **certainty_of(values),
            )


def _codec(values: dict[str, Any]) -> Codec:
    kind = values["kind"]
    return codec_from_dict({"kind": kind, **known(codec_class(kind), values)})


def _positive(values: dict[str, Any], name: str) -> float:
    if not values[name] > 0:
        raise ValueError(f"The contract's {name} must be above 0, got {values[name]!r}.")
    return values[name]


def keras_contract(
    model,
    codec: Codec,
    skeleton: Skeleton,
    normalization: Normalization,
    box_padding: float = BOX_PADDING,
) -> Contract:
    """Describes an in-memory Keras model, whose name is its name in the zoo.

    Args:
        model: (B, H, W, 3) normalised float32 -> what the codec decodes, or a list
            of that, one per stack, of which the last counts. A head for visibility stands
            before them, under its name, see `models.visibility`.
        codec: rules by which its outputs become keypoints.
        skeleton: names of the K keypoints.
        normalization: normalisation of its input.
        box_padding: factor from person box to crop, see `geometry.box_to_crop`.
    """
    output, first = model.outputs[-1], model.outputs[0]
    visibility = None
    if model.output_names[0] == VISIBILITY_NAME and len(model.outputs) > 1:
        shape = (1, *first.shape[1:])
        visibility = Visibility(TensorSpec(VISIBILITY_NAME, shape, "float32"))
    return Contract(
        model=model.name,
        input=TensorSpec(INPUT_NAME, (1, *model.inputs[0].shape[1:]), "float32"),
        output=TensorSpec(codec.output_name, (1, *output.shape[1:]), "float32"),
        codec=codec,
        skeleton=skeleton,
        normalization=normalization,
        visibility=visibility,
        box_padding=box_padding,
    )


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
