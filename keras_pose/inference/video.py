"""From a video to skeletons: decode, find and follow people, draw, write.

source = open_source("clip.mp4")
summary = annotate(source, PoseEstimator("pose.tflite", "detector.tflite"),
                   output="out.mp4", json="out.json")
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Generator, Iterator
from dataclasses import dataclass, field, replace
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
from tqdm import tqdm

from keras_pose.inference.estimator import PoseEstimator
from keras_pose.inference.frame_sources import Frame, FrameSource
from keras_pose.inference.overlap import one_by_one, overlapped, timed
from keras_pose.inference.regions import DETECT_EVERY, RegionFollower
from keras_pose.inference.smoothing import OneEuroSmoother
from keras_pose.inference.tracking import MATCHES, OksTracker
from keras_pose.inference.writers import VideoWriter, open_json_list, open_video
from keras_pose.pictures.drawing import draw_poses
from keras_pose.pictures.structures import NO_TRACK, Poses


@dataclass(frozen=True)
class VideoSettings:
    """Settings for a video.

    Attributes:
        detect_every: largest number of frames from one run of the detector to the next; see
            `RegionFollower`.
        matching: "greedy" or "hungarian"; see `OksTracker`.
        is_smoothed: True to send keypoints through the one-euro filter.
        threshold: score of a keypoint that it must exceed to be followed and drawn.
        draws_boxes: True to draw boxes, too.
        max_frames: number of frames after which to stop; None for all.
        is_overlapped: True to let stages work side by side.
        shows_progress: True to show a bar, where there is a terminal.

    Raises:
        ValueError: for settings that make no sense.
    """

    detect_every: int = DETECT_EVERY
    matching: str = "greedy"
    is_smoothed: bool = True
    threshold: float = 0.2
    draws_boxes: bool = False
    max_frames: int | None = None
    is_overlapped: bool = True
    shows_progress: bool = False

    def __post_init__(self) -> None:
        if self.matching not in MATCHES:
            raise ValueError(
                f"matching must be one of {', '.join(MATCHES)}, got {self.matching!r}."
            )
        if self.detect_every < 1 or (self.max_frames is not None and self.max_frames < 1):
            raise ValueError(
                "detect_every and max_frames must be at least 1, got "
                f"{self.detect_every} and {self.max_frames}."
            )


class VideoEstimator:
    """Finds the people of a video's frames, frame after frame, with their tracks."""

    def __init__(self, estimator: PoseEstimator, settings: VideoSettings):
        self.follower = RegionFollower(
            estimator, settings.detect_every, keypoint_threshold=settings.threshold
        )
        self._tracker = OksTracker(
            MATCHES[settings.matching], keypoint_threshold=settings.threshold
        )
        self._smoother = OneEuroSmoother() if settings.is_smoothed else None
        self._seen: set[int] = set()

    def __call__(self, frame: Frame) -> Poses:
        """Returns the people of the next frame, with `track_ids`, in image pixels."""
        poses = self._tracker.update(self.follower(frame.image, frame.image_id))
        self._seen.update(set(np.asarray(poses.track_ids).tolist()) - {NO_TRACK})
        # The regions follow what was seen, not what was smoothed: that lags.
        return self._smoother(poses, frame.seconds) if self._smoother else poses

    @property
    def num_tracks(self) -> int:
        """Number of different people so far."""
        return len(self._seen)


@dataclass
class VideoSummary:
    """Counts and times of a video.

    Attributes:
        num_frames: frames that were worked on.
        num_detected: frames on which the detector ran.
        num_tracks: different people.
        wall_seconds: time from the first frame to the last file.
        stage_seconds: work of each stage; overlapping stages add up to more than the
            wall time. "detect" is a part of "pose".
        notes: sentences that the user should read.
    """

    num_frames: int = 0
    num_detected: int = 0
    num_tracks: int = 0
    wall_seconds: float = 0.0
    stage_seconds: dict[str, float] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)

    @property
    def fps(self) -> float:
        """Frames per second of wall time."""
        return self.num_frames / self.wall_seconds if self.wall_seconds else 0.0

    def text(self) -> str:
        """Returns one line for people."""
        stages = ", ".join(
            f"{name} {1000 * seconds / max(1, self.num_frames):.1f}"
            for name, seconds in self.stage_seconds.items()
        )
        return (
            f"{self.num_frames} frames in {self.wall_seconds:.1f} s, {self.fps:.1f} "
            f"frames/s; detector on {self.num_detected}, {self.num_tracks} people; "
            f"ms per frame: {stages}"
        )


@dataclass
class _Work:
    """A frame on its way through the stages; `drawing` is what is written."""

    frame: Frame
    poses: Poses
    drawing: np.ndarray


def annotate(
    source: FrameSource,
    estimator: PoseEstimator,
    output: str | Path | None = None,
    json: str | Path | None = None,
    settings: VideoSettings | None = None,
    on_frame: Callable[[Frame, Poses], None] | None = None,
) -> VideoSummary:
    """Estimates the people of a video, and writes them as a video and as JSON.

    Files get their names when they are whole. A source that goes on until somebody
    stops it, such as a camera, is stopped by Ctrl-C, and what there is is kept.

    Args:
        source: frames, from `open_source`; read to their end.
        estimator: its detector is asked on some frames.
        output: video with the skeletons; None for no video.
        json: poses of every frame with track ids; None for no file.
        settings: the usual ones by default.
        on_frame: called with every frame and its people, in order.

    Raises:
        ValueError, OSError: for a source without frames, an unreadable picture, a file
            that cannot be written; nothing half-written is left.
    """
    settings = settings or VideoSettings()
    summary, people = VideoSummary(), VideoEstimator(estimator, settings)
    seconds, started = summary.stage_seconds, time.perf_counter()
    head: dict[str, Any] = {
        "model": estimator.pose_model.contract.model,
        "source": source.name,
    }
    video = None
    with contextlib.ExitStack() as stack:
        stack.callback(source.close)
        writers: list[Callable[[_Work], None]] = []
        if output is not None:
            video = stack.enter_context(open_video(output, source.fps, source.audio_path))
            writers.append(_on_time(video, source))
        if json is not None:
            head["fps"] = source.fps
            add = stack.enter_context(open_json_list(json, head, "frames"))
            writers.append(lambda work: add(_frame_dict(work)))
        if on_frame is not None:
            writers.append(lambda work: on_frame(work.frame, work.poses))
        works = _works(source, people, settings, seconds, draws=output is not None)
        stack.enter_context(contextlib.closing(works))
        with _stopped_by_hand(source, summary):
            for work in _with_progress(works, source, settings):
                for write in writers:
                    timed(seconds, "write", write, work)
                summary.num_frames += 1
    summary.wall_seconds = time.perf_counter() - started
    seconds["detect"] = people.follower.detect_seconds
    summary.num_detected = people.follower.num_detected
    summary.num_tracks = people.num_tracks
    notes = [source.note, video and video.note]
    summary.notes += [note for note in notes if note]
    return summary


def _on_time(video: VideoWriter, source: FrameSource) -> Callable[[_Work], None]:
    """Returns what writes drawings so that the video lasts as long as what it shows."""
    num_written = 0
    shown = None

    def write(work):
        nonlocal num_written, shown
        # Frames come when they come: a camera's more slowly where networks are slow, those
        # of a phone's video at a changing rate, and some of a damaged video not at all.
        num_due = round(work.frame.seconds * source.fps) + 1
        for _ in range(num_due - 1 - num_written):
            video.write(work.drawing if shown is None else shown)
        if num_due > num_written:
            video.write(work.drawing)
        shown, num_written = work.drawing, max(num_due, num_written)

    return write


def _works(source, people, settings, seconds, draws) -> Generator[_Work, None, None]:
    """Yields every frame with its people, and their drawing where it is needed."""

    def draw(work):
        drawing = draw_poses(
            work.frame.image,
            work.poses,
            threshold=settings.threshold,
            draw_boxes=settings.draws_boxes,
        )
        return replace(work, drawing=drawing)

    stages: dict[str, Callable] = {
        "pose": lambda frame: _Work(frame, people(frame), frame.image)
    }
    if draws:
        stages["draw"] = draw
    run = overlapped if settings.is_overlapped else one_by_one
    return run(_first_frames(source, settings.max_frames), stages, seconds)


def _first_frames(source, max_frames):
    """Yields the frames there are, or so many."""
    frames = iter(source)
    yield from frames if max_frames is None else islice(frames, max_frames)


def _with_progress(works, source, settings):
    total = source.num_frames
    if settings.max_frames is not None:
        total = min(total or settings.max_frames, settings.max_frames)
    # None: no bar where there is no terminal.
    is_hidden = None if settings.shows_progress else True
    return tqdm(works, total=total, unit=" frames", disable=is_hidden, leave=False)


@contextlib.contextmanager
def _stopped_by_hand(source, summary) -> Iterator[None]:
    """Lets Ctrl-C end what would go on for ever, and nothing else."""
    try:
        yield
    except KeyboardInterrupt:
        if not source.is_live or not summary.num_frames:
            raise


def _frame_dict(work: _Work) -> dict[str, Any]:
    height, width = work.frame.image.shape[:2]
    return {
        "frame": work.frame.index,
        "seconds": round(work.frame.seconds, 4),
        "height": height,
        "width": width,
        "people": work.poses.to_dicts(),
    }
