"""Tracks of people in a video: poses of one frame are matched with those of the last ones.

The likeness of two poses is their OKS, counted over the keypoints that are sure in both.
A pose that is like a track continues it, the others begin new tracks, and a track that
no pose continues dies after some frames of patience.

Source: Xiao et al. 2018 (arXiv:1804.06208), sec. 3 "Pose tracking", whose matching is
greedy. Different from it: instead of optical flow, a track moves on by the speed of its
last frames, which carries it through a short occlusion. NumPy only, but for SciPy in
`match_hungarian`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from keras_pose.metrics.posetrack_ap import PoseTrackFrame
from keras_pose.pictures.oks import object_keypoint_similarity, sigmas_of
from keras_pose.pictures.structures import NO_TRACK, Poses

# (T, N) likeness of tracks and people, and the least that will do -> (M, 2) pairs.
Match = Callable[[np.ndarray, float], np.ndarray]


def match_greedy(similarity, threshold: float) -> np.ndarray:
    """Takes the most similar pair, then the most similar of those left, and so on.

    Args:
        similarity: (T, N).
        threshold: pairs below are never taken.

    Returns:
        (M, 2) int64 pairs (track, person), the most similar first.
    """
    left = np.array(similarity, float)
    pairs = []
    while left.size:
        track, person = np.unravel_index(left.argmax(), left.shape)
        if not left[track, person] >= threshold:
            break
        pairs.append((track, person))
        left[track, :] = left[:, person] = -np.inf
    return np.array(pairs, np.int64).reshape(-1, 2)


def match_hungarian(similarity, threshold: float) -> np.ndarray:
    """Takes the pairs whose similarities have the largest sum.

    Arguments and result are those of `match_greedy`; pairs stand by track.

    Raises:
        ImportError: without the package scipy.
    """
    try:
        from scipy.optimize import linear_sum_assignment
    except ImportError as error:
        raise ImportError(
            f"Hungarian matching needs the package scipy, which cannot be imported "
            f"({error}). Install it: pip install scipy. Greedy matching does without."
        ) from error
    # Unlike pairs are worth nothing, so that they never displace likely ones.
    allowed = np.asarray(similarity, float) >= threshold
    worth = np.where(allowed, similarity, 0.0)
    tracks, people = linear_sum_assignment(worth, maximize=True)
    is_pair = allowed[tracks, people]
    return np.stack([tracks, people], axis=1)[is_pair].astype(np.int64)


MATCHES: dict[str, Match] = {"greedy": match_greedy, "hungarian": match_hungarian}


@dataclass(frozen=True)
class _Track:
    """A person as last seen.

    Attributes:
        track_id: their number.
        keypoints_xy: (K, 2) image pixels.
        is_sure: (K,) bool.
        area: area of the box, pixels^2.
        velocity_xy: (2,) pixels per frame.
        age: frames since they were seen; 1 when they were in the last one.
    """

    track_id: int
    keypoints_xy: np.ndarray
    is_sure: np.ndarray
    area: float
    velocity_xy: np.ndarray
    age: int = 1

    @property
    def expected_xy(self) -> np.ndarray:
        """(K, 2) where they should be now."""
        return self.keypoints_xy + self.age * self.velocity_xy


class OksTracker:
    """Gives the people of a video numbers that stay.

        tracker = OksTracker()
        for poses in poses_of_frames:
            poses = tracker.update(poses)  # with track_ids

    Numbers begin at 0 and are never used again.
    """

    def __init__(
        self,
        match: Match = match_greedy,
        oks_threshold: float = 0.3,
        patience: int = 12,
        keypoint_threshold: float = 0.2,
        min_keypoints: int = 3,
    ):
        """Starts without tracks.

        Args:
            match: `match_greedy` or `match_hungarian`.
            oks_threshold: people less like a track are not its person.
            patience: frames for which a track waits for its person to come back.
            keypoint_threshold: keypoints are compared whose score is above it.
            min_keypoints: people with fewer of them get `NO_TRACK`: they cannot be
                distinguished from others.

        Raises:
            ValueError: for settings that make no sense.
        """
        if not 0 < oks_threshold <= 1:
            raise ValueError(f"oks_threshold must be in (0, 1], got {oks_threshold}.")
        if patience < 0 or min_keypoints < 1:
            raise ValueError(
                "A tracker needs patience >= 0 and min_keypoints >= 1, got "
                f"{patience} and {min_keypoints}."
            )
        self._match = match
        self._oks_threshold = oks_threshold
        self._patience = patience
        self._keypoint_threshold = keypoint_threshold
        self._min_keypoints = min_keypoints
        self._tracks: list[_Track] = []
        self._next_id = 0

    def update(self, poses: Poses) -> Poses:
        """Takes the people of the next frame.

        Args:
            poses: poses of one frame, in image pixels; there may be none.

        Returns:
            The same people, with `track_ids`.
        """
        is_sure = self._is_sure(poses)
        can_track = np.flatnonzero(is_sure.sum(axis=1) >= self._min_keypoints)
        seen = [_first_seen(poses, i, is_sure[i]) for i in can_track]
        pairs = self._pairs(seen, poses.skeleton)
        is_continued = np.zeros(len(self._tracks), bool)
        for track, person in pairs:
            seen[person] = _continued(self._tracks[track], seen[person])
            is_continued[track] = True
        # By their place in the frame, so that numbers are the same for every matching.
        for person in np.setdiff1d(np.arange(len(seen)), pairs[:, 1]):
            seen[person] = replace(seen[person], track_id=self._next_id)
            self._next_id += 1
        waiting = [
            replace(track, age=track.age + 1)
            for track, is_done in zip(self._tracks, is_continued, strict=True)
            if not is_done and track.age <= self._patience
        ]
        self._tracks = seen + waiting
        track_ids = np.full(len(poses), NO_TRACK)
        track_ids[can_track] = [track.track_id for track in seen]
        return poses.replace(track_ids=track_ids)

    def _is_sure(self, poses):
        is_finite = np.isfinite(poses.keypoints_xy).all(axis=-1)
        return is_finite & (poses.keypoint_scores > self._keypoint_threshold)

    def _pairs(self, seen, skeleton):
        if not self._tracks or not seen:
            return np.zeros((0, 2), np.int64)
        return self._match(_similarity(self._tracks, seen, skeleton), self._oks_threshold)


def _first_seen(poses, index, is_sure):
    x1, y1, x2, y2 = poses.boxes_xyxy[index].astype(float)
    return _Track(
        track_id=NO_TRACK,
        # Points that are not sure do not count, but must be numbers.
        keypoints_xy=np.nan_to_num(poses.keypoints_xy[index].astype(float)),
        is_sure=is_sure,
        area=max(0.0, x2 - x1) * max(0.0, y2 - y1),
        velocity_xy=np.zeros(2),
    )


def _continued(track: _Track, seen: _Track) -> _Track:
    """Moves a track to where its person is seen now."""
    both = track.is_sure & seen.is_sure
    # The median: single keypoints jump.
    step_xy = np.median((seen.keypoints_xy - track.keypoints_xy)[both], axis=0) / track.age
    velocity_xy = (track.velocity_xy + step_xy) / 2
    return replace(seen, track_id=track.track_id, velocity_xy=velocity_xy)


def _similarity(tracks: Sequence[_Track], seen: Sequence[_Track], skeleton) -> np.ndarray:
    """Returns (T, N) OKS of where tracks should be, and people; 0 without shared points."""
    areas = np.array([track.area for track in tracks])[:, None]
    both = np.stack([t.is_sure for t in tracks])[:, None] & np.stack(
        [person.is_sure for person in seen]
    )
    return object_keypoint_similarity(
        np.stack([track.expected_xy for track in tracks]),
        np.stack([person.keypoints_xy for person in seen]),
        (areas + [person.area for person in seen]) / 2,
        sigmas_of(skeleton),
        both,
    )


def scored_frame(labels: PoseTrackFrame, poses: Poses) -> PoseTrackFrame:
    """Puts a tracker's people into a labelled frame, for `posetrack_mota` and `_ap`.

    Args:
        labels: the frame as labelled; what it holds of predictions is replaced.
        poses: the people of that frame, from `OksTracker.update`. Those without a track
            are left out.

    Raises:
        ValueError: for poses that no tracker has seen, or of another skeleton.
    """
    if poses.track_ids is None:
        raise ValueError("MOTA needs poses with track_ids; see OksTracker.update.")
    has_track = poses.track_ids != NO_TRACK
    return replace(
        labels,
        predicted_xy=poses.keypoints_xy[has_track],
        keypoint_scores=poses.keypoint_scores[has_track],
        predicted_track_ids=poses.track_ids[has_track],
    )
