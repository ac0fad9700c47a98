"""AP where every image shows one person, whose place is known.

"AP of single-person images" has two readings in surveys of 2D pose estimation; both
are here, under names of their own:

- `oks_share`: the share of people whose OKS is above a threshold. With one prediction
  per person there is nothing to rank, and precision equals recall.
- `apk`: the average precision of each keypoint, ranked by its score (Yang & Ramanan
  2013), and the mean over keypoints.
"""

from __future__ import annotations

import numpy as np

OKS_THRESHOLDS = np.linspace(0.5, 0.95, 10)


def oks_share(similarities, thresholds=OKS_THRESHOLDS) -> float:
    """Returns sum_p [OKS_p > T] / sum_p 1, averaged over thresholds T.

    Differs from COCO AP, which ranks people by score and interpolates precision.

    Args:
        similarities: (N,) OKS of every person with their prediction; NaN for people
            without labelled keypoints, who do not count.
        thresholds: (T,) by default COCO's ten.

    Returns:
        In [0, 1]; NaN without people who count.
    """
    similarities = np.asarray(similarities, float)
    similarities = similarities[~np.isnan(similarities)]
    if not len(similarities):
        return float("nan")
    return float((similarities[:, None] > np.asarray(thresholds)).mean())


def average_precision(scores, is_right, num_labelled: int) -> float:
    """Returns the area under the precision-recall curve, as PASCAL VOC 2010 takes it.

    Precision at a recall is the best at that recall or a higher one, and all recalls
    count, not 11 of them as before. Source: `VOCap` of poseval; the development kit of
    VOC 2010, "Average Precision".

    Args:
        scores: (D,) of the detections; NaN ranks last.
        is_right: (D,) bool.
        num_labelled: things to find.

    Returns:
        In [0, 1]; NaN where there is nothing to find.
    """
    if not num_labelled:
        return float("nan")
    scores, is_right = np.asarray(scores, float), np.asarray(is_right, bool)
    order = np.argsort(-np.where(np.isnan(scores), -np.inf, scores), kind="stable")
    found = np.cumsum(is_right[order])
    precision = found / np.arange(1, len(order) + 1)
    envelope = np.maximum.accumulate(precision[::-1])[::-1]
    gains = np.diff(found, prepend=0)
    return float((envelope * gains).sum() / num_labelled)


def apk(distances, keypoint_scores, threshold: float):
    """Returns the average precision of keypoints: (K,), NaN without labels.

    A prediction for a keypoint that is not labelled is left out, since it may well be
    right; one farther than `threshold` is wrong. Source: Yang & Ramanan 2013
    (PAMI 35/12), "APK".

    Args:
        distances: (N, K) of `pck.normalized_distances`.
        keypoint_scores: (N, K).
        threshold: largest distance of a right keypoint, in the unit of the distances.
    """
    distances = np.asarray(distances, float)
    keypoint_scores = np.asarray(keypoint_scores, float)
    counts = ~np.isnan(distances)
    return np.array(
        [
            average_precision(
                keypoint_scores[counts[:, k], k],
                distances[counts[:, k], k] <= threshold,
                int(counts[:, k].sum()),
            )
            for k in range(distances.shape[1])
        ]
    )
