"""Detectors that others made, run as their description says (docs/detectors.md)."""

from __future__ import annotations

from typing import NamedTuple

import cv2
import numpy as np

from keras_pose.contracts.detector import DetectorFacts
from keras_pose.contracts.detector_description import (
    CENTER_SIZE,
    DISTANCES,
    FROM_CELLS,
    POSTPROCESSED,
    DetectorDescription,
)
from keras_pose.pictures import boxes
from keras_pose.pictures.structures import Detections
from keras_pose.runtime.backend import OutputsBackend


class _Placement(NamedTuple):
    """Place of an image in the network's input: input = image * scale + offset."""

    scale_xy: np.ndarray
    offset_xy: np.ndarray


class DescribedDetector:
    """A detector with a description in place of a contract.

    Attributes:
        description: the input and outputs of the file.
        input_hw: (height, width) of the network's input, pixels.

    Raises:
        ValueError: names the description, and what in it does not fit its file.
    """

    def __init__(self, description: DetectorDescription, backend: OutputsBackend):
        self.description = description
        self._backend = backend
        self.input_hw = self._find_input_hw()
        names = [name for names in description.outputs.values() for name in names]
        known = [spec.name for spec in backend.outputs]
        missing = sorted(set(names) - set(known))
        if missing:
            raise self._misfit(f"it has no outputs {missing}, but {known}")
        self._specs = {spec.name: spec for spec in backend.outputs}
        self._points_xy, self._cell_strides = _make_cells(self.input_hw, description)
        # Other things that do not fit show when it runs, so it runs once at the door.
        self(np.full((*self.input_hw, 3), boxes.PAD_VALUE, np.uint8))

    @property
    def facts(self) -> DetectorFacts:
        """Name, input size, number format and settings of the detector."""
        said = self.description
        return DetectorFacts(said.model_path.stem, self.input_hw, "unknown", said.settings)

    def __call__(self, image) -> Detections:
        """Finds the people of one image.

        Args:
            image: (H, W, 3) uint8 RGB, of any size.

        Returns:
            Boxes of people, label 0, in image pixels, within the image, by falling
            score.

        Raises:
            ValueError: for another shape or type of image.
        """
        fitted, placement = self._fit(np.asarray(image))
        raw = self._backend.run_all(self._to_input(fitted))
        outputs = {
            role: [self._specs[name].to_real(raw[name]) for name in names]
            for role, names in self.description.outputs.items()
        }
        if self.description.head == POSTPROCESSED:
            corners, scores = self._read_boxes(outputs)
        else:
            corners, scores = self._read_maps(outputs)
        return self._in_image(corners, scores, placement, np.shape(image)[:2])

    def _find_input_hw(self) -> tuple[int, int]:
        spec, said = self._backend.input, self.description.input
        shape = tuple(spec.shape)
        axes = (1, 2, 3) if said.layout == "NHWC" else (2, 3, 1)
        if len(shape) != 4 or shape[axes[2]] not in (3, None) or shape[0] not in (1, None):
            raise self._misfit(
                f"its input has the shape {shape}, which is not one {said.layout} image of "
                "three channels"
            )
        found = (shape[axes[0]], shape[axes[1]])
        for size, wanted in zip(found, said.hw or found, strict=True):
            if wanted is None:
                raise self._misfit(
                    "it takes images of any size: say which with input.hw, [height, width]"
                )
            if size not in (None, wanted):
                raise self._misfit(f"its input is {found}, and input.hw says {said.hw}")
        height, width = said.hw or found
        return int(height), int(width)  # type: ignore[arg-type]

    def _misfit(self, what: str) -> ValueError:
        description = self.description
        return ValueError(f"{description.path} does not fit {description.file}: {what}.")

    def _fit(self, image):
        """Returns the image as large as the input, and where it lies in there."""
        said, input_hw = self.description.input, self.input_hw
        boxed, scale_xy = boxes.letterbox(image, input_hw, said.pad_value)
        if said.fit == "stretch":
            size_xy = np.array(input_hw[::-1])
            scale_xy = size_xy / np.array(image.shape[1::-1])
            boxed = cv2.resize(image, input_hw[::-1], interpolation=cv2.INTER_LINEAR)
            return boxed, _Placement(scale_xy, np.zeros(2))
        if said.fit == "letterbox":
            return boxed, _Placement(scale_xy, np.zeros(2))
        height, width = boxes.letterbox_hw(image.shape[:2], input_hw)
        offset = ((input_hw[0] - height) // 2, (input_hw[1] - width) // 2)
        # Pixels rolled around the edge are grey like the rest.
        centred = np.roll(boxed, offset, axis=(0, 1))
        return centred, _Placement(scale_xy, np.array(offset[::-1], float))

    def _to_input(self, image) -> np.ndarray:
        said, spec = self.description.input, self._backend.input
        if said.channel_order == "BGR":
            image = image[..., ::-1]
        values = image.astype(np.float32)
        if said.mean is not None:
            mean, std = np.array(said.mean, np.float32), np.array(said.std, np.float32)
            values = (values - mean) / std
            if spec.scale is not None:
                values = np.rint(values / np.float32(spec.scale)) + spec.zero_point
        elif spec.dtype == "int8":
            values = values - 128
        if said.layout == "NCHW":
            values = values.transpose(2, 0, 1)
        dtype = np.dtype(spec.dtype)
        if dtype.kind in "iu":
            values = np.clip(values, np.iinfo(dtype).min, np.iinfo(dtype).max)
        return np.ascontiguousarray(values[None], dtype)

    def _read_boxes(self, outputs):
        """Returns corners in input pixels and scores of boxes the file has made."""
        said = self.description
        corners = self._only(outputs, "boxes").reshape(-1, 4)
        scores = self._only(outputs, "scores").ravel()
        classes = np.full(len(scores), said.person_class)
        if "classes" in outputs:
            classes = self._only(outputs, "classes").ravel()
        if not len(corners) == len(scores) == len(classes):
            raise self._misfit(
                f"it returned {len(corners)} boxes, {len(scores)} scores and "
                f"{len(classes)} classes"
            )
        if "count" in outputs:
            count = max(0, int(self._only(outputs, "count").ravel()[0]))
            corners, scores, classes = corners[:count], scores[:count], classes[:count]
        chosen = (scores > said.settings.score_threshold) & (classes == said.person_class)
        corners, scores = corners[chosen], scores[chosen]
        if said.box_order == "yxyx":
            corners = corners[:, [1, 0, 3, 2]]
        if said.box_unit == "fraction":
            corners = corners * np.array(self.input_hw[::-1] * 2, np.float32)
        return corners, scores

    def _only(self, outputs, role) -> np.ndarray:
        if len(outputs[role]) != 1 or (
            role == "boxes" and outputs[role][0].shape[-1:] != (4,)
        ):
            shapes = [values.shape for values in outputs[role]]
            raise self._misfit(f"outputs.{role} must be one tensor of boxes, got {shapes}")
        return outputs[role][0]

    def _read_maps(self, outputs):
        """Returns corners in input pixels and scores of what raw maps propose."""
        said = self.description
        values, scores = self._values_and_scores(outputs)
        found = np.flatnonzero(scores > np.float32(said.settings.score_threshold))
        order = np.argsort(-scores[found], kind="stable")[: said.settings.max_per_level]
        kept = found[order]
        values, scores = values[kept], scores[kept]
        if said.box_code in FROM_CELLS:
            cells = self._points_xy[kept], self._cell_strides[kept, None]
            return _corners_from_cells(values, *cells, said), scores
        if said.box_code == CENTER_SIZE:
            half = values[:, 2:] / 2
            return np.concatenate([values[:, :2] - half, values[:, :2] + half], 1), scores
        return values, scores

    def _values_and_scores(self, outputs):
        """Returns four numbers for each cell, and how sure it is of a person."""
        said = self.description
        if "rows" in outputs:
            rows = self._rows(outputs, "rows", 5 + said.has_objectness)
            values, classes = rows[:, :4], rows[:, 4 + said.has_objectness :]
            objectness = rows[:, 4] if said.has_objectness else None
        else:
            values = self._rows(outputs, "boxes", 4)
            classes = self._rows(outputs, "scores", 1)
            has_objectness = "objectness" in outputs
            objectness = self._rows(outputs, "objectness", 1) if has_objectness else None
        if values.shape[1] != 4 or said.person_class >= classes.shape[1]:
            raise self._misfit(
                f"a cell has {values.shape[1]} numbers for its box, which must be 4, and "
                f"{classes.shape[1]} classes, of which people are number "
                f"{said.person_class}"
            )
        scores = self._activate(classes[:, said.person_class])
        if objectness is not None:
            scores = scores * self._activate(objectness.ravel())
        num_cells = len(self._points_xy) if said.strides else len(values)
        if not num_cells == len(values) == len(scores):
            raise self._misfit(
                f"an input of {self.input_hw} has {num_cells} cells at strides "
                f"{list(said.strides)}, and it returned {len(values)} boxes and "
                f"{len(scores)} scores"
            )
        return values, scores

    def _rows(self, outputs, role, least) -> np.ndarray:
        """Returns a role's tensors as one (cells, channels) array, level after level."""
        is_first = self.description.channels == "first"
        rows = []
        for values in outputs[role]:
            if values.ndim not in (3, 4) or len(values) != 1:
                raise self._misfit(f"outputs.{role} has the shape {values.shape}")
            image = np.moveaxis(values[0], 0, -1) if is_first else values[0]
            rows.append(image.reshape(-1, image.shape[-1]))
        widths = {values.shape[1] for values in rows}
        if len(widths) > 1 or min(widths) < least:
            raise self._misfit(
                f"outputs.{role} must have at least {least} channels, everywhere as many, "
                f"and has {sorted(widths)} (channels: {self.description.channels})"
            )
        return np.concatenate(rows)

    def _activate(self, scores) -> np.ndarray:
        is_logit = self.description.score_activation == "sigmoid"
        return boxes.sigmoid(scores) if is_logit else scores

    def _in_image(self, corners, scores, placement, image_hw) -> Detections:
        """Takes boxes from the input to the image, and keeps the best of each person."""
        settings = self.description.settings
        limit = np.array(self.input_hw[::-1] * 2, np.float32)
        corners = np.clip(corners, 0, limit) - np.tile(placement.offset_xy, 2)
        order = np.argsort(-scores, kind="stable")
        found = Detections(
            corners[order], np.clip(scores[order], 0, 1), np.zeros(len(order))
        )
        found = boxes.with_area(boxes.rescale(found, placement.scale_xy))
        return boxes.clip_to_image(boxes.suppress(found, settings), image_hw)


def _corners_from_cells(values, points_xy, strides, said: DetectorDescription):
    """Turns four numbers per cell into corners, input pixels.

    Source of the code "yolox": `decode_outputs` of YOLOX (Ge et al. 2021,
    arXiv:2107.08430); of "distances": Tian et al. 2019 (FCOS, arXiv:1904.01355), sec. 3.1.

    Args:
        values: (N, 4).
        points_xy: (N, 2) the cells' points, input pixels.
        strides: (N, 1) pixels per cell.
    """
    if said.box_code == DISTANCES:
        unit = strides if said.distance_unit == "stride" else 1
        return boxes.boxes_at(points_xy, values * unit)
    with np.errstate(over="ignore"):  # clipped to the input afterwards
        half = np.exp(values[:, 2:]) * strides / 2
    center_xy = points_xy + values[:, :2] * strides
    return np.concatenate([center_xy - half, center_xy + half], axis=1)


def _make_cells(input_hw, said: DetectorDescription):
    """Returns every cell's point, (N, 2) input pixels, and its stride, (N,)."""
    points, strides = [np.zeros((0, 2), np.float32)], [np.zeros(0, np.float32)]
    for stride in said.strides:
        map_hw = (-(-input_hw[0] // stride), -(-input_hw[1] // stride))
        level = boxes.prior_points(map_hw, stride) + np.float32(said.cell_offset * stride)
        points.append(level)
        strides.append(np.full(len(level), stride, np.float32))
    return np.concatenate(points), np.concatenate(strides)
