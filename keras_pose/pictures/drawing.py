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

from keras_pose.pictures.structures import HIDDEN, NO_TRACK, Poses
from keras_pose.skeleton import Skeleton

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

# Score above which a keypoint is drawn.
DRAWN_SCORE = 0.2
# Share of the opacity that a keypoint loses that is surely hidden.
HIDDEN_FADING = 0.6

_SHIFT_BITS = 4  # OpenCV takes coordinates in units of 1 / 2**4 pixel
_FARTHEST = 2**30  # of them
_EDGE = 1.5  # pixels; anti-aliasing reaches a little over one beyond a shape
_UPWARDS = 1 / 1024  # grey levels
_FILLED = (255, 255, 255)  # of a mask
_VALUES_AT_ONCE = 3 * 8192
_PAPER_COLOR = (255, 255, 255)
_INK_COLOR = (45, 48, 56)


def draw_poses(
    image: np.ndarray,
    poses: Poses,
    *,
    threshold: float = DRAWN_SCORE,
    draw_boxes: bool = False,
    draw_tracks: bool = True,
) -> np.ndarray:
    """Draws the skeletons of people.

    Lines and dots grow with the person, and fade as the keypoint's score falls. Where the
    model says it (`Poses.visibility`), hidden keypoints fade further, and those that are
    more likely outside the picture are left out.
    Small people are drawn over large ones, which would hide them.

    Args:
        image: (H, W, 3) uint8 RGB.
        poses: the people, in the image's pixels.
        threshold: keypoints whose score is not above it are left out, and the
            limbs that end in them.
        draw_boxes: True to outline the person boxes, too.
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
        person.draw_skeleton(canvas)
    if draw_tracks:
        # Last, so that no limb crosses out another person's number.
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
        opacity: opacity of a heatmap value of 1, in [0, 1].

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
        self._is_shown &= ~poses.is_outside[index]
        self._opacity = np.interp(scores, (threshold, max(threshold, 0.7)), (0.45, 1.0))
        if poses.visibility is not None:
            self._opacity = self._opacity * (
                1 - HIDDEN_FADING * poses.visibility[index, :, HIDDEN]
            )
        shown = self._xy[self._is_shown]
        self.size = float((shown.max(0) - shown.min(0)).max()) if len(shown) else 0.0
        self._width = min(max(self.size * LINE_WIDTH, MIN_LINE_WIDTH), MAX_LINE_WIDTH)
        self._is_dotted, self._radii, self._room = self._measure_dots()

    @property
    def _border(self):
        """Width of the dark outline, pixels."""
        return max(1.0, 0.3 * self._width)

    def draw_skeleton(self, canvas):
        lines_xy, *lines = self._lines()
        dots_xy, *dots = self._dots()
        radii, opacities = map(np.concatenate, zip(lines[:2], dots[:2], strict=True))
        _paint(canvas, lines_xy, dots_xy, radii, opacities, lines[2] + dots[2])

    def _lines(self):
        """Returns ends, radii, opacities and colours of limbs, first of all outlines."""
        pairs, colors = _limbs_to_draw(self._skeleton)
        is_shown = self._is_shown[pairs].all(axis=1)
        pairs = pairs[is_shown]
        ends_xy = self._xy[pairs]
        # Short limbs, as in faces, and fans of them, as in hands, become blots.
        lengths = np.hypot(*(ends_xy[:, 0] - ends_xy[:, 1]).T)
        room = np.minimum(lengths / 5, self._room[pairs].max(axis=1))
        widths = np.minimum(np.maximum(room, min(1.0, self._width)), self._width)
        outlines = widths + 2 * np.minimum(self._border, 0.6 * widths)
        opacities = self._opacity[pairs].min(axis=1)
        # All outlines first, so that none of them cuts through another limb.
        return (
            np.concatenate([ends_xy, ends_xy]),
            np.concatenate([outlines, widths]) / 2,
            np.concatenate([0.55 * opacities, opacities]),
            [OUTLINE_COLOR] * len(pairs) + [colors[i] for i in np.flatnonzero(is_shown)],
        )

    def _dots(self):
        """Returns centres, radii, opacities and colours, each dot upon its outline."""
        colors = _keypoints_to_draw(self._skeleton)
        dotted = np.flatnonzero(self._is_dotted)
        radii, opacities = self._radii[dotted], self._opacity[dotted]
        outlines = radii + np.minimum(self._border, 0.6 * radii)
        return (
            np.repeat(self._xy[dotted], 2, axis=0),
            np.stack([outlines, radii], axis=1).ravel(),
            np.stack([0.75 * opacities, opacities], axis=1).ravel(),
            [color for i in dotted for color in (OUTLINE_COLOR, colors[i])],
        )

    def _measure_dots(self):
        """Returns which keypoints have dots, their radii, and the widths of their lines.

        Dots of near keypoints, as in faces, leave room between them. All are (K,), pixels.
        """
        shown = np.flatnonzero(self._is_shown)
        xy = self._xy[shown]
        distances = np.hypot(*(xy[:, None] - xy).transpose(2, 0, 1))
        is_near = np.tril(distances < MIN_DOT_DISTANCE, k=-1).any(axis=1)
        pairs, _ = _limbs_to_draw(self._skeleton)
        has_line = np.zeros(len(self._xy), bool)
        has_line[pairs[self._is_shown[pairs].all(axis=1)]] = True
        np.fill_diagonal(distances, np.inf)
        usual = max(1.05 * self._width, self.size * DOT_RADIUS)
        least = [distances.min(axis=1, initial=np.inf)]
        # A wrist is where the root of its hand is, and as large as without.
        distances[distances < 0.5] = np.inf
        least.append(distances.min(axis=1, initial=np.inf))
        room, radii = np.minimum(np.maximum(np.array(least) / 4, 1.2), usual)
        found = np.zeros((3, len(self._xy)))
        found[:, shown] = ~(is_near & has_line[shown]), radii, room
        return found[0] > 0, found[1], found[2]

    def draw_track(self, canvas):
        """Writes the person's number above what is shown of them, inside the image."""
        if self._track_id == NO_TRACK or not self._is_shown.any():
            return
        shown = self._xy[self._is_shown]
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
        if not np.isfinite(corners).all():
            return
        sides = np.stack([corners, np.roll(corners, -1, axis=0)], axis=1)
        width = max(1.0, 0.4 * self._width)
        for color, extra, opacity in ((OUTLINE_COLOR, 1.5, 0.4), (BOX_COLOR, 0, 0.75)):
            radii, opacities = np.full(4, (width + extra) / 2), np.full(4, opacity)
            _paint(canvas, sides, np.zeros((0, 2)), radii, opacities, [color] * 4)


@lru_cache(maxsize=16)
def _limbs_to_draw(skeleton: Skeleton) -> tuple[np.ndarray, list[tuple[int, int, int]]]:
    """Returns (limbs, 2) indices of keypoints, and a colour per limb."""
    return np.array(skeleton.limb_pairs, int).reshape(-1, 2), limb_colors(skeleton)


@lru_cache(maxsize=16)
def _keypoints_to_draw(skeleton: Skeleton) -> list[tuple[int, int, int]]:
    return keypoint_colors(skeleton)


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


def _paint(canvas, lines_xy, dots_xy, radii, opacities, colors):
    """Paints lines with round ends, then dots, in place and one after the other.

    They are many and small. So all are measured at once, and of the canvas only the
    pixels around each are touched, in a few calls that start quickly.

    Args:
        canvas: (H, W, 3) uint8.
        lines_xy: (L, 2, 2), their ends.
        dots_xy: (D, 2), their centres.
        radii: (L + D,), pixels; half of a line's width, which may be a fraction of one.
        opacities: (L + D,) in [0, 1].
        colors: L + D triples.
    """
    start, end = np.concatenate([lines_xy, np.stack([dots_xy, dots_xy], 1)]).swapaxes(0, 1)
    reach = radii[:, None]
    low = np.floor(np.minimum(start, end) - reach - _EDGE)
    high = np.ceil(np.maximum(start, end) + reach + _EDGE + 1)
    limit = (*canvas.shape[1::-1], *canvas.shape[1::-1])
    windows = np.minimum(np.maximum(np.concatenate([low, high], axis=1), 0), limit)
    windows = windows.astype(int)
    start, end = start - windows[:, :2], end - windows[:, :2]
    corners = _fixed(_line_corners(start, end, reach))
    starts, ends, sizes = (_fixed(values).tolist() for values in (start, end, radii))
    scales = (opacities / 255).tolist()
    for i, (left, top, right, bottom) in enumerate(windows.tolist()):
        if right <= left or bottom <= top:
            continue
        # Three channels like the canvas, all alike: OpenCV multiplies only what is.
        mask = np.zeros((bottom - top, right - left, 3), np.uint8)
        if i < len(lines_xy):
            cv2.fillConvexPoly(mask, corners[i], _FILLED, cv2.LINE_AA, _SHIFT_BITS)
            _fill_circle(mask, ends[i], sizes[i])
        _fill_circle(mask, starts[i], sizes[i])
        region = canvas[top:bottom, left:right]
        if mask.size <= _VALUES_AT_ONCE:
            _blend(region, mask, colors[i], scales[i])
        else:
            _blend_slanting(region, mask, colors[i], scales[i])


def _fill_circle(mask, center, radius):
    cv2.circle(mask, center, radius, _FILLED, cv2.FILLED, cv2.LINE_AA, _SHIFT_BITS)


def _line_corners(start, end, reach):
    """Returns (N, 4, 2): the corners of lines of (N, 2) ends, without the round ones."""
    across = (end - start)[:, ::-1] * (-1, 1)
    lengths = np.hypot(across[:, :1], across[:, 1:])
    across = across * (reach / np.maximum(lengths, 1e-6))
    corners = [start + across, end + across, end - across, start - across]
    return np.stack(corners, axis=1)


def _blend_slanting(region, mask, color, scale):
    """Blends some rows at a time, and of them only the columns that are filled.

    A slanting line leaves most of its window empty.
    """
    num_rows = max(16, _VALUES_AT_ONCE // (3 * mask.shape[1]))
    for top in range(0, len(mask), num_rows):
        rows = mask[top : top + num_rows]
        x, _, filled, _ = cv2.boundingRect(rows.reshape(len(rows), -1))
        if filled:
            columns = slice(x // 3, (x + filled) // 3)
            part = region[top : top + num_rows, columns]
            _blend(part, rows[:, columns], color, scale)


def _blend(region, mask, color, scale):
    """Blends a colour into a part of the canvas; its opacity is `scale` times the mask."""
    # By OpenCV, since NumPy is slow along axes as short as that of RGB. It would round
    # halves to even numbers, and opacities of 3/4 make many halves: they go up.
    red, green, blue = color
    more = (red + _UPWARDS, green + _UPWARDS, blue + _UPWARDS, 0)
    change = cv2.subtract(more, region, None, None, cv2.CV_32F)
    cv2.multiply(change, mask, change, scale, cv2.CV_32F)
    cv2.add(region, change, region, None, cv2.CV_8U)


def _fixed(values):
    """Returns OpenCV's fixed-point form of coordinates, within what it can hold."""
    fixed = np.rint(values * (1 << _SHIFT_BITS))
    return np.minimum(np.maximum(fixed, -_FARTHEST), _FARTHEST).astype(np.int32)


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
