"""Draws many scenes, on all cores, as encoded pictures with their people."""

from __future__ import annotations

import multiprocessing
import os
from collections.abc import Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import partial

import cv2

from keras_pose.data.synthetic.scene import SyntheticPerson, draw_scene

JPEG_QUALITY = 95
# Starting a process takes as long as drawing this many scenes.
_MIN_SCENES_PER_PROCESS = 50


@dataclass(frozen=True)
class DrawnScene:
    """A scene as it would lie on disk: JPEG bytes, and the labelled people."""

    jpeg: bytes
    people: tuple[SyntheticPerson, ...]


def draw_scenes(stream: int, indices: Iterable[int], image_hw) -> Iterator[DrawnScene]:
    """Yields scenes in the order of `indices`; the same ones however many processes.

    Args:
        stream: seed of the scenes, from `scene_seed`.
        indices: numbers of the scenes in their stream.
        image_hw: (height, width) in pixels.
    """
    draw = partial(_draw_one, stream, tuple(image_hw))
    indices = list(indices)
    num_processes = min(os.cpu_count() or 1, len(indices) // _MIN_SCENES_PER_PROCESS)
    if num_processes < 2:
        yield from map(draw, indices)
        return
    # Not forked: TensorFlow's threads would not survive it.
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(num_processes, context, cv2.setNumThreads, (1,)) as pool:
        yield from pool.map(draw, indices, chunksize=8)


def _draw_one(stream, image_hw, index) -> DrawnScene:
    scene = draw_scene(stream, index, image_hw)
    quality = [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY]
    bgr = cv2.cvtColor(scene.image, cv2.COLOR_RGB2BGR)
    is_encoded, buffer = cv2.imencode(".jpg", bgr, quality)
    if not is_encoded:
        raise OSError(f"OpenCV could not encode scene {index}.")
    return DrawnScene(buffer.tobytes(), scene.people)
