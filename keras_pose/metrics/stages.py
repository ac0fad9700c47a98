"""Times of the stages of the top-down pipeline, by the number of people."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence

import numpy as np

from keras_pose.contracts.pose import Contract
from keras_pose.runtime.instructions import instructions
from keras_pose.runtime.top_down_steps import (
    Predict,
    crop_people,
    decode_people,
    predict_outputs,
)

STAGES = ("detector", "crop", "pose", "decode")
PEOPLE_PER_IMAGE = (1, 5, 20)
NUM_IMAGES = 10


def time_stages(
    detect: Callable[[np.ndarray], object],
    predict: Predict,
    contract: Contract,
    images: Sequence[np.ndarray],
    boxes_xywh: Sequence[np.ndarray],
    flip_test: bool = False,
    counts: Sequence[int] = PEOPLE_PER_IMAGE,
) -> dict[int, dict[str, float]]:
    """Times the pipeline on images with 1, 5 and 20 people, in turn.

    An image with fewer people shows them several times over: what a crop costs does not
    depend on who is in it. The counts take turns on every image, so that a shared
    machine's moods fall on all alike.

    Args:
        detect: the detector; it sees the whole image once a count.
        predict: the pose network.
        contract: the pose network's.
        images: (H, W, 3) uint8 RGB each.
        boxes_xywh: (N, 4) of each image, at least one, image pixels.
        flip_test: predict mirrored crops too.
        counts: people per image.

    Returns:
        For each count, the median milliseconds of each of `STAGES` and of their total.

    Raises:
        ValueError: without an image.
    """
    if not len(images):
        raise ValueError("There is no image to time the pipeline on.")

    def run(image, boxes) -> list[float]:
        moments = [time.perf_counter()]
        detect(image)
        moments.append(time.perf_counter())
        crops, to_image = crop_people(image, boxes, contract)
        moments.append(time.perf_counter())
        outputs = predict_outputs(predict, crops, contract, flip_test)
        moments.append(time.perf_counter())
        decode_people(outputs, to_image, contract)
        moments.append(time.perf_counter())
        return [*np.diff(moments), moments[-1] - moments[0]]

    run(images[0], boxes_xywh[0][:1])  # what the first run does once is not timed
    seconds = np.array(
        [
            [run(image, np.resize(boxes, (count, 4))) for count in counts]
            for image, boxes in zip(images, boxes_xywh, strict=True)
        ]
    )
    medians = 1e3 * np.median(seconds, axis=0)
    names = (*STAGES, "total")
    return {
        count: dict(zip(names, map(float, row), strict=True))
        for count, row in zip(counts, medians, strict=True)
    }


def describe_stages(milliseconds: dict[int, dict[str, float]]) -> str:
    """Lays the times out, a line for each number of people."""
    names = (*STAGES, "total")
    header = "ms an image  " + "".join(f"{name:>10}" for name in names)
    lines = [f"{header}  ({instructions()})"]
    for count, times in milliseconds.items():
        word = "person" if count == 1 else "people"
        label = f"{count} {word}"
        lines.append(f"{label:<13}" + "".join(f"{times[name]:>10.1f}" for name in names))
    return "\n".join(lines)
