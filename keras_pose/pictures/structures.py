"""Results of detectors and pose estimators: validated NumPy dataclasses."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Any

import numpy as np

from keras_pose.pictures.geometry import xyxy_to_xywh
from keras_pose.skeleton import Skeleton

# The track of people who have none.
NO_TRACK = -1
# Kinds of keypoints, in the order of `Poses.visibility`.
VISIBILITY_KINDS = ("visible", "hidden", "outside")
VISIBLE, HIDDEN, OUTSIDE = range(len(VISIBILITY_KINDS))
# Of keypoints of which labels do not say it.
UNKNOWN = -1


def more_likely_outside(visibility: np.ndarray) -> np.ndarray:
    """Returns (..., K) bool of (..., K, 3) probabilities: more likely outside than not."""
    is_outside: np.ndarray = visibility[..., OUTSIDE] > 0.5
    return is_outside


@dataclass(frozen=True)
class Poses:
    """The people of one image.

    Attributes:
        boxes_xyxy: (N, 4) float32, image pixels.
        keypoints_xy: (N, K, 2) float32, image pixels (see `keras_pose.pictures.geometry`).
        keypoint_scores: (N, K) float32, height of the heatmap at the keypoint; or, where
            the model's contract has a calibration, the probability that it is right.
        scores: (N,) float32, confidence in the person as a whole.
        skeleton: names and limbs of the K keypoints.
        track_ids: (N,) int64, the same number for one person throughout a video, and
            `NO_TRACK` for people who are not followed; None without tracking.
        visibility: (N, K, 3) float32, probabilities that the keypoint is visible, hidden,
            or outside the picture, see `VISIBILITY_KINDS`; None for models that do not say.

    Raises:
        ValueError: where shapes do not fit together.
    """

    boxes_xyxy: np.ndarray
    keypoints_xy: np.ndarray
    keypoint_scores: np.ndarray
    scores: np.ndarray
    skeleton: Skeleton
    track_ids: np.ndarray | None = None
    visibility: np.ndarray | None = None

    def __post_init__(self) -> None:
        num_people = len(self.boxes_xyxy)
        expected = {
            "boxes_xyxy": (num_people, 4),
            "keypoints_xy": (num_people, self.skeleton.num_keypoints, 2),
            "keypoint_scores": (num_people, self.skeleton.num_keypoints),
            "scores": (num_people,),
        }
        if self.visibility is not None:
            kinds = (num_people, self.skeleton.num_keypoints, len(VISIBILITY_KINDS))
            expected["visibility"] = kinds
        for field, shape in expected.items():
            values = np.asarray(getattr(self, field), np.float32)
            if values.shape != shape:
                raise ValueError(f"Poses.{field} must be {shape}, got {values.shape}.")
            object.__setattr__(self, field, values)
        if self.track_ids is not None:
            track_ids = np.asarray(self.track_ids, np.int64)
            if track_ids.shape != (num_people,):
                raise ValueError(
                    f"Poses.track_ids must be {(num_people,)}, got {track_ids.shape}."
                )
            object.__setattr__(self, "track_ids", track_ids)

    @classmethod
    def none(cls, skeleton: Skeleton) -> Poses:
        """Returns those of an image without people."""
        shape = (0, skeleton.num_keypoints)
        return cls(
            np.zeros((0, 4)), np.zeros((*shape, 2)), np.zeros(shape), np.zeros(0), skeleton
        )

    def __len__(self) -> int:
        return len(self.scores)

    def __getitem__(self, chosen) -> Poses:
        """Picks people by a mask, a slice or a list of indices."""
        return Poses(
            self.boxes_xyxy[chosen],
            self.keypoints_xy[chosen],
            self.keypoint_scores[chosen],
            self.scores[chosen],
            self.skeleton,
            None if self.track_ids is None else self.track_ids[chosen],
            None if self.visibility is None else self.visibility[chosen],
        )

    @property
    def is_outside(self) -> np.ndarray:
        """(N, K) bool: keypoints that are more likely outside the picture than in it.

        False throughout for models that do not say.
        """
        if self.visibility is None:
            return np.zeros(self.keypoint_scores.shape, bool)
        return more_likely_outside(self.visibility)

    def replace(self, **values) -> Poses:
        """Returns a copy with other values."""
        return dataclasses.replace(self, **values)

    def to_dicts(self) -> list[dict[str, Any]]:
        """Returns the people as JSON takes them, keypoints by name.

        Pixels are rounded to 0.01; what is not finite is None, since JSON has no NaN.
        """
        return [self._to_dict(i) for i in range(len(self))]

    def _to_dict(self, index: int) -> dict[str, Any]:
        box_xywh = xyxy_to_xywh(self.boxes_xyxy[index].astype(float))
        keypoints = zip(
            self.skeleton.names,
            self.keypoints_xy[index].tolist(),
            self.keypoint_scores[index].tolist(),
            strict=True,
        )
        tracked = {} if self.track_ids is None else {"track_id": int(self.track_ids[index])}
        return {
            **tracked,
            "score": _rounded(self.scores[index], 4),
            "box_xywh": [_rounded(value, 2) for value in box_xywh.tolist()],
            "keypoints": {
                name: {
                    "x": _rounded(x, 2),
                    "y": _rounded(y, 2),
                    "score": _rounded(score, 4),
                    **self._visibility(index, k),
                }
                for k, (name, (x, y), score) in enumerate(keypoints)
            },
        }

    def _visibility(self, index: int, k: int) -> dict[str, float | None]:
        """Returns the probabilities of one keypoint by kind; {} without them."""
        if self.visibility is None:
            return {}
        shares = self.visibility[index, k].tolist()
        return {
            name: _rounded(share, 4)
            for name, share in zip(VISIBILITY_KINDS, shares, strict=True)
        }

    def to_rows(self, **first) -> list[dict[str, Any]]:
        """Returns one flat row per person, for `pandas.DataFrame(rows)` or a CSV file.

        Columns: person, track_id (where people are followed), score, x1, y1, x2, y2,
        then of every keypoint NAME_x, NAME_y, NAME_score, and of models that say it
        NAME_visible, NAME_hidden, NAME_outside; image pixels.

        Args:
            first: columns to put before them, such as frame=7.
        """
        return [{**first, **self._to_row(i)} for i in range(len(self))]

    def _to_row(self, index: int) -> dict[str, Any]:
        row: dict[str, Any] = {"person": index}
        if self.track_ids is not None:
            row["track_id"] = int(self.track_ids[index])
        row["score"] = float(self.scores[index])
        corners = self.boxes_xyxy[index].tolist()
        row |= dict(zip(("x1", "y1", "x2", "y2"), corners, strict=True))
        for k, name in enumerate(self.skeleton.names):
            x, y = self.keypoints_xy[index, k].tolist()
            score = float(self.keypoint_scores[index, k])
            row |= {f"{name}_x": x, f"{name}_y": y, f"{name}_score": score}
            if self.visibility is not None:
                shares = self.visibility[index, k].tolist()
                kinds = zip(VISIBILITY_KINDS, shares, strict=True)
                row |= {f"{name}_{kind}": share for kind, share in kinds}
        return row

    def to_coco(self, image_id: int, category_id: int = 1) -> list[dict[str, Any]]:
        """Returns the people in COCO's result format (cocodataset.org/#format-results).

        Where COCO's labels have a visibility stands the keypoint's score; a keypoint
        that is not finite is (0, 0, 0).
        """
        triples = np.concatenate(
            [self.keypoints_xy, self.keypoint_scores[..., None]], axis=-1
        ).astype(float)
        triples[~np.isfinite(triples).all(axis=-1)] = 0
        boxes_xywh = xyxy_to_xywh(self.boxes_xyxy.astype(float))
        results = [
            {
                "image_id": image_id,
                "category_id": category_id,
                "keypoints": person.ravel().tolist(),
                "score": float(score),
                "bbox": box.tolist(),
            }
            for person, score, box in zip(triples, self.scores, boxes_xywh, strict=True)
        ]
        if self.track_ids is not None:
            for result, track_id in zip(results, self.track_ids.tolist(), strict=True):
                result["track_id"] = track_id
        return results


def _rounded(value, digits: int) -> float | None:
    return round(float(value), digits) if np.isfinite(value) else None


@dataclass(frozen=True)
class Detections:
    """The boxes that a detector found in one image.

    Attributes:
        boxes_xyxy: (N, 4) float32, image pixels.
        scores: (N,) float32 in [0, 1].
        labels: (N,) int64, number of the class.

    Raises:
        ValueError: where shapes do not fit together, and for numbers that are not
            finite.
    """

    boxes_xyxy: np.ndarray
    scores: np.ndarray
    labels: np.ndarray

    def __post_init__(self) -> None:
        count = len(self.scores)
        expected = {
            "boxes_xyxy": ((count, 4), np.float32),
            "scores": ((count,), np.float32),
            "labels": ((count,), np.int64),
        }
        for field, (shape, dtype) in expected.items():
            values = np.asarray(getattr(self, field), dtype)
            if values.shape != shape:
                raise ValueError(f"Detections.{field} must be {shape}, got {values.shape}.")
            if not np.isfinite(values).all():
                raise ValueError(f"Detections.{field} holds NaN or infinite values.")
            object.__setattr__(self, field, values)

    @classmethod
    def none(cls) -> Detections:
        """Returns those of an image in which nothing was found."""
        return cls(np.zeros((0, 4)), np.zeros(0), np.zeros(0))

    def __len__(self) -> int:
        return len(self.scores)

    def __getitem__(self, chosen) -> Detections:
        """Picks boxes by a mask, a slice or a list of indices."""
        return Detections(self.boxes_xyxy[chosen], self.scores[chosen], self.labels[chosen])

    def replace(self, **values) -> Detections:
        """Returns a copy with other values."""
        return dataclasses.replace(self, **values)
