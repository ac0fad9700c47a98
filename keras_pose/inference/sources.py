"""Where frames come from: a video file, a sequence of pictures, a camera.

Frames are (H, W, 3) uint8 RGB; those of a phone's video are turned upright. They need
not be of one size.
"""

from __future__ import annotations

import glob
import math
import os
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from time import monotonic

import numpy as np
from PIL import Image

from keras_pose.images import read_image

# FFmpeg's own complaints would stand between ours; it reads this when first used.
os.environ.setdefault("OPENCV_FFMPEG_LOGLEVEL", "-8")
import cv2
from cv2.utils import logging

VIDEO_SUFFIXES = (
    *(".3gp", ".avi", ".m4v", ".mkv", ".mov", ".mp4", ".mpeg", ".mpg", ".mts"),
    *(".ogv", ".ts", ".webm", ".wmv"),
)
# Where nobody says how fast frames follow each other.
USUAL_FPS = 25.0
MAX_FPS = 1000.0


@dataclass(frozen=True)
class Frame:
    """One picture of a sequence.

    Attributes:
        index: 0, 1, 2, ...
        seconds: time since the first frame; rises from frame to frame.
        image: (H, W, 3) uint8 RGB.
        image_id: what a file of detections calls it: the number, or the picture's path.
    """

    index: int
    seconds: float
    image: np.ndarray
    image_id: int | Path


class FrameSource:
    """Gives frames when iterated over, once.

    Attributes:
        name: for people.
        fps: frames per second.
        num_frames: how many there should be; None where nobody knows.
        audio_path: the file whose sound belongs to the frames.
        is_live: whether it goes on until somebody stops it.
        note: after the last frame, what the user should know of how it ended.
    """

    name: str
    fps: float
    num_frames: int | None = None
    audio_path: Path | None = None
    is_live = False
    note: str | None = None

    def __iter__(self) -> Iterator[Frame]:
        raise NotImplementedError

    def close(self) -> None:
        """Lets go of the file or the device; iterating to the end does so too."""


class VideoFile(FrameSource):
    """The frames of a video file, as OpenCV and FFmpeg decode it.

    The header's number of frames is a hint only: all frames there are come, and a
    `note` tells if they are fewer. A file that is cut off gives what can be decoded.

    Raises:
        FileNotFoundError: if there is no such file.
        ValueError: for what is no video; while iterating, for one without a frame.
    """

    def __init__(self, path: str | Path, fps: float | None = None):
        self.path = Path(path)
        if not self.path.is_file():
            raise FileNotFoundError(f"Video {self.path} does not exist.")
        self._capture = _open_capture(str(self.path))
        if not self._capture.isOpened():
            raise ValueError(
                f"{self.path} cannot be read as a video: it is of another format, damaged, "
                "or cut off before its index."
            )
        self.name = str(self.path)
        self.fps = fps or _sane_fps(self._capture.get(cv2.CAP_PROP_FPS))
        count = self._capture.get(cv2.CAP_PROP_FRAME_COUNT)
        # Broken headers promise negative or astronomical numbers.
        self.num_frames = int(count) if 0 < count < 1e9 else None
        self.audio_path = self.path

    def __iter__(self) -> Iterator[Frame]:
        index = 0
        try:
            while (image := _read_rgb(self._capture)) is not None:
                yield Frame(index, index / self.fps, image, index)
                index += 1
        finally:
            self.close()
        if index == 0:
            raise ValueError(f"Video {self.path} has no frames that can be decoded.")
        if self.num_frames and index < self.num_frames:
            self.note = (
                f"{self.path} ended after {index} frames, but promises {self.num_frames}: "
                "it may be cut off."
            )

    def close(self) -> None:
        self._capture.release()


class Camera(FrameSource):
    """The frames of a camera, until it is gone or somebody stops.

    A camera that vanishes ends the sequence, and a `note` tells it.

    Raises:
        ValueError: for a camera that cannot be opened; while iterating, for one that
            never gives a frame.
    """

    is_live = True

    def __init__(self, index: int, fps: float | None = None):
        self.name = f"camera {index}"
        self._capture = _open_capture(index)
        if not self._capture.isOpened():
            raise ValueError(
                f"Camera {index} cannot be opened: is it there, and not in use by another "
                "program?"
            )
        self.fps = fps or _sane_fps(self._capture.get(cv2.CAP_PROP_FPS))

    def __iter__(self) -> Iterator[Frame]:
        index, started = 0, 0.0
        try:
            while (image := _read_rgb(self._capture)) is not None:
                now = monotonic()
                started = started if index else now
                yield Frame(index, now - started, image, index)
                index += 1
        finally:
            self.close()
        if index == 0:
            raise ValueError(f"{self.name.capitalize()} is open, but gives no frames.")
        self.note = f"{self.name} gave no more frames after {index}: is it unplugged?"

    def close(self) -> None:
        self._capture.release()


class Pictures(FrameSource):
    """Picture files as frames, in the order in which they are given.

    Raises:
        ValueError: without pictures.
        ImageError: while iterating, for a file that cannot be read.
    """

    def __init__(self, paths: Sequence[Path], fps: float | None = None, name: str = ""):
        if not paths:
            raise ValueError(f"There are no pictures in {name or 'the list'}.")
        self._paths = list(paths)
        self.name = name or f"{len(paths)} pictures"
        self.fps = fps or USUAL_FPS
        self.num_frames = len(paths)

    def __iter__(self) -> Iterator[Frame]:
        for index, path in enumerate(self._paths):
            yield Frame(index, index / self.fps, read_image(path), path)


def open_source(source: str | int | Path, fps: float | None = None) -> FrameSource:
    """Opens what a user names.

    Args:
        source: a video file, a folder of pictures, a pattern like "frames/*.png", or
            the number of a camera.
        fps: frames per second, where the source does not know, or is wrong.

    Raises:
        FileNotFoundError: for what is not there.
        ValueError: for what cannot be opened.
    """
    if fps is not None and not 0 < fps <= MAX_FPS:
        raise ValueError(f"Frames per second must be in (0, {MAX_FPS:g}], got {fps}.")
    text, path = str(source), Path(source) if not isinstance(source, int) else Path()
    if isinstance(source, int) or is_camera(text):
        return Camera(int(text), fps)
    if path.is_dir():
        return Pictures(pictures_in(path), fps, f"the folder {path}")
    if is_pattern(text):
        return Pictures(matching(text), fps, text)
    return VideoFile(path, fps)


def is_camera(text: str) -> bool:
    """Tells whether a word on the command line is the number of a camera."""
    return text.isdecimal() and not Path(text).exists()


def is_pattern(text: str) -> bool:
    """Tells whether a word on the command line stands for several files."""
    return glob.has_magic(text) and not Path(text).exists()


def pictures_in(folder: Path) -> list[Path]:
    """Returns the picture files of a folder, 2.png before 10.png."""
    known = Image.registered_extensions()
    paths = [path for path in folder.iterdir() if path.suffix.lower() in known]
    return sorted(paths, key=_natural)


def matching(pattern: str) -> list[Path]:
    """Returns the files that fit a pattern, 2.png before 10.png.

    Raises:
        FileNotFoundError: if there is none.
    """
    paths = [Path(path) for path in glob.glob(pattern, recursive=True)]
    files = [path for path in paths if path.is_file()]
    if not files:
        raise FileNotFoundError(f"No file fits the pattern {pattern}.")
    return sorted(files, key=_natural)


def _natural(path):
    parts = re.split(r"(\d+)", str(path))
    # Words and numbers take turns, so that like is compared with like.
    return [int(part) if i % 2 else part for i, part in enumerate(parts)]


def _sane_fps(fps) -> float:
    return fps if math.isfinite(fps) and 0 < fps <= MAX_FPS else USUAL_FPS


def _open_capture(name):
    """Opens a file or a camera without OpenCV's own words on what it could not open."""
    level = logging.getLogLevel()
    logging.setLogLevel(logging.LOG_LEVEL_ERROR)
    try:
        return cv2.VideoCapture(name)
    finally:
        logging.setLogLevel(level)


def _read_rgb(capture):
    """Returns the next frame, or None at the end."""
    is_there, image = capture.read()
    if not is_there or image is None or not image.size:
        return None
    return cv2.cvtColor(image, cv2.COLOR_BGR2RGB)
