"""Pictures of the demo: photographs that come with the package, and what is made of them.

Three photographs, in the public domain or CC0 (`pictures/README.md`), put side by side
make a picture with many people; a camera that moves over that one makes a film.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np

from keras_pose.inference.frame_sources import Frame, FrameSource
from keras_pose.pictures.images import read_image

FOLDER = Path(__file__).parent / "pictures"
CREDITS = {
    "grace_hopper": "Grace Hopper (U.S. Navy)",
    "eileen_collins": "Eileen Collins (NASA)",
    "photographer": "A photographer (L. Varshney, CC0)",
}
# (photograph, left and right edge as shares of its width, is mirrored), in rows.
_CROWD = (
    (
        ("grace_hopper", 0.0, 1.0, False),
        ("photographer", 0.0, 0.78, False),
        ("eileen_collins", 0.0, 0.72, False),
        ("photographer", 0.0, 0.78, True),
    ),
    (
        ("eileen_collins", 0.0, 0.72, True),
        ("photographer", 0.0, 0.78, False),
        ("eileen_collins", 0.0, 0.72, False),
        ("photographer", 0.0, 0.78, True),
        ("grace_hopper", 0.0, 1.0, True),
    ),
)
CROWD_SIZE = sum(map(len, _CROWD))
_CROWD_WIDTH = 1200
# Without a gap, bodies seem to go on from one photograph into the next.
_GAP = 20
_GAP_GREY = 235


def read_photographs() -> dict[str, np.ndarray]:
    """Returns the photographs by the names of `CREDITS`: (H, W, 3) uint8 RGB."""
    return {name: read_image(FOLDER / f"{name}.jpg") for name in CREDITS}


def compose_row(photographs: dict[str, np.ndarray], row=0) -> np.ndarray:
    """Puts some photographs side by side.

    Args:
        photographs: (H, W, 3) uint8 RGB by name, from `read_photographs`.
        row: index of a row of the picture with many people.

    Returns:
        (H, W, 3) uint8 RGB picture, as wide as all others.
    """
    tiles = [_tile(photographs[name], *window) for name, *window in _CROWD[row]]
    room = _CROWD_WIDTH - _GAP * (len(tiles) - 1)
    height = round(room / sum(tile.shape[1] / tile.shape[0] for tile in tiles))
    gap = np.full((height, _GAP, 3), _GAP_GREY, np.uint8)
    parts = []
    for tile in tiles:
        width = round(height * tile.shape[1] / tile.shape[0])
        parts += [cv2.resize(tile, (width, height), interpolation=cv2.INTER_AREA), gap]
    # Rounded widths may be a pixel or two off.
    return cv2.resize(np.concatenate(parts[:-1], axis=1), (_CROWD_WIDTH, height))


def compose_crowd(photographs: dict[str, np.ndarray]) -> np.ndarray:
    """Puts photographs side by side, in rows, to a picture of `CROWD_SIZE` people.

    Args:
        photographs: (H, W, 3) uint8 RGB by name, from `read_photographs`.

    Returns:
        (H, W, 3) uint8 RGB picture.
    """
    gap = np.full((_GAP, _CROWD_WIDTH, 3), _GAP_GREY, np.uint8)
    parts = []
    for row in range(len(_CROWD)):
        parts += [compose_row(photographs, row), gap]
    return np.concatenate(parts[:-1])


def _tile(image, left, right, is_mirrored):
    width = image.shape[1]
    tile = image[:, round(left * width) : round(right * width)]
    return tile[:, ::-1] if is_mirrored else tile


class Pan(FrameSource):
    """A camera that moves over a picture from left to right, with soft starts and stops.

    Args:
        image: (H, W, 3) uint8 RGB, wider than a frame of its height.
        frame_hw: (height, width) of the frames, pixels.
        seconds: length of the film, seconds.
        fps: frames per second.
    """

    def __init__(self, image, frame_hw=(360, 480), seconds: float = 4.0, fps: float = 15.0):
        self.name = "a picture, seen by a moving camera"
        self.fps = fps
        self.num_frames: int = round(seconds * fps)
        self._image = image
        self._frame_hw = frame_hw

    def __iter__(self) -> Iterator[Frame]:
        (height, width), frame_hw = self._image.shape[:2], self._frame_hw
        seen_width = height * frame_hw[1] / frame_hw[0]
        for index, time in enumerate(np.linspace(0.0, 1.0, self.num_frames)):
            x = (width - seen_width) * time * time * (3 - 2 * time)
            scale = height / frame_hw[0]
            seen = cv2.warpAffine(
                self._image,
                np.array([[scale, 0, x], [0, scale, 0]]),
                frame_hw[::-1],
                flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP,
                borderMode=cv2.BORDER_REPLICATE,
            )
            yield Frame(index, index / self.fps, seen, index)
