"""Composes people and surroundings into a labelled picture.

Labels follow COCO, with these rules, all read from what was really painted:

- 2 visible: the topmost surface at the keypoint belongs to the person and lies at
  most `_TOLERANCE_METRES` in front of the joint (joints lie inside the body).
- 1 occluded: inside the image, but behind another part of the body, an object or
  another person; also an ear below hair or a cap.
- 0 not labelled, x = y = 0: outside the image; eyes, nose and ears on the side of
  the head that is turned away, where annotators cannot judge their place.

A box is the tight box of the person's own silhouette inside the image before other
people and foreground objects cover it; `area` counts the pixels left visible.
People with fewer than `MIN_LABELED_KEYPOINTS` keypoints inside the image, or hidden
to more than 80 %, do not appear in the labels.
"""

from dataclasses import dataclass, replace

import cv2
import numpy as np

from keras_pose.data.synthetic.anatomy import (
    STANCES,
    Pose,
    pose_body,
    sample_anatomy,
    sample_pose,
)
from keras_pose.data.synthetic.figure import Figure, View, paint_figure
from keras_pose.data.synthetic.rendering import HEAD, Canvas, darken
from keras_pose.data.synthetic.scenery import (
    draw_background,
    paint_obstacle,
    paint_sticks,
)
from keras_pose.data.synthetic.wardrobe import TOP_COLORS, sample_look
from keras_pose.skeleton import COCO_17

MIN_IMAGE_SIDE = 64
MIN_LABELED_KEYPOINTS = 3
SPLITS = ("train", "val")
_FACE = ("nose", "left_eye", "right_eye", "left_ear", "right_ear")
# How far in front of a joint its own body's surface may lie: clothes and flesh,
# but not the far side of the trunk. For a body 1.75 m tall.
_TOLERANCE_METRES = {"shoulder": 0.15, "hip": 0.19, "knee": 0.13}
_DEFAULT_TOLERANCE_METRES = 0.10
# Outward directions of the face in the head's frame, and how far (cosine) they
# may turn from the viewer before the landmark is out of sight.
_FACE_DIRECTIONS = {
    "nose": ((0.0, 0.0, 1.0), -0.05),
    "left_eye": ((0.52, 0.0, 0.85), 0.05),
    "right_eye": ((-0.52, 0.0, 0.85), 0.05),
    "left_ear": ((1.0, 0.0, 0.0), -0.32),
    "right_ear": ((-1.0, 0.0, 0.0), -0.32),
}


@dataclass(frozen=True)
class SyntheticPerson:
    """Holds the labels of one person.

    Attributes:
        keypoints_xy: (17, 2) float32 in COCO order, image pixels; the centre of the
            top left pixel is (0.0, 0.0).
        visibility: (17,) uint8; 0 not labelled, 1 occluded, 2 visible.
        box_xywh: (4,) float32, tight around the silhouette inside the image.
        area: visible pixels of the person.
    """

    keypoints_xy: np.ndarray
    visibility: np.ndarray
    box_xywh: np.ndarray
    area: float


@dataclass(frozen=True)
class SyntheticScene:
    """Holds a picture and the people in it.

    Attributes:
        image: (H, W, 3) uint8 RGB.
        people: labelled people, far to near.
        owner: (H, W) uint8, 0 for background and objects, i + 1 where `people[i]`
            is the topmost.
    """

    image: np.ndarray
    people: tuple[SyntheticPerson, ...]
    owner: np.ndarray


def scene_seed(seed: int, split: str) -> int:
    """Returns the seed for `draw_scene`; no train scene ever equals a val scene.

    Args:
        seed: user's seed, 0 or more.
        split: one of `SPLITS`.

    Raises:
        ValueError: for an unknown split or a negative seed.
    """
    if split not in SPLITS:
        raise ValueError(f"split must be one of {SPLITS}, got {split!r}.")
    if seed < 0:
        raise ValueError(f"seed must be 0 or more, got {seed}.")
    return len(SPLITS) * int(seed) + SPLITS.index(split)


def draw_scene(seed: int, index: int, image_hw=(256, 256)) -> SyntheticScene:
    """Draws one picture; the same arguments always give the same bytes.

    Args:
        seed: stream of scenes, see `scene_seed`.
        index: number of the scene in its stream.
        image_hw: (height, width) in pixels.

    Raises:
        ValueError: for a negative seed or index, or a side below `MIN_IMAGE_SIDE`.
    """
    _check(seed, index, image_hw)
    height, width = (int(side) for side in image_hw)
    rng = np.random.default_rng((int(seed), int(index)))
    light = (rng.uniform(-0.8, 0.8), rng.uniform(-1.0, -0.3), rng.uniform(0.5, 1.1))
    canvas = Canvas.over(draw_background(rng, (height, width)), light)
    if rng.random() < 0.2:
        paint_sticks(canvas, rng)
    figures = _place_figures(rng, (height, width))
    boxes, areas = [], []
    obstacle_after = int(rng.integers(len(figures))) if rng.random() < 0.22 else -1
    for i, figure in enumerate(figures):
        _paint_shadow(canvas, figure)
        paint_figure(canvas, figure)
        box, area = _silhouette(canvas, figure.number)
        boxes.append(box)
        areas.append(area)
        if i == obstacle_after and area:
            paint_obstacle(canvas, rng, box)
    return _label(canvas, figures, boxes, areas, _finish(rng, canvas.color))


def _check(seed, index, image_hw) -> None:
    """Refuses arguments that no scene can be drawn from."""
    if seed < 0 or index < 0:
        raise ValueError(f"seed and index must be 0 or more, got {seed} and {index}.")
    if len(image_hw) != 2 or min(image_hw) < MIN_IMAGE_SIDE:
        raise ValueError(
            f"image_hw must be (height, width), both at least {MIN_IMAGE_SIDE} pixels, "
            f"got {tuple(image_hw)}."
        )


def _place_figures(rng, image_hw) -> list[Figure]:
    """Draws one to four people and puts them side by side, far ones first."""
    count = 1 + int(np.searchsorted((0.5, 0.8, 0.93), rng.random()))
    slots = rng.permutation(count)
    camera_pitch = float(np.clip(rng.normal(6.0, 7.0), -6.0, 24.0))
    shares = rng.uniform(*((0.5, 0.96) if count == 1 else (0.42, 0.88)), count)
    figures = [
        _make_figure(rng, image_hw, float(share), (slot + 0.5) / count, camera_pitch)
        for share, slot in zip(shares, slots.tolist(), strict=True)
    ]
    # People who stand lower in the image stand nearer.
    figures.sort(key=lambda figure: figure.view.project(np.zeros(3))[1])
    return [replace(figure, number=i + 1) for i, figure in enumerate(figures)]


def _make_figure(rng, image_hw, share, slot, camera_pitch) -> Figure:
    """Draws one person and places it by the extent of its pose.

    Args:
        rng: source of all choices.
        image_hw: (height, width), pixels.
        share: share of the image's height that the person takes.
        slot: position along the image's width, in [0, 1].
        camera_pitch: angle by which the camera looks down, degrees.
    """
    anatomy, pose = sample_anatomy(rng), sample_pose(rng)
    look = sample_look(rng, anatomy.group)
    look = _suit_to_pose(look, pose)
    body = pose_body(anatomy, pose, camera_pitch)
    view = _frame_body(rng, body, image_hw, share, slot)
    seat, ball = STANCES[pose.stance].seat, rng.random() < 0.05
    colors = np.array(TOP_COLORS, np.float32)[rng.integers(len(TOP_COLORS), size=2)]
    return Figure(
        body=body,
        look=look,
        view=view,
        number=1,
        seat_color=0.8 * colors[0] if seat else None,
        ball_color=colors[1] if ball else None,
    )


def _suit_to_pose(look, pose: Pose):
    """Replaces skirts, which are drawn hanging, where thighs do not hang."""
    flexions = [pose.angles[f"{side}_hip_flexion"] for side in ("left", "right")]
    hangs = max(flexions) < 50 and abs(pose.pelvis_pitch) < 20
    return look if hangs or not look.skirt else replace(look, skirt=0.0)


def _frame_body(rng, body, image_hw, share: float, slot: float) -> View:
    """Chooses scale and place, so that the pose fills `share` of the image."""
    points = np.stack(list(body.joints.values()))[:, :2]
    low, high = points.min(axis=0), points.max(axis=0)
    image_wh = np.array(image_hw[::-1], np.float64)
    size = high - low + 0.144 * body.anatomy.height  # flesh reaches beyond joints
    scale = share * float(np.min(image_wh * (1.1, 1.0) / size))
    # Crouching people look shorter, not larger, than those who stand beside them.
    scale = min(scale, 1.35 * share * image_wh[1] / body.anatomy.height)
    center = 0.5 * (low + high)
    if rng.random() < 0.12:  # a close-up, cut off by the border
        scale *= rng.uniform(1.2, 1.9)
        center[1] += rng.uniform(0.1, 0.7) * (high[1] - center[1])
    free_x, free_y = np.maximum(1.0 - scale * size / image_wh, 0.0)
    x = 0.5 + (slot - 0.5) * (0.35 + 0.65 * free_x) + rng.normal(0, 0.05)
    if rng.random() < 0.07:  # cut off by the left or right border
        x = float(rng.integers(2)) + rng.uniform(-0.06, 0.06)
    y = 0.5 + free_y * rng.uniform(-0.25, 0.48) + rng.normal(0, 0.01)
    origin_xy = image_wh * (x, y) - (center[0] * scale, 0.0)
    return View(origin_xy, float(scale), float(rng.uniform(3.5, 9.0)), float(center[1]))


def _paint_shadow(canvas: Canvas, figure: Figure) -> None:
    """Darkens the ground below a person."""
    body, view = figure.body, figure.view
    lies = body.frames["pelvis"][1, 1] < 0.5
    names = ("shoulder", "hip", "heel") if lies else ("heel", "toe")
    feet = [body.joints[f"{side}_{name}"] for side in ("left", "right") for name in names]
    points = np.array([view.project(xyz * (1.0, 0.0, 1.0)) for xyz in feet])
    spread = np.ptp(points, axis=0)
    unit = view.pixels_per_metre * body.anatomy.height
    radii = 0.6 * spread + (0.16 * unit, 0.035 * unit)
    darken(canvas, points.mean(axis=0), radii, 0.5)


def _silhouette(canvas: Canvas, number: int):
    """Returns the tight box (x, y, w, h) and pixel count of a person just painted."""
    mask = (canvas.owner // 8 == number).astype(np.uint8)
    return np.array(cv2.boundingRect(mask), np.float32), int(np.count_nonzero(mask))


def _finish(rng, color: np.ndarray) -> np.ndarray:
    """Adds a light gradient, tint, blur, noise and compression; returns uint8."""
    height, width = color.shape[:2]
    field = 1.0 + rng.normal(0.0, 0.09, (3, 3, 1)) + rng.normal(0.0, 0.03, 3)
    field = cv2.resize(field.astype(np.float32), (width, height))
    image = color * (field * np.float32(rng.uniform(0.82, 1.12)))
    if rng.random() < 0.14:
        image = cv2.GaussianBlur(image, (0, 0), rng.uniform(0.5, 1.2) * height / 256)
    if rng.random() < 0.45:
        noise = rng.standard_normal((height, width), np.float32)
        image += (noise * np.float32(rng.uniform(2.0, 9.0)))[..., None]
    image = np.clip(image, 0, 255).astype(np.uint8)
    if rng.random() < 0.15:
        quality = [cv2.IMWRITE_JPEG_QUALITY, int(rng.integers(35, 80))]
        _, buffer = cv2.imencode(".jpg", image, quality)
        image = cv2.imdecode(buffer, cv2.IMREAD_COLOR)
    return image


def _label(canvas, figures, boxes, areas, image) -> SyntheticScene:
    """Reads keypoints and visibility from the finished canvas."""
    numbers = canvas.owner // 8
    people, owner = [], np.zeros_like(canvas.owner)
    for figure, box, area in zip(figures, boxes, areas, strict=True):
        mask = numbers == figure.number
        visible = int(np.count_nonzero(mask))
        keypoints_xy, visibility = _label_keypoints(canvas, figure)
        if np.count_nonzero(visibility) < MIN_LABELED_KEYPOINTS or visible < 0.2 * area:
            continue
        people.append(SyntheticPerson(keypoints_xy, visibility, box, float(visible)))
        owner[mask] = len(people)
    return SyntheticScene(image, tuple(people), owner)


def _label_keypoints(canvas: Canvas, figure: Figure):
    """Returns the (17, 2) keypoints and (17,) visibility of one person."""
    keypoints_xy = np.zeros((COCO_17.num_keypoints, 2), np.float32)
    visibility = np.zeros(COCO_17.num_keypoints, np.uint8)
    height, width = canvas.owner.shape
    for i, name in enumerate(COCO_17.names):
        xyz = figure.body.joints[name]
        x, y = figure.view.project(xyz)
        inside = 0 <= x <= width - 1 and 0 <= y <= height - 1
        if not inside or not is_judgeable(figure, name):
            continue
        keypoints_xy[i] = x, y
        visibility[i] = 2 if _is_visible(canvas, figure, name, round(x), round(y)) else 1
    return keypoints_xy, visibility


def is_judgeable(figure: Figure, name: str) -> bool:
    """Returns True if the head shows a landmark's side; body joints always count."""
    if name not in _FACE_DIRECTIONS:
        return True
    direction, limit = _FACE_DIRECTIONS[name]
    return float(figure.body.frames["head"][2] @ direction) > limit


def _is_visible(canvas: Canvas, figure: Figure, name: str, column: int, row: int) -> bool:
    """Returns True if the topmost surface at a keypoint is the one around it."""
    number, part = divmod(int(canvas.owner[row, column]), 8)
    if number != figure.number:
        return False
    if name in _FACE:
        return part == HEAD
    metres = _TOLERANCE_METRES.get(name.partition("_")[2], _DEFAULT_TOLERANCE_METRES)
    tolerance = metres * figure.body.anatomy.height / 1.75
    in_front = canvas.depth[row, column] - figure.view.depth(figure.body.joints[name])
    return bool(in_front <= tolerance * figure.view.pixels_per_metre)
