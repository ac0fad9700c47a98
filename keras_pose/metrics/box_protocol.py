"""The protocol of a detector's AP; `metrics.protocol` is that of poses."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import keras_pose
from keras_pose.boxes import BoxSettings
from keras_pose.detector_contract import DetectorFacts
from keras_pose.detector_description import is_description, read_description
from keras_pose.files import file_sha256
from keras_pose.metrics.box_ap import BoxEvaluation
from keras_pose.metrics.protocol import count_images


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


def box_metrics_dict(result: BoxEvaluation, protocol: BoxProtocol) -> dict[str, Any]:
    """Returns what the metrics file of a detector holds."""
    return {
        **{name: round(value, 6) for name, value in result.stats.items()},
        "protocol": dataclasses.asdict(protocol),
        "seconds": round(result.seconds, 3),
        "milliseconds_per_image": round(milliseconds_per_image(result), 3),
    }


def milliseconds_per_image(result: BoxEvaluation) -> float:
    """Returns the time from pixels to boxes."""
    return 1000 * result.seconds / result.num_images


def describe_boxes(result: BoxEvaluation, protocol: BoxProtocol) -> str:
    """Returns box AP and its whole protocol in one line."""
    stats, settings = result.stats, protocol.settings
    height, width = protocol.input_hw
    return " | ".join(
        (
            f"box AP {stats['AP']:.3f}, AP50 {stats['AP50']:.3f}, AR {stats['AR100']:.3f}, "
            f"F1 {stats['F1']:.3f} from score {stats['F1_score']:.2f}",
            f"{protocol.dataset} {protocol.split}, "
            f"{count_images(protocol.num_images, protocol.is_subset, protocol.left_out)}, "
            f"{protocol.num_people} people",
            f"scores over {settings.score_threshold:g}, NMS {settings.iou_threshold:g}",
            f"{height}x{width} {protocol.model}",
            f"{protocol.file_name} {protocol.quantization}",
        )
    )


def box_table(results: Sequence[BoxEvaluation], protocols: Sequence[BoxProtocol]) -> str:
    """Puts files that were measured on the same images side by side.

    The drop is that of AP against the first file.
    """
    first = results[0].stats["AP"]
    rows: list[tuple[str, ...]] = [
        ("type", "MB", "AP", "AP50", "AP75", "APS", "APM", "APL", "AR", "drop", "ms")
    ]
    for result, protocol in zip(results, protocols, strict=True):
        names = ("AP", "AP50", "AP75", "APS", "APM", "APL", "AR100")
        rows.append((
            protocol.quantization,
            f"{protocol.file_bytes / 1e6:.2f}",
            *(f"{result.stats[name]:.3f}" for name in names),
            f"{first - result.stats['AP']:+.3f}",
            f"{milliseconds_per_image(result):.1f}",
        ))  # fmt: skip
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return "\n".join(
        "  ".join(cell.rjust(width) for cell, width in zip(row, widths, strict=True))
        + f"  {name}"
        for row, name in zip(rows, ["file", *(p.file_name for p in protocols)], strict=True)
    )
