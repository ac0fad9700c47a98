"""Draws one dressed person: turns a posed body and a look into painted parts."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from keras_pose.data.synthetic.anatomy import HEAD_HALF_AXES, SIDES, Body
from keras_pose.data.synthetic.rendering import (
    BODY,
    HAIR,
    HEAD,
    OBJECT,
    Canvas,
    Ellipsoid,
    Tube,
    flat_tube_shader,
    mix,
    owner_code,
    paint_ellipsoid,
    paint_polygon,
    paint_tube,
    soft_mask,
)
from keras_pose.data.synthetic.wardrobe import Fabric, Look

# Radii of bare limbs as fractions of the body height, evenly from end to end.
LIMB_RADII = {
    "upper_arm": (0.0300, 0.0290, 0.0265, 0.0235, 0.0215),
    "forearm": (0.0215, 0.0240, 0.0225, 0.0180, 0.0150),
    "thigh": (0.0520, 0.0505, 0.0450, 0.0380, 0.0315),
    "shin": (0.0310, 0.0335, 0.0310, 0.0240, 0.0195),
}


@dataclass(frozen=True)
class View:
    """Places a body in the image.

    Attributes:
        origin_xy: image position of the point (0, eye_level, 0), pixels.
        pixels_per_metre: scale at the origin's depth.
        distance: distance of the camera, metres; a small one makes near parts larger.
        eye_level: height of the optical axis, metres.
    """

    origin_xy: np.ndarray
    pixels_per_metre: float
    distance: float
    eye_level: float = 0.9

    def scale(self, xyz: np.ndarray) -> float:
        """Returns pixels per metre at a point."""
        return self.pixels_per_metre * self.distance / (self.distance - float(xyz[2]))

    def project(self, xyz: np.ndarray) -> np.ndarray:
        """Returns the (2,) image position of a point in metres."""
        scale = self.scale(xyz)
        offset = np.array((xyz[0], self.eye_level - xyz[1]))
        return self.origin_xy + offset * scale

    def depth(self, xyz: np.ndarray) -> float:
        """Returns the depth of a point, pixels, larger is nearer."""
        return self.pixels_per_metre * float(xyz[2])


@dataclass(frozen=True)
class Figure:
    """Holds all there is to draw about one person."""

    body: Body
    look: Look
    view: View
    number: int
    seat_color: np.ndarray | None = None
    ball_color: np.ndarray | None = None


@dataclass(frozen=True)
class Part:
    """Holds something to paint; parts are painted by ascending nearness (metres)."""

    nearness: float
    paint: Callable[[Canvas], None]


def paint_figure(canvas: Canvas, figure: Figure) -> None:
    """Paints a person over what is there, far parts first."""
    parts = [*_trunk(figure), *_head(figure), *_extras(figure)]
    for side in SIDES:
        parts += [*_arm(figure, side), *_leg(figure, side)]
    for part in sorted(parts, key=lambda part: part.nearness):
        part.paint(canvas)


def _limb(figure, start, end, radii, shader, nearness, part=BODY, caps=(1.0, 1.0)):
    """Makes a round limb between two points in metres, with radii in metres."""
    view = figure.view
    stations = np.arange(len(radii)) / (len(radii) - 1)
    scale, depth = view.scale(start), view.depth(start)
    scales = scale + stations * (view.scale(end) - scale)
    radii_px = np.asarray(radii) * scales
    tube = Tube(
        start_xy=view.project(start),
        end_xy=view.project(end),
        stations=stations,
        radii=radii_px,
        shifts=np.zeros(len(radii)),
        depths=depth + stations * (view.depth(end) - depth),
        thickness=radii_px,
        caps=caps,
    )
    code = owner_code(figure.number, part)
    return Part(nearness, lambda canvas: paint_tube(canvas, tube, shader, code))


def _weave(fabric: Fabric, length: float, radius: float, offset: float = 0.0):
    """Returns the colour of a cloth by (along, angle around), with a hint of folds."""

    def color(along, around):
        height = along * np.float32(length) + np.float32(offset)
        folds = 1.0 + 0.05 * np.sin(height * 48.0 + 2.5 * np.sin(around * 2.0))
        return fabric.color(height, around, radius) * folds[..., None]

    return color


def _limb_radii(figure: Figure, name: str) -> np.ndarray:
    """Returns the radii of a limb, metres."""
    size = figure.body.anatomy
    return np.array(LIMB_RADII[name]) * size.height * size.limb_girth


@dataclass(frozen=True)
class Sleeve:
    """A cloth around a limb.

    Attributes:
        fabric: the cloth.
        share: share of the limb's length that is covered, 0 to 1.
        fit: looseness at the limb's start and at the hem, as a factor on radii.
        offset: length of cloth before this limb, metres, so that patterns run on.
    """

    fabric: Fabric
    share: float
    fit: tuple[float, float]
    offset: float = 0.0


def _dressed_limb(figure, start, end, name: str, sleeve: Sleeve, nearness: float):
    """Makes the bare limb, unless all of it is covered, and the cloth over it."""
    radii = _limb_radii(figure, name)
    parts = []
    if sleeve.share < 0.95:
        skin = flat_tube_shader(figure.look.skin)
        parts.append(_limb(figure, start, end, radii, skin, nearness))
    if sleeve.share > 0:
        stations = np.linspace(0.0, 1.0, len(radii))
        covered = np.interp(stations * sleeve.share, stations, radii)
        length = sleeve.share * float(np.linalg.norm(end - start))
        shader = _sleeve_shader(sleeve, length, float(radii[0]))
        hem = start + sleeve.share * (end - start)
        covered *= sleeve.fit[0] + stations * (sleeve.fit[1] - sleeve.fit[0])
        caps = (1.0, 1.0 if sleeve.share == 1.0 else 0.25)
        parts.append(_limb(figure, start, hem, covered, shader, nearness + 1e-3, caps=caps))
    return parts


def _sleeve_shader(sleeve: Sleeve, length: float, radius: float):
    """Returns the shader of a cloth around a limb, as it faces the viewer."""
    weave = _weave(sleeve.fabric.without_print(), length, radius, sleeve.offset)
    return lambda along, sideways: weave(along, surface_angle(sideways))


def _arm(figure: Figure, side: str) -> list[Part]:
    """Makes upper arm, forearm, hand and sleeve."""
    joints, look = figure.body.joints, figure.look
    shoulder, elbow, wrist, hand = (
        joints[f"{side}_{name}"] for name in ("shoulder", "elbow", "wrist", "hand")
    )
    near_upper = 0.5 * float(shoulder[2] + elbow[2]) + 0.03
    near_lower = 0.5 * float(elbow[2] + wrist[2]) + 0.035
    upper = Sleeve(look.top, min(1.0, 2.0 * look.sleeve), (1.12, 1.22))
    share = 0.97 * max(0.0, 2.0 * look.sleeve - 1.0)
    lower = Sleeve(look.top, share, (1.2, 1.3), figure.body.anatomy.upper_arm)
    return [
        *_dressed_limb(figure, shoulder, elbow, "upper_arm", upper, near_upper),
        *_dressed_limb(figure, elbow, wrist, "forearm", lower, near_lower),
        *_hand(figure, side, wrist, hand, near_lower - 0.002),
    ]


def _hand(figure: Figure, side: str, wrist, hand, nearness: float) -> list[Part]:
    """Makes palm, fingers and thumb."""
    unit = figure.body.anatomy.height
    frame, skin = figure.body.frames[f"{side}_forearm"], flat_tube_shader(figure.look.skin)
    knuckles = wrist + 0.55 * (hand - wrist)
    # Palms of relaxed hands face the thighs, so thumbs point forwards.
    thumb_base = wrist + 0.2 * (hand - wrist)
    thumb = thumb_base + 0.4 * (hand - wrist) + 0.026 * unit * frame[:, 2]
    palm = unit * np.array((0.0135, 0.0175, 0.0180))
    fingers = unit * np.array((0.0175, 0.0150, 0.0105))
    return [
        _limb(figure, wrist, knuckles, palm, skin, nearness - 2e-3),
        _limb(figure, knuckles, hand, fingers, skin, nearness - 1e-3),
        _limb(figure, thumb_base, thumb, unit * np.array((0.008, 0.0065)), skin, nearness),
    ]


def _leg(figure: Figure, side: str) -> list[Part]:
    """Makes thigh, shin, foot and what covers them."""
    joints, look = figure.body.joints, figure.look
    hip, knee, ankle = (joints[f"{side}_{name}"] for name in ("hip", "knee", "ankle"))
    near_thigh = float(0.35 * hip[2] + 0.65 * knee[2]) - 0.06
    near_shin = float(0.5 * (knee[2] + ankle[2])) - 0.05
    covered = 0.16 if look.skirt else look.leg
    loose = 1.03 if look.skirt else look.leg_width
    upper = Sleeve(look.bottom, min(1.0, 2.0 * covered), (1.04, loose))
    share = 0.97 * max(0.0, 2.0 * covered - 1.0)
    flared = 1.0 + 1.6 * (loose - 1.0)
    lower = Sleeve(look.bottom, share, (loose, flared), figure.body.anatomy.thigh)
    return [
        *_dressed_limb(figure, hip, knee, "thigh", upper, near_thigh),
        *_dressed_limb(figure, knee, ankle, "shin", lower, near_shin),
        *_foot(figure, side, near_shin),
    ]


def _foot(figure: Figure, side: str, near_shin: float) -> list[Part]:
    """Makes sock, shoe and its sole."""
    joints, look, unit = figure.body.joints, figure.look, figure.body.anatomy.height
    heel, toe, ankle = (joints[f"{side}_{name}"] for name in ("heel", "toe", "ankle"))
    up = figure.body.frames[f"{side}_foot"][:, 1]
    nearness = min(float(0.5 * (heel[2] + toe[2])), near_shin + 0.10) - 0.005
    shoe, sock = flat_tube_shader(look.shoe), flat_tube_shader(look.sock)
    sole = flat_tube_shader(0.55 * look.shoe + 50.0)
    lift = 0.012 * unit * up
    sock_top = ankle + 0.16 * (joints[f"{side}_knee"] - ankle)
    instep = unit * np.array((0.022, 0.023, 0.020, 0.017, 0.015))
    return [
        _limb(figure, ankle, sock_top, unit * np.array((0.0205, 0.021)), sock,
              near_shin + 5e-4, caps=(1.0, 0.2)),
        _limb(figure, heel, toe, unit * np.array((0.019, 0.0165, 0.016)), sole,
              nearness - 2e-3),
        _limb(figure, heel + lift, toe + 0.4 * lift, instep, shoe, nearness - 1e-3),
        _limb(figure, heel + lift, ankle, unit * np.array((0.022, 0.0215)), shoe, nearness),
    ]  # fmt: skip


def _trunk(figure: Figure) -> list[Part]:
    """Makes the trunk with its clothes, the neck and a skirt."""
    joints = figure.body.joints
    nearness = float(0.5 * (joints["pelvis"][2] + joints["neck"][2]))
    rings, shader = _trunk_rings(figure), _trunk_shader(figure)
    parts = [
        _ringed_tube(figure, rings, shader, nearness, (0.35, 0.4)),
        _neck(figure, nearness - 0.005),
    ]
    if figure.look.skirt:
        parts.append(_skirt(figure, nearness - 0.01))
    return parts


def _neck(figure: Figure, nearness: float) -> Part:
    """Makes the neck, in the shade of the chin; collars are painted over it."""
    body, size = figure.body, figure.body.anatomy
    start, end = body.joints["neck"], body.joints["head"]
    radius = (0.031 if size.group == "man" else 0.027) * size.height
    shader = flat_tube_shader(0.88 * figure.look.skin)
    radii = (1.2 * radius, radius, radius)
    return _limb(figure, start, start + 0.65 * (end - start), radii, shader, nearness)


def surface_angle(sideways):
    """Returns the angle around a tube, 0 towards the viewer, from [-1, 1] across it."""
    return np.arcsin(np.minimum(np.maximum(sideways, np.float32(-1)), np.float32(1)))


def _trunk_rings(figure: Figure):
    """Lists (centre, frame, half-width, half-depth) from the crotch to the neck."""
    body, size = figure.body, figure.body.anatomy
    (chest, deep), waist, pelvis = size.chest, size.waist, size.pelvis
    bust = 1.10 if size.group == "woman" else 1.0
    table = (
        ("pelvis", -0.06, 0.66 * pelvis[0], 0.80 * pelvis[1]),
        ("pelvis", 0.00, 1.00 * pelvis[0], 1.00 * pelvis[1]),
        ("pelvis", 0.18, 0.98 * pelvis[0], 0.98 * pelvis[1]),
        ("waist", 0.45, waist[0], waist[1]),
        ("chest", 0.66, 0.93 * chest, 0.98 * deep * bust),
        ("chest", 0.80, 1.02 * chest, 1.02 * deep * bust),
        ("chest", 0.93, 0.93 * size.shoulder, 0.86 * deep),
        ("chest", 1.00, 0.74 * size.shoulder, 0.68 * deep),
        ("chest", 1.08, 0.40 * size.shoulder, 0.50 * deep),
    )
    origins = {"pelvis": ("pelvis", 0.0), "waist": ("pelvis", 0.0), "chest": ("neck", 1.0)}
    rings = []
    for name, share, half_width, half_depth in table:
        joint, base = origins[name]
        frame = body.frames[name]
        center = body.joints[joint] + (share - base) * size.torso * frame[:, 1]
        rings.append((center, frame, 1.03 * half_width, 1.03 * half_depth))
    return rings


def _ringed_tube(figure, rings, shader, nearness, caps) -> Part:
    """Makes a tube through elliptic rings, seen from the current view."""
    view = figure.view
    centers = np.array([view.project(center) for center, *_ in rings])
    start, end = centers[0], centers[-1]
    axis = end - start
    length = max(float(np.hypot(*axis)), 1e-3)
    direction = axis / length
    side = np.array((-direction[1], direction[0]))
    along = (centers - start) @ direction / length
    stations = np.maximum.accumulate(
        np.clip(along, 0.0, 1.0) + np.arange(len(rings)) * 1e-4
    )
    radii, thickness, tilt = [], [], []
    for center, frame, half_width, half_depth in rings:
        scale = view.scale(center)
        axes = scale * np.stack((half_width * frame[:, 0], half_depth * frame[:, 2]))
        radii.append(np.hypot(*(axes[:, 0] * side[0] - axes[:, 1] * side[1])))
        thickness.append(np.hypot(*axes[:, 2]))
        tilt.append(np.hypot(*(axes[:, 0] * direction[0] - axes[:, 1] * direction[1])))
    tube = Tube(
        start_xy=start,
        end_xy=end,
        stations=stations / stations[-1],
        radii=np.array(radii),
        shifts=(centers - start) @ side,
        depths=np.array([view.depth(center) for center, *_ in rings]),
        thickness=np.array(thickness),
        caps=(caps[0] + tilt[0] / radii[0], caps[1] + tilt[-1] / radii[-1]),
    )
    code = owner_code(figure.number)
    return Part(nearness, lambda canvas: paint_tube(canvas, tube, shader, code))


def _trunk_shader(figure: Figure):
    """Returns the shader of shirt, neckline, belt and trousers."""
    look, size = figure.look, figure.body.anatomy
    front = figure.body.frames["chest"][:, 2]
    facing = np.float32(np.arctan2(front[0], front[2]))
    length = np.float32(1.2 * size.torso)
    hem = 0.30 - 0.28 * look.hem
    collar = 0.87 if look.sleeve > 0 else 0.81
    top = _weave(look.top, float(length), size.chest[0])

    def shader(along, sideways):
        around = surface_angle(sideways) - facing + np.float32(np.pi)
        around = np.remainder(around, np.float32(2 * np.pi)) - np.float32(np.pi)
        color = top(along, around)
        if not look.one_piece:
            color = mix(color, look.bottom.base, soft_mask(hem - along, 0.02))
        if look.open_front:
            lapel = 0.16 + 0.5 * along - np.abs(around)
            color = mix(color, look.shirt, soft_mask(lapel, 0.05) * (along > hem))
        opening = along - collar - 0.07 * np.minimum(np.abs(around), 1.6)
        return mix(color, look.skin, soft_mask(opening, 0.02))

    return shader


def _skirt(figure: Figure, nearness: float) -> Part:
    """Makes a skirt that hangs from the waist and follows the thighs."""
    body, look, size = figure.body, figure.look, figure.body.anatomy
    joints, frame = body.joints, body.frames["pelvis"]
    knees = 0.5 * (joints["left_knee"] + joints["right_knee"])
    down = (knees - joints["pelvis"]) * (2.0 * look.skirt)
    hem = joints["pelvis"] + down
    gap = joints["left_knee"] - joints["right_knee"]
    spread = float(np.linalg.norm(gap)) * look.skirt
    flare = max(1.05 * size.pelvis[0], 0.5 * spread + 0.07 * size.height)
    width, deep = 1.05 * size.pelvis[0], 1.08 * size.pelvis[1]
    waist = joints["pelvis"] + 0.3 * size.torso * frame[:, 1]
    middle = joints["pelvis"] + 0.4 * down
    rings = (
        (waist, frame, 0.98 * size.waist[0], size.waist[1]),
        (joints["pelvis"], frame, width, deep),
        (middle, frame, 0.6 * width + 0.4 * flare, 0.7 * deep + 0.3 * flare),
        (hem, frame, flare, 0.25 * deep + 0.6 * flare),
    )
    cloth = _weave(look.bottom, 0.6, size.pelvis[0])

    def shader(along, sideways):
        around = surface_angle(sideways)
        pleats = 1.0 - 0.10 * soft_mask(np.sin(around * 9.0), 1.4) * along
        return cloth(along, around) * pleats[..., None]

    return _ringed_tube(figure, rings, shader, nearness, (0.05, 0.08))


def _head(figure: Figure) -> list[Part]:
    """Makes head, ears, nose, hair and what is worn on them."""
    body, look = figure.body, figure.look
    frame, center = body.frames["head"], body.joints["head"]
    near = float(center[2]) + 0.05
    skin = look.skin
    parts = [_ball(figure, (0, 0, 0), HEAD_HALF_AXES, _face_shader(look), near, HEAD)]
    for sign in SIDES.values():
        ear = near + 0.02 * (1 if sign * frame[2, 0] > 0.15 else -1)
        offset = (sign * 0.345, -0.045, -0.02)
        parts.append(_ball(figure, offset, (0.045, 0.10, 0.07), _plain(skin), ear, HEAD))
    if frame[2, 2] > -0.25:
        parts.append(
            _ball(figure, (0, -0.085, 0.40), (0.055, 0.085, 0.085), _plain(1.02 * skin),
                  near + (0.012 if frame[2, 2] > 0.1 else -0.01), HEAD)
        )  # fmt: skip
    return [*parts, *_hair(figure, near), *_headwear(figure, near)]


def _ball(figure, offset, half_axes, shader, nearness, part, keep=None) -> Part:
    """Makes an ellipsoid; offset and half-axes are fractions of the head's height."""
    body, view, unit = figure.body, figure.view, figure.body.anatomy.head
    frame = body.frames["head"]
    center = body.joints["head"] + unit * (frame @ offset)
    axes = frame * (np.asarray(half_axes) * unit * view.scale(center))
    shape = Ellipsoid(view.project(center), view.depth(center), axes)
    code = owner_code(figure.number, part)
    return Part(nearness, lambda canvas: paint_ellipsoid(canvas, shape, shader, code, keep))


def _plain(color):
    """Returns the ellipsoid shader of one colour."""
    return lambda points: color


def _spot(x, y, center, half_axes, softness=0.7):
    """Returns the mask of an ellipse with a soft edge."""
    squared = ((x - center[0]) / half_axes[0]) ** 2 + ((y - center[1]) / half_axes[1]) ** 2
    return soft_mask(1.0 - squared, softness)


def _face_shader(look: Look):
    """Returns the shader of a face: eyes, brows, cheeks, mouth, beard."""
    brow = 0.8 * look.hair
    white = np.array((242, 240, 236), np.float32)
    dark = np.array((34, 26, 24), np.float32)
    blush = np.array((14, -8, -8), np.float32)
    lips = 0.72 * look.skin + np.array((38, -6, -2), np.float32)

    def shader(points):
        x, y, z = (points[i] * np.float32(HEAD_HALF_AXES[i]) for i in range(3))
        side, front = np.abs(x), soft_mask(z - 0.05, 0.1)
        color = mix(look.skin, 0.75 * look.skin, _spot(x, y, (0, -0.17), (0.09, 0.03)))
        if look.beard:
            chin = soft_mask(-0.19 - y - 0.35 * side, 0.06) * soft_mask(z + 0.05, 0.1)
            color = mix(color, look.hair, look.beard * chin)
        cheeks = _spot(side, y, (0.19, -0.14), (0.12, 0.10), 2.0)
        color = mix(color, look.skin + blush, 0.6 * cheeks)
        color = mix(
            color, lips, front * _spot(x, y - 2.0 * x * x, (0, -0.29), (0.13, 0.03))
        )
        color = mix(
            color, brow, front * _spot(side, y + 0.2 * side, (0.155, 0.185), (0.10, 0.024))
        )
        if look.glasses == "dark":
            return mix(color, dark, front * _spot(side, y, (0.15, 0.02), (0.13, 0.085)))
        color = mix(color, white, front * _spot(side, y, (0.15, 0.02), (0.085, 0.050)))
        color = mix(color, dark, front * _spot(side, y, (0.15, 0.015), (0.040, 0.048)))
        if look.glasses == "clear":
            rim = _spot(side, y, (0.15, 0.02), (0.14, 0.095), 0.4)
            rim = rim * (1.0 - _spot(side, y, (0.15, 0.02), (0.11, 0.07), 0.4))
            color = mix(color, dark, front * rim)
        return color

    return shader


def _strands(color):
    """Returns the shader of hair with strands."""

    def shader(points):
        waves = np.sin(points[0] * 26.0 + points[2] * 14.0 + 3.0 * points[1])
        return color * (1.0 + 0.07 * waves)[..., None]

    return shader


def _above(figure, base, slope, dip=0.0):
    """Returns a mask of the head above a slanted line, in pixels inside it."""
    unit = np.float32(figure.view.pixels_per_metre * figure.body.anatomy.head)
    dy, dz = HEAD_HALF_AXES[1], HEAD_HALF_AXES[2]

    def keep(points):
        line = points[1] * dy - base - slope * dz * points[2] + dip * points[0] ** 2
        return line * unit

    return keep


def _hair(figure: Figure, near: float) -> list[Part]:
    """Makes the hair on the scalp and what hangs from it."""
    look = figure.look
    style, shader = look.hair_style, _strands(look.hair)
    if style == "bald":
        return []
    size = {"afro": 1.34, "short": 1.07, "bob": 1.13, "long": 1.10}.get(style, 1.07)
    half_axes = tuple(size * value for value in HEAD_HALF_AXES)
    slope = 0.95 if style == "short" else 0.75
    keep = _above(figure, 0.02 if style == "short" else 0.0, slope, 0.06)
    parts = [_ball(figure, (0, 0.02, -0.01), half_axes, shader, near + 0.015, HAIR, keep)]
    hanging = {
        "bob": ((0, 0.12, -0.12), (0, -0.42, -0.14), (0.36, 0.40, 0.36)),
        "long": ((0, 0.15, -0.14), (0, -1.00, -0.30), (0.36, 0.38, 0.34, 0.24)),
        "ponytail": ((0, 0.18, -0.46), (0, -0.70, -0.58), (0.10, 0.14, 0.12, 0.05)),
    }
    if style == "bun":
        parts.append(
            _ball(figure, (0, 0.38, -0.36), (0.18, 0.18, 0.18), shader, near - 0.01, HAIR)
        )
    if style in hanging:
        parts.append(_hanging_hair(figure, *hanging[style], near))
    return parts


def _hanging_hair(figure, start, end, radii, near: float) -> Part:
    """Makes hair that hangs behind the head, between two points of its frame."""
    body, unit, look = figure.body, figure.body.anatomy.head, figure.look
    frame, center = body.frames["head"], body.joints["head"]
    start, end = (center + unit * (frame @ point) for point in (start, end))

    def shader(along, sideways):
        waves = np.sin(surface_angle(sideways) * 11.0 + 2.0 * np.sin(along * 5.0))
        return look.hair * (1.0 + 0.13 * waves - 0.1 * along)[..., None]

    behind = frame[2, 2] > -0.2
    nearness = near + 0.10
    if behind:
        nearness = min(near - 0.16, float(body.joints["neck"][2]) - 0.2)
    if abs(frame[2, 2]) < 0.5:
        nearness = near - 0.03
    return _limb(figure, start, end, unit * np.array(radii), shader, nearness, HAIR)


def _headwear(figure: Figure, near: float) -> list[Part]:
    """Makes a cap with its peak, or a beanie."""
    look = figure.look
    if look.headwear == "none":
        return []
    half_axes = tuple(1.14 * value for value in HEAD_HALF_AXES)
    shader = _plain(look.headwear_color)
    keep = (
        _above(figure, 0.17, 0.18) if look.headwear == "cap" else _above(figure, 0.1, 0.25)
    )
    parts = [_ball(figure, (0, 0.02, -0.01), half_axes, shader, near + 0.02, HAIR, keep)]
    if look.headwear == "cap":
        is_front = figure.body.frames["head"][2, 2] > 0
        peak = _plain(0.8 * look.headwear_color)
        parts.append(
            _ball(figure, (0, 0.235, 0.50), (0.27, 0.03, 0.24), peak,
                  near + (0.025 if is_front else -0.02), HAIR)
        )  # fmt: skip
    return parts


def _extras(figure: Figure) -> list[Part]:
    """Makes a seat under the pelvis and a ball in a hand."""
    parts = []
    joints, view = figure.body.joints, figure.view
    seat_color = figure.seat_color
    if seat_color is not None:
        nearness = float(joints["pelvis"][2]) - 0.08
        parts.append(Part(nearness, lambda canvas: _paint_seat(canvas, figure, seat_color)))
    if figure.ball_color is not None:
        center = joints["left_hand"] + (0.0, 0.0, 0.04)
        radius = 0.11 * view.scale(center)
        shape = Ellipsoid(view.project(center), view.depth(center), np.eye(3) * radius)
        shader = _ball_shader(figure.ball_color)
        parts.append(
            Part(
                float(center[2]) + 0.06,
                lambda canvas: paint_ellipsoid(canvas, shape, shader, OBJECT),
            )
        )
    return parts


def _ball_shader(color):
    """Returns the shader of a ball with a band."""
    return lambda points: mix(color, 255.0 - color, soft_mask(0.22 - abs(points[1]), 0.08))


def _paint_seat(canvas: Canvas, figure: Figure, paint: np.ndarray) -> None:
    """Paints a box from the ground to the underside of the pelvis."""
    body, view = figure.body, figure.view
    size, center = body.anatomy, body.joints["pelvis"]
    front = body.frames["pelvis"][:, 2]
    yaw = np.arctan2(front[0], front[2])
    top = center[1] - 0.95 * size.pelvis[1]
    ahead = np.array((np.sin(yaw), 0.0, np.cos(yaw))) * 0.13 * size.height
    right = np.array((np.cos(yaw), 0.0, -np.sin(yaw))) * 0.13 * size.height
    base = np.array((center[0], 0.0, center[2])) + 0.25 * ahead
    corners = [
        base + a * ahead + b * right for a, b in ((1, 1), (1, -1), (-1, -1), (-1, 1))
    ]
    rise = np.array((0.0, top, 0.0))
    low = [view.project(corner) for corner in corners]
    high = [view.project(corner + rise) for corner in corners]
    shades = (1.0, 0.7, 0.8, 0.62)
    order = sorted(range(4), key=lambda i: corners[i][2] + corners[(i + 1) % 4][2])
    for i in order:
        j = (i + 1) % 4
        color = shades[i] * paint
        paint_polygon(canvas, (low[i], low[j], high[j], high[i]), color, OBJECT)
    paint_polygon(canvas, high, 1.12 * paint, OBJECT)
