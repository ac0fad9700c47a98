"""Paints shaded, anti-aliased solids: tubes (limbs, trunk) and ellipsoids (heads).

Solids are painted back to front. Beside the colours, the canvas remembers for each
pixel who was painted last and how near that surface is: keypoint visibility is read
from there. Image frame: x right, y down, pixels; depth grows towards the viewer.
"""

from collections.abc import Callable
from dataclasses import dataclass

import cv2
import numpy as np

NOBODY = 0
OBJECT = 255
BODY, HEAD, HAIR = 0, 1, 2  # parts of a person
_TABLE_SIZE = 160  # samples along a tube, so about one per pixel
_PLACES = np.linspace(0.0, 1.0, _TABLE_SIZE)


@dataclass
class Canvas:
    """Holds an image while it is painted.

    Attributes:
        color: (H, W, 3) float32 RGB in [0, 255].
        owner: (H, W) uint8, who owns the pixel: NOBODY, OBJECT, or the
            `owner_code` of a person's part.
        depth: (H, W) float32, nearness of the topmost surface, pixels.
        light: (3,) unit vector towards the light: x right, y down, z to the viewer.
    """

    color: np.ndarray
    owner: np.ndarray
    depth: np.ndarray
    light: np.ndarray

    @classmethod
    def over(cls, background: np.ndarray, light) -> "Canvas":
        """Starts from an (H, W, 3) background."""
        height, width = background.shape[:2]
        light = np.asarray(light, np.float32)
        return cls(
            color=background.astype(np.float32),
            owner=np.zeros((height, width), np.uint8),
            depth=np.full((height, width), -1e9, np.float32),
            light=light / np.linalg.norm(light),
        )


def owner_code(number: int, part: int = BODY) -> int:
    """Returns what `Canvas.owner` holds for a part of person 1, 2, ..., 30."""
    return number * 8 + part


# A shader maps surface coordinates to colours: (h, w) or (h, w, 3), or one (3,).
TubeShader = Callable[[np.ndarray, np.ndarray], np.ndarray]
EllipsoidShader = Callable[[np.ndarray], np.ndarray]


def flat_tube_shader(color: np.ndarray) -> TubeShader:
    """Returns the shader of one colour."""
    return lambda along, sideways: color


@dataclass(frozen=True)
class Tube:
    """Describes a tube with a profile along a straight image axis.

    Attributes:
        start_xy, end_xy: ends of the axis, pixels.
        stations: (S,) places along the axis, 0 at start and 1 at end, ascending.
        radii: (S,) half-widths there, pixels.
        shifts: (S,) sideways displacement of the centre line there, pixels.
        depths: (S,) depth of the centre line, pixels.
        thickness: (S,) radius towards the viewer, pixels.
        caps: length of the rounded ends (start, end) in radii; 1 is a sphere.
    """

    start_xy: np.ndarray
    end_xy: np.ndarray
    stations: np.ndarray
    radii: np.ndarray
    shifts: np.ndarray
    depths: np.ndarray
    thickness: np.ndarray
    caps: tuple[float, float] = (1.0, 1.0)


def paint_tube(canvas: Canvas, tube: Tube, shader: TubeShader, owner: int) -> None:
    """Paints a tube over what is there.

    Args:
        canvas: changed in place.
        tube: the shape.
        shader: gets (along, sideways): along is 0 at the start and 1 at the end,
            sideways is -1 and 1 at the edges, 0 on the line nearest to the viewer;
            both (h, w). With the start below the end, 1 is the right edge.
        owner: number written into `canvas.owner`.
    """
    axis = tube.end_xy - tube.start_xy
    length = max(float(np.hypot(*axis)), 1e-3)
    direction = axis / length if length > 1e-2 else np.array((0.0, 1.0))
    box = _tube_box(canvas, tube)
    if box is None:
        return
    x, y = _pixel_grid(box, tube.start_xy)
    along = x * direction[0] + y * direction[1]
    across = x * -direction[1] + y * direction[0]
    clipped = _clamp(along, 0.0, length)
    index = (clipped * ((_TABLE_SIZE - 1) / length)).astype(np.intp)
    radius, shift, depth, thickness = (table.take(index) for table in _tables(tube))
    beyond = along - clipped
    start_cap, end_cap = (np.float32(max(cap, 0.05)) for cap in tube.caps)
    stretch = np.where(beyond < 0, 1 / start_cap, 1 / end_cap)
    sideways = (across - shift) / radius
    endways = beyond * stretch / radius
    squared = sideways * sideways + endways * endways
    edge = radius * (1.0 - np.sqrt(squared))
    bulge = np.sqrt(np.maximum(1.0 - squared, 0.0))
    # Rounded ends are lit like the tube beside them: a joint must not look like a ball.
    front = np.sqrt(np.maximum(1.0 - sideways * sideways, 0.0))
    perpendicular = (-direction[1], direction[0])
    light = canvas.light
    lit = (
        sideways * np.float32(perpendicular[0] * light[0] + perpendicular[1] * light[1])
        + front * light[2]
    )
    share = clipped * np.float32(1.0 / length)
    color = _shade(shader(share, sideways), lit, front)
    # No contact shadow near the ends, where limbs continue into each other.
    contact = np.minimum(4.0 * np.minimum(share, 1.0 - share), 1.0)
    _blend(canvas, box, edge, color, depth + thickness * bulge, owner, contact)


def _tables(tube: Tube):
    """Samples radius, shift, depth and thickness evenly along the tube."""
    rows = (tube.radii, tube.shifts, tube.depths, tube.thickness)
    radius, *others = (
        np.interp(_PLACES, tube.stations, row).astype(np.float32) for row in rows
    )
    return np.maximum(radius, 0.3), *others


def _tube_box(canvas: Canvas, tube: Tube):
    """Returns the (left, top, right, bottom) pixels a tube may touch, or None."""
    reach = float(np.max(tube.radii) + np.max(np.abs(tube.shifts))) + 2.0
    reach = max(reach, reach * max(tube.caps))
    ends = np.stack((tube.start_xy, tube.end_xy))
    return _clip_box(canvas, ends.min(axis=0) - reach, ends.max(axis=0) + reach)


def _clip_box(canvas: Canvas, low_xy, high_xy):
    """Rounds a box outwards and clips it to the canvas; None if nothing is left."""
    height, width = canvas.owner.shape
    left, top = max(int(low_xy[0]), 0), max(int(low_xy[1]), 0)
    right, bottom = min(int(high_xy[0]) + 2, width), min(int(high_xy[1]) + 2, height)
    return (left, top, right, bottom) if left < right and top < bottom else None


def _clamp(values, low: float, high: float):
    """Does what np.clip does, at a third of its overhead on small arrays."""
    return np.minimum(np.maximum(values, np.float32(low)), np.float32(high))


def _pixel_grid(box, origin_xy):
    """Returns x (1, w) and y (h, 1) of the pixel centres, relative to an origin."""
    left, top, right, bottom = box
    x = np.arange(left, right, dtype=np.float32)[None, :] - np.float32(origin_xy[0])
    y = np.arange(top, bottom, dtype=np.float32)[:, None] - np.float32(origin_xy[1])
    return x, y


def _shade(color: np.ndarray, lit: np.ndarray, front: np.ndarray) -> np.ndarray:
    """Lights a colour; edges that turn away from the viewer get darker."""
    brightness = 0.50 + 0.50 * np.maximum(lit, -0.35) + 0.12 * front
    return color * brightness[..., None]


def _blend(canvas: Canvas, box, edge, color, depth, owner: int, contact=1.0) -> None:
    """Lays a shape over the canvas; `edge` is the distance inside its outline."""
    left, top, right, bottom = box
    view = (slice(top, bottom), slice(left, right))
    target, owners = canvas.color[view], canvas.owner[view]
    alpha = _clamp(edge + 0.5, 0.0, 1.0)
    if owner not in (NOBODY, OBJECT):
        # A soft contact shadow on the same body keeps limbs apart from the trunk.
        halo = _clamp(1.0 + edge * 0.3, 0.0, 1.0) * (
            0.3 * contact * (owners >> 3 == owner >> 3)
        )
        target *= (1.0 - halo)[..., None]
    target += alpha[..., None] * (color - target)
    covered = alpha > 0.5
    np.copyto(owners, np.uint8(owner), where=covered)
    np.copyto(canvas.depth[view], depth, where=covered, casting="same_kind")


@dataclass(frozen=True)
class Ellipsoid:
    """Describes an ellipsoid.

    Attributes:
        center_xy: its centre, pixels.
        depth: depth of the centre, pixels.
        axes: (3, 3), columns are its half-axes in the frame x right, y up, z to the
            viewer, pixels.
    """

    center_xy: np.ndarray
    depth: float
    axes: np.ndarray


def paint_ellipsoid(
    canvas: Canvas,
    shape: Ellipsoid,
    shader: EllipsoidShader,
    owner: int,
    keep: Callable[[np.ndarray], np.ndarray] | None = None,
) -> None:
    """Paints an ellipsoid over what is there.

    Args:
        canvas: changed in place.
        shape: the ellipsoid.
        shader: gets (3, h, w) surface points along the half-axes, of unit length.
        owner: number written into `canvas.owner`.
        keep: maps the same points to how much of the surface exists there, pixels
            inside its outline; None paints all of it.
    """
    reach = np.sqrt((shape.axes[:2] ** 2).sum(axis=1)) + 1.5
    box = _clip_box(canvas, shape.center_xy - reach, shape.center_xy + reach)
    if box is None:
        return
    x, y = _pixel_grid(box, shape.center_xy)
    inverse = np.linalg.inv(shape.axes).astype(np.float32)
    flat = inverse[:, 0, None, None] * x - inverse[:, 1, None, None] * y
    toward = inverse[:, 2]
    # Points p = flat + z * toward of the sphere |p| = 1; the larger z is in front.
    norm = np.float32(toward @ toward)
    middle = -np.einsum("i,ihw->hw", toward, flat) / norm
    inside = 1.0 - (flat * flat).sum(axis=0) + middle * middle * norm
    z = middle + np.sqrt(np.maximum(inside, 0.0) / norm)
    points = flat + toward[:, None, None] * z
    edge = (1.0 - np.sqrt(np.maximum(1.0 - inside, 0.0))) * np.float32(reach.mean() - 1.5)
    normals = np.einsum("ij,ihw->jhw", inverse, points)
    normals /= np.sqrt((normals * normals).sum(axis=0)) + 1e-6
    light = canvas.light
    lit = normals[0] * light[0] - normals[1] * light[1] + normals[2] * light[2]
    if keep is not None:
        edge = np.minimum(edge, keep(points))
    color = _shade(shader(points), lit, normals[2])
    _blend(canvas, box, edge, color, np.float32(shape.depth) + z, owner)


def soft_mask(signed: np.ndarray, softness: float) -> np.ndarray:
    """Turns a signed distance into a mask in [0, 1] with a soft edge at zero."""
    return _clamp(signed * np.float32(1.0 / softness) + 0.5, 0.0, 1.0)


def mix(color: np.ndarray, other: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """Blends colours, (3,) or (h, w, 3), where an (h, w) mask is 1."""
    color = np.asarray(color, np.float32)
    return color + mask[..., None] * (np.asarray(other, np.float32) - color)


def paint_layer(canvas: Canvas, box, color: np.ndarray, alpha: np.ndarray) -> None:
    """Lays a flat picture of an object over the canvas.

    Args:
        canvas: changed in place; covered pixels belong to OBJECT afterwards.
        box: (left, top, right, bottom) on the canvas, inside it.
        color: (h, w, 3) uint8.
        alpha: (h, w) uint8, 255 where the object hides everything.
    """
    left, top, right, bottom = box
    view = (slice(top, bottom), slice(left, right))
    opacity = alpha.astype(np.float32) / 255.0
    canvas.color[view] += opacity[..., None] * (color - canvas.color[view])
    np.copyto(canvas.owner[view], np.uint8(OBJECT), where=alpha > 127)
    np.copyto(canvas.depth[view], np.float32(1e9), where=alpha > 127)


def paint_polygon(canvas: Canvas, points_xy, color, owner: int, depth=1e9) -> None:
    """Paints a flat convex polygon over what is there.

    Args:
        canvas: changed in place.
        points_xy: (N, 2) corners, pixels.
        color: (3,) RGB.
        owner: number written into `canvas.owner`.
        depth: number written into `canvas.depth`.
    """
    points = np.asarray(points_xy, np.float64)
    box = _clip_box(canvas, points.min(axis=0) - 1, points.max(axis=0) + 1)
    if box is None:
        return
    left, top, right, bottom = box
    alpha = np.zeros((bottom - top, right - left), np.uint8)
    local = np.round((points - (left, top)) * 16).astype(np.int32)
    cv2.fillConvexPoly(alpha, local, 255, cv2.LINE_AA, shift=4)
    view = (slice(top, bottom), slice(left, right))
    opacity = alpha[..., None] * np.float32(1 / 255)
    canvas.color[view] += opacity * (np.asarray(color, np.float32) - canvas.color[view])
    np.copyto(canvas.owner[view], np.uint8(owner), where=alpha > 127)
    np.copyto(canvas.depth[view], np.float32(depth), where=alpha > 127)


def darken(canvas: Canvas, center_xy, radii_xy, strength: float) -> None:
    """Paints a soft elliptic shadow."""
    radii = np.maximum(np.asarray(radii_xy, np.float32), 1.0)
    box = _clip_box(canvas, center_xy - radii, center_xy + radii)
    if box is None:
        return
    x, y = _pixel_grid(box, center_xy)
    squared = (x / radii[0]) ** 2 + (y / radii[1]) ** 2
    shadow = np.float32(strength) * np.maximum(1.0 - squared, 0.0)
    left, top, right, bottom = box
    canvas.color[top:bottom, left:right] *= (1.0 - shadow)[..., None]
