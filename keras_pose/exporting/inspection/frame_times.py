"""Time of a whole picture against the people in it, by several ways to their keypoints.

Top-down networks run once a person behind a detector; bottom-up ones once a picture. Where
the two cross is a matter of the files and the machine, so all are timed in turn, round
after round, on the same pictures.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from itertools import combinations, cycle, islice
from typing import Any

import cv2
import numpy as np

from keras_pose.data.datasets import open_dataset
from keras_pose.exporting.inspection.timing import time_interleaved
from keras_pose.inference.estimator import PoseEstimator
from keras_pose.pictures.boxes import PAD_VALUE, letterbox_hw
from keras_pose.pictures.images import read_image

PICTURE_HW = (720, 960)
# Of a tile's side; without it, bodies seem to go on from one tile into the next.
TILE_MARGIN = 0.04
# Share of the keypoints that must be labelled of people who are cut out of a data set.
MIN_LABELLED = 0.5


@dataclass(frozen=True)
class Crossing:
    """The number of people from which on another way is the faster one.

    Attributes:
        faster_before: name of the way that is faster with fewer people.
        faster_after: name of the way that is faster with more.
        people: number of people, between two that were measured on a straight line.
    """

    faster_before: str
    faster_after: str
    people: float


@dataclass(frozen=True)
class FrameTimes:
    """Times of pictures with so many people.

    Attributes:
        people: (N,) numbers of people, rising.
        milliseconds: way -> (N,) median milliseconds a picture.
        found: way -> (N,) people that it found; a top-down network is given their boxes
            after its detector has looked, so that it works for all of them.
        num_runs: measurements of each.
    """

    people: tuple[int, ...]
    milliseconds: Mapping[str, np.ndarray]
    found: Mapping[str, np.ndarray]
    num_runs: int

    def of(self, name: str, index: int) -> tuple[float, int]:
        """Returns milliseconds and people found of a way, in one of the pictures."""
        return float(self.milliseconds[name][index]), int(self.found[name][index])

    def to_dict(self) -> dict[str, Any]:
        return {
            "people": list(self.people),
            "num_runs": self.num_runs,
            "ways": {
                name: [self.of(name, index) for index in range(len(self.people))]
                for name in self.milliseconds
            },
            "crossings": [asdict(each) for each in self.crossings],
        }

    @property
    def crossings(self) -> list[Crossing]:
        """Where any two ways change places, by rising number of people."""
        found = []
        for one, other in combinations(self.milliseconds, 2):
            found += _crossings(self, one, other)
        return sorted(found, key=lambda crossing: crossing.people)


def people_picture(
    tiles: Sequence[np.ndarray], count: int, picture_hw=PICTURE_HW
) -> tuple[np.ndarray, np.ndarray]:
    """Puts pictures of one person each into a grid, as large as they can be.

    Args:
        tiles: (H, W, 3) uint8 RGB pictures, taken in turn, again and again.
        count: number of people, N.
        picture_hw: (height, width) of the result, pixels.

    Returns:
        picture: (*picture_hw, 3) uint8 RGB, grey between the tiles.
        boxes_xyxy: (N, 4) float64 place of each tile, pixels.
    """
    columns = int(np.ceil(np.sqrt(count)))
    rows = -(-count // columns)
    cell = np.array([picture_hw[0] // rows, picture_hw[1] // columns])
    room = np.floor(cell * (1 - TILE_MARGIN)).astype(int)
    picture = np.full((*picture_hw, 3), PAD_VALUE, np.uint8)
    boxes = []
    for index, tile in enumerate(islice(cycle(tiles), count)):
        height, width = letterbox_hw(tile.shape[:2], room)
        top, left = cell * divmod(index, columns) + (cell - (height, width)) // 2
        shrunk = cv2.resize(tile, (width, height), interpolation=cv2.INTER_AREA)
        picture[top : top + height, left : left + width] = shrunk
        boxes.append([left, top, left + width, top + height])
    return picture, np.array(boxes, np.float64)


def tiles_of_dataset(name: str, data_dir, split: str, count: int) -> list[np.ndarray]:
    """Cuts the largest labelled people out of a data set.

    Args:
        name: one of `data.datasets.DATASETS`.
        data_dir: folder of the data set; None for its usual one.
        split: split of the data set.
        count: number of people, or fewer where there are fewer.

    Returns:
        (H, W, 3) uint8 RGB pictures, each a person's box.

    Raises:
        FileNotFoundError: as `open_dataset`.
        ValueError: as that, and where nobody has half of the keypoints labelled.
    """
    records = [
        record
        for record in open_dataset(name, data_dir, split).records
        if (record.visibility > 0).mean() >= MIN_LABELLED
    ]
    if not records:
        raise ValueError(
            f"Nobody of the {split} split of {name} has half of the keypoints labelled."
        )
    tiles = []
    largest = sorted(records, key=lambda record: -np.prod(record.box_xywh[2:]))
    for record in largest[:count]:
        image = read_image(record.image_path)
        x, y, width, height = np.rint(record.box_xywh).astype(int)
        tiles.append(image[max(y, 0) : y + height, max(x, 0) : x + width])
    return tiles


def time_frames(
    estimators: Mapping[str, PoseEstimator],
    pictures: Mapping[int, tuple[np.ndarray, np.ndarray]],
    num_runs: int = 20,
    clock: Callable[[], float] = time.perf_counter,
) -> FrameTimes:
    """Times estimators on pictures of more and more people.

    Args:
        estimators: name -> estimator. Of a top-down one the detector's time on the picture
            and that of the network on all boxes count.
        pictures: number of people -> (H, W, 3) uint8 RGB, and (N, 4) boxes of the people,
            picture pixels.
        num_runs: measurements of each.
        clock: returns seconds, see `timing.time_interleaved`.

    Raises:
        ValueError: for no estimators or pictures.
    """
    if not estimators or not pictures:
        raise ValueError("Nothing to time: give at least one estimator and one picture.")
    people = tuple(sorted(pictures))
    cases = [(name, count) for name in estimators for count in people]
    calls = [_call(estimators[name], *pictures[count]) for name, count in cases]
    medians = np.nanmedian(time_interleaved(calls, num_runs, clock), axis=1)
    shape = (len(estimators), len(people))
    found = [len(call()) for call in calls]
    return FrameTimes(
        people,
        dict(zip(estimators, medians.reshape(shape), strict=True)),
        dict(zip(estimators, np.reshape(found, shape), strict=True)),
        num_runs,
    )


def frame_table(times: FrameTimes) -> str:
    """Lays out a line for each number of people, and where ways cross."""
    names = list(times.milliseconds)
    width = max(14, *(len(name) + 2 for name in names))
    lines = ["people" + "".join(f"{name:>{width}}" for name in names)]
    for index, count in enumerate(times.people):
        cells = ("{:.1f} ms ({})".format(*times.of(name, index)) for name in names)
        lines.append(f"{count:6d}" + "".join(f"{cell:>{width}}" for cell in cells))
    lines += [
        f"crossing    {crossing.faster_after} is faster than {crossing.faster_before} "
        f"from {crossing.people:.1f} people on"
        for crossing in times.crossings
    ]
    return "\n".join(lines)


def _call(estimator: PoseEstimator, image, boxes_xyxy):
    """Returns a call that takes a picture once, and returns its people."""
    if estimator.sees_whole_pictures:
        return lambda: estimator(image)

    def find_and_estimate():
        estimator.find_people(image)
        return estimator.estimate(image, boxes_xyxy)

    return find_and_estimate


def _crossings(times: FrameTimes, one: str, other: str) -> list[Crossing]:
    found = []
    gaps = times.milliseconds[one] - times.milliseconds[other]
    steps: Sequence[tuple[int, int]] = list(
        zip(times.people, times.people[1:], strict=False)
    )
    for index, (fewer, more) in enumerate(steps):
        before, after = gaps[index], gaps[index + 1]
        if before * after < 0:
            people = fewer + (more - fewer) * before / (before - after)
            names = (one, other) if before < 0 else (other, one)
            found.append(Crossing(*names, people=float(people)))
    return found
