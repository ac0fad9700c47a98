"""Looks: skin, hair, clothes and what is worn with them, with matching palettes."""

from dataclasses import dataclass, replace

import numpy as np

from keras_pose.data.synthetic.rendering import mix, soft_mask

SKIN_TONES = (
    (255, 224, 202),
    (250, 209, 180),
    (240, 192, 156),
    (226, 172, 132),
    (204, 146, 106),
    (176, 118, 82),
    (142, 92, 62),
    (108, 69, 48),
    (82, 53, 39),
)
HAIR_TONES = (
    (28, 24, 24),
    (44, 33, 28),
    (66, 46, 34),
    (96, 64, 42),
    (134, 92, 54),
    (178, 132, 76),
    (220, 186, 124),
    (146, 66, 36),
    (168, 164, 160),
    (224, 222, 218),
)
TOP_COLORS = (
    (240, 240, 236),
    (38, 42, 50),
    (206, 62, 58),
    (226, 122, 62),
    (240, 190, 74),
    (122, 160, 88),
    (52, 112, 86),
    (78, 162, 168),
    (64, 112, 174),
    (40, 58, 108),
    (122, 88, 152),
    (214, 126, 152),
    (150, 154, 160),
    (226, 208, 176),
    (122, 46, 58),
    (146, 190, 220),
)
BOTTOM_COLORS = (
    (46, 58, 88),
    (74, 98, 136),
    (112, 136, 168),
    (40, 40, 44),
    (88, 88, 92),
    (188, 168, 132),
    (108, 92, 66),
    (72, 80, 58),
    (222, 218, 208),
    (112, 54, 50),
)
SHOE_COLORS = (
    (238, 238, 236),
    (40, 38, 40),
    (112, 74, 48),
    (196, 60, 54),
    (60, 92, 150),
    (128, 128, 132),
)
PATTERNS = ("rings", "bars", "checks", "dots", "print", "two_tone", "blotches")


@dataclass(frozen=True)
class Fabric:
    """Describes a cloth: its colours and how they alternate.

    Attributes:
        base, accent: (3,) RGB in [0, 255].
        pattern: "plain" or one of `PATTERNS`.
        period: metres after which the pattern repeats.
        phase: shift of the pattern, in [0, 1].
    """

    base: np.ndarray
    accent: np.ndarray
    pattern: str = "plain"
    period: float = 0.08
    phase: float = 0.0

    def without_print(self) -> "Fabric":
        """Returns the cloth for sleeves and legs, which carry no front print."""
        is_front_only = self.pattern in ("print", "two_tone")
        return replace(self, pattern="plain") if is_front_only else self

    def color(self, height: np.ndarray, around: np.ndarray, radius: float) -> np.ndarray:
        """Returns the colour of points of a cloth tube.

        Args:
            height: metres along the tube, (h, w).
            around: angle around it, radians, 0 at the front, (h, w).
            radius: radius of the tube, metres.

        Returns:
            (3,) or (h, w, 3) RGB.
        """
        mask = self._mask(height, around, radius)
        return self.base if mask is None else mix(self.base, self.accent, mask)

    def _mask(self, height, around, radius):
        """Returns where the accent shows, (h, w), or None for nowhere."""
        side = around * np.float32(radius)
        turn = np.float32(2 * np.pi / self.period)
        shift = np.float32(2 * np.pi * self.phase)
        match self.pattern:
            case "rings":
                return soft_mask(np.sin(height * turn + shift), 0.6)
            case "bars":
                return soft_mask(np.sin(side * turn + shift), 0.6)
            case "checks":
                rows = np.sin(height * turn + shift) > 0
                return 0.5 * rows + 0.5 * (np.sin(side * turn) > 0)
            case "dots":
                waves = np.cos(height * turn + shift) + np.cos(side * turn)
                return soft_mask(waves - 1.0, 0.5)
            case "two_tone":
                return soft_mask(height - np.float32(0.2 + 0.2 * self.phase), 0.01)
            case "blotches":
                warp = np.sin(side * turn * 0.6 + 2.0 * np.sin(height * turn * 0.5))
                return soft_mask(warp + np.sin(height * turn * 0.7 + shift), 0.3)
            case "print":
                x, y = side / 0.085, (height - 0.34) / 0.075
                return soft_mask(1.0 - x * x - y * y, 0.25)
        return None


@dataclass(frozen=True)
class Look:
    """Describes how one person looks.

    Attributes:
        skin, hair: (3,) RGB.
        hair_style: "bald", "short", "afro", "bob", "long", "ponytail" or "bun".
        headwear: "none", "cap" or "beanie".
        headwear_color: (3,) RGB.
        glasses: "none", "clear" or "dark".
        beard: strength in [0, 1].
        top, bottom: cloths.
        sleeve: share of the arm the sleeve covers, 0 (tank top) to 1 (wrist).
        leg: share of the leg that the bottom covers: 0.3 shorts to 1 trousers.
        leg_width: looseness of trousers, as a factor on the leg.
        skirt: share of the leg that a skirt covers; 0 for no skirt.
        one_piece: True if top and skirt are one dress.
        hem: length of the top below the waist, as a share of the lower trunk.
        open_front: True if the top is a jacket, open over a shirt.
        shirt, shoe, sock: (3,) RGB.
    """

    skin: np.ndarray
    hair: np.ndarray
    hair_style: str
    headwear: str
    headwear_color: np.ndarray
    glasses: str
    beard: float
    top: Fabric
    bottom: Fabric
    sleeve: float
    leg: float
    leg_width: float
    skirt: float
    one_piece: bool
    hem: float
    open_front: bool
    shirt: np.ndarray
    shoe: np.ndarray
    sock: np.ndarray


def sample_look(rng: np.random.Generator, group: str) -> Look:
    """Draws clothes and features for a "man", "woman" or "child"."""
    is_man = group == "man"
    top = _sample_fabric(rng, TOP_COLORS, pattern_share=0.5)
    bottom = _sample_fabric(rng, BOTTOM_COLORS, pattern_share=0.1)
    skirt_share = {"man": 0.0, "woman": 0.35, "child": 0.2}[group]
    skirt = rng.uniform(0.35, 0.75) if rng.random() < skirt_share else 0.0
    one_piece = bool(skirt and rng.random() < 0.55)
    sleeve = (0.0, 0.27, 0.4, 1.0)[int(np.searchsorted((0.14, 0.5, 0.62), rng.random()))]
    return Look(
        skin=_pick_color(rng, SKIN_TONES, 6.0),
        hair=_pick_color(rng, HAIR_TONES, 6.0),
        hair_style=_sample_hair(rng, group),
        headwear=("cap", "beanie", "none")[
            int(np.searchsorted((0.09, 0.15), rng.random()))
        ],
        headwear_color=_pick_color(rng, TOP_COLORS),
        glasses=("dark", "clear", "none")[int(np.searchsorted((0.06, 0.16), rng.random()))],
        beard=float(rng.uniform(0.3, 0.9)) if is_man and rng.random() < 0.35 else 0.0,
        top=top,
        bottom=top if one_piece else bottom,
        sleeve=(0.0, 0.27, 0.4, 1.0)[int(np.searchsorted((0.14, 0.5, 0.62), rng.random()))],
        leg=float((1.0, 0.36, 0.75)[int(np.searchsorted((0.66, 0.93), rng.random()))]),
        leg_width=float(rng.uniform(1.04, 1.34)),
        skirt=float(skirt),
        one_piece=one_piece,
        hem=float(rng.uniform(0.0, 0.9)),
        open_front=sleeve == 1.0 and not one_piece and rng.random() < 0.45,
        shirt=_pick_color(rng, TOP_COLORS),
        shoe=_pick_color(rng, SHOE_COLORS),
        sock=_pick_color(rng, SHOE_COLORS),
    )


def _pick_color(rng, palette, jitter: float = 12.0) -> np.ndarray:
    """Draws a colour of a palette and varies it a little."""
    color = np.array(palette[int(rng.integers(len(palette)))], np.float32)
    return np.clip(color + rng.normal(0.0, jitter, 3), 8, 250).astype(np.float32)


def _sample_fabric(rng, palette, pattern_share: float) -> Fabric:
    """Draws a cloth; the accent is lighter or darker than the base."""
    base, accent = _pick_color(rng, palette), _pick_color(rng, palette)
    if np.abs(base - accent).sum() < 120:
        accent = 255.0 - accent if abs(base.mean() - 127) > 60 else accent * 0.4
    is_plain = rng.random() >= pattern_share
    return Fabric(
        base=base,
        accent=accent.astype(np.float32),
        pattern="plain" if is_plain else PATTERNS[int(rng.integers(len(PATTERNS)))],
        period=float(rng.uniform(0.05, 0.14)),
        phase=float(rng.random()),
    )


def _sample_hair(rng, group: str) -> str:
    """Draws a hair style that is common in the group."""
    styles = {
        "man": ("short",) * 7 + ("bald", "afro", "long"),
        "woman": ("long",) * 4 + ("bob",) * 2 + ("ponytail",) * 2 + ("bun", "short"),
        "child": ("short",) * 4 + ("bob", "ponytail", "long", "afro"),
    }[group]
    return styles[int(rng.integers(len(styles)))]
