"""PoseTrack: average precision per keypoint, with whole poses matched to people.

Rules of poseval (github.com/leonid-pishchulin/poseval, `eval_helpers.py`: functions
`assignGTmulti` and `removeIgnoredPoints`), which the functions here follow.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from keras_pose.data.records import Id
from keras_pose.metrics.pck import weighted_mean
from keras_pose.metrics.single_ap import average_precision
from keras_pose.skeleton import Skeleton

# Of the 17 keypoints that PoseTrack18 lists, these two are never labelled.
NOT_SCORED = ("left_ear", "right_ear")
NEAR = 0.5  # head sizes
_IDS = ("track_ids", "predicted_track_ids")


@dataclass(frozen=True)
class PoseTrackFrame:
    """The G labelled and the P predicted people of one frame of a video.

    Attributes:
        sequence: name of the video; frames of one stand in order.
        labelled_xy: (G, K, 2) image pixels.
        is_labelled: (G, K) bool.
        head_sizes: (G,) pixels, see `pckh.head_sizes`.
        track_ids: (G,) numbers or text, the same for one person throughout the video.
        predicted_xy: (P, K, 2) image pixels; not finite where nothing is predicted.
        keypoint_scores: (P, K); NaN where nothing is predicted.
        predicted_track_ids: (P,) numbers or text.
        ignore_regions: (V, 2) outlines in which people are not labelled; what is
            predicted or labelled inside does not count.

    Raises:
        ValueError: where shapes do not fit together, or a track is there twice.
    """

    sequence: str
    labelled_xy: np.ndarray
    is_labelled: np.ndarray
    head_sizes: np.ndarray
    track_ids: Sequence[Id] | np.ndarray
    predicted_xy: np.ndarray
    keypoint_scores: np.ndarray
    predicted_track_ids: Sequence[Id] | np.ndarray
    ignore_regions: Sequence[np.ndarray] = ()

    def __post_init__(self) -> None:
        labelled, predicted = len(self.labelled_xy), len(self.predicted_xy)
        num_keypoints = np.shape(self.is_labelled)[1] if labelled else None
        if num_keypoints is None:
            num_keypoints = np.shape(self.keypoint_scores)[1] if predicted else 0
        expected = {
            "labelled_xy": (labelled, num_keypoints, 2),
            "is_labelled": (labelled, num_keypoints),
            "head_sizes": (labelled,),
            "track_ids": (labelled,),
            "predicted_xy": (predicted, num_keypoints, 2),
            "keypoint_scores": (predicted, num_keypoints),
            "predicted_track_ids": (predicted,),
        }
        for name, shape in expected.items():
            values = getattr(self, name)
            values = _as_ids(values) if name in _IDS else np.asarray(values)
            if values.size == 0 == np.prod(shape):
                values = values.reshape(shape)
            if values.shape != shape:
                raise ValueError(
                    f"PoseTrackFrame.{name} must be {shape}, got {values.shape}."
                )
            object.__setattr__(self, name, values)
        for name in _IDS:
            ids = getattr(self, name)
            if len(set(ids.tolist())) < len(ids):
                raise ValueError(
                    f"A track is in a frame once; {self.sequence!r} has "
                    f"{name}={ids.tolist()}."
                )

    @property
    def is_predicted(self) -> np.ndarray:
        """(P, K) bool."""
        finite = np.isfinite(self.predicted_xy).all(axis=-1)
        is_there = finite & ~np.isnan(self.keypoint_scores)
        return is_there & ~is_inside(self.predicted_xy, self.ignore_regions)

    @property
    def counts(self) -> np.ndarray:
        """(G, K) bool: the labelled keypoints that count."""
        outside = ~is_inside(self.labelled_xy, self.ignore_regions)
        return np.asarray(self.is_labelled, bool) & outside


@dataclass(frozen=True)
class FrameMatch:
    """Pairs of labelled and predicted people in one frame.

    Attributes:
        distances: (P, G, K) in head sizes; infinite where either is not there.
        person: (P,) int, the labelled person of every prediction, -1 for none.
    """

    distances: np.ndarray
    person: np.ndarray

    @property
    def is_near(self) -> np.ndarray:
        """(P, G, K) bool."""
        return self.distances <= NEAR


def _as_ids(values) -> np.ndarray:
    """Keeps ids as they are: NumPy would make text of numbers beside text."""
    values = list(values)
    ids = np.empty(len(values), object)
    ids[:] = values
    return ids


def is_inside(points_xy, outlines) -> np.ndarray:
    """Returns True for points that lie in any of some polygons.

    A point is inside where a ray to its right crosses the outline an odd number of times.

    Args:
        points_xy: (..., 2); what is not finite is outside.
        outlines: (V, 2) corners of each polygon.

    Returns:
        (...) bool.
    """
    points_xy = np.asarray(points_xy, float)
    inside = np.zeros(points_xy.shape[:-1], bool)
    x, y = points_xy[..., None, 0], points_xy[..., None, 1]  # against V edges
    for outline in outlines:
        start_xy = np.asarray(outline, float)
        end_xy = np.roll(start_xy, -1, axis=0)
        rise = end_xy[:, 1] - start_xy[:, 1]
        spans = (start_xy[:, 1] > y) != (end_xy[:, 1] > y)
        # Edges without a rise span nothing; 1 keeps them from dividing by 0.
        slope = (end_xy[:, 0] - start_xy[:, 0]) / np.where(rise == 0, 1, rise)
        is_right = x < start_xy[:, 0] + (y - start_xy[:, 1]) * slope
        inside |= (spans & is_right).sum(axis=-1) % 2 == 1
    return inside


def match_frame(frame: PoseTrackFrame) -> FrameMatch:
    """Gives every prediction its person, at most one to one.

    A prediction goes to the person of whom it has the largest share of keypoints; of
    several that want one person, the one with the largest share gets them.
    """
    offsets = frame.predicted_xy[:, None] - frame.labelled_xy[None]
    sizes = np.where(frame.head_sizes > 0, frame.head_sizes, np.nan)[None, :, None]
    distances = np.linalg.norm(offsets.astype(float), axis=-1) / sizes
    counts = frame.is_predicted[:, None] & frame.counts[None]
    distances = np.where(counts & ~np.isnan(distances), distances, np.inf)
    person = np.full(len(frame.predicted_xy), -1)
    if distances.shape[0] and distances.shape[1]:
        num_labelled = np.maximum(frame.counts.sum(axis=1), 1)
        share = (distances <= NEAR).sum(axis=2) / num_labelled
        wanted = share.argmax(axis=1)
        share = np.where(wanted[:, None] == np.arange(share.shape[1]), share, 0)
        winner = share.argmax(axis=0)
        has_winner = share.max(axis=0) > 0
        person[winner[has_winner]] = np.flatnonzero(has_winner)
    return FrameMatch(distances, person)


def labelled_frames(frames: Sequence[PoseTrackFrame]) -> list[PoseTrackFrame]:
    """Returns the frames with labelled keypoints; poseval leaves the others out."""
    return [frame for frame in frames if np.any(frame.is_labelled)]


def is_scored(skeleton: Skeleton) -> np.ndarray:
    """Returns (K,) bool: the keypoints that PoseTrack's figures are made of."""
    return np.array([name not in NOT_SCORED for name in skeleton.names])


def posetrack_ap(frames: Sequence[PoseTrackFrame], skeleton: Skeleton) -> dict[str, float]:
    """Computes PoseTrack's AP: matches as above, ranked by keypoint score.

    Source: Andriluka et al. 2018 (arXiv:1710.10000), "mAP"; `evaluateAP.py` of
    poseval, which gives percent where this gives shares.

    Args:
        frames: frames of all videos.
        skeleton: names the K keypoints.

    Returns:
        AP by keypoint name, and their mean as "mAP"; NaN without labels.
        With labels and no prediction it is 0.
    """
    scores, hits = [], []
    num_labelled = np.zeros(skeleton.num_keypoints, int)
    for frame in labelled_frames(frames):
        match = match_frame(frame)
        rows = np.arange(len(match.person))
        hit = match.is_near[rows, match.person] & (match.person >= 0)[:, None]
        hits.append(hit)
        scores.append(np.where(frame.is_predicted, frame.keypoint_scores, np.nan))
        num_labelled += frame.counts.sum(axis=0)
    empty = np.zeros((0, skeleton.num_keypoints))
    all_scores = np.concatenate([empty, *scores])
    all_hits = np.concatenate([empty.astype(bool), *hits])
    result = {}
    for k in np.flatnonzero(is_scored(skeleton)):
        there = ~np.isnan(all_scores[:, k])
        result[skeleton.names[k]] = average_precision(
            all_scores[there, k], all_hits[there, k], int(num_labelled[k])
        )
    values = np.array(list(result.values()))
    return result | {"mAP": weighted_mean(values, ~np.isnan(values))}
