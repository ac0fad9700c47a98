"""PCK: the share of keypoints that are near their labels, by any measure of "near".

Rules of all metrics here: only labelled keypoints count; a predicted coordinate that
is not finite is a miss; where nothing is labelled, the share is NaN, not 0.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from keras_pose.skeleton import Skeleton

# The two keypoints whose distance is the torso.
# LSP: Pishchulin's `eval_pck.m`, used for LSP's published tables: joints 10 and 3.
# FLIC: what `normalize` holds in the annotations of the hourglass code.
LSP_TORSO = ("left_shoulder", "right_hip")
FLIC_TORSO = ("right_shoulder", "left_hip")


@dataclass(frozen=True)
class PckResult:
    """Shares of keypoints that were right.

    Attributes:
        per_keypoint: (K,) in [0, 1]; NaN for a keypoint without labels.
        num_labelled: (K,) int64.
    """

    per_keypoint: np.ndarray
    num_labelled: np.ndarray

    @property
    def mean(self) -> float:
        """Every labelled keypoint counts alike, so frequent ones count more."""
        return weighted_mean(self.per_keypoint, self.num_labelled)

    @property
    def mean_of_keypoints(self) -> float:
        """Every keypoint of the skeleton counts alike, as in `accuracy` of HRNet."""
        return weighted_mean(self.per_keypoint, self.num_labelled > 0)


def weighted_mean(values, weights) -> float:
    """Returns the mean of the values with weight, NaN where there is none."""
    weights = np.asarray(weights, np.float64)
    if not weights.sum():
        return float("nan")
    return float((np.nan_to_num(values) * weights).sum() / weights.sum())


def normalized_distances(predicted_xy, labelled_xy, is_labelled, sizes):
    """Returns the distance of every keypoint from its label, in units of `sizes`.

    Args:
        predicted_xy: (N, K, 2), of the frame of the labels.
        labelled_xy: (N, K, 2).
        is_labelled: (N, K) bool.
        sizes: (N,) what counts as 1 for each person; (N, 2) measures x and y apart.
            A person without a size above 0 does not count.

    Returns:
        (N, K) float64; NaN where the keypoint does not count, infinite where the
        prediction is not a number.

    Raises:
        ValueError: where the shapes do not fit together.
    """
    predicted_xy, labelled_xy = _check_poses(predicted_xy, labelled_xy)
    num_people, num_keypoints, _ = labelled_xy.shape
    counts = np.asarray(is_labelled, bool)
    if counts.shape != (num_people, num_keypoints):
        raise ValueError(
            f"is_labelled must be {(num_people, num_keypoints)}, got {counts.shape}."
        )
    sizes = np.asarray(sizes, np.float64)
    if sizes.shape not in ((num_people,), (num_people, 2)):
        raise ValueError(
            f"sizes must be ({num_people},) or ({num_people}, 2), one per person, got "
            f"{sizes.shape}."
        )
    sizes = sizes[:, None] if sizes.ndim == 1 else sizes
    has_size = (np.isfinite(sizes) & (sizes > 0)).all(axis=1)
    offsets = (predicted_xy - labelled_xy) / np.where(has_size[:, None], sizes, 1)[:, None]
    distances = np.sqrt((offsets**2).sum(axis=-1))
    distances = np.where(np.isfinite(distances), distances, np.inf)
    return np.where(counts & has_size[:, None], distances, np.nan)


def _check_poses(predicted_xy, labelled_xy):
    predicted_xy = np.asarray(predicted_xy, np.float64)
    labelled_xy = np.asarray(labelled_xy, np.float64)
    if predicted_xy.shape != labelled_xy.shape or predicted_xy.ndim != 3:
        raise ValueError(
            "Predictions and labels must both be (N, K, 2), one prediction per labelled "
            f"person; got {predicted_xy.shape} and {labelled_xy.shape}."
        )
    return predicted_xy, labelled_xy


def pck(distances, threshold: float) -> PckResult:
    """Counts the keypoints that are at most `threshold` from their labels.

    Source: Yang & Ramanan 2013 (PAMI 35/12), "PCK"; hits include equality, as
    in the MPII and LSP evaluation code.

    Args:
        distances: (N, K) of `normalized_distances`.
        threshold: largest distance of a right keypoint, in the same unit.
    """
    counts = ~np.isnan(distances)
    num_labelled = counts.sum(axis=0)
    hits = (counts & (distances <= threshold)).sum(axis=0)
    shares = np.where(num_labelled > 0, hits / np.maximum(num_labelled, 1), np.nan)
    return PckResult(shares, num_labelled)


def pck_auc(distances, highest: float, step: float = 0.01, is_mean=None) -> float:
    """Returns the area under the curve of PCK over thresholds 0 ... `highest`.

    Scaled so that 1 is perfect. Source: `area_under_curve` of the MPII evaluation code
    (trapezoids).

    Args:
        distances: (N, K) of `normalized_distances`.
        highest: last threshold.
        step: between thresholds.
        is_mean: (K,) bool, the keypoints that go into the mean; all by default.
    """
    if is_mean is not None:
        distances = np.asarray(distances)[:, np.asarray(is_mean, bool)]
    thresholds = np.linspace(0, highest, round(highest / step) + 1)
    means = [pck(distances, threshold).mean for threshold in thresholds]
    return float(np.trapezoid(means, thresholds) / highest)


def torso_sizes(labelled_xy, is_labelled, skeleton: Skeleton, torso=LSP_TORSO):
    """Returns (N,) torso lengths: from one shoulder to the hip of the other side.

    Sources: see `LSP_TORSO`, `FLIC_TORSO`. Both are person-centric: "left" is the
    person's own. PDJ (Toshev & Szegedy 2014, "Metrics") measures by the same length.

    Args:
        labelled_xy: (N, K, 2).
        is_labelled: (N, K) bool.
        skeleton: names the K keypoints.
        torso: names of the two keypoints.

    Returns:
        (N,) float64; 0 for people of whom one end is not labelled.

    Raises:
        ValueError: for a skeleton without these keypoints.
    """
    check_torso(skeleton, torso)
    a, b = (skeleton.index(name) for name in torso)
    labelled_xy = np.asarray(labelled_xy, np.float64)
    lengths = np.linalg.norm(labelled_xy[:, a] - labelled_xy[:, b], axis=-1)
    is_labelled = np.asarray(is_labelled, bool)
    return np.where(is_labelled[:, a] & is_labelled[:, b], lengths, 0.0)


def check_torso(skeleton: Skeleton, torso) -> None:
    """Raises ValueError for a skeleton without the two keypoints of a torso."""
    missing = [name for name in torso if name not in skeleton.names]
    if missing:
        raise ValueError(
            f"PCK by the torso needs the keypoints {torso}, skeleton {skeleton.name!r} "
            f"lacks {missing}."
        )


def by_part(per_keypoint, skeleton: Skeleton) -> dict[str, float]:
    """Averages left and right: {"nose": ..., "shoulder": ...}, as tables print it.

    A side that is NaN does not count; NaN where there is no other.
    """
    sides: dict[str, list[float]] = {}
    for name, value in zip(skeleton.names, per_keypoint, strict=True):
        part = name.removeprefix("left_").removeprefix("right_")
        sides.setdefault(part, []).append(float(value))
    return {part: _mean_of_known(values) for part, values in sides.items()}


def _mean_of_known(values: list[float]) -> float:
    known = [value for value in values if value == value]
    return sum(known) / len(known) if known else float("nan")
