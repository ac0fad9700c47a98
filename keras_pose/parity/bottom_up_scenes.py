"""Maps of bottom-up networks that the cases without a model are made of.

They are small, and of integers where they can be: then numbers that are equal here are
equal in every language, and what is tested is which of two equals goes first.
"""

from __future__ import annotations

import numpy as np

from keras_pose.codecs.part_affinity import PartAffinityCodec
from keras_pose.contracts.bottom_up import BottomUpContract
from keras_pose.contracts.fields import TensorSpec
from keras_pose.parity.scenes import COLOURS
from keras_pose.skeleton import Skeleton

Scene = tuple[BottomUpContract, list[np.ndarray]]

# Neck, head and hands are joined in a ring, so that limbs can disagree.
STICK = Skeleton(
    name="stick",
    names=("head", "neck", "left_hand", "right_hand", "hip", "left_foot", "right_foot"),
    mirrored=(("left_hand", "right_hand"), ("left_foot", "right_foot")),
    limbs=(
        ("neck", "head"),
        ("neck", "left_hand"),
        ("neck", "right_hand"),
        ("left_hand", "head"),
        ("neck", "hip"),
        ("hip", "left_foot"),
        ("hip", "right_foot"),
    ),
)
# Somebody who stands, (x, y) in cells from the neck.
_STANDING = np.array([(0, -2), (0, 0), (2, 1), (-2, 1), (0.1, 2), (1.1, 4.2), (-1.1, 4.2)])
_INPUT_HW = (80, 104)
_STEP = 1 / 64  # real value of one integer step: quarters are whole numbers of steps


def bottom_up_scenes() -> dict[str, Scene]:
    """Returns contracts, and heatmaps and fields that such a network may answer."""
    return {
        "two_people": _drawn([(3.2, 3.3), (9.2, 4.6)]),
        "nobody": _drawn([]),
        "a_crowd_whose_limbs_cross": _drawn(
            [(3, 3.3), (4.6, 4.1), (6.2, 3.6), (7.1, 5.3), (10, 3.4), (10.6, 3.4)], seed=4
        ),
        "beyond_the_borders": _drawn(
            [(0.2, 2.1), (11.9, 1.4), (5.3, 8.6), (12.4, 6.3)], seed=5
        ),
        "parts_and_shared_peaks": _parts(),
        # With these, every rule that is broken in a core shows in a case.
        "equals_in_order": _coarse(seed=2),
        "more_equals_in_order": _coarse(seed=35),
        "at_most_three_peaks": _coarse(seed=17, max_peaks=3, min_keypoints=2),
        "other_limbs_in_float32": _other_limbs(),
    }


def _contract(skeleton, codec, specs=(("int8", _STEP, 0),) * 2) -> BottomUpContract:
    heatmaps, fields = (
        TensorSpec(name, (1, *shape), *spec)
        for name, shape, spec in zip(
            codec.output_names, codec.output_shapes(skeleton), specs, strict=True
        )
    )
    return BottomUpContract(
        model="crowd",
        input=TensorSpec("image", (1, *codec.input_hw, 3), "uint8"),
        heatmaps=heatmaps,
        fields=fields,
        codec=codec,
        skeleton=skeleton,
    )


def _quantized(maps, noise):
    return [
        np.round((x + y) / _STEP).astype(np.int8) for x, y in zip(maps, noise, strict=True)
    ]


def _noise(shapes, size, seed):
    rng = np.random.default_rng(seed)
    return [rng.uniform(-size, size, shape) for shape in shapes]


def _drawn(necks, seed=3) -> Scene:
    """Returns maps of people who stand, each of another size, with noise."""
    codec = PartAffinityCodec(_INPUT_HW)
    sizes = 1 - 0.04 * np.arange(len(necks))
    cells = _STANDING * sizes[:, None, None] + np.reshape(necks, (-1, 1, 2))
    visibility = np.full(cells.shape[:2], 2)
    maps = codec.encode(codec.to_input(cells), visibility, STICK)
    noise = _noise(codec.output_shapes(STICK), 0.04, seed)
    return _contract(STICK, codec), _quantized(maps, noise)


def _parts() -> Scene:
    """Returns maps of three: one whose hip is hidden, and two who share a hand."""
    codec = PartAffinityCodec(_INPUT_HW)
    cells = _STANDING + np.reshape([(2.1, 2.3), (6.2, 3.4), (10, 3.1)], (-1, 1, 2))
    cells[2, 3] = cells[1, 2]  # the right hand of one lies on the left hand of the other
    visibility = np.full((3, 7), 2)
    visibility[0, 4] = 0
    heatmaps, fields = codec.encode(codec.to_input(cells), visibility, STICK)
    # As a network has it that cannot tell both hands apart.
    hand = heatmaps[..., [2, 3]].max(axis=-1)
    heatmaps[..., 2], heatmaps[..., 3] = hand, hand
    noise = _noise(codec.output_shapes(STICK), 0.02, seed=8)
    return _contract(STICK, codec), _quantized((heatmaps, fields), noise)


def _coarse(seed, **settings) -> Scene:
    """Returns maps of few, coarse steps: heights, limbs, gaps and people are equal.

    Beyond their middle they are the same once more, so people come in pairs.
    """
    rules = {"min_field": 0.25, "min_share": 0.6, "min_score": 0.375, "max_gap": 1.0}
    codec = PartAffinityCodec((64, 96), **rules | settings)
    rng = np.random.default_rng(seed)
    (height, width, channels), (_, _, num_components) = codec.output_shapes(STICK)
    half = width // 2
    heatmaps = np.zeros((height, half, channels))
    places = rng.random(heatmaps.shape) < 0.08
    heatmaps[places] = rng.choice([0.25, 0.5, 0.5, 1], places.sum())
    heatmaps[3:5, 2:4, 0] = 0.5  # a flat top
    fields = rng.choice([-0.5, 0, 0.25, 0.5, 1], (height, half, num_components))
    # Of the ring all limbs that lead the same way are equal; of another, some just reach
    # the threshold.
    fields[..., :4], fields[..., 6:8], fields[..., 8:10] = 0.5, 0.5, 0.25
    maps = [np.concatenate([each, each], axis=1) for each in (heatmaps, fields)]
    return _contract(STICK, codec), _quantized(maps, (0, 0))


def _other_limbs() -> Scene:
    """Returns float32 maps of three keypoints, with a stride and rules of their own."""
    codec = PartAffinityCodec(
        (32, 48),
        stride=4,
        sigma=1.1,
        limb_width=0.7,
        min_peak=0.3,
        num_points=7,
        min_field=0.1,
        min_share=0.55,
        max_gap=0,
        min_keypoints=2,
        min_score=0.5,
    )
    body = np.array([(0, -2), (0.4, 0.1), (-0.3, 2.3)])
    cells = body + np.reshape([(2.2, 3.1), (5.4, 3.9), (6.1, 3.7), (10.3, 4.2)], (-1, 1, 2))
    visibility = np.array([(2, 2, 2), (2, 2, 2), (2, 2, 2), (2, 0, 2)])
    maps = codec.encode(codec.to_input(cells), visibility, COLOURS)
    noise = _noise(codec.output_shapes(COLOURS), 0.05, seed=9)
    contract = _contract(COLOURS, codec, (("float32", None, None),) * 2)
    return contract, [(x + y).astype(np.float32) for x, y in zip(maps, noise, strict=True)]
