"""The one-euro filter: keypoints of a video, with less jitter and little lag.

A low-pass filter whose cutoff rises with speed: what rests is smoothed much, what
moves is followed closely. Source: Casiez, Roussel and Vogel 2012, "1 Euro Filter"
(doi:10.1145/2207676.2208639), algorithm 1. Different from it: speed is measured in sizes
of the person per second, so that settings fit near and far people and any resolution.
"""

from __future__ import annotations

import numpy as np

from keras_pose.pictures.structures import NO_TRACK, Poses


class OneEuroSmoother:
    """Smooths the keypoints of tracked people, each x and y by a filter of its own.

        smoother = OneEuroSmoother()
        for seconds, poses in tracked:
            poses = smoother(poses, seconds)

    A new track begins unsmoothed; so does a keypoint that was not finite before, or not
    found: bottom-up networks give those score 0, and no place of their own.
    """

    def __init__(
        self,
        min_cutoff: float = 1.0,
        beta: float = 4.0,
        speed_cutoff: float = 1.0,
        forget_after: float = 2.0,
    ):
        """Starts without tracks.

        Args:
            min_cutoff: cutoff frequency of keypoints at rest, Hz. Lower: less jitter.
            beta: growth of the cutoff, Hz per (person size / second). Higher: less lag.
            speed_cutoff: cutoff frequency of the speed itself, Hz.
            forget_after: seconds without a track's person after which it begins anew.

        Raises:
            ValueError: for settings that make no sense.
        """
        if min_cutoff <= 0 or beta < 0 or speed_cutoff <= 0 or forget_after <= 0:
            raise ValueError(
                "The one-euro filter needs min_cutoff > 0, beta >= 0, speed_cutoff > 0 and "
                f"forget_after > 0, got {min_cutoff}, {beta}, {speed_cutoff} and "
                f"{forget_after}."
            )
        self._min_cutoff, self._beta = min_cutoff, beta
        self._speed_cutoff = speed_cutoff
        self._forget_after = forget_after
        # Of M tracks, by rising track id.
        self._track_ids = np.zeros(0, np.int64)
        self._seconds = np.zeros(0)
        self._xy: np.ndarray | None = None  # (M, K, 2) smoothed
        self._speed: np.ndarray | None = None  # (M, K, 2) smoothed, pixels / second

    def __call__(self, poses: Poses, seconds: float) -> Poses:
        """Smooths the people of the next frame.

        Args:
            poses: poses from a tracker; people without a track stay as they are.
            seconds: time of the frame, later than the one before.

        Returns:
            The same people with other keypoints.

        Raises:
            ValueError: for poses without `track_ids`, or a time that does not rise.
        """
        if poses.track_ids is None:
            raise ValueError("Smoothing follows tracks; see OksTracker.update.")
        if len(self._seconds) and seconds <= self._seconds.max():
            raise ValueError(
                f"Frames must come in order: {seconds} s is not after "
                f"{self._seconds.max()} s."
            )
        tracked = np.flatnonzero(poses.track_ids != NO_TRACK)
        xy = poses.keypoints_xy.astype(np.float64)
        sizes = _person_sizes(poses)[tracked]
        found = np.where((poses.keypoint_scores == 0)[..., None], np.nan, xy)[tracked]
        smoothed = self._smooth(poses.track_ids[tracked], found, sizes, seconds)
        xy[tracked] = np.where(np.isnan(smoothed), xy[tracked], smoothed)
        return poses.replace(keypoints_xy=xy)

    def _smooth(self, track_ids, xy, sizes, seconds):
        """Returns (N, K, 2) smoothed points and remembers them."""
        last_xy, last_speed, elapsed = self._recall(track_ids, xy.shape, seconds)
        elapsed, sizes = elapsed[:, None, None], sizes[:, None, None]
        is_new = ~np.isfinite(last_xy)
        last_xy = np.where(is_new, xy, last_xy)
        speed = (xy - last_xy) / elapsed
        alpha = smoothing_factor(self._speed_cutoff, elapsed)
        # A filter's first speed is 0, and is not mixed with anything.
        speed = np.where(is_new, 0.0, alpha * speed + (1 - alpha) * last_speed)
        cutoff = self._min_cutoff + self._beta * np.abs(speed) / sizes
        alpha = smoothing_factor(cutoff, elapsed)
        smoothed = np.where(is_new, xy, alpha * xy + (1 - alpha) * last_xy)
        self._remember(track_ids, smoothed, speed, seconds)
        return smoothed

    def _recall(self, track_ids, shape, seconds):
        """Returns last points (NaN for new tracks), last speeds, and seconds since."""
        last_xy, last_speed = np.full(shape, np.nan), np.zeros(shape)
        elapsed = np.ones(len(track_ids))
        if self._xy is not None and self._speed is not None and len(self._track_ids):
            rows = np.searchsorted(self._track_ids, track_ids)
            rows = rows.clip(max=len(self._track_ids) - 1)
            known = self._track_ids[rows] == track_ids
            last_xy[known] = self._xy[rows[known]]
            last_speed[known] = self._speed[rows[known]]
            elapsed[known] = seconds - self._seconds[rows[known]]
        return last_xy, last_speed, elapsed

    def _remember(self, track_ids, xy, speed, seconds):
        """Keeps the state of these tracks, and of others for a while."""
        stays = ~np.isin(self._track_ids, track_ids)
        stays &= seconds - self._seconds <= self._forget_after
        ids = np.concatenate([self._track_ids[stays], track_ids])
        times = np.concatenate([self._seconds[stays], np.full(len(track_ids), seconds)])
        if self._xy is not None and self._speed is not None:
            xy = np.concatenate([self._xy[stays], xy])
            speed = np.concatenate([self._speed[stays], speed])
        order = np.argsort(ids)
        self._track_ids, self._seconds = ids[order], times[order]
        self._xy, self._speed = xy[order], speed[order]


def smoothing_factor(cutoff, elapsed):
    """Returns the weight of the newest value in an exponential low-pass filter.

    `1 / (1 + tau / elapsed)` with `tau = 1 / (2 pi cutoff)`.

    Args:
        cutoff: Hz.
        elapsed: seconds since the value before.
    """
    turn = 2 * np.pi * np.asarray(cutoff) * elapsed
    return turn / (turn + 1)


def _person_sizes(poses: Poses) -> np.ndarray:
    """Returns (N,) pixels: the longer side of the box, at least one."""
    sides = poses.boxes_xyxy[:, 2:] - poses.boxes_xyxy[:, :2]
    return np.maximum(1.0, sides.max(axis=1, initial=0.0)).astype(np.float64)
