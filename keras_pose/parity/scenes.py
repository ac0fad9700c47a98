"""Pictures and clips that the cases without a model are cut from."""

from __future__ import annotations

from typing import Any

import numpy as np

from keras_pose.codecs import GaussianHeatmapCodec
from keras_pose.contracts.fields import TensorSpec
from keras_pose.contracts.one_stage import FIELDS, PREFIX, OneStageContract, PeopleCodec
from keras_pose.contracts.pose import Contract
from keras_pose.inference.pose_nms import NMS_THRESHOLD
from keras_pose.skeleton import Skeleton

# Settings of following, numbering and smoothing. The detector is asked so often that a
# dozen frames show it; those that nobody says are cases of the kind `defaults`.
CLIP_SETTINGS = {
    "detect_every": 5,
    "keypoint_threshold": 0.2,
    "least_share": 0.5,
    "nms_threshold": NMS_THRESHOLD,
    "oks_threshold": 0.3,
    "patience": 12,
    "min_keypoints": 3,
    "min_cutoff": 1.0,
    "beta": 4.0,
    "speed_cutoff": 1.0,
    "forget_after": 2.0,
}
COLOURS = Skeleton(
    name="colours",
    names=("red", "green", "blue"),
    limbs=(("red", "green"), ("green", "blue")),
    oks_sigmas=(0.05, 0.07, 0.09),
)


def patches(image_hw, seed: int = 0) -> np.ndarray:
    """Paints an (H, W, 3) uint8 picture of smooth slopes with hard-edged patches."""
    rng = np.random.default_rng(seed)
    height, width = image_hw
    rows, columns = np.mgrid[:height, :width]
    slopes = rng.uniform(-1.5, 1.5, (2, 3))
    image = 128 + rows[..., None] * slopes[0] + columns[..., None] * slopes[1]
    for _ in range(6):
        y, x = rng.integers(0, height), rng.integers(0, width)
        size_h, size_w = rng.integers(2, 20, 2)
        image[y : y + size_h, x : x + size_w] = rng.integers(0, 256, 3)
    return np.clip(np.round(image), 0, 255).astype(np.uint8)


# Where the two begin, x and y, and how far they go in a frame: such that no arg-max of any
# frame changes when a quarter of all pixels change by a level.
_PATHS = (89.4, 40.81, 3.29, 39.29, 42.14, 0.72)


# From the first one's box to the same person's second.
_DOUBLE = np.array([-2.0, 1.0, 3.0, 2.0])


def colour_clip(paths=_PATHS) -> dict[str, Any]:
    """Makes the clip of two people who are a red, a green and a blue light each.

    One walks to the right and leaves the picture, the other comes nearer. A detector
    would see both, with boxes that are a little off, and the first one twice.
    """
    frames = [_colour_frame(t, (80, 120), paths) for t in range(12)]
    return {
        "network": "colour",
        "contract": colours_contract().to_dict(),
        "settings": CLIP_SETTINGS,
        "frames": frames,
    }


def colours_contract() -> Contract:
    """Returns the contract of the network that finds three colours."""
    codec = GaussianHeatmapCodec((64, 48), sigma=1.0)
    return Contract(
        model="colours",
        input=TensorSpec("image", (1, 64, 48, 3), "uint8"),
        output=TensorSpec("heatmaps", (1, *codec.output_shape(3)), "float32"),
        codec=codec,
        skeleton=COLOURS,
    )


def _colour_frame(t: int, image_hw, paths) -> dict[str, Any]:
    body = np.array([[0.0, -18.0], [-7.0, 3.0], [8.0, 18.0]])
    x1, y1, step1, x2, y2, step2 = paths
    middles_xy = np.array([[x1 + step1 * t, y1], [x2 + step2 * t, y2]])
    people = np.stack([body, body * (0.8 + 0.02 * t)]) + middles_xy[:, None]
    image = np.zeros((*image_hw, 3))
    rows, columns = np.mgrid[: image_hw[0], : image_hw[1]]
    for lights_xy in people:
        for colour, (x, y) in enumerate(lights_xy):
            image[..., colour] += 230 * np.exp(-((columns - x) ** 2 + (rows - y) ** 2) / 30)
    seen = [[*(xy.min(axis=0) - 4), *(xy.max(axis=0) + 5)] for xy in people]
    boxes = np.array([*seen, seen[0] + _DOUBLE], np.float32)
    is_visible = boxes[:, 0] < image_hw[1] - 12
    return {
        "seconds": t / 25,
        "image": np.clip(np.round(image), 0, 255).astype(np.uint8),
        "detected": {
            "boxes_xyxy": boxes[is_visible],
            "scores": np.array([0.9, 0.8, 0.7], np.float32)[is_visible],
        },
    }


# Of each cell of a one-stage network its person, who is where `_MIDDLES` says, and its
# score. Of two cells with equal scores, both are of one person, then of two; the last but
# one has just the usual threshold, which it would have to exceed.
_CELLS = (0, 1, 1, 0, 2, 3, 2, 0, 3, 4, 5, 5)
_SCORES = (0.95, 0.9, 0.9, 0.8, 0.75, 0.75, 0.6, 0.5, 0.4, 0.3, 0.1, 0.05)
# The fourth reaches beyond the input, the fifth overlaps the second by two fifths.
_MIDDLES = ((12, 13), (30, 18), (52, 27), (58, 6), (36, 20), (10, 36))
_CROWD_HW = (40, 64)


def crowd_contract(**codec) -> OneStageContract:
    """Returns the contract of a one-stage network that sees people of three colours.

    Args:
        **codec: fields of `PeopleCodec`.
    """
    shapes = ((), (4,), (6,), (3,))
    outputs: dict[str, Any] = {
        name: TensorSpec(f"{PREFIX}{name}", (1, len(_CELLS), *shape), "float32")
        for name, shape in zip(FIELDS, shapes, strict=True)
    }
    return OneStageContract(
        model="crowd",
        input=TensorSpec("image", (1, *_CROWD_HW, 3), "uint8"),
        **outputs,
        skeleton=COLOURS,
        codec=PeopleCodec(**codec),
    )


def crowd_outputs() -> list[np.ndarray]:
    """Returns scores, boxes, keypoints and visibility of this network for a picture.

    Boxes of one person overlap by three quarters and more.
    """
    rng = np.random.default_rng(11)
    num_cells = len(_CELLS)
    middles = np.array(_MIDDLES)[list(_CELLS)] + rng.uniform(-0.7, 0.7, (num_cells, 2))
    size = np.array([16, 24])
    boxes = np.concatenate([middles - size / 2, middles + size / 2], axis=1)
    points = middles[:, None] + rng.uniform(-0.5, 0.5, (num_cells, 3, 2)) * size
    visibility = rng.uniform(0, 1, (num_cells, 3))
    outputs = (_SCORES, boxes, points.reshape(num_cells, 6), visibility)
    return [np.asarray(values, np.float32) for values in outputs]
