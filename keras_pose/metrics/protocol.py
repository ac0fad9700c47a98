"""The protocol: what must stand beside an AP for it to mean anything.

Ground-truth boxes or a detector's, flip test or not, which images: any of them
moves AP by more than most models differ.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import keras_pose
from keras_pose.contract import Contract
from keras_pose.files import file_sha256
from keras_pose.metrics.evaluator import EvaluationResult


@dataclass(frozen=True)
class Protocol:
    """How a number was measured, and on what file.

    Attributes:
        dataset: name of the data set.
        split: such as "val".
        is_subset: True when only some images of the split were used.
        num_images: images that were read.
        num_people: people that were predicted.
        annotation_sha256: first digits of the annotation file's hash.
        boxes: where person boxes came from.
        flip_test: whether mirrored crops were averaged in.
        codec: `codec.to_dict()`.
        input_hw: model input (height, width), pixels.
        model: zoo name.
        file_name: model file.
        file_bytes: its size.
        file_sha256: first digits of its hash.
        quantization: "float32", "float16", "dynamic" or "int8".
        keras_pose_version: of the evaluating program.
    """

    dataset: str
    split: str
    is_subset: bool
    num_images: int
    num_people: int
    annotation_sha256: str
    boxes: str
    flip_test: bool
    codec: dict[str, Any]
    input_hw: tuple[int, int]
    model: str
    file_name: str
    file_bytes: int
    file_sha256: str
    quantization: str
    keras_pose_version: str = keras_pose.__version__


# What two measurements must have in common to stand in one table.
_SHARED_FIELDS = (
    "dataset",
    "split",
    "num_images",
    "num_people",
    "annotation_sha256",
    "boxes",
    "flip_test",
)


def build_protocol(
    dataset,
    contract: Contract,
    model_path,
    result: EvaluationResult,
    is_subset: bool = False,
) -> Protocol:
    """Gathers the protocol of one evaluation.

    Args:
        dataset: a `keras_pose.data.PoseDataset`.
        contract: of the model.
        model_path: the file that was evaluated.
        result: what `evaluate` returned.
        is_subset: True when not all images of the split were used.
    """
    model_path = Path(model_path)
    return Protocol(
        dataset=dataset.name,
        split=dataset.split,
        is_subset=is_subset,
        num_images=result.num_images,
        num_people=result.num_people,
        annotation_sha256=file_sha256(dataset.annotation_path)[:16],
        boxes="ground truth",
        flip_test=result.flip_test,
        codec=contract.codec.to_dict(),
        input_hw=contract.input_hw,
        model=contract.model,
        file_name=model_path.name,
        file_bytes=model_path.stat().st_size,
        file_sha256=file_sha256(model_path)[:16],
        quantization=contract.quantization,
    )


def metrics_dict(result: EvaluationResult, protocol: Protocol) -> dict[str, Any]:
    """Returns what `metrics.json` holds."""
    return {
        **{name: round(value, 6) for name, value in result.stats.items()},
        "protocol": dataclasses.asdict(protocol),
        "predict_seconds": round(result.predict_seconds, 3),
        "total_seconds": round(result.total_seconds, 3),
        "milliseconds_per_person": round(milliseconds_per_person(result), 3),
    }


def milliseconds_per_person(result: EvaluationResult) -> float:
    """Returns the time in the model; a flip test runs it twice."""
    return 1000 * result.predict_seconds / result.num_people


def describe_data(protocol: Protocol) -> str:
    """Returns the part of the protocol that a whole table shares, in one line."""
    subset = "first " if protocol.is_subset else ""
    return " | ".join(
        (
            f"{protocol.dataset} {protocol.split}, {subset}{protocol.num_images} images, "
            f"{protocol.num_people} people",
            "GT boxes" if protocol.boxes == "ground truth" else f"{protocol.boxes} boxes",
            "flip test" if protocol.flip_test else "no flip",
        )
    )


def describe(stats: dict[str, float], protocol: Protocol) -> str:
    """Returns AP and its whole protocol in one line."""
    codec = protocol.codec
    height, width = protocol.input_hw
    return " | ".join(
        (
            f"AP {stats['AP']:.3f}",
            describe_data(protocol),
            f"{codec['kind']} codec, sigma {codec['sigma']:g}",
            f"{height}x{width} {protocol.model}",
            f"{protocol.file_name} {protocol.quantization}",
        )
    )


def comparison_table(
    results: Sequence[EvaluationResult], protocols: Sequence[Protocol]
) -> str:
    """Puts measurements of one protocol side by side, with the drop against the first.

    Raises:
        ValueError: when the protocols differ in more than the model file.
    """
    for name in _SHARED_FIELDS:
        arrived = {getattr(protocol, name) for protocol in protocols}
        if len(arrived) > 1:
            raise ValueError(
                f"One table takes numbers of one protocol; {name} is {sorted(arrived)}."
            )
    header = ("file", "type", "MB", "AP", "AP50", "AP75", "AR", "drop", "ms/person")
    first = results[0].stats["AP"]
    rows = [
        _row(result, protocol, first)
        for result, protocol in zip(results, protocols, strict=True)
    ]
    return f"{describe_data(protocols[0])}\n{_align([header, *rows])}"


def _row(result, protocol, first_ap):
    stats = result.stats
    return (
        protocol.file_name,
        protocol.quantization,
        f"{protocol.file_bytes / 1e6:.2f}",
        *(f"{stats[name]:.3f}" for name in ("AP", "AP50", "AP75", "AR")),
        f"{first_ap - stats['AP']:+.3f}",
        f"{milliseconds_per_person(result):.1f}",
    )


def _align(rows):
    """Left-aligns the two columns of words, right-aligns those of numbers."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = []
    for row in rows:
        words = [cell.ljust(width) for cell, width in zip(row[:2], widths[:2], strict=True)]
        numbers = [
            cell.rjust(width) for cell, width in zip(row[2:], widths[2:], strict=True)
        ]
        lines.append("  ".join((*words, *numbers)))
    return "\n".join(lines)
