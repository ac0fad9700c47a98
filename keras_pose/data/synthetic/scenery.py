"""Backgrounds and things that stand in front of people."""

import cv2
import numpy as np

from keras_pose.data.synthetic.rendering import (
    NOBODY,
    Canvas,
    Tube,
    flat_tube_shader,
    paint_layer,
    paint_tube,
)
from keras_pose.data.synthetic.wardrobe import BOTTOM_COLORS, SKIN_TONES, TOP_COLORS

WALL_COLORS = (
    (232, 226, 214),
    (206, 214, 216),
    (222, 200, 178),
    (188, 202, 186),
    (178, 190, 208),
    (214, 186, 186),
    (120, 130, 140),
    (96, 112, 104),
    (240, 236, 228),
)
FLOOR_COLORS = (
    (176, 132, 92),
    (138, 100, 70),
    (150, 150, 150),
    (112, 112, 118),
    (196, 180, 156),
    (92, 108, 122),
)
GREENS = ((92, 132, 72), (64, 106, 62), (124, 150, 84), (52, 86, 60), (148, 164, 92))
_FINE = 4  # fractional bits of drawing coordinates


def draw_background(rng: np.random.Generator, image_hw) -> np.ndarray:
    """Draws a random place.

    Args:
        rng: source of all choices.
        image_hw: (height, width) in pixels.

    Returns:
        (H, W, 3) uint8 RGB.
    """
    places = (draw_room, draw_street, draw_park, draw_hall, draw_abstract)
    image = places[int(np.searchsorted((0.3, 0.5, 0.72, 0.84), rng.random()))](
        rng, image_hw
    )
    grain = value_noise(rng, image_hw, int(rng.integers(4, 40)), rng.uniform(1, 7))
    return np.clip(image + grain[..., None], 0, 255).astype(np.uint8)


def value_noise(rng, image_hw, cells: int, strength: float) -> np.ndarray:
    """Returns smooth (H, W) float32 noise: a random grid, enlarged."""
    grid = rng.standard_normal((cells, cells), np.float32) * np.float32(strength)
    return cv2.resize(grid, tuple(image_hw[::-1]), interpolation=cv2.INTER_CUBIC)


def _pick(rng, palette, jitter=12.0) -> np.ndarray:
    """Draws a colour near one of a palette."""
    color = np.array(palette[int(rng.integers(len(palette)))], np.float64)
    return np.clip(color + rng.normal(0, jitter, 3), 5, 250)


def _gradient(image_hw, top, bottom) -> np.ndarray:
    """Returns a vertical gradient, (H, W, 3) uint8."""
    share = np.linspace(0.0, 1.0, image_hw[0])[:, None, None]
    column = np.asarray(top) * (1 - share) + np.asarray(bottom) * share
    return np.repeat(column.astype(np.uint8), image_hw[1], axis=1)


def _fill(image, points_xy, color) -> None:
    """Fills an anti-aliased polygon."""
    points = np.round(np.asarray(points_xy) * (1 << _FINE)).astype(np.int32)
    cv2.fillPoly(image, [points], tuple(map(float, color)), cv2.LINE_AA, shift=_FINE)


def _box(image, left, top, right, bottom, color) -> None:
    """Fills an upright rectangle."""
    cv2.rectangle(
        image,
        (int(left), int(top)),
        (int(right), int(bottom)),
        tuple(map(float, color)),
        cv2.FILLED,
    )


def _line(image, start_xy, end_xy, color, thickness=1) -> None:
    """Draws an anti-aliased line."""
    start, end = (
        tuple(round(float(v) * (1 << _FINE)) for v in point) for point in (start_xy, end_xy)
    )
    color = tuple(map(float, color))
    cv2.line(image, start, end, color, max(1, int(thickness)), cv2.LINE_AA, shift=_FINE)


def _disc(image, center_xy, radii_xy, color) -> None:
    """Fills an anti-aliased ellipse."""
    center = tuple(round(float(v) * (1 << _FINE)) for v in center_xy)
    axes = tuple(max(1, round(float(v) * (1 << _FINE))) for v in radii_xy)
    color = tuple(map(float, color))
    cv2.ellipse(image, center, axes, 0, 0, 360, color, cv2.FILLED, cv2.LINE_AA, _FINE)


def draw_room(rng, image_hw) -> np.ndarray:
    """Draws a wall with pictures and furniture above a floor of planks."""
    height, width = image_hw
    wall, floor = _pick(rng, WALL_COLORS), _pick(rng, FLOOR_COLORS)
    image = _gradient(image_hw, 0.92 * wall, np.minimum(1.05 * wall, 255))
    horizon = int(height * rng.uniform(0.55, 0.85))
    if rng.random() < 0.3:
        _wallpaper(rng, image, horizon, wall)
    image[horizon:] = _gradient((height - horizon, width), 0.8 * floor, floor)
    _draw_planks(rng, image, horizon, floor)
    for _ in range(int(rng.integers(1, 5))):
        _draw_furnishing(rng, image, horizon)
    _box(image, 0, horizon - max(2, height // 60), width, horizon, 0.75 * wall + 40)
    return image


def _wallpaper(rng, image, horizon, wall) -> None:
    """Adds upright stripes to a wall."""
    period = int(rng.integers(8, 28))
    stripes = (np.arange(image.shape[1]) % period) < period // 2
    image[:horizon, stripes] = np.clip(wall * rng.uniform(0.85, 0.95), 0, 255)


def _draw_planks(rng, image, horizon, floor) -> None:
    """Draws floor boards that meet in a vanishing point."""
    height, width = image.shape[:2]
    vanishing = (rng.uniform(0.2, 0.8) * width, horizon - 0.6 * height)
    for x in np.arange(-width, 2 * width, width / rng.uniform(4, 9)):
        share = (horizon - vanishing[1]) / (height - vanishing[1])
        near = (x, height)
        far = (vanishing[0] + share * (x - vanishing[0]), horizon)
        _line(image, far, near, 0.72 * floor)


def _draw_furnishing(rng, image, horizon) -> None:
    """Draws a picture, a window, a shelf, a door, a sofa or a plant."""
    height, width = image.shape[:2]
    x, w = rng.uniform(-0.1, 0.9) * width, rng.uniform(0.12, 0.35) * width
    color = _pick(rng, TOP_COLORS)
    match int(rng.integers(6)):
        case 0:
            top = rng.uniform(0.05, 0.35) * height
            _draw_picture(rng, image, x, top, w, rng.uniform(0.6, 1.2) * w)
        case 1:
            _draw_window(image, x, 0.08 * height, 1.2 * w, 0.35 * height, rng)
        case 2:
            _draw_shelf(rng, image, x, horizon, w)
        case 3:
            _box(image, x, horizon - 0.62 * height, x + w, horizon, 0.8 * color)
            _box(image, x + 3, horizon - 0.6 * height, x + w - 3, horizon, 0.7 * color)
            _disc(image, (x + 0.85 * w, horizon - 0.28 * height), (2, 2), (230, 210, 150))
        case 4:
            top = horizon - 0.22 * height
            _box(image, x, top, x + 2 * w, horizon + 0.06 * height, 0.8 * color)
            _box(image, x, top + 0.12 * height, x + 2 * w, horizon + 0.04 * height, color)
        case 5:
            _draw_plant(rng, image, (x, horizon + 0.05 * height), 0.3 * height)


def _draw_picture(rng, image, left, top, width, height) -> None:
    """Draws a framed picture of two discs."""
    _box(image, left, top, left + width, top + height, (70, 56, 44))
    right, bottom = left + width - 2, top + height - 2
    _box(image, left + 2, top + 2, right, bottom, _pick(rng, TOP_COLORS))
    for _ in range(2):
        center = (
            left + rng.uniform(0.2, 0.8) * width,
            top + rng.uniform(0.2, 0.8) * height,
        )
        radius = 0.16 * min(width, height)
        _disc(image, center, (radius, radius), _pick(rng, TOP_COLORS))


def _draw_window(image, left, top, width, height, rng) -> None:
    """Draws a bright window with a cross."""
    _box(image, left, top, left + width, top + height, (244, 244, 240))
    sky = (170 + 40 * rng.random(), 205, 235)
    _box(image, left + 3, top + 3, left + width - 3, top + height - 3, sky)
    center = (left + 0.5 * width, top + 0.5 * height)
    _line(image, (center[0], top), (center[0], top + height), (244, 244, 240), 2)
    _line(image, (left, center[1]), (left + width, center[1]), (244, 244, 240), 2)


def _draw_shelf(rng, image, left, bottom, width) -> None:
    """Draws a shelf full of books."""
    height = image.shape[0]
    wood = _pick(rng, FLOOR_COLORS)
    top = bottom - rng.uniform(0.3, 0.6) * height
    _box(image, left, top, left + width, bottom, 0.6 * wood)
    step = max(8, int(0.1 * height))
    for y in np.arange(top, bottom - step / 2, step):
        _box(image, left, y + step - 2, left + width, y + step, wood)
        for x in np.arange(left + 2, left + width - 4, max(4, width / 9)):
            spine = y + rng.uniform(0.1, 0.45) * step
            _box(
                image,
                x,
                spine,
                x + max(2, width / 13),
                y + step - 3,
                _pick(rng, TOP_COLORS),
            )


def _draw_plant(rng, image, base_xy, size, alpha=None) -> None:
    """Draws a potted plant; with `alpha`, also marks it there."""
    x, y = base_xy
    pot = [(x - 0.2 * size, y - 0.3 * size), (x + 0.2 * size, y - 0.3 * size),
           (x + 0.14 * size, y), (x - 0.14 * size, y)]  # fmt: skip
    _fill(image, pot, _pick(rng, ((168, 96, 66), (210, 206, 198), (80, 84, 92))))
    if alpha is not None:
        _fill(alpha, pot, (255,))
    green = _pick(rng, GREENS)
    for angle in np.linspace(-1.1, 1.1, 9) + rng.normal(0, 0.1, 9):
        length = size * rng.uniform(0.45, 0.8)
        stem = np.array((x, y - 0.3 * size))
        tip = stem + length * np.array((np.sin(angle), -np.cos(angle)))
        normal = 0.1 * size * np.array((np.cos(angle), np.sin(angle)))
        middle = 0.5 * (stem + tip)
        leaf = [stem, middle + normal, tip, middle - normal]
        _fill(image, leaf, np.clip(green * rng.uniform(0.75, 1.25), 0, 255))
        if alpha is not None:
            _fill(alpha, leaf, (255,))


def draw_street(rng, image_hw) -> np.ndarray:
    """Draws houses with windows behind a road."""
    height, width = image_hw
    sky = _pick(rng, ((150, 190, 226), (200, 210, 220), (236, 200, 170)))
    image = _gradient(image_hw, sky, np.minimum(sky + 35, 255))
    ground = int(height * rng.uniform(0.58, 0.8))
    left = -rng.uniform(0, 0.2) * width
    while left < width:
        house = rng.uniform(0.18, 0.4) * width
        top = rng.uniform(0.02, 0.35) * height
        _draw_house(rng, image, int(left), int(top), int(left + house), ground)
        left += house
    road = _pick(rng, ((104, 104, 110), (128, 126, 122), (86, 88, 96)), 6)
    image[ground:] = _gradient((height - ground, width), 1.25 * road, road)
    curb = ground + int(0.05 * height)
    _box(image, 0, curb, width, curb + 2, (190, 188, 182))
    if rng.random() < 0.5:
        _draw_car(rng, image, (rng.uniform(-0.1, 0.8) * width, curb + 2), 0.38 * width)
    for _ in range(int(rng.integers(0, 3))):
        _draw_tree(
            rng, image, (rng.uniform(0, 1) * width, curb), rng.uniform(0.4, 0.7) * height
        )
    return image


def _draw_house(rng, image, left, top, right, bottom) -> None:
    """Draws a front with rows of windows, in one array operation."""
    wall = _pick(rng, (*WALL_COLORS, (170, 104, 86), (150, 130, 110)))
    _box(image, left, top, right, bottom, wall)
    x0, x1 = max(left, 0), min(right, image.shape[1])
    if x1 <= x0:
        return
    step_x, step_y = int(rng.integers(9, 20)), int(rng.integers(12, 26))
    columns = (np.arange(x0, x1) - left) % step_x
    rows = (np.arange(top, bottom) - top) % step_y
    windows = (columns > 0.4 * step_x)[None, :] & (rows > 0.4 * step_y)[:, None]
    glass = _pick(rng, ((70, 84, 102), (120, 140, 158), (226, 204, 140)))
    view = image[top:bottom, x0:x1]
    view[windows[: view.shape[0]]] = glass


def _draw_car(rng, image, base_xy, size) -> None:
    """Draws a parked car from the side."""
    x, y = base_xy
    color = _pick(rng, TOP_COLORS)
    h = 0.32 * size
    roof = [(x + 0.2 * size, y - 0.5 * h), (x + 0.32 * size, y - h),
            (x + 0.7 * size, y - h), (x + 0.85 * size, y - 0.5 * h)]  # fmt: skip
    _fill(image, roof, (96, 112, 126))
    _box(image, x, y - 0.58 * h, x + size, y - 0.12 * h, color)
    for share in (0.22, 0.78):
        _disc(
            image, (x + share * size, y - 0.1 * h), (0.09 * size, 0.09 * size), (34, 34, 36)
        )
        _disc(
            image,
            (x + share * size, y - 0.1 * h),
            (0.04 * size, 0.04 * size),
            (150, 150, 150),
        )


def _draw_tree(rng, image, base_xy, size) -> None:
    """Draws a trunk and a crown of discs."""
    x, y = base_xy
    _line(image, (x, y), (x, y - 0.6 * size), (92, 70, 52), 0.08 * size)
    green = _pick(rng, GREENS)
    for offset, shade in zip(
        rng.normal(0, 0.14, (9, 2)), np.linspace(0.7, 1.2, 9), strict=True
    ):
        center = (x + offset[0] * size, y - (0.7 + 0.8 * offset[1]) * size)
        _disc(image, center, (0.18 * size, 0.15 * size), np.clip(shade * green, 0, 255))


def draw_park(rng, image_hw) -> np.ndarray:
    """Draws grass, hills, trees and a path, or a beach."""
    height, width = image_hw
    sky = _pick(rng, ((140, 186, 226), (196, 214, 230), (244, 206, 160)))
    image = _gradient(image_hw, sky, np.minimum(sky + 40, 255))
    horizon = int(height * rng.uniform(0.4, 0.7))
    if rng.random() < 0.25:
        ground = np.array((224.0, 204.0, 164.0))
        image[horizon - height // 8 : horizon] = (70, 140, 170)
    else:
        ground = _pick(rng, GREENS) + 18
        center = (rng.uniform(0, 1) * width, horizon + 0.05 * height)
        _disc(image, center, (0.7 * width, 0.2 * height), 0.8 * _pick(rng, GREENS) + 30)
    image[horizon:] = _gradient((height - horizon, width), 0.85 * ground, ground)
    if rng.random() < 0.4:
        x = rng.uniform(0.2, 0.8) * width
        path = [(x, horizon), (x + 0.05 * width, horizon), (x + 0.4 * width, height),
                (x - 0.2 * width, height)]  # fmt: skip
        _fill(image, path, (206, 190, 160))
    for _ in range(int(rng.integers(1, 6))):
        size = rng.uniform(0.3, 0.75) * height
        _draw_tree(rng, image, (rng.uniform(0, 1) * width, horizon + 0.05 * height), size)
    blades = rng.normal(0, 9, (height - horizon, width // 2 + 1)).astype(np.float32)
    blades = cv2.resize(blades, (width, height - horizon))[..., None]
    image[horizon:] = np.clip(image[horizon:] + blades, 0, 255)
    return image


def draw_hall(rng, image_hw) -> np.ndarray:
    """Draws a sports hall: banners, a rail and court lines."""
    height, width = image_hw
    wall = _pick(rng, WALL_COLORS)
    image = _gradient(image_hw, 0.7 * wall, wall)
    horizon = int(height * rng.uniform(0.5, 0.7))
    court = _pick(rng, ((198, 150, 96), (70, 110, 150), (90, 140, 100), (180, 90, 70)))
    image[horizon:] = _gradient((height - horizon, width), 0.85 * court, court)
    band = horizon - int(0.12 * height)
    for x in np.arange(0, width, width / 5):
        _box(image, x, band, x + width / 5, horizon, _pick(rng, TOP_COLORS))
    for x in rng.uniform(-0.5, 1.5, 3) * width:
        _line(
            image,
            (x, horizon),
            (x + rng.normal(0, 0.6) * width, height),
            (240, 240, 236),
            2,
        )
    y = rng.uniform(horizon, height)
    _line(image, (0, y), (width, y + rng.normal(0, 6)), (240, 240, 236), 2)
    crowd = band - int(0.14 * height)
    for x, y in rng.uniform((0, crowd - 40), (width, crowd), (int(rng.integers(0, 30)), 2)):
        _disc(image, (x, y), (4, 5), _pick(rng, SKIN_TONES))
    return image


def draw_abstract(rng, image_hw) -> np.ndarray:
    """Draws a gradient under random polygons, or clouds of colour."""
    height, width = image_hw
    image = _gradient(image_hw, _pick(rng, TOP_COLORS, 25), _pick(rng, WALL_COLORS, 25))
    if rng.random() < 0.4:
        clouds = rng.uniform(70, 200, (5, 5, 3)).astype(np.float32)
        clouds = cv2.resize(clouds, (width, height), interpolation=cv2.INTER_CUBIC)
        image = np.clip(clouds, 0, 255).astype(np.uint8)
    for _ in range(int(rng.integers(0, 12))):
        center = rng.uniform(0, 1, 2) * (width, height)
        points = center + rng.normal(0, 0.14 * height, (int(rng.integers(3, 6)), 2))
        _fill(image, points, _pick(rng, TOP_COLORS, 25))
    return image


def paint_sticks(canvas: Canvas, rng) -> None:
    """Paints limb-like tubes that belong to no person, to distract."""
    height, width = canvas.owner.shape
    for _ in range(int(rng.integers(1, 5))):
        start = rng.uniform(0, 1, 2) * (width, height)
        end = start + rng.normal(0, 0.18, 2) * height
        palette = (SKIN_TONES, BOTTOM_COLORS, TOP_COLORS)[int(rng.integers(3))]
        color = _pick(rng, palette).astype(np.float32)
        radii = height * rng.uniform(0.008, 0.028) * np.array((1.0, rng.uniform(0.5, 1.0)))
        tube = Tube(
            start, end, np.array((0.0, 1.0)), radii, np.zeros(2), np.zeros(2), radii
        )
        paint_tube(canvas, tube, flat_tube_shader(color), NOBODY)


def paint_obstacle(canvas: Canvas, rng, box_xywh) -> None:
    """Paints a thing that hides part of somebody.

    Args:
        canvas: changed in place.
        rng: source of all choices.
        box_xywh: the person to hide partly, pixels.
    """
    height, width = canvas.owner.shape
    color = np.zeros((height, width, 3), np.uint8)
    alpha = np.zeros((height, width), np.uint8)
    things = (_table, _plant, _crate, _railing, _post)
    things[int(rng.integers(len(things)))](rng, color, alpha, box_xywh)
    left, top, w, h = cv2.boundingRect(alpha)
    if w and h:
        view = (slice(top, top + h), slice(left, left + w))
        paint_layer(canvas, (left, top, left + w, top + h), color[view], alpha[view])


def _solid(color_layer, alpha, left, top, right, bottom, color) -> None:
    """Draws a rectangle on a layer."""
    _box(color_layer, left, top, right, bottom, np.clip(color, 0, 255))
    _box(alpha, left, top, right, bottom, (255,))


def _table(rng, color, alpha, box) -> None:
    """Draws a table in front of the legs."""
    x, y, w, h = box
    wood, top = _pick(rng, FLOOR_COLORS), y + rng.uniform(0.5, 0.75) * h
    left, right = x - rng.uniform(0.1, 0.7) * w, x + (1 + rng.uniform(0.1, 0.7)) * w
    thick = max(3, 0.04 * h)
    for leg in (left + 0.06 * w, right - 0.14 * w):
        _solid(color, alpha, leg, top, leg + 0.08 * w, y + 1.03 * h, 0.7 * wood)
    _solid(color, alpha, left, top, right, top + thick, wood)
    _solid(color, alpha, left, top, right, top + 0.3 * thick, 1.15 * wood)


def _plant(rng, color, alpha, box) -> None:
    """Draws a plant in front of one side."""
    x, y, w, h = box
    base = (x + rng.uniform(-0.1, 1.1) * w, y + rng.uniform(0.98, 1.06) * h)
    _draw_plant(rng, color, base, rng.uniform(0.45, 0.7) * h, alpha)


def _crate(rng, color, alpha, box) -> None:
    """Draws a crate or suitcase."""
    x, y, w, h = box
    size = rng.uniform(0.2, 0.4) * h
    left, bottom = x + rng.uniform(-0.3, 0.9) * w, y + rng.uniform(0.95, 1.06) * h
    paint = _pick(rng, TOP_COLORS + FLOOR_COLORS)
    _solid(color, alpha, left, bottom - size, left + 1.2 * size, bottom, paint)
    _solid(
        color,
        alpha,
        left,
        bottom - size,
        left + 1.2 * size,
        bottom - 0.86 * size,
        1.18 * paint,
    )
    _solid(color, alpha, left + 0.5 * size, bottom - 0.86 * size, left + 0.6 * size, bottom,
           0.8 * paint)  # fmt: skip


def _railing(rng, color, alpha, box) -> None:
    """Draws a railing across the image."""
    x, y, w, h = box
    paint, top = _pick(rng, BOTTOM_COLORS), y + rng.uniform(0.5, 0.72) * h
    bar = max(2, 0.022 * h)
    bottom = y + 1.02 * h
    for post in np.arange(x - w, x + 2 * w, rng.uniform(0.18, 0.4) * h):
        _solid(color, alpha, post, top, post + 0.7 * bar, bottom, 0.85 * paint)
    for y_bar in (top, 0.5 * (top + bottom)):
        _solid(color, alpha, x - w, y_bar, x + 2 * w, y_bar + bar, paint + 20)


def _post(rng, color, alpha, box) -> None:
    """Draws a tree trunk or lamp post from top to bottom."""
    x, y, w, h = box
    paint = _pick(rng, ((92, 70, 52), (70, 74, 80), (186, 182, 174)))
    thick = rng.uniform(0.04, 0.1) * h
    left = x + rng.uniform(0.0, 1.0) * w - 0.5 * thick
    for share, shade in ((0.0, 0.75), (0.25, 1.0), (0.6, 1.15), (0.85, 0.8)):
        _solid(
            color, alpha, left + share * thick, 0, left + thick, y + 1.04 * h, shade * paint
        )
