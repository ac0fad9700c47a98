"""The protocol: what must stand beside a number for it to mean anything.

Ground-truth boxes or a detector's, flip test or not, which images: any of them
moves AP by more than most models differ.
"""

from __future__ import annotations

import dataclasses
import hashlib
import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import keras_pose
from keras_pose.commandline import some_of
from keras_pose.contracts.crowd_fields import CrowdContract
from keras_pose.contracts.detector_description import is_description, read_description
from keras_pose.contracts.pose import Contract
from keras_pose.files import file_sha256, read_json
from keras_pose.metrics.drop import drop
from keras_pose.metrics.evaluator import EvaluationResult
from keras_pose.metrics.official import METRICS
from keras_pose.pictures.boxes import BoxSettings
from keras_pose.pictures.geometry import BOX_PADDING
from keras_pose.runtime.instructions import machine, machine_line

GROUND_TRUTH = "ground truth"
_NAMED = 3  # images that a line of figures names


@dataclass(frozen=True)
class Boxes:
    """Source of the person boxes.

    Attributes:
        source: `GROUND_TRUTH`, or the name of a file of detections, or of a detector.
        sha256: first digits of that file's hash.
        threshold: score below which boxes were left out.
    """

    source: str = GROUND_TRUTH
    sha256: str = ""
    threshold: float = 0.0

    @classmethod
    def of_file(cls, path, threshold: float) -> Boxes:
        return cls(Path(path).name, file_sha256(path)[:16], threshold)

    @classmethod
    def of_detector(cls, path, box_threshold: float, settings: BoxSettings) -> Boxes:
        """Makes the entry of a detector that was run.

        Args:
            path: its file; of a description, the hash is that of both files' hashes.
            box_threshold: smallest score that the evaluation kept; the detector may have
                left out more.
            settings: the detector's.
        """
        threshold = max(box_threshold, settings.score_threshold)
        if not is_description(path):
            return cls.of_file(path, threshold)
        hashes = file_sha256(path) + file_sha256(read_description(path).model_path)
        both = hashlib.sha256(hashes.encode()).hexdigest()
        return cls(Path(path).name, both[:16], threshold)


@dataclass(frozen=True)
class Protocol:
    """Circumstances of a figure, and the file it is of.

    Attributes:
        dataset: name of the data set.
        split: name of the split, such as "val".
        is_subset: True when only some images of the split were used.
        num_images: images that were read.
        num_people: people that were predicted; of whole pictures, those who are labelled.
        annotation_sha256: first digits of the annotation file's hash.
        boxes: source of the person boxes, as in `Boxes`.
        boxes_sha256: hash of the file of boxes, as in `Boxes`.
        boxes_threshold: smallest score of a box, as in `Boxes`.
        metrics: names of the metrics.
        nms: "hard", "soft" or "off": the OKS-NMS.
        flip_test: True if mirrored crops were averaged in.
        codec: `codec.to_dict()`.
        input_hw: model input (height, width), pixels.
        model: zoo name.
        file_name: model file.
        file_folder: name of the folder it lay in.
        file_type: its suffix, such as ".tflite".
        file_bytes: its size.
        file_sha256: first digits of its hash.
        quantization: "float32", "float16", "dynamic" or "int8".
        box_padding: factor from person box to crop; 0 for networks that see whole
            pictures.
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
    boxes: str
    boxes_sha256: str
    boxes_threshold: float
    metrics: tuple[str, ...]
    nms: str
    flip_test: bool
    codec: dict[str, Any]
    input_hw: tuple[int, int]
    model: str
    file_name: str
    file_folder: str
    file_type: str
    file_bytes: int
    file_sha256: str
    quantization: str
    box_padding: float = BOX_PADDING
    keras_pose_version: str = keras_pose.__version__
    left_out: tuple[str, ...] = ()


NO_BOXES = Boxes("none")

# Fields that must be equal for two measurements in one table: all but the model.
# The first that differs is named, so causes stand before their effects.
_SHARED_FIELDS = (
    "dataset",
    "split",
    "annotation_sha256",
    "is_subset",
    "boxes",
    "boxes_sha256",
    "boxes_threshold",
    "metrics",
    "nms",
    "flip_test",
    "num_images",
    "left_out",
    "num_people",
)
# Files of versions before these fields hold figures of what they mean when absent.
_ADDED_LATER: dict[str, Any] = {"left_out": (), "box_padding": BOX_PADDING}


def build_protocol(
    dataset,
    contract: Contract | CrowdContract,
    model_path,
    result: EvaluationResult,
    is_subset: bool = False,
    boxes: Boxes | None = None,
) -> Protocol:
    """Gathers the protocol of one evaluation.

    Args:
        dataset: a `keras_pose.data.PoseDataset`.
        contract: contract of the model.
        model_path: the file that was evaluated.
        result: figures that `evaluate` returned.
        is_subset: True when not all images of the split were used.
        boxes: source of the boxes; by default the ground truth. `NO_BOXES` for networks
            that find people themselves.
    """
    model_path, boxes = Path(model_path), boxes or Boxes()
    return Protocol(
        dataset=dataset.name,
        split=dataset.split,
        is_subset=is_subset,
        num_images=result.num_images,
        num_people=result.num_people,
        annotation_sha256=dataset.annotation_sha256[:16],
        boxes=boxes.source,
        boxes_sha256=boxes.sha256,
        boxes_threshold=boxes.threshold,
        metrics=tuple(result.metrics),
        nms=result.nms,
        flip_test=result.flip_test,
        codec=contract.codec.to_dict(),
        input_hw=contract.input_hw,
        model=contract.model,
        file_name=model_path.name,
        file_folder=model_path.resolve().parent.name,
        file_type="".join(model_path.suffixes[-2:])
        if model_path.name.endswith(".weights.h5")
        else model_path.suffix,
        file_bytes=model_path.stat().st_size,
        file_sha256=file_sha256(model_path)[:16],
        quantization=contract.quantization,
        box_padding=getattr(contract, "box_padding", 0.0),
        left_out=result.left_out,
    )


@dataclass(frozen=True)
class Measurement:
    """Figures that carry their protocol.

    Attributes:
        stats: figures by name; NaN for what has no value.
        tables: figures by keypoint, by threshold, ...
        protocol: circumstances of the measurement.
        predict_seconds: time in the model.
        total_seconds: time from the first image to the last keypoint.
        pipeline: box AP and milliseconds of each stage, for a measurement with a detector;
            else {}.
        machine: where the times were measured; "" where that is not known.
    """

    stats: dict[str, float]
    tables: dict[str, dict[str, float]]
    protocol: Protocol
    predict_seconds: float
    total_seconds: float
    pipeline: dict[str, dict[str, float]] = field(default_factory=dict)
    machine: str = field(default_factory=machine)

    @classmethod
    def of(cls, result: EvaluationResult, protocol: Protocol, pipeline=None) -> Measurement:
        return cls(
            result.stats,
            result.tables,
            protocol,
            result.predict_seconds,
            result.total_seconds,
            pipeline or {},
        )

    @property
    def figure(self) -> str:
        """Name of the figure that files are compared by."""
        return METRICS[self.protocol.metrics[0]].columns[0]

    @property
    def value(self) -> float:
        """The figure that files are compared by."""
        return self.stats[self.figure]

    def drop(self, other: Measurement) -> float:
        """Returns how much worse another file is, in the unit of the figure."""
        is_lower_better = METRICS[self.protocol.metrics[0]].lower_is_better
        return drop(self.value, other.value, is_lower_better)

    def describe(self) -> str:
        """Returns all figures and their protocol, for people to read."""
        parts = (
            describe(self.stats, self.protocol),
            describe_rest(self.stats, self.protocol),
            describe_parts(self.tables),
        )
        return "\n".join(part for part in parts if part)

    def describe_data(self) -> str:
        """Returns what all files of a table share of the protocol, in one line."""
        return describe_data(self.protocol)

    @property
    def milliseconds_per_person(self) -> float:
        """Time in the model; a flip test runs it twice."""
        return 1000 * self.predict_seconds / max(1, self.protocol.num_people)

    def to_dict(self) -> dict[str, Any]:
        """Returns what `metrics_*.json` holds: figures first, None for NaN."""
        return {
            **_rounded(self.stats),
            "tables": {name: _rounded(values) for name, values in self.tables.items()},
            **self._pipeline(),
            "protocol": dataclasses.asdict(self.protocol),
            "predict_seconds": round(self.predict_seconds, 3),
            "total_seconds": round(self.total_seconds, 3),
            "milliseconds_per_person": round(self.milliseconds_per_person, 3),
            "machine": self.machine,
        }

    def _pipeline(self):
        if not self.pipeline:
            return {}
        values = {name: _rounded(table) for name, table in self.pipeline.items()}
        return {"pipeline": values}


def _rounded(stats):
    return {
        name: round(value, 6) if math.isfinite(value) else None
        for name, value in stats.items()
    }


_NOT_STATS = (
    "tables",
    "pipeline",
    "protocol",
    "predict_seconds",
    "total_seconds",
    "milliseconds_per_person",
    "machine",
)


def read_measurement(path) -> Measurement:
    """Reads a file that `Measurement.to_dict` was written into.

    Raises:
        FileNotFoundError: for a missing file.
        ValueError: for one that does not carry its whole protocol.
    """
    values = read_json(path)
    stamp = values.get("protocol") if isinstance(values, dict) else None
    if not isinstance(stamp, dict):
        raise ValueError(f"{path} holds no figures with a protocol.")
    stamp = _ADDED_LATER | stamp
    known = {field.name for field in dataclasses.fields(Protocol)}
    if set(stamp) != known:
        raise ValueError(
            f"{path} was written by another version ({stamp.get('keras_pose_version')}): "
            f"its protocol lacks {sorted(known - set(stamp))} and has "
            f"{sorted(set(stamp) - known)} too much. Measure again."
        )
    pairs = {name: tuple(stamp[name]) for name in ("metrics", "input_hw", "left_out")}
    stats = {name: value for name, value in values.items() if name not in _NOT_STATS}
    return Measurement(
        _with_nan(stats),
        {name: _with_nan(table) for name, table in values.get("tables", {}).items()},
        Protocol(**{**stamp, **pairs}),
        values["predict_seconds"],
        values["total_seconds"],
        {name: _with_nan(table) for name, table in values.get("pipeline", {}).items()},
        values.get("machine", ""),
    )


def _with_nan(stats):
    return {
        name: float("nan") if value is None else float(value)
        for name, value in stats.items()
    }


def describe_data(protocol: Protocol) -> str:
    """Returns the part of the protocol that a whole table shares, in one line."""
    told = {GROUND_TRUTH: "GT boxes", NO_BOXES.source: "whole pictures"}
    detector = f"boxes of {protocol.boxes} {protocol.boxes_sha256[:8]}"
    if protocol.boxes_threshold:
        detector += f" from score {protocol.boxes_threshold:g}"
    parts = (
        f"{protocol.dataset} {protocol.split}, "
        f"{count_images(protocol.num_images, protocol.is_subset, protocol.left_out)}, "
        f"{protocol.num_people} people",
        told.get(protocol.boxes, detector),
        "flip test" if protocol.flip_test else "no flip",
        f"{protocol.nms} NMS" if protocol.nms != "off" else "no NMS",
    )
    return " | ".join(parts)


def count_images(num_images: int, is_subset: bool, left_out: Sequence[str]) -> str:
    """Returns on how many images figures stand, such as "397 of 398 images".

    Args:
        num_images: images that were read.
        is_subset: True when only the first images of the split were used.
        left_out: names of those that could not be read; the first of them are named.
    """
    subset = "first " if is_subset else ""
    if not left_out:
        return f"{subset}{num_images} images"
    whole = num_images + len(left_out)
    return f"{num_images} of {subset}{whole} images (left out: {some_of(left_out, _NAMED)})"


def columns(protocol: Protocol) -> list[str]:
    """Returns the names of the figures that stand in tables, the main one first."""
    return [column for name in protocol.metrics for column in METRICS[name].columns]


def describe(stats: dict[str, float], protocol: Protocol) -> str:
    """Returns the main figures and their whole protocol in one line."""
    height, width = protocol.input_hw
    mains = [METRICS[name].columns[0] for name in protocol.metrics]
    return " | ".join(
        (
            ", ".join(f"{name} {stats[name]:.3f}" for name in mains),
            describe_data(protocol),
            describe_codec(protocol.codec),
            f"{height}x{width} {protocol.model}{_describe_crop(protocol.box_padding)}",
            f"{protocol.file_name} {protocol.quantization} {protocol.file_sha256[:8]}",
        )
    )


def _describe_crop(box_padding: float) -> str:
    """Returns what crops are of boxes, where that is not the usual."""
    usual = (0.0, BOX_PADDING)
    return "" if box_padding in usual else f" of {box_padding:g} x box"


def describe_rest(stats: dict[str, float], protocol: Protocol) -> str:
    """Returns the figures that `describe` leaves out, in one line; "" without any."""
    mains = [METRICS[name].columns[0] for name in protocol.metrics]
    rest = {name: value for name, value in stats.items() if name not in mains}
    # Printed as Mean@0.1 by the HRNet code and its tables.
    if "PCKh@0.11" in rest:
        rest['PCKh@0.11 ("Mean@0.1" in published tables)'] = rest.pop("PCKh@0.11")
    return ", ".join(f"{name} {value:.3f}" for name, value in rest.items())


def describe_parts(tables: dict[str, dict[str, float]]) -> str:
    """Returns the tables by body part, a line each; "" where there are none."""
    return "\n".join(
        f"{name}: " + ", ".join(f"{part} {value:.3f}" for part, value in values.items())
        for name, values in tables.items()
        if name.endswith("by part")
    )


def describe_codec(codec: dict[str, Any]) -> str:
    """Returns such as "gaussian codec, sigma 2"."""
    sigma = (
        f", sigma {codec['sigma']:g}" if isinstance(codec.get("sigma"), int | float) else ""
    )
    return f"{codec['kind']} codec{sigma}"


def comparison_table(measurements: Sequence[Measurement]) -> str:
    """Puts measurements of one protocol side by side, with the drop against the first.

    Raises:
        ValueError: when the protocols differ in more than the model; names the field.
    """
    protocols = [measurement.protocol for measurement in measurements]
    for name in _SHARED_FIELDS:
        arrived = {getattr(protocol, name) for protocol in protocols}
        if len(arrived) > 1:
            raise ValueError(
                f"One table takes numbers of one protocol; {name} differs: "
                f"{sorted(arrived, key=str)}."
            )
    names = columns(protocols[0])
    header = ("file", "type", "codec", "input", "MB", *names, "drop", "ms/person")
    rows = [
        (label, *_row(each, measurements[0], names))
        for label, each in zip(labels(protocols), measurements, strict=True)
    ]
    machines = machine_line(*(measurement.machine for measurement in measurements))
    return f"{describe_data(protocols[0])}\n{_align([header, *rows])}\n{machines}"


def labels(protocols: Sequence[Protocol]) -> list[str]:
    """Returns what to call each file: its name, after its folder's if that is needed."""
    names = [protocol.file_name for protocol in protocols]
    return [
        name if names.count(name) == 1 else f"{protocol.file_folder}/{name}"
        for name, protocol in zip(names, protocols, strict=True)
    ]


def _row(measurement, first, names):
    protocol = measurement.protocol
    height, width = protocol.input_hw
    return (
        protocol.quantization,
        protocol.codec["kind"],
        f"{height}x{width}",
        f"{protocol.file_bytes / 1e6:.2f}",
        *(f"{measurement.stats[name]:.3f}" for name in names),
        f"{first.drop(measurement):+.3f}",
        f"{measurement.milliseconds_per_person:.1f}",
    )


def _align(rows):
    """Left-aligns the four columns of words, right-aligns those of numbers."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = []
    for row in rows:
        words = [cell.ljust(width) for cell, width in zip(row[:4], widths[:4], strict=True)]
        numbers = [
            cell.rjust(width) for cell, width in zip(row[4:], widths[4:], strict=True)
        ]
        lines.append("  ".join((*words, *numbers)))
    return "\n".join(lines)
