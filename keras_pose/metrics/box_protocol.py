"""The protocol of a detector's AP; `metrics.protocol` is that of poses."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar

import keras_pose
from keras_pose.contracts.detector import DetectorFacts
from keras_pose.contracts.detector_description import is_description, read_description
from keras_pose.files import file_sha256
from keras_pose.metrics.box_ap import BoxEvaluation
from keras_pose.metrics.drop import drop
from keras_pose.metrics.protocol import count_images
from keras_pose.pictures.boxes import BoxSettings
from keras_pose.runtime.instructions import machine, machine_line


@dataclass(frozen=True)
class BoxProtocol:
    """Circumstances of a detector's figure, and the file it is of.

    Attributes:
        dataset: name of the data set.
        split: name of the split, such as "val".
        is_subset: True when only some images of the split were used.
        num_images: images that were read.
        num_people: people labelled in them, crowds left out.
        annotation_sha256: first digits of the annotation file's hash.
        settings: thresholds and limits of the boxes that were kept.
        input_hw: model input (height, width), pixels.
        model: zoo name.
        file_name: model file.
        file_bytes: its size.
        file_sha256: first digits of its hash.
        quantization: "float32", "float16", "dynamic" or "int8".
        keras_pose_version: version of the evaluating program.
        left_out: names of the images of the split that could not be read, and on which
            no figure stands.
    """

    dataset: str
    split: str
    is_subset: bool
    num_images: int
    num_people: int
    annotation_sha256: str
    settings: BoxSettings
    input_hw: tuple[int, int]
    model: str
    file_name: str
    file_bytes: int
    file_sha256: str
    quantization: str
    keras_pose_version: str = keras_pose.__version__
    left_out: tuple[str, ...] = ()


def build_box_protocol(
    data: tuple[str, str],
    annotation_path,
    facts: DetectorFacts,
    model_path,
    result: BoxEvaluation,
    is_subset: bool = False,
) -> BoxProtocol:
    """Gathers the protocol of one evaluation.

    Args:
        data: name of the data set, and its split.
        annotation_path: the ground truth.
        facts: name, input size and settings of the detector.
        model_path: the file that was evaluated, or its description.
        result: figures that `evaluate_detector` returned.
        is_subset: True when not all images of the split were used.
    """
    model_path = Path(model_path)
    if is_description(model_path):
        model_path = read_description(model_path).model_path
    return BoxProtocol(
        dataset=data[0],
        split=data[1],
        is_subset=is_subset,
        num_images=result.num_images,
        num_people=result.num_people,
        annotation_sha256=file_sha256(annotation_path)[:16],
        settings=facts.settings,
        input_hw=facts.input_hw,
        model=facts.model,
        file_name=model_path.name,
        file_bytes=model_path.stat().st_size,
        file_sha256=file_sha256(model_path)[:16],
        quantization=facts.quantization,
        left_out=result.left_out,
    )


@dataclass(frozen=True)
class BoxMeasurement:
    """Figures of a detector that carry their protocol.

    Attributes:
        stats: figures by name, those of `box_ap.BOX_STATS` among them.
        protocol: circumstances of the measurement.
        seconds: time from pixels to boxes, of all images.
        machine: where that was measured.
    """

    stats: dict[str, float]
    protocol: BoxProtocol
    seconds: float
    machine: str = field(default_factory=machine)

    figure: ClassVar[str] = "AP"

    @classmethod
    def of(cls, result: BoxEvaluation, protocol: BoxProtocol) -> BoxMeasurement:
        return cls(result.stats, protocol, result.seconds)

    @property
    def value(self) -> float:
        """The figure that files are compared by."""
        return self.stats[self.figure]

    def drop(self, other: BoxMeasurement) -> float:
        """Returns how much worse another file is, in AP."""
        return drop(self.value, other.value)

    @property
    def milliseconds_per_image(self) -> float:
        """Time from pixels to boxes."""
        return 1000 * self.seconds / self.protocol.num_images

    def to_dict(self) -> dict[str, Any]:
        """Returns what the metrics file of a detector holds."""
        return {
            **{name: round(value, 6) for name, value in self.stats.items()},
            "protocol": dataclasses.asdict(self.protocol),
            "seconds": round(self.seconds, 3),
            "milliseconds_per_image": round(self.milliseconds_per_image, 3),
            "machine": self.machine,
        }

    def describe(self) -> str:
        """Returns box AP and its whole protocol in one line."""
        stats, protocol = self.stats, self.protocol
        height, width = protocol.input_hw
        return " | ".join(
            (
                f"box AP {stats['AP']:.3f}, AP50 {stats['AP50']:.3f}, "
                f"AR {stats['AR100']:.3f}, "
                f"F1 {stats['F1']:.3f} from score {stats['F1_score']:.2f}",
                _describe_images(protocol),
                f"{_describe_scores(protocol)}, NMS {protocol.settings.iou_threshold:g}",
                f"{height}x{width} {protocol.model}",
                f"{protocol.file_name} {protocol.quantization}",
            )
        )

    def describe_data(self) -> str:
        """Returns what all files of a table share of the protocol, in one line."""
        return f"{_describe_images(self.protocol)} | {_describe_scores(self.protocol)}"


def _describe_images(protocol: BoxProtocol) -> str:
    counted = count_images(protocol.num_images, protocol.is_subset, protocol.left_out)
    return f"{protocol.dataset} {protocol.split}, {counted}, {protocol.num_people} people"


def _describe_scores(protocol: BoxProtocol) -> str:
    return f"scores over {protocol.settings.score_threshold:g}"


def box_table(measurements: Sequence[BoxMeasurement]) -> str:
    """Puts files that were measured on the same images side by side.

    The drop is that of AP against the first file.
    """
    rows: list[tuple[str, ...]] = [
        ("type", "MB", "AP", "AP50", "AP75", "APS", "APM", "APL", "AR", "drop", "ms")
    ]
    for each in measurements:
        names = ("AP", "AP50", "AP75", "APS", "APM", "APL", "AR100")
        rows.append((
            each.protocol.quantization,
            f"{each.protocol.file_bytes / 1e6:.2f}",
            *(f"{each.stats[name]:.3f}" for name in names),
            f"{measurements[0].drop(each):+.3f}",
            f"{each.milliseconds_per_image:.1f}",
        ))  # fmt: skip
    files = ["file", *(each.protocol.file_name for each in measurements)]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = [
        "  ".join(cell.rjust(width) for cell, width in zip(row, widths, strict=True))
        + f"  {name}"
        for row, name in zip(rows, files, strict=True)
    ]
    return "\n".join([*lines, machine_line(*(each.machine for each in measurements))])
