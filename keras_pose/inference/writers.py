"""Writers of videos: files that are whole, or not there at all."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from keras_pose.files import atomic_path

# Encoders that OpenCV's own FFmpeg brings, by file type. H.264 it does not bring.
FOURCC = {".mp4": "mp4v", ".mov": "mp4v", ".m4v": "mp4v", ".mkv": "mp4v", ".avi": "MJPG"}


def check_video_name(path: Path) -> None:
    """Raises ValueError unless a video can be written under that name."""
    if path.suffix.lower() not in FOURCC:
        raise ValueError(
            f"A video's name must end in one of {', '.join(FOURCC)}, got {path.name!r}."
        )


class VideoWriter:
    """A video file that is being written; see `open_video`.

    Attributes:
        note: after the end, what the user should know of the file.
    """

    def __init__(self, path: Path, fps: float, fourcc: str):
        self._path, self._fps, self._fourcc = path, fps, fourcc
        self._writer: cv2.VideoWriter | None = None
        self._hw = (0, 0)
        self.note: str | None = None

    def write(self, image: np.ndarray) -> None:
        """Adds a frame.

        Args:
            image: (H, W, 3) uint8 RGB. The first decides the video's size; others are
                fitted into it, with black beside them.

        Raises:
            OSError: if the encoder does not take it.
        """
        if self._writer is None:
            self._writer = self._open(image.shape[:2])
        self._writer.write(cv2.cvtColor(fit_into(image, self._hw), cv2.COLOR_RGB2BGR))

    def _open(self, image_hw):
        # Encoders halve the colours' resolution, and so want even sizes.
        self._hw = tuple(size + size % 2 for size in image_hw)
        codec = cv2.VideoWriter.fourcc(*self._fourcc)
        writer = cv2.VideoWriter(str(self._path), codec, self._fps, self._hw[::-1])
        if not writer.isOpened():
            raise OSError(
                f"The video encoder {self._fourcc} does not take frames of (height, width) "
                f"{self._hw} at {self._fps:g} frames per second."
            )
        return writer

    def close(self) -> None:
        if self._writer is not None:
            self._writer.release()


@contextlib.contextmanager
def open_video(path, fps: float, audio_from=None) -> Iterator[VideoWriter]:
    """Opens a video for writing; it gets its name when the block has succeeded.

    Args:
        path: .mp4, .mov, .m4v, .mkv or .avi.
        fps: frames per second.
        audio_from: the video whose sound is copied, if the program ffmpeg is there.

    Raises:
        ValueError: for another file type; OSError: where it cannot be written.
    """
    path = Path(path)
    check_video_name(path)
    with atomic_path(path) as temporary:
        writer = VideoWriter(temporary, fps, FOURCC[path.suffix.lower()])
        try:
            yield writer
        finally:
            writer.close()
        if not temporary.exists() or not temporary.stat().st_size:
            raise OSError(f"Nothing was written into the video {path}.")
        if audio_from is not None:
            writer.note = _add_audio(temporary, Path(audio_from))


def _add_audio(video: Path, audio_from: Path) -> str | None:
    """Puts the sound of another file into a video; returns what went wrong, if anything."""
    ffmpeg = shutil.which("ffmpeg")
    if ffmpeg is None:
        return "The program ffmpeg is not installed, so sound, if there was any, is lost."
    mixed = video.with_name(f"{video.stem}.mixed{video.suffix}")
    try:
        # Copied as it is; where the new container does not take that, as AAC.
        for codec in ("copy", "aac"):
            command = [ffmpeg, "-y", "-loglevel", "error", "-i", str(video)]
            command += ["-i", str(audio_from), "-map", "0:v:0", "-map", "1:a?"]
            command += ["-c:v", "copy", "-c:a", codec, "-shortest", str(mixed)]
            done = subprocess.run(
                command, stdin=subprocess.DEVNULL, capture_output=True, text=True
            )
            if done.returncode == 0 and mixed.exists():
                os.replace(mixed, video)
                return None
        return f"The sound is lost; ffmpeg says: {done.stderr.strip()[-200:]}"
    finally:
        mixed.unlink(missing_ok=True)


def fit_into(image: np.ndarray, target_hw) -> np.ndarray:
    """Scales an image into a size, with black at its sides.

    What lacks a pixel, which makes a size even, gets its last row or column twice.
    """
    height, width = target_hw
    missing = np.subtract(target_hw, image.shape[:2])
    if ((missing >= 0) & (missing <= 1)).all():
        return np.pad(image, ((0, missing[0]), (0, missing[1]), (0, 0)), mode="edge")
    zoom = min(height / image.shape[0], width / image.shape[1])
    size_wh = [max(1, int(size * zoom)) for size in image.shape[1::-1]]
    interpolation = cv2.INTER_AREA if zoom < 1 else cv2.INTER_LINEAR
    scaled = cv2.resize(image, size_wh, interpolation=interpolation)
    canvas = np.zeros((height, width, 3), np.uint8)
    top, left = (height - scaled.shape[0]) // 2, (width - scaled.shape[1]) // 2
    canvas[top : top + scaled.shape[0], left : left + scaled.shape[1]] = scaled
    return canvas


@contextlib.contextmanager
def open_json_list(path, head: dict[str, Any], key: str) -> Iterator[Callable[[Any], None]]:
    """Writes `{**head, key: [...]}`, entry by entry, so that memory stays flat.

    Yields:
        The function to call with each entry.
    """
    with atomic_path(path) as temporary, open(temporary, "w", encoding="utf-8") as file:
        start = json.dumps(head, indent=2).rstrip("}").rstrip()
        file.write(f"{start}{',' if head else ''}\n  {json.dumps(key)}: [")
        separator = "\n    "

        def write(entry) -> None:
            nonlocal separator
            file.write(separator + json.dumps(entry, allow_nan=False))
            separator = ",\n    "

        yield write
        file.write("\n  ]\n}\n")
