"""Object keypoint similarity (OKS): the IoU of poses, and what follows from it."""

from __future__ import annotations

import numpy as np

from keras_pose.skeleton import Skeleton

# For skeletons that have no sigmas of their own: about the mean of COCO's.
USUAL_SIGMA = 0.07


def sigmas_of(skeleton: Skeleton) -> np.ndarray:
    """Returns (K,) OKS sigmas; for skeletons without, all `USUAL_SIGMA`."""
    return np.array(skeleton.oks_sigmas or (USUAL_SIGMA,) * skeleton.num_keypoints)


def object_keypoint_similarity(poses_xy, others_xy, areas, sigmas, is_counted=None):
    """Compares every pose with every other: mean over keypoints of exp(-e).

    `e = distance^2 / ((2 sigma)^2 * 2 area)`. Source: COCO keypoint evaluation
    (cocodataset.org/#keypoints-eval); equal to `computeOks` of pycocotools where
    `areas` are those of the annotations, and to `oks_iou` of the HRNet code
    where they are the means of both areas.

    Args:
        poses_xy: (N, K, 2) image pixels.
        others_xy: (M, K, 2) image pixels.
        areas: broadcasts to (N, M), pixels^2; (M,) is one per `others_xy`.
        sigmas: (K,) see `Skeleton.oks_sigmas`.
        is_counted: (M, K) bool, the keypoints of `others_xy` that count, or
            (N, M, K), those of each pair; all by default. Where none counts the
            similarity is 0.

    Returns:
        (N, M) float64 in [0, 1].
    """
    poses_xy, others_xy = np.asarray(poses_xy, float), np.asarray(others_xy, float)
    variances = (2 * np.asarray(sigmas, float)) ** 2
    distance2 = ((poses_xy[:, None] - others_xy[None]) ** 2).sum(axis=-1)  # (N, M, K)
    # spacing(1) as both sources have it: no division by zero for an empty area.
    areas = np.broadcast_to(np.asarray(areas, float), distance2.shape[:2])
    areas = areas + np.spacing(1.0)
    similarity = np.exp(-distance2 / variances / areas[..., None] / 2)
    if is_counted is None:
        return similarity.mean(axis=-1)
    is_counted = np.asarray(is_counted, bool)
    counts = np.maximum(is_counted.sum(axis=-1), 1)
    return (similarity * is_counted).sum(axis=-1) / counts


def keypoint_similarities(poses_xy, labelled_xy, areas, sigmas):
    """Returns the terms exp(-e) of OKS, pose by pose: (N, K); 0 for what is no number.

    Args:
        poses_xy: (N, K, 2) image pixels.
        labelled_xy: (N, K, 2) image pixels, of the same people.
        areas: (N,) pixels^2 of the labels.
        sigmas: (K,) see `Skeleton.oks_sigmas`.
    """
    variances = (2 * np.asarray(sigmas, float)) ** 2
    offsets = np.asarray(poses_xy, float) - np.asarray(labelled_xy, float)
    scale = variances * (np.asarray(areas, float)[:, None] + np.spacing(1.0)) * 2
    return np.nan_to_num(np.exp(-(offsets**2).sum(axis=-1) / scale), nan=0.0)


def oks_nms(keypoints_xy, scores, areas, sigmas, threshold: float = 0.9):
    """Drops poses that are too similar to one of higher score.

    Source: `oks_nms` in `lib/nms/nms.py` of the HRNet code, with all keypoints
    counted and the mean of both areas.

    Args:
        keypoints_xy: (N, K, 2) image pixels, the people of one image.
        scores: (N,); a score that is not a number ranks below all others.
        areas: (N,) pixels^2.
        sigmas: (K,) see `Skeleton.oks_sigmas`.
        threshold: a pose goes when its OKS with a kept one is above.

    Returns:
        (kept,) int64 indices, best score first.

    Raises:
        ValueError: where the shapes do not fit together.
    """
    poses, scores = _PosesOfOneImage(keypoints_xy, areas, sigmas, scores), _ranks(scores)
    order = np.argsort(-scores, kind="stable")
    kept: list[int] = []
    while len(order):
        best, order = int(order[0]), order[1:]
        kept.append(best)
        order = order[~poses.is_similar(best, order, threshold)]
    return np.array(kept, np.int64)


def soft_oks_nms(keypoints_xy, scores, areas, sigmas, threshold=0.9, max_people: int = 20):
    """Picks poses one by one, each time fading those similar to what was picked.

    A score falls by exp(-OKS^2 / threshold) with every pose that is picked before it.
    Source: `soft_oks_nms` and `rescore` (type "gaussian") in `lib/nms/nms.py` of the
    HRNet code, which also leaves the people's own scores as they were.

    Args:
        keypoints_xy: (N, K, 2) image pixels; scores, areas and sigmas are those of
            `oks_nms`, too.
        threshold: width of the fading; a larger one fades scores less.
        max_people: largest number of people to pick.

    Returns:
        (kept,) int64 indices, in the order of picking.

    Raises:
        ValueError: where the shapes do not fit together.
    """
    poses, scores = _PosesOfOneImage(keypoints_xy, areas, sigmas, scores), _ranks(scores)
    order = np.argsort(-scores, kind="stable")
    fading = scores[order]
    kept: list[int] = []
    while len(order) and len(kept) < max_people:
        best, order = int(order[0]), order[1:]
        kept.append(best)
        fading = fading[1:] * np.exp(-(poses.similarity(best, order) ** 2) / threshold)
        ranking = np.argsort(-fading, kind="stable")
        order, fading = order[ranking], fading[ranking]
    return np.array(kept, np.int64)


def _ranks(scores):
    """Returns scores that can be sorted: NaN ranks last."""
    scores = np.asarray(scores, float)
    return np.where(np.isnan(scores), -np.inf, scores)


class _PosesOfOneImage:
    """OKS of one pose with some others, laid out so that few bytes are touched."""

    def __init__(self, keypoints_xy, areas, sigmas, scores):
        keypoints_xy, areas = np.asarray(keypoints_xy, float), np.asarray(areas, float)
        expected = (len(scores), len(sigmas), 2)
        if keypoints_xy.shape != expected or areas.shape != expected[:1]:
            raise ValueError(
                f"OKS-NMS of {len(scores)} scores and {len(sigmas)} sigmas needs keypoints "
                f"{expected} and areas {expected[:1]}, got {keypoints_xy.shape} and "
                f"{areas.shape}."
            )
        self._x, self._y = keypoints_xy.transpose(2, 1, 0).copy()  # (K, N) each
        self._areas = areas
        self._variances = (2 * np.asarray(sigmas, float))[:, None] ** 2
        self._strictest = np.argsort(sigmas, kind="stable")

    def similarity(self, index, others):
        """Returns (M,) OKS; equal to `object_keypoint_similarity` of mean areas."""
        return self._terms(index, others, np.arange(len(self._x))).mean(axis=0)

    def is_similar(self, index, others, threshold):
        """Returns (M,) bool: whose OKS is above the threshold."""
        # Most poses are strangers, whom a few keypoints tell: who loses more on these
        # than may be lost on all is out. The sum of all terms must be above K t.
        may_lose = (1 - threshold) * len(self._x)
        few = self._strictest[: max(0, int(may_lose)) + 3]
        lost = (1 - self._terms(index, others, few)).sum(axis=0)
        is_above = lost <= may_lose + 1e-9
        is_above[is_above] = self.similarity(index, others[is_above]) > threshold
        return is_above

    def _terms(self, index, others, keypoints):
        """Returns (keypoints, M) terms exp(-e)."""
        where = np.ix_(keypoints, others)
        dx = self._x[where] - self._x[keypoints, index, None]
        dy = self._y[where] - self._y[keypoints, index, None]
        areas = (self._areas[index] + self._areas[others]) / 2 + np.spacing(1.0)
        return np.exp(-(dx * dx + dy * dy) / self._variances[keypoints] / areas / 2)
