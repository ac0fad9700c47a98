"""Bodies and poses: a small 3D skeleton with human proportions and joint limits.

Frames. Body and world share one right-handed frame in metres: x to the right of
the image, y up, z towards the camera. A person with yaw 0 faces the camera, so the
person's left is +x and the person's front is +z. Angles are degrees; a positive
flexion bends a joint the way it folds (knee backwards, hip and elbow forwards).
"""

from dataclasses import dataclass, field

import numpy as np

SIDES = {"left": 1.0, "right": -1.0}

JOINT_LIMITS_DEGREES = {
    "spine_flexion": (-30.0, 75.0),
    "spine_bend": (-30.0, 30.0),
    "spine_twist": (-35.0, 35.0),
    "neck_flexion": (-40.0, 45.0),
    "neck_bend": (-25.0, 25.0),
    "neck_twist": (-65.0, 65.0),
    "hip_flexion": (-25.0, 125.0),
    "hip_abduction": (-15.0, 45.0),
    "hip_rotation": (-30.0, 40.0),
    "knee_flexion": (0.0, 145.0),
    "ankle_flexion": (-30.0, 45.0),
    "shoulder_elevation": (0.0, 178.0),
    "shoulder_azimuth": (-45.0, 185.0),
    "shoulder_twist": (-95.0, 90.0),
    "elbow_flexion": (0.0, 145.0),
}

Range = tuple[float, float]


@dataclass(frozen=True)
class Anatomy:
    """Holds the measures of one body, in metres.

    Attributes:
        group: "man", "woman" or "child".
        height: length from the sole to the crown, standing.
        head: length from the chin to the crown.
        neck: length from the shoulder line to the chin.
        torso: length from the hip joints to the shoulder line.
        shoulder: half the distance between the shoulder joints.
        hip: half the distance between the hip joints.
        chest, waist, pelvis: half-width and half-depth of the trunk there.
        limb_girth: factor on the radii of arms and legs.
    """

    group: str
    height: float
    head: float
    neck: float
    torso: float
    thigh: float
    shin: float
    ankle: float
    foot: float
    upper_arm: float
    forearm: float
    hand: float
    shoulder: float
    hip: float
    chest: tuple[float, float]
    waist: tuple[float, float]
    pelvis: tuple[float, float]
    limb_girth: float


# Fractions of the height, rows: adult, child of about four. Their vertical
# stack (ankle to head) is normalised to 1 when a body is made.
_VERTICAL = {
    "ankle": (0.040, 0.040),
    "shin": (0.245, 0.205),
    "thigh": (0.245, 0.215),
    "torso": (0.285, 0.300),
    "neck": (0.042, 0.030),
    "head": (0.142, 0.195),
}
# Half-widths and half-depths as fractions of the height.
_TRUNK = {
    "man": {"chest": (0.096, 0.066), "waist": (0.080, 0.060), "pelvis": (0.089, 0.063)},
    "woman": {
        "chest": (0.085, 0.064),
        "waist": (0.068, 0.052),
        "pelvis": (0.095, 0.066),
    },
    "child": {
        "chest": (0.088, 0.066),
        "waist": (0.080, 0.062),
        "pelvis": (0.086, 0.064),
    },
}
_SHOULDER = {"man": 0.109, "woman": 0.098, "child": 0.098}


def sample_anatomy(rng: np.random.Generator) -> Anatomy:
    """Draws a man, a woman or a child of random height and build."""
    group = ("man", "woman", "child")[int(np.searchsorted((0.42, 0.82), rng.random()))]
    youth = rng.uniform(0.25, 1.0) if group == "child" else 0.0
    height = {
        "man": rng.normal(1.77, 0.07),
        "woman": rng.normal(1.65, 0.065),
        "child": 1.62 - 0.6 * youth,
    }[group]
    build = float(np.clip(rng.normal(1.0, 0.11), 0.84, 1.32))
    return build_anatomy(group, float(np.clip(height, 0.95, 2.0)), build, youth)


def build_anatomy(group: str, height: float, build: float, youth: float = 0.0) -> Anatomy:
    """Makes the body of a group ("man", "woman", "child").

    Args:
        group: row of the proportion tables.
        height: metres.
        build: factor on widths; 0.85 is thin, 1.3 stout.
        youth: 0 for the proportions of an adult, 1 for those of a small child.
    """
    stack = {name: a + (c - a) * youth for name, (a, c) in _VERTICAL.items()}
    unit = height / sum(stack.values())
    lengths = {name: fraction * unit for name, fraction in stack.items()}

    def trunk(name: str) -> tuple[float, float]:
        half_width, half_depth = _TRUNK[group][name]
        stoutness = 1.4 if name == "waist" else 0.8  # weight gathers at the waist
        return half_width * height * build**stoutness, half_depth * height * build

    return Anatomy(
        group=group,
        height=height,
        foot=0.150 * height,
        upper_arm=(0.172 - 0.012 * youth) * height,
        forearm=(0.150 - 0.012 * youth) * height,
        hand=0.094 * height,
        shoulder=_SHOULDER[group] * height * build**0.3,
        hip=(0.054 if group != "woman" else 0.058) * height,
        limb_girth=build**0.8 * (0.92 if group == "woman" else 1.0) * (1 + 0.1 * youth),
        chest=trunk("chest"),
        waist=trunk("waist"),
        pelvis=trunk("pelvis"),
        **lengths,
    )


@dataclass(frozen=True)
class Stance:
    """Ranges of pelvis, spine and legs in degrees, drawn uniformly.

    Attributes:
        weight: frequency relative to the other stances.
        lead, trail: joint ranges of one leg and of the other; which leg leads is random.
        pelvis_pitch: forward lean of the pelvis.
        spine_flexion: forward bend of the spine.
        lift: height of the body above the ground, metres.
        arms: names in `ARM_POSES` this stance prefers; empty for any.
        arms_share: share of draws that take the preferred arms, not any.
        seat: True if something to sit on belongs under the pelvis.
        legs_follow_pelvis: True to add the pelvis pitch to the hips, so legs stay upright.
    """

    weight: float
    lead: dict[str, Range]
    trail: dict[str, Range]
    pelvis_pitch: Range = (-3.0, 5.0)
    spine_flexion: Range = (-6.0, 10.0)
    lift: Range = (0.0, 0.0)
    arms: tuple[str, ...] = ()
    arms_share: float = 0.75
    seat: bool = False
    legs_follow_pelvis: bool = False


def _leg(flexion: Range, knee: Range, abduction: Range = (-1.0, 8.0)):
    """Spells out the three ranges of a leg."""
    return {"hip_flexion": flexion, "knee_flexion": knee, "hip_abduction": abduction}


STANCES = {
    "standing": Stance(30, _leg((-5, 10), (0, 14)), _leg((-6, 4), (0, 6))),
    "wide_standing": Stance(
        9, _leg((-3, 12), (0, 20), (12, 24)), _leg((-3, 8), (0, 12), (10, 22))
    ),
    "walking": Stance(
        16,
        _leg((14, 32), (2, 16), (0, 4)),
        _leg((-22, -8), (8, 45), (0, 4)),
        arms=("swing_forward", "swing_back", "hanging"),
    ),
    "running": Stance(
        8,
        _leg((40, 80), (55, 110), (0, 5)),
        _leg((-25, -5), (20, 100), (0, 5)),
        pelvis_pitch=(4, 16),
        lift=(0.0, 0.12),
        arms=("running_forward", "running_back"),
    ),
    "sitting": Stance(
        7,
        _leg((78, 98), (60, 102), (2, 16)),
        _leg((78, 98), (60, 102), (2, 16)),
        pelvis_pitch=(-14, 8),
        spine_flexion=(0, 22),
        arms=("holding", "hanging", "face", "crossed", "on_knee"),
        seat=True,
    ),
    "floor_sitting": Stance(
        2,
        _leg((75, 100), (5, 75), (4, 25)),
        _leg((75, 100), (0, 60), (4, 25)),
        pelvis_pitch=(-20, 0),
        spine_flexion=(5, 30),
    ),
    "crouching": Stance(
        4,
        _leg((88, 120), (105, 138), (4, 22)),
        _leg((80, 118), (105, 138), (4, 22)),
        pelvis_pitch=(5, 28),
        spine_flexion=(8, 35),
        arms=("reaching", "holding", "on_knee", "hanging"),
    ),
    "kneeling": Stance(
        3, _leg((78, 96), (80, 102), (2, 12)), _leg((-6, 12), (82, 105), (0, 8))
    ),
    "lunging": Stance(
        4, _leg((55, 85), (60, 95), (0, 10)), _leg((-22, -4), (10, 40), (0, 10))
    ),
    "jumping": Stance(
        4,
        _leg((5, 60), (15, 95), (2, 18)),
        _leg((-15, 40), (15, 95), (2, 18)),
        lift=(0.12, 0.45),
    ),
    "star_jumping": Stance(
        2,
        _leg((0, 15), (0, 15), (22, 40)),
        _leg((0, 15), (0, 15), (22, 40)),
        lift=(0.1, 0.4),
        arms=("raised", "t_pose", "cheering"),
    ),
    "kicking": Stance(3, _leg((45, 95), (0, 45), (0, 15)), _leg((-6, 6), (0, 18), (0, 6))),
    "balancing": Stance(
        2, _leg((30, 70), (60, 120), (5, 35)), _leg((-5, 5), (0, 8), (0, 3))
    ),
    "bending": Stance(
        4,
        _leg((-5, 12), (0, 30)),
        _leg((-5, 12), (0, 30)),
        pelvis_pitch=(25, 62),
        spine_flexion=(10, 40),
        arms=("reaching", "hanging", "on_knee"),
        legs_follow_pelvis=True,
    ),
    "lying": Stance(
        2,
        _leg((-5, 40), (0, 70), (0, 15)),
        _leg((-5, 30), (0, 50), (0, 15)),
        pelvis_pitch=(-96, -84),
        arms=("hanging", "t_pose", "raised"),
        arms_share=1.0,
    ),
}


def _arm(elevation: Range, azimuth: Range, elbow: Range, twist: Range = (-10.0, 20.0)):
    """Spells out an arm: azimuth 0 lifts it forwards, 90 sideways, 180 backwards."""
    return {
        "shoulder_elevation": elevation,
        "shoulder_azimuth": azimuth,
        "elbow_flexion": elbow,
        "shoulder_twist": twist,
    }


ARM_POSES = {
    "hanging": _arm((8, 18), (60, 110), (3, 28)),
    "on_hip": _arm((38, 52), (95, 118), (88, 108), (55, 80)),
    "raised": _arm((135, 174), (40, 100), (0, 45)),
    "cheering": _arm((105, 140), (70, 100), (10, 60), (-70, -30)),
    "t_pose": _arm((72, 108), (72, 100), (0, 28)),
    "waving": _arm((70, 110), (65, 95), (70, 115), (-92, -60)),
    "reaching": _arm((50, 105), (-8, 45), (0, 40)),
    "holding": _arm((12, 40), (5, 45), (65, 105), (0, 30)),
    "crossed": _arm((28, 44), (8, 30), (85, 108), (45, 62)),
    "face": _arm((45, 70), (0, 30), (118, 138), (10, 35)),
    "behind_head": _arm((115, 150), (70, 95), (105, 138), (-20, 10)),
    "on_knee": _arm((18, 42), (5, 40), (5, 45), (0, 20)),
    "swing_forward": _arm((12, 35), (-5, 25), (8, 45)),
    "swing_back": _arm((12, 32), (155, 180), (3, 25)),
    "running_forward": _arm((20, 48), (-8, 20), (75, 115), (0, 30)),
    "running_back": _arm((28, 58), (160, 182), (65, 105), (-5, 15)),
    "behind_back": _arm((12, 28), (140, 170), (30, 70), (50, 85)),
}
_ANY_ARM = (
    *("hanging",) * 8,
    *("on_hip", "raised", "cheering", "t_pose", "waving", "reaching"),
    *("holding", "crossed", "face", "behind_head", "behind_back", "raised"),
)


@dataclass(frozen=True)
class Pose:
    """Holds the joint angles of one body.

    Attributes:
        stance: key of `STANCES`.
        angles: degrees; limb joints are prefixed, as in "left_knee_flexion".
        pelvis_pitch: forward lean of the pelvis, degrees.
        yaw: heading in degrees; 0 faces the camera, 90 faces the image's right.
        lift: metres above the ground.
    """

    stance: str
    angles: dict[str, float]
    pelvis_pitch: float = 0.0
    yaw: float = 0.0
    lift: float = 0.0


def sample_pose(rng: np.random.Generator) -> Pose:
    """Draws a stance, arms and head that stay within `JOINT_LIMITS_DEGREES`."""
    names = tuple(STANCES)
    weights = np.cumsum([STANCES[name].weight for name in names])
    name = names[int(np.searchsorted(weights, rng.random() * weights[-1], "right"))]
    stance = STANCES[name]
    pitch = rng.uniform(*stance.pelvis_pitch)
    if name == "lying" and rng.random() < 0.4:
        pitch = -pitch  # face down
    angles = _sample_trunk(rng, stance)
    angles |= _sample_legs(rng, stance, pitch)
    angles |= _sample_arms(rng, stance)
    return Pose(
        stance=name,
        angles={key: _limited(key, value) for key, value in angles.items()},
        pelvis_pitch=pitch,
        yaw=_sample_yaw(rng, name),
        lift=rng.uniform(*stance.lift),
    )


def _limited(key: str, value: float) -> float:
    """Clips an angle to the limits of its joint."""
    low, high = JOINT_LIMITS_DEGREES[key.removeprefix("left_").removeprefix("right_")]
    return min(max(value, low), high)


def _sample_yaw(rng, stance: str) -> float:
    """Draws a heading: half of the people roughly face the camera."""
    if stance == "lying":
        return float(rng.choice((-90.0, 90.0)) + rng.normal(0, 20))
    if rng.random() < 0.5:
        return float(rng.normal(0.0, 32.0))
    return float(rng.uniform(-180.0, 180.0))


def _sample_trunk(rng, stance: Stance) -> dict[str, float]:
    """Draws the angles of spine and neck."""
    return {
        "spine_flexion": rng.uniform(*stance.spine_flexion),
        "spine_bend": rng.normal(0.0, 6.0),
        "spine_twist": rng.normal(0.0, 9.0),
        "neck_flexion": rng.normal(2.0, 11.0),
        "neck_bend": rng.normal(0.0, 6.0),
        "neck_twist": rng.normal(0.0, 22.0),
    }


def _sample_legs(rng, stance: Stance, pelvis_pitch: float) -> dict[str, float]:
    """Draws the angles of both legs; feet of upright legs end up flat."""
    sides = ("left", "right") if rng.random() < 0.5 else ("right", "left")
    angles: dict[str, float] = {}
    for side, ranges in zip(sides, (stance.lead, stance.trail), strict=True):
        leg = {name: rng.uniform(*limits) for name, limits in ranges.items()}
        if stance.legs_follow_pelvis:
            leg["hip_flexion"] += pelvis_pitch
        if pelvis_pitch > 80.0:
            leg["hip_flexion"] *= -0.2  # face down, the ground is in the way
        leg["hip_rotation"] = rng.uniform(-4.0, 18.0)
        shin_pitch = pelvis_pitch + leg["knee_flexion"] - leg["hip_flexion"]
        leg["ankle_flexion"] = -shin_pitch + rng.normal(0.0, 5.0)
        if stance.lift[1] > 0.0 or abs(pelvis_pitch) > 80.0:
            leg["ankle_flexion"] = rng.uniform(0.0, 40.0)  # toes hang down
        angles |= {f"{side}_{name}": value for name, value in leg.items()}
    return angles


def _sample_arms(rng, stance: Stance) -> dict[str, float]:
    """Draws the angles of both arms, often the same pose on both sides."""
    choices = stance.arms if stance.arms and rng.random() < stance.arms_share else _ANY_ARM
    first, second = (choices[int(rng.integers(len(choices)))] for _ in range(2))
    opposite = {"forward": "back", "back": "forward"}
    gait, _, swing = first.rpartition("_")
    if gait in ("swing", "running"):
        second = f"{gait}_{opposite[swing]}"
    elif rng.random() < 0.4:
        second = first
    angles: dict[str, float] = {}
    for side, name in (("left", first), ("right", second)):
        angles |= {
            f"{side}_{joint}": rng.uniform(*limits)
            for joint, limits in ARM_POSES[name].items()
        }
    return angles


def rotation_x(angle_degrees: float) -> np.ndarray:
    """Rotates y towards z."""
    angle = np.deg2rad(angle_degrees)
    c, s = np.cos(angle), np.sin(angle)
    return np.array(((1.0, 0.0, 0.0), (0.0, c, -s), (0.0, s, c)))


def rotation_y(angle_degrees: float) -> np.ndarray:
    """Rotates z towards x."""
    angle = np.deg2rad(angle_degrees)
    c, s = np.cos(angle), np.sin(angle)
    return np.array(((c, 0.0, s), (0.0, 1.0, 0.0), (-s, 0.0, c)))


def rotation_z(angle_degrees: float) -> np.ndarray:
    """Rotates x towards y."""
    angle = np.deg2rad(angle_degrees)
    c, s = np.cos(angle), np.sin(angle)
    return np.array(((c, -s, 0.0), (s, c, 0.0), (0.0, 0.0, 1.0)))


@dataclass
class Body:
    """Holds a posed body.

    Attributes:
        anatomy: its measures.
        joints: name -> (3,) position, metres. Beside the COCO names: pelvis, waist,
            neck, head, {side}_hand (finger tips), {side}_heel, {side}_toe.
        frames: name -> (3, 3) rotation whose columns are the part's left, up and
            front: pelvis, chest, head, {side}_upper_arm, {side}_forearm,
            {side}_thigh, {side}_shin, {side}_foot.
    """

    anatomy: Anatomy
    joints: dict[str, np.ndarray] = field(default_factory=dict)
    frames: dict[str, np.ndarray] = field(default_factory=dict)


# Face landmarks in the head's frame, as fractions of the head's height.
FACE_LANDMARKS = {
    "nose": (0.0, -0.095, 0.475),
    "left_eye": (0.150, 0.020, 0.375),
    "right_eye": (-0.150, 0.020, 0.375),
    "left_ear": (0.345, -0.045, -0.02),
    "right_ear": (-0.345, -0.045, -0.02),
}
HEAD_HALF_AXES = (0.335, 0.50, 0.415)


def pose_body(anatomy: Anatomy, pose: Pose, camera_pitch: float = 0.0) -> Body:
    """Computes the joints of a body that stands on the ground.

    Args:
        anatomy: the body's measures.
        pose: its joint angles.
        camera_pitch: degrees the camera looks down.

    Returns:
        A body in the camera's frame; its origin is the ground below the pelvis.
    """
    body = Body(anatomy)
    body.frames["pelvis"] = rotation_y(pose.yaw) @ rotation_x(pose.pelvis_pitch)
    body.joints["pelvis"] = np.zeros(3)
    _pose_trunk(body, pose.angles)
    for side in SIDES:
        _pose_arm(body, pose.angles, side)
        _pose_leg(body, pose.angles, side)
    _stand_on_ground(body, pose.lift)
    view = rotation_x(camera_pitch)
    body.joints = {name: view @ xyz for name, xyz in body.joints.items()}
    body.frames = {name: view @ frame for name, frame in body.frames.items()}
    return body


def _pose_trunk(body: Body, angles: dict[str, float]) -> None:
    """Adds waist, neck, head and face; the spine bends half below, half above."""
    size, joints, frames = body.anatomy, body.joints, body.frames
    half = _bend(angles, "spine", 0.5)
    frames["waist"] = frames["pelvis"] @ half
    frames["chest"] = frames["waist"] @ half
    up = np.array((0.0, 1.0, 0.0))
    joints["waist"] = 0.45 * size.torso * (frames["waist"] @ up)
    joints["neck"] = joints["waist"] + 0.55 * size.torso * (frames["chest"] @ up)
    half = _bend(angles, "neck", 0.5)
    frames["neck"] = frames["chest"] @ half
    frames["head"] = frames["neck"] @ half
    chin = joints["neck"] + frames["neck"] @ (0.0, size.neck, 0.10 * size.head)
    joints["head"] = chin + frames["head"] @ (0.0, 0.5 * size.head, 0.0)
    for name, offset in FACE_LANDMARKS.items():
        joints[name] = joints["head"] + size.head * (frames["head"] @ offset)


def _bend(angles: dict[str, float], part: str, share: float) -> np.ndarray:
    """Returns the rotation of a share of the spine's or the neck's angles."""
    flexion, bend, twist = (
        share * angles.get(f"{part}_{name}", 0.0) for name in ("flexion", "bend", "twist")
    )
    return rotation_y(twist) @ rotation_z(bend) @ rotation_x(flexion)


def _pose_arm(body: Body, angles: dict[str, float], side: str) -> None:
    """Adds shoulder, elbow, wrist and finger tips of one side."""
    size, joints, frames, sign = body.anatomy, body.joints, body.frames, SIDES[side]
    elevation = angles.get(f"{side}_shoulder_elevation", 0.0)
    azimuth = sign * angles.get(f"{side}_shoulder_azimuth", 0.0)
    twist = -sign * angles.get(f"{side}_shoulder_twist", 0.0)
    swing = rotation_y(azimuth) @ rotation_x(-elevation) @ rotation_y(twist - azimuth)
    upper = frames["chest"] @ swing
    lower = upper @ rotation_x(-angles.get(f"{side}_elbow_flexion", 0.0))
    # The collar bone lifts the shoulder once the arm passes the horizontal.
    shrug = 0.028 * size.height * max(0.0, elevation - 80.0) / 95.0
    offset = (sign * size.shoulder, shrug - 0.012 * size.height, 0.0)
    joints[f"{side}_shoulder"] = joints["neck"] + frames["chest"] @ offset
    joints[f"{side}_elbow"] = joints[f"{side}_shoulder"] - size.upper_arm * upper[:, 1]
    joints[f"{side}_wrist"] = joints[f"{side}_elbow"] - size.forearm * lower[:, 1]
    joints[f"{side}_hand"] = joints[f"{side}_wrist"] - size.hand * lower[:, 1]
    frames[f"{side}_upper_arm"], frames[f"{side}_forearm"] = upper, lower


def _pose_leg(body: Body, angles: dict[str, float], side: str) -> None:
    """Adds hip, knee, ankle, heel and toe of one side."""
    size, joints, frames, sign = body.anatomy, body.joints, body.frames, SIDES[side]

    def angle(name):
        return angles.get(f"{side}_{name}", 0.0)

    thigh = frames["pelvis"] @ rotation_x(-angle("hip_flexion"))
    thigh = thigh @ rotation_z(sign * angle("hip_abduction"))
    thigh = thigh @ rotation_y(sign * angle("hip_rotation"))
    shin = thigh @ rotation_x(angle("knee_flexion"))
    foot = shin @ rotation_x(angle("ankle_flexion"))
    joints[f"{side}_hip"] = joints["pelvis"] + sign * size.hip * frames["pelvis"][:, 0]
    joints[f"{side}_knee"] = joints[f"{side}_hip"] - size.thigh * thigh[:, 1]
    ankle = joints[f"{side}_knee"] - size.shin * shin[:, 1]
    joints[f"{side}_ankle"] = ankle
    sole = -0.62 * size.ankle
    joints[f"{side}_heel"] = ankle + foot @ (0.0, sole, -0.22 * size.foot)
    joints[f"{side}_toe"] = ankle + foot @ (0.0, sole, 0.62 * size.foot)
    frames[f"{side}_thigh"], frames[f"{side}_shin"] = thigh, shin
    frames[f"{side}_foot"] = foot


def _stand_on_ground(body: Body, lift: float) -> None:
    """Moves the body up or down until its lowest point touches y = `lift`."""
    radius = 0.38 * body.anatomy.ankle
    lowest = min(xyz[1] for xyz in body.joints.values())
    trunk = min(body.joints[name][1] for name in ("pelvis", "waist", "head"))
    lowest = min(lowest - radius, trunk - body.anatomy.pelvis[1])
    for xyz in body.joints.values():
        xyz[1] += lift - lowest
