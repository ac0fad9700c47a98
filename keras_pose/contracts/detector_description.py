"""Descriptions of detectors that others made: a small JSON file beside a model file.

Our own detectors bring their contract. Of other `.tflite` or `.onnx` files the
description says what goes in and how boxes come out; docs/detectors.md explains every
field, with examples.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from keras_pose.files import read_json
from keras_pose.pictures.boxes import PAD_VALUE, BoxSettings

# The key by which such a file is known, and the version of its fields.
MARK, VERSION = "keras_pose_detector", 1

POSTPROCESSED, RAW = "postprocessed", "raw"
HEADS = (POSTPROCESSED, RAW)
LAYOUTS = ("NHWC", "NCHW")
FITS = ("letterbox", "letterbox_center", "stretch")
CHANNEL_ORDERS = ("RGB", "BGR")
# How four numbers become a box. The first two count from a cell of a map.
YOLOX, DISTANCES, CENTER_SIZE, CORNERS = "yolox", "distances", "center_size", "corners"
BOX_CODES = (YOLOX, DISTANCES, CENTER_SIZE, CORNERS)
FROM_CELLS = (YOLOX, DISTANCES)


@dataclass(frozen=True)
class InputDescription:
    """Steps from an image to the network's input.

    Attributes:
        layout: "NHWC" or "NCHW".
        hw: (height, width) in pixels, for files that take any size; else None.
        fit: "letterbox" (at the top left), "letterbox_center", or "stretch".
        pad_value: grey beside a letterboxed image.
        channel_order: "RGB" or "BGR".
        mean: mean of each channel, in the network's order, 0 to 255. With None for both,
            pixels go in as they are (less 128 where the input is int8).
        std: divisor of each channel; the network sees (pixel - mean) / std.
    """

    layout: str = "NHWC"
    hw: tuple[int, int] | None = None
    fit: str = "letterbox"
    pad_value: int = PAD_VALUE
    channel_order: str = "RGB"
    mean: tuple[float, float, float] | None = None
    std: tuple[float, float, float] | None = None

    def __post_init__(self) -> None:
        _one_of("input.layout", self.layout, LAYOUTS)
        _one_of("input.fit", self.fit, FITS)
        _one_of("input.channel_order", self.channel_order, CHANNEL_ORDERS)
        if self.hw is not None:
            _numbers(self, "hw", 2, lambda value: value >= 1 and value == int(value))
            object.__setattr__(self, "hw", tuple(map(int, self.hw)))
        if not isinstance(self.pad_value, int) or not 0 <= self.pad_value <= 255:
            raise ValueError(f"input.pad_value must be 0 to 255, got {self.pad_value!r}.")
        if (self.mean is None) != (self.std is None):
            raise ValueError("input.mean and input.std come together, or not at all.")
        if self.mean is not None:
            _numbers(self, "mean", 3, lambda value: True)
            _numbers(self, "std", 3, lambda value: value > 0)


@dataclass(frozen=True)
class DetectorDescription:
    """A checked description of a detector, in the terms of docs/detectors.md.

    Attributes:
        path: the description's own file.
        file: name of the `.tflite` or `.onnx` file beside it.
        head: "postprocessed" (the file returns boxes) or "raw" (it returns maps).
        outputs: roles ("boxes", "scores", ...) and the names of the file's tensors.
        input: size, channel order and normalisation of the image tensor.
        person_class: number of the class of people.
        settings: thresholds and limits of the boxes to keep.
        box_order: order of coordinates in postprocessed boxes, "yxyx" or "xyxy".
        box_unit: unit of postprocessed boxes, "fraction" of the input or its "pixels".
        strides: input pixels per cell of each level of raw heads, in the order of their
            cells.
        box_code: coding of raw boxes, one of `BOX_CODES`.
        distance_unit: unit of the code "distances", "pixels" or "stride".
        cell_offset: part of a cell that its point lies from its top left corner.
        channels: position of the channel axis in raw outputs, "last" or "first".
        has_objectness: True if a fifth number of "rows" rates whether anything is there.
        score_activation: "none" where scores are in [0, 1], "sigmoid" of logits.

    Raises:
        ValueError: names the field that is missing, unknown, or not what it may be.
    """

    path: Path
    file: str
    head: str
    outputs: dict[str, tuple[str, ...]]
    input: InputDescription = field(default_factory=InputDescription)
    person_class: int = 0
    settings: BoxSettings = field(default_factory=BoxSettings)
    box_order: str = "yxyx"
    box_unit: str = "fraction"
    strides: tuple[int, ...] = ()
    box_code: str = YOLOX
    distance_unit: str = "pixels"
    cell_offset: float = 0.0
    channels: str = "last"
    has_objectness: bool = False
    score_activation: str = "none"

    def __post_init__(self) -> None:
        _one_of("head", self.head, HEADS)
        _one_of("box_order", self.box_order, ("yxyx", "xyxy"))
        _one_of("box_unit", self.box_unit, ("fraction", "pixels"))
        _one_of("box_code", self.box_code, BOX_CODES)
        _one_of("distance_unit", self.distance_unit, ("pixels", "stride"))
        _one_of("channels", self.channels, ("last", "first"))
        _one_of("score_activation", self.score_activation, ("none", "sigmoid"))
        if not isinstance(self.person_class, int) or self.person_class < 0:
            raise ValueError(
                f"person_class must be a whole number from 0, got {self.person_class!r}."
            )
        self._check_outputs()
        self._check_strides()

    def _check_outputs(self):
        roles = set(self.outputs)
        if self.head == POSTPROCESSED:
            needed, allowed = {"boxes", "scores"}, {"boxes", "scores", "classes", "count"}
        elif "rows" in roles:
            needed = allowed = {"rows"}
        else:
            needed, allowed = {"boxes", "scores"}, {"boxes", "scores", "objectness"}
        if needed - roles or roles - allowed:
            raise ValueError(
                f"outputs of a {self.head} head must name {' and '.join(sorted(needed))}"
                f" (or, of a raw head, rows), and may name "
                f"{', '.join(sorted(allowed - needed)) or 'nothing else'}; got "
                f"{', '.join(sorted(roles)) or 'none'}."
            )

    def _check_strides(self):
        is_good = all(isinstance(s, int) and s > 0 for s in self.strides)
        if self.head == RAW and (self.box_code in FROM_CELLS) != bool(self.strides):
            raise ValueError(
                f"strides are for the box codes {' and '.join(FROM_CELLS)}, which need "
                f"them; got box_code={self.box_code!r} and strides={list(self.strides)}."
            )
        if not is_good:
            raise ValueError(f"strides must be whole pixels, got {list(self.strides)}.")

    @property
    def model_path(self) -> Path:
        return self.path.with_name(self.file)

    @classmethod
    def from_dict(cls, values: dict[str, Any], path: Path) -> DetectorDescription:
        """Reads what a description holds.

        Raises:
            ValueError: as the class does; also for another version.
        """
        if values.get(MARK) != VERSION:
            raise ValueError(
                f"{MARK} must be {VERSION}, which this version of keras_pose reads; got "
                f"{values.get(MARK)!r}."
            )
        values = {name: value for name, value in values.items() if name != MARK}
        own = {each.name for each in dataclasses.fields(cls)} - {"path", "settings"}
        settings = {each.name for each in dataclasses.fields(BoxSettings)}
        _known("the description", values, own | settings, {"file", "head", "outputs"})
        chosen = {name: values.pop(name) for name in sorted(settings & set(values))}
        if values["head"] == POSTPROCESSED:
            chosen.setdefault("iou_threshold", 1.0)  # what overlaps has gone already
        values["outputs"] = _tensor_names(values["outputs"])
        values["input"] = _input(values.get("input", {}))
        values["strides"] = _tuple("strides", values.get("strides", []))
        return cls(path=path, settings=_settings(chosen), **values)


def _settings(values) -> BoxSettings:
    try:
        return BoxSettings(**values)
    except TypeError as error:
        raise ValueError(f"Thresholds must be numbers, got {values}.") from error


def _input(values) -> InputDescription:
    fields = {each.name for each in dataclasses.fields(InputDescription)}
    if not isinstance(values, dict):
        raise ValueError(f"input must be an object, got {values!r}.")
    _known("input", values, fields, set())
    return InputDescription(**values)


def _tensor_names(values) -> dict[str, tuple[str, ...]]:
    """Reads role -> name, or list of names, one per stride."""
    if not isinstance(values, dict):
        raise ValueError(f"outputs must be an object, got {values!r}.")
    named = {
        role: (name,) if isinstance(name, str) else _tuple(f"outputs.{role}", name)
        for role, name in values.items()
    }
    for role, names in named.items():
        if not names or not all(isinstance(name, str) for name in names):
            raise ValueError(
                f"outputs.{role} must be a name or a list of names, got {values[role]!r}."
            )
    return named


def _tuple(name, values) -> tuple:
    if not isinstance(values, list):
        raise ValueError(f"{name} must be a list, got {values!r}.")
    return tuple(values)


def _known(what, values, allowed, needed) -> None:
    unknown, missing = sorted(set(values) - allowed), sorted(needed - set(values))
    if unknown or missing:
        raise ValueError(
            f"In {what}, unknown fields: {unknown}, missing: {missing}. Known are "
            f"{sorted(allowed)}."
        )


def _one_of(name, value, allowed) -> None:
    if value not in allowed:
        raise ValueError(f"{name} must be one of {', '.join(allowed)}; got {value!r}.")


def _numbers(description, name, count, is_good: Callable[[float], bool]) -> None:
    """Turns a field into a tuple of numbers, or says what is wrong with it."""
    values = getattr(description, name)
    is_list = isinstance(values, list | tuple) and len(values) == count
    if not is_list or not all(
        isinstance(v, int | float) and not isinstance(v, bool) and is_good(v)
        for v in values
    ):
        raise ValueError(f"input.{name} must be {count} fitting numbers, got {values!r}.")
    object.__setattr__(description, name, tuple(values))


def is_description(path) -> bool:
    """Returns True for a description, False for other JSON files, such as COCO results."""
    path = Path(path)
    if path.suffix != ".json":
        return False
    values = read_json(path)
    return isinstance(values, dict) and MARK in values


def read_description(path) -> DetectorDescription:
    """Reads a description.

    Raises:
        FileNotFoundError: if it, or the model file that it names, is missing.
        ValueError: names the file and the field that is wrong.
    """
    path = Path(path)
    values = read_json(path)
    if not isinstance(values, dict):
        raise ValueError(f"{path} must hold an object, got {type(values).__name__}.")
    try:
        description = DetectorDescription.from_dict(values, path)
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from error
    if not description.model_path.is_file():
        raise FileNotFoundError(
            f"{path} describes {description.file}, which does not lie beside it."
        )
    return description
