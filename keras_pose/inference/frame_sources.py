"""Sources of frames: a video, an animation, pictures, a camera, a network stream.

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
from time import monotonic, sleep

import numpy as np

from keras_pose.inference.avi import found_places
from keras_pose.pictures.images import (
    PICTURE_SUFFIXES,
    ImageError,
    animation_times,
    is_animated,
    read_animation,
    read_image,
)

# FFmpeg's own complaints would stand between ours; it reads this when first used.
os.environ.setdefault("OPENCV_FFMPEG_LOGLEVEL", "-8")
import cv2
from cv2.utils import logging

VIDEO_SUFFIXES = (
    *(".3gp", ".avi", ".m4v", ".mkv", ".mov", ".mp4", ".mpeg", ".mpg", ".mts"),
    *(".ogv", ".ts", ".webm", ".wmv"),
)
# For sources without times of their frames.
USUAL_FPS = 25.0
MAX_FPS = 1000.0
# Frames a second of a written video whose frames come at a changing rate, at most.
MAX_SHOWN_FPS = 60.0

# Files that hold how many frames they have; of others, OpenCV guesses by their length.
_COUNTED = (".3gp", ".avi", ".m4v", ".mov", ".mp4")
# How much shorter than its length, which may be that of the sound, another file may be.
_INEXACT_SECONDS = 0.5
_SCHEMES = ("http://", "https://", "rtmp://", "rtsp://", "rtsps://", "srt://", "udp://")
# Pauses before a broken connection is tried again, and how long an answer may take.
RECONNECT_SECONDS = (0.5, 1.0, 2.0, 4.0, 8.0)
NETWORK_TIMEOUT_MS = 10_000
_NAMED = 3  # files that a note names
# Failures in a row after which a file is at its end, or not worth reading on.
_ATTEMPTS = 100


@dataclass(frozen=True)
class Frame:
    """One picture of a sequence.

    Attributes:
        index: 0, 1, 2, ...
        seconds: time since the first frame; rises from frame to frame.
        image: (H, W, 3) uint8 RGB.
        image_id: id of the picture in a file of detections: the number, or the picture's
            path.
    """

    index: int
    seconds: float
    image: np.ndarray
    image_id: int | Path


class FrameSource:
    """Gives frames when iterated over, once.

    Attributes:
        name: name for people to read.
        fps: frames per second.
        num_frames: expected number of frames; None where it is not known.
        audio_path: the file whose sound belongs to the frames.
        is_live: True if it goes on until somebody stops it.
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
    """The frames of a video file, as OpenCV and FFmpeg decode it, turned upright.

    Times are those that the file gives its frames, which need not follow each other at
    one rate. All frames come that can be decoded: after a damaged place the others are
    read on, and a `note` counts those that are lost, and names a file that ends early.

    Args:
        path: the file.
        fps: frames per second in place of the file's own times; None for those.

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
        self.audio_path = self.path
        self._given_fps = fps
        self._header_fps = _sane_fps(self._capture.get(cv2.CAP_PROP_FPS))
        times = _packet_times(self.path)
        self.fps = fps or _rate_to_show(times, self._header_fps)
        found = found_places(self.path) if self.path.suffix.lower() == ".avi" else None
        # Where a reader finds other frames than these, nothing is known of the others.
        self._places = found if found and len(found) == len(times) else None
        count = self._capture.get(cv2.CAP_PROP_FRAME_COUNT)
        # Broken headers promise negative or astronomical numbers.
        self._promised = int(count) if 0 < count < 1e9 else None
        self.num_frames = self._promised
        self._is_counted = self.path.suffix.lower() in _COUNTED
        if self.num_frames and not self._is_counted:
            # OpenCV counts by length and rate here, which is wrong for a changing rate.
            self.num_frames = min(self.num_frames, len(times) or self.num_frames)

    def __iter__(self) -> Iterator[Frame]:
        index, num_damaged = 0, 0
        gaps: list[float] = []
        clock = _Clock(self.fps, self._given_fps)
        try:
            for image, milliseconds, has_failed in self._decoded():
                last = clock.seconds
                num_damaged += has_failed
                if not clock.advance(milliseconds):
                    continue  # it comes late, after a damaged place
                if index:
                    gaps.append(clock.seconds - last)
                yield Frame(index, clock.seconds, image, index)
                index += 1
        finally:
            self.close()
        if index == 0:
            raise ValueError(f"Video {self.path} has no frames that can be decoded.")
        describe = self._missing if self._is_counted else self._missing_by_time
        self.note = describe(index, clock.seconds, np.array(gaps), num_damaged)

    def _decoded(self):
        """Yields pictures, their times in milliseconds, and whether one before failed."""
        num_failures = num_read = 0
        while num_failures < _ATTEMPTS:
            image = _read_rgb(self._capture)
            if image is None:
                if self._promised and num_read >= self._promised:
                    return
                num_failures += 1
                continue
            milliseconds = self._capture.get(cv2.CAP_PROP_POS_MSEC)
            yield image, self._true_time(milliseconds), num_failures > 0
            num_read, num_failures = num_read + 1, 0

    def _true_time(self, milliseconds: float) -> float:
        """Puts a frame of an AVI behind those that were passed over before it."""
        if self._places is None:
            return milliseconds
        number = round(milliseconds * self._header_fps / 1000)
        return self._places[min(number, len(self._places) - 1)] / self._header_fps * 1000

    def _missing(self, index, seconds, gaps, num_damaged) -> str | None:
        """Returns words on missing frames, for a file that states their number."""
        promised = self._promised or 0
        if index >= promised:
            return None
        longest = gaps.max(initial=0)
        is_whole = (num_damaged or self._places) and (
            self._given_fps or seconds + longest > (promised - 0.5) / self._header_fps
        )
        if is_whole:
            return (
                f"{promised - index} of the {promised} frames of {self.path} are damaged "
                "and were left out; the times of the others are right."
            )
        return (
            f"{self.path} ended after {index} frames, but promises {promised}: it may be "
            "cut off."
        )

    def _missing_by_time(self, index, seconds, gaps, num_damaged) -> str | None:
        """Returns words on missing frames, for a file that states only its length."""
        if self._given_fps:
            return None
        promised = (self._promised or 0) / self._header_fps
        if seconds + gaps.max(initial=0) < promised - _INEXACT_SECONDS:
            return (
                f"{self.path} ended after {seconds:.2f} s ({index} frames), but promises "
                f"{promised:.2f} s: it may be cut off."
            )
        steps = gaps * self._header_fps
        # Where nearly all frames follow at the header's rate, a gap is a loss.
        if len(steps) and np.mean(np.abs(steps - 1) < 0.1) > 0.9 and steps.max() > 1.5:
            num_lost = int(np.rint(steps[steps > 1.5] - 1).sum())
            return (
                f"{num_lost} frames of {self.path} are missing, and may be damaged; the "
                "times of the others are right."
            )
        return None

    def close(self) -> None:
        self._capture.release()


class _Clock:
    """The time of each frame since the first: the file's, if that rises."""

    def __init__(self, fps: float, given_fps: float | None):
        self._fps, self._given_fps = fps, given_fps
        self._index = -1
        self._start = 0.0
        self._is_timed = False
        self.seconds = 0.0

    def advance(self, milliseconds: float) -> bool:
        """Sets the time of the next frame; False for a frame from before the last one."""
        if self._index < 0:
            self._index, self._start = 0, milliseconds / 1000
            return True
        if self._given_fps:
            self._index += 1
            self.seconds = self._index / self._given_fps
            return True
        seconds = milliseconds / 1000 - self._start
        if seconds > self.seconds:
            self._is_timed = True
        elif self._is_timed:
            return False
        else:  # the file has no times
            seconds = self.seconds + 1 / self._fps
            self._start -= 1e9  # nor will they come
            self._given_fps = self._fps
        self._index += 1
        self.seconds = seconds
        return True


def _packet_times(path: Path) -> np.ndarray:
    """Returns the times of a video's frames in seconds, rising; nothing is decoded.

    Empty where the file does not give a time to each frame.
    """
    capture = _open_capture(str(path), cv2.CAP_FFMPEG, [cv2.CAP_PROP_FORMAT, -1])
    times = []
    while capture.isOpened() and capture.grab():
        times.append(capture.get(cv2.CAP_PROP_POS_MSEC) / 1000)
    capture.release()
    rising = np.sort(np.array(times))
    return rising if len(rising) > 1 and (np.diff(rising) > 0).all() else np.zeros(0)


def _rate_to_show(times: np.ndarray, header_fps: float) -> float:
    """Returns at how many frames a second all frames can be shown at their times.

    That is the rate in the header for a steady one; else that of frames which follow
    each other quickly, as far as screens go.
    """
    if len(times) < 2:
        return header_fps
    gaps = np.diff(times)
    # Some formats round times to milliseconds.
    if np.abs(gaps - 1 / header_fps).max() <= max(0.0015, 0.1 / header_fps):
        return header_fps
    quick = 1 / float(np.quantile(gaps, 0.1))
    near = abs(quick - header_fps) <= 0.06 * header_fps
    return header_fps if near else min(max(quick, 1.0), MAX_SHOWN_FPS)


class Camera(FrameSource):
    """The frames of a camera, until it is gone or somebody stops.

    A camera that vanishes ends the sequence, and a `note` says so.

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


class Stream(FrameSource):
    """The frames that come from an address on a network, such as rtsp:// or http://.

    When the connection breaks, it is made again, some times with growing pauses. A stream
    that says how long it is, such as a file on a web server, ends after its last frame;
    frames that come twice, after a connection was made again, are passed over.

    Raises:
        ValueError: for an address that does not answer, or with no video; while
            iterating, for one that never gives a frame.
    """

    def __init__(self, address: str, fps: float | None = None):
        self._address = address
        self.name = without_password(address)
        self._capture = self._open()
        if not self._capture.isOpened():
            raise ValueError(
                f"{self.name} cannot be opened as a video: is the address right, does its "
                "server answer, and is there a video behind it (no web page)?"
            )
        self.fps = fps or _sane_fps(self._capture.get(cv2.CAP_PROP_FPS))
        count = self._capture.get(cv2.CAP_PROP_FRAME_COUNT)
        self.num_frames = int(count) if 0 < count < 1e9 else None
        self.is_live = self.num_frames is None
        self._given_fps = fps

    def __iter__(self) -> Iterator[Frame]:
        index, num_broken, started = 0, 0, 0.0
        clock = _Clock(self.fps, self._given_fps)
        try:
            image = _read_rgb(self._capture)
            while True:
                if image is None:
                    if self.num_frames and index >= self.num_frames:
                        break
                    image = self._again()
                    if image is None:
                        break
                    num_broken += 1
                milliseconds = self._capture.get(cv2.CAP_PROP_POS_MSEC)
                now = monotonic()
                started = now if index == 0 else started
                if self.is_live or clock.advance(milliseconds):
                    seconds = now - started if self.is_live else clock.seconds
                    yield Frame(index, seconds, image, index)
                    index += 1
                image = _read_rgb(self._capture)
        finally:
            self.close()
        if index == 0:
            raise ValueError(f"{self.name} is open, but gives no frames.")
        self.note = self._ending(index, num_broken)

    def _ending(self, index, num_broken) -> str | None:
        parts = []
        if num_broken:
            parts.append(
                f"The connection to {self.name} broke and was made again, {num_broken} "
                "times; what was sent meanwhile is missing."
            )
        if not self.num_frames or index < self.num_frames:
            parts.append(f"{self.name} gave no more frames after {index}.")
        return " ".join(parts) or None

    def _open(self):
        limits = [cv2.CAP_PROP_OPEN_TIMEOUT_MSEC, NETWORK_TIMEOUT_MS]
        limits += [cv2.CAP_PROP_READ_TIMEOUT_MSEC, NETWORK_TIMEOUT_MS]
        return _open_capture(self._address, cv2.CAP_FFMPEG, limits)

    def _again(self) -> np.ndarray | None:
        """Makes the connection again; returns the first picture, or None in the end."""
        for pause in RECONNECT_SECONDS:
            self._capture.release()
            sleep(pause)
            self._capture = self._open()
            image = _read_rgb(self._capture) if self._capture.isOpened() else None
            if image is not None:
                return image
        return None

    def close(self) -> None:
        self._capture.release()


class Animation(FrameSource):
    """The frames of an animated GIF, WebP, PNG or AVIF, with their times.

    A `note` names a file that breaks off.

    Raises:
        ImageError: for a file that cannot be read; while iterating, for one without a
            frame that can.
    """

    def __init__(self, path: Path, fps: float | None = None):
        self.path, self.name, self._given_fps = path, str(path), fps
        times = np.array(animation_times(path))
        self.num_frames = len(times)
        self.fps = fps or _rate_to_show(times, USUAL_FPS)

    def __iter__(self) -> Iterator[Frame]:
        index = 0
        try:
            for seconds, image in read_animation(self.path):
                if self._given_fps:
                    seconds = index / self._given_fps
                yield Frame(index, seconds, image, index)
                index += 1
        except ImageError as error:
            if index == 0:
                raise
            self.note = (
                f"{self.name} ended after {index} frames, but promises {self.num_frames}: "
                f"{error}"
            )


class Pictures(FrameSource):
    """Picture files as frames, in the order in which they are given.

    Files that cannot be read are left out; the times of the others stay, and a `note`
    counts and names them.

    Raises:
        ValueError: without pictures.
        ImageError: while iterating, when no file can be read.
    """

    def __init__(self, paths: Sequence[Path], fps: float | None = None, name: str = ""):
        if not paths:
            raise ValueError(f"There are no pictures in {name or 'the list'}.")
        self._paths = list(paths)
        self.name = name or f"{len(paths)} pictures"
        self.fps = fps or USUAL_FPS
        self.num_frames = len(paths)

    def __iter__(self) -> Iterator[Frame]:
        errors = []
        for index, path in enumerate(self._paths):
            try:
                image = read_image(path)
            except ImageError as error:
                errors.append(error)
                continue
            yield Frame(index, index / self.fps, image, path)
        if len(errors) == len(self._paths):
            raise errors[0]
        if errors:
            self.note = f"{len(errors)} of the pictures were left out: " + " ".join(
                str(error) for error in errors[:_NAMED]
            )


def open_source(source: str | int | Path, fps: float | None = None) -> FrameSource:
    """Opens what a user names.

    Args:
        source: a video file, an animated picture, a folder of pictures, a pattern like
            "frames/*.png", the number of a camera, or an address such as rtsp://...
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
    if is_stream(text):
        return Stream(text, fps)
    if path.is_dir():
        return Pictures(pictures_in(path), fps, f"the folder {path}")
    if is_pattern(text):
        return Pictures(matching(text), fps, text)
    return Animation(path, fps) if is_animated(path) else VideoFile(path, fps)


def is_stream(text: str) -> bool:
    """Returns True if a word on the command line is an address on a network."""
    return text.lower().startswith(_SCHEMES)


def without_password(address: str) -> str:
    """Returns an address without the name and password that may stand in it."""
    scheme, _, rest = address.partition("://")
    host, slash, path = rest.partition("/")
    return f"{scheme}://{host.rpartition('@')[2]}{slash}{path}"


def is_camera(text: str) -> bool:
    """Returns True if a word on the command line is the number of a camera."""
    return text.isdecimal() and not Path(text).exists()


def is_pattern(text: str) -> bool:
    """Returns True if a word on the command line stands for several files."""
    return glob.has_magic(text) and not Path(text).exists()


def pictures_in(folder: Path) -> list[Path]:
    """Returns the picture files of a folder, 2.png before 10.png."""
    paths = [path for path in folder.iterdir() if path.suffix.lower() in PICTURE_SUFFIXES]
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


def _open_capture(name, *options):
    """Opens a file or a camera without OpenCV's own words on what it could not open."""
    level = logging.getLogLevel()
    logging.setLogLevel(logging.LOG_LEVEL_ERROR)
    try:
        return cv2.VideoCapture(name, *options)
    finally:
        logging.setLogLevel(level)


def _read_rgb(capture):
    """Returns the next frame, or None at the end."""
    is_there, image = capture.read()
    if not is_there or image is None or not image.size:
        return None
    return cv2.cvtColor(image, cv2.COLOR_BGR2RGB)
