"""Drawing poses onto images, so that one can see what a model sees.

Images are (H, W, 3) uint8 RGB, and stay as they are: every function returns a new
one. Lines and dots are anti-aliased and placed to 1/16 pixel.
"""

from __future__ import annotations

import colorsys
from collections.abc import Sequence
from functools import lru_cache

import cv2
import numpy as np
from PIL import Image, ImageDraw, ImageFont

from keras_pose.skeleton import Skeleton
from keras_pose.structures import NO_TRACK, Poses

# The person's left, right and middle: blue and orange can be told apart with any
# colour vision, and by their brightness too.
LEFT_COLOR = (52, 170, 255)
RIGHT_COLOR = (255, 138, 20)
CENTER_COLOR = (244, 244, 244)
OUTLINE_COLOR = (14, 16, 24)
BOX_COLOR = (244, 244, 244)

# Fractions of the person's size (the longer side of what is shown of them).
LINE_WIDTH = 1 / 70
DOT_RADIUS = 1 / 75
MIN_LINE_WIDTH, MAX_LINE_WIDTH = 1.5, 14.0  # pixels
# Keypoints nearer than this to one before them have a line but no dot: faces and hands of
# whole bodies would become blots.
MIN_DOT_DISTANCE = 4.0  # pixels

_SHIFT_BITS = 4  # OpenCV takes coordinates in units of 1 / 2**4 pixel
_PAPER_COLOR = (255, 255, 255)
_INK_COLOR = (45, 48, 56)


def draw_poses(
    image: np.ndarray,
    poses: Poses,
    *,
    threshold: float = 0.2,
    draw_boxes: bool = False,
    draw_tracks: bool = True,
) -> np.ndarray:
    """Draws the skeletons of people.

    Lines and dots grow with the person, and fade as the keypoint's score falls.
    Small people are drawn over large ones, which would hide them.

    Args:
        image: (H, W, 3) uint8 RGB.
        poses: the people, in the image's pixels.
        threshold: keypoints whose score is not above it are left out, and the
            limbs that end in them.
        draw_boxes: also outline the person boxes.
        draw_tracks: write the numbers of those people who have `track_ids` above
            their heads, each on a colour of its own.

    Returns:
        A new (H, W, 3) uint8 image.

    Raises:
        ValueError: for an image of another shape or type.
    """
    _check_image(image)
    canvas = image.copy()
    people = [_Person(poses, i, threshold) for i in range(len(poses))]
    for person in sorted(people, key=lambda person: -person.size):
        if draw_boxes:
            person.draw_box(canvas)
        person.draw_limbs(canvas)
        person.draw_dots(canvas)
    if draw_tracks:
        # Last, so that nobody's limbs cross out another's number.
        for person in people:
            person.draw_track(canvas)
    return canvas


def draw_heatmaps(
    image: np.ndarray, heatmaps: np.ndarray, to_image: np.ndarray, opacity: float = 0.6
) -> np.ndarray:
    """Lays what a network saw of one person over their image.

    Of every pixel the highest of all keypoints' maps is shown, in colours from violet
    to yellow; the higher, the less of the image is left.

    Args:
        image: (H, W, 3) uint8 RGB.
        heatmaps: (h, w, K) float32, heights of about 0 to 1.
        to_image: (2, 3) map from heatmap pixels to image pixels.
        opacity: of a height of 1.

    Returns:
        A new (H, W, 3) uint8 image.

    Raises:
        ValueError: for images or maps of another shape or type.
    """
    _check_image(image)
    if np.ndim(heatmaps) != 3 or np.shape(to_image) != (2, 3):
        raise ValueError(
            "Heatmaps must be (h, w, K), with a (2, 3) map to the image, got "
            f"{np.shape(heatmaps)} and {np.shape(to_image)}."
        )
    heights = np.nan_to_num(np.max(heatmaps, axis=-1)).clip(0, 1).astype(np.float32)
    heights = cv2.warpAffine(
        heights,
        np.asarray(to_image, np.float64),
        image.shape[1::-1],
        flags=cv2.INTER_LINEAR,
    )
    colors = cv2.applyColorMap(np.uint8(heights * 255 + 0.5), cv2.COLORMAP_PLASMA)
    alpha = opacity * heights[..., None]
    blended = image + alpha * (colors[..., ::-1].astype(np.float32) - image)
    return (blended + 0.5).astype(np.uint8)


def track_color(track_id: int) -> tuple[int, int, int]:
    """Returns an RGB colour that differs from those of the numbers before and after."""
    # Steps of the golden ratio around the circle of hues never come near each other.
    hue = track_id * 0.618034 % 1.0
    red, green, blue = colorsys.hls_to_rgb(hue, 0.62, 0.75)
    return round(255 * red), round(255 * green), round(255 * blue)


def limb_colors(skeleton: Skeleton) -> list[tuple[int, int, int]]:
    """Returns one RGB colour per limb: that of its side, or of the middle."""
    colors = keypoint_colors(skeleton)
    return [_blend_sides(colors[a], colors[b]) for a, b in skeleton.limb_pairs]


def keypoint_colors(skeleton: Skeleton) -> list[tuple[int, int, int]]:
    """Returns one RGB colour per keypoint, by its name."""
    sides = {"left": LEFT_COLOR, "right": RIGHT_COLOR}
    return [sides.get(name.split("_")[0], CENTER_COLOR) for name in skeleton.names]


def _blend_sides(a, b):
    if a == b or b == CENTER_COLOR:
        return a
    return b if a == CENTER_COLOR else CENTER_COLOR


class _Person:
    """One person, measured for drawing."""

    def __init__(self, poses: Poses, index: int, threshold: float):
        self._skeleton = poses.skeleton
        self._box_xyxy = poses.boxes_xyxy[index]
        self._track_id = (
            NO_TRACK if poses.track_ids is None else int(poses.track_ids[index])
        )
        self._xy = poses.keypoints_xy[index].astype(float)
        scores = poses.keypoint_scores[index]
        self._is_shown = (scores > threshold) & np.isfinite(self._xy).all(axis=-1)
        self._opacity = np.interp(scores, (threshold, max(threshold, 0.7)), (0.45, 1.0))
        shown = self._xy[self._is_shown]
        self.size = float(np.ptp(shown, axis=0).max()) if len(shown) else 0.0
        self._width = float(np.clip(self.size * LINE_WIDTH, MIN_LINE_WIDTH, MAX_LINE_WIDTH))
        self._is_dotted, self._radii, self._room = self._dots()

    @property
    def _border(self):
        """Width of the dark outline, pixels."""
        return max(1.0, 0.3 * self._width)

    def draw_limbs(self, canvas):
        limbs = list(self._limbs())
        # All outlines first, so that none of them cuts through another limb.
        for start, end, width, opacity, _ in limbs:
            outline = width + 2 * min(self._border, 0.6 * width)
            _paint_line(canvas, start, end, outline, OUTLINE_COLOR, 0.55 * opacity)
        for start, end, width, opacity, color in limbs:
            _paint_line(canvas, start, end, width, color, opacity)

    def _limbs(self):
        """Yields start, end, width, opacity and colour of the limbs that are shown."""
        colors = limb_colors(self._skeleton)
        for (a, b), color in zip(self._skeleton.limb_pairs, colors, strict=True):
            if self._is_shown[a] and self._is_shown[b]:
                length = np.linalg.norm(self._xy[a] - self._xy[b])
                # Short limbs, as in faces, and fans of them, as in hands, become blots.
                room = min(length / 5, max(self._room[a], self._room[b]))
                width = float(np.clip(room, min(1.0, self._width), self._width))
                opacity = min(self._opacity[a], self._opacity[b])
                yield self._xy[a], self._xy[b], width, opacity, color

    def draw_dots(self, canvas):
        colors = keypoint_colors(self._skeleton)
        for i in np.flatnonzero(self._is_dotted):
            radius, opacity = float(self._radii[i]), self._opacity[i]
            border = min(self._border, 0.6 * radius)
            _paint_dot(canvas, self._xy[i], radius + border, OUTLINE_COLOR, 0.75 * opacity)
            _paint_dot(canvas, self._xy[i], radius, colors[i], opacity)

    def _dots(self):
        """Returns which keypoints have dots, their radii, and the widths of their lines.

        Dots of near keypoints, as in faces, leave room between them. All are (K,), pixels.
        """
        shown = np.flatnonzero(self._is_shown)
        xy = self._xy[shown]
        distances = np.linalg.norm(xy[:, None] - xy, axis=-1)
        is_near = np.tril(distances < MIN_DOT_DISTANCE, k=-1).any(axis=1)
        has_line = np.isin(shown, np.ravel(list(self._shown_pairs())))
        has_dot = ~(is_near & has_line)
        np.fill_diagonal(distances, np.inf)
        usual = max(1.05 * self._width, self.size * DOT_RADIUS)
        room = np.clip(distances.min(axis=1, initial=np.inf) / 4, 1.2, usual)
        # A wrist is where the root of its hand is, and as large as without.
        distances[distances < 0.5] = np.inf
        radii = np.clip(distances.min(axis=1, initial=np.inf) / 4, 1.2, usual)
        found = np.zeros((3, len(self._xy)))
        found[:, shown] = has_dot, radii, room
        return found[0] > 0, found[1], found[2]

    def _shown_pairs(self):
        """Yields the pairs of keypoints of the limbs that are shown."""
        for a, b in self._skeleton.limb_pairs:
            if self._is_shown[a] and self._is_shown[b]:
                yield a, b

    def draw_track(self, canvas):
        """Writes the person's number above what is shown of them, inside the image."""
        shown = self._xy[self._is_shown]
        if self._track_id == NO_TRACK or not len(shown):
            return
        height = round(float(np.clip(self.size / 9, 14, 44)))
        label = _track_label(self._track_id, height)
        limit = np.array(canvas.shape[1::-1]) - label.shape[1::-1]
        middle, top = (shown[:, 0].min() + shown[:, 0].max()) / 2, shown[:, 1].min()
        corner = np.array([middle - label.shape[1] / 2, top - 1.9 * height])
        # In bounds first: a point may be anywhere.
        left, top = corner.clip(0, np.maximum(limit, 0)).astype(int)
        region = canvas[top : top + label.shape[0], left : left + label.shape[1]]
        region[:] = label[: region.shape[0], : region.shape[1]]

    def draw_box(self, canvas):
        x1, y1, x2, y2 = self._box_xyxy.astype(float)
        corners = np.array([(x1, y1), (x2, y1), (x2, y2), (x1, y2)])
        width = max(1.0, 0.4 * self._width)
        for color, extra, opacity in ((OUTLINE_COLOR, 1.5, 0.4), (BOX_COLOR, 0, 0.75)):
            for start, end in zip(corners, np.roll(corners, -1, axis=0), strict=True):
                _paint_line(canvas, start, end, width + extra, color, opacity)


@lru_cache(maxsize=256)
def _track_label(track_id: int, height: int) -> np.ndarray:
    """Returns (height, W, 3) uint8: a number in dark ink on the track's colour."""
    font = ImageFont.load_default(size=0.72 * height)
    text = str(track_id)
    width = round(font.getlength(text) + 0.6 * height)
    label = Image.new("RGB", (width, height), track_color(track_id))
    ImageDraw.Draw(label).text(
        (width / 2, height / 2), text, fill=OUTLINE_COLOR, font=font, anchor="mm"
    )
    return np.asarray(label)


def _paint_line(canvas, start, end, width, color, opacity):
    """Paints a line with round ends in place; `width` may be a fraction of a pixel."""
    points = np.stack([start, end])
    direction = points[1] - points[0]
    normal = np.array([-direction[1], direction[0]])
    normal *= width / 2 / max(float(np.linalg.norm(normal)), 1e-6)
    corners = np.stack(
        [points[0] + normal, points[1] + normal, points[1] - normal, points[0] - normal]
    )

    def draw(mask, offset):
        cv2.fillConvexPoly(mask, _fixed(corners - offset), 255, cv2.LINE_AA, _SHIFT_BITS)
        for point in points:
            _fill_circle(mask, point - offset, width / 2)

    _paint(canvas, points, width / 2, draw, color, opacity)


def _paint_dot(canvas, center, radius, color, opacity):
    """Paints a disc in place."""

    def draw(mask, offset):
        _fill_circle(mask, center - offset, radius)

    _paint(canvas, np.asarray(center)[None], radius, draw, color, opacity)


def _paint(canvas, points, reach, draw, color, opacity):
    """Blends a colour into the canvas, where and as far as `draw` fills its mask."""
    height, width = canvas.shape[:2]
    low = np.floor(points.min(axis=0) - reach - 2).astype(int).clip(0, (width, height))
    high = np.ceil(points.max(axis=0) + reach + 3).astype(int).clip(0, (width, height))
    if (high <= low).any():
        return
    mask = np.zeros((high[1] - low[1], high[0] - low[0]), np.uint8)
    draw(mask, low)
    alpha = mask[..., None] * np.float32(opacity / 255)
    region = canvas[low[1] : high[1], low[0] : high[0]]
    blended = region + alpha * (np.array(color, np.float32) - region)
    region[:] = np.uint8(blended + 0.5)


def _fill_circle(mask, center, radius):
    x, y = _fixed(center).tolist()
    size = int(_fixed(radius))
    cv2.circle(mask, (x, y), size, 255, cv2.FILLED, cv2.LINE_AA, _SHIFT_BITS)


def _fixed(values):
    """Returns OpenCV's fixed-point form of coordinates."""
    return np.round(np.asarray(values) * (1 << _SHIFT_BITS)).astype(np.int32)


def contact_sheet(
    images: Sequence[np.ndarray],
    columns: int,
    captions: Sequence[str] | None = None,
    cell_hw: tuple[int, int] = (360, 360),
    gap: int = 10,
) -> np.ndarray:
    """Lays images out in rows, each as large as its cell allows.

    Args:
        images: (H, W, 3) uint8 RGB images of any size.
        columns: images per row.
        captions: one short line below each image.
        cell_hw: (height, width) of a cell, pixels.
        gap: pixels between cells, and around the sheet.

    Returns:
        (H, W, 3) uint8 RGB sheet.

    Raises:
        ValueError: without images or columns, or with another number of captions.
    """
    captions = _checked_captions(images, captions)
    if columns < 1:
        raise ValueError(f"A contact sheet needs at least one column, got {columns}.")
    fitted = [_fit(image, cell_hw) for image in images]
    cells: list[np.ndarray] = []
    for start in range(0, len(images), columns):
        row = slice(start, start + columns)
        # As tall as the tallest image of the row: no empty bands.
        row_hw = (max(len(image) for image in fitted[row]), cell_hw[1])
        cells += map(_cell, fitted[row], captions[row], [row_hw] * len(fitted[row]))
    return _lay_out(cells, columns, gap)


def side_by_side(
    images: Sequence[np.ndarray],
    captions: Sequence[str] | None = None,
    height: int = 480,
    gap: int = 10,
) -> np.ndarray:
    """Puts images into one row, scaled to one height, with captions below.

    Arguments, result and errors are those of `contact_sheet`.
    """
    captions = _checked_captions(images, captions)
    fitted = [_fit(image, (height, np.inf)) for image in images]
    cells = [
        _cell(image, caption, image.shape[:2])
        for image, caption in zip(fitted, captions, strict=True)
    ]
    return _lay_out(cells, len(cells), gap)


def _checked_captions(images, captions):
    if not len(images):
        raise ValueError("There is nothing to lay out: the list of images is empty.")
    for image in images:
        _check_image(image)
    if captions is not None and len(captions) != len(images):
        raise ValueError(
            f"One caption per image, please: got {len(captions)} captions for "
            f"{len(images)} images."
        )
    return list(captions or [""] * len(images))


def _fit(image, cell_hw):
    """Scales an image to the largest size that a cell takes."""
    zoom = min(cell_hw[0] / image.shape[0], cell_hw[1] / image.shape[1])
    fitted_wh = [max(1, round(size * zoom)) for size in image.shape[1::-1]]
    interpolation = cv2.INTER_AREA if zoom < 1 else cv2.INTER_CUBIC
    return cv2.resize(image, fitted_wh, interpolation=interpolation)


def _cell(image, caption, cell_hw):
    """Puts a fitted image into the middle of a white cell, above its caption."""
    cell = np.full((*cell_hw, 3), _PAPER_COLOR, np.uint8)
    height, width = image.shape[:2]
    top, left = (cell_hw[0] - height) // 2, (cell_hw[1] - width) // 2
    cell[top : top + height, left : left + width] = image
    return np.concatenate([cell, _caption_strip(caption, cell_hw[1])]) if caption else cell


def _caption_strip(text, width, height=30):
    strip = Image.new("RGB", (width, height), _PAPER_COLOR)
    font = ImageFont.load_default(size=16)
    ImageDraw.Draw(strip).text(
        (width / 2, height / 2), text, fill=_INK_COLOR, font=font, anchor="mm"
    )
    return np.asarray(strip)


def _lay_out(cells, columns, gap):
    """Pastes cells onto a sheet, row by row; cells of a row start at one height."""
    rows = [cells[i : i + columns] for i in range(0, len(cells), columns)]
    heights = [max(cell.shape[0] for cell in row) for row in rows]
    widths = [sum(cell.shape[1] + gap for cell in row) for row in rows]
    sheet_hw = (sum(heights) + gap * (len(rows) + 1), max(widths) + gap)
    sheet = np.full((*sheet_hw, 3), _PAPER_COLOR, np.uint8)
    top = gap
    for row, row_height in zip(rows, heights, strict=True):
        left = gap
        for cell in row:
            height, width = cell.shape[:2]
            sheet[top : top + height, left : left + width] = cell
            left += width + gap
        top += row_height + gap
    return sheet


def _check_image(image):
    if image.ndim != 3 or image.shape[-1] != 3 or image.dtype != np.uint8:
        raise ValueError(
            f"Drawing takes (H, W, 3) uint8 RGB images, got {image.shape} {image.dtype}."
        )
