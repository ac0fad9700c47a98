"""Stacked Hourglass."""

from keras_pose.zoo.spec import ModelSpec

PAPER = "Newell et al. 2016, arXiv:1603.06937"

ROWS = (
    ModelSpec(
        name="hourglass_1",
        family="hourglass",
        options={"num_stacks": 1},
        input_hw=(256, 256),
        params=3_587_217,
        macs=5_805_703_168,
        paper=PAPER,
        reference_keypoints=16,
        input_multiple=64,
    ),
    ModelSpec(
        name="hourglass_2",
        family="hourglass",
        options={"num_stacks": 2},
        input_hw=(256, 256),
        params=6_731_682,
        macs=8_992_063_488,
        paper=PAPER,
        reference_keypoints=16,
        input_multiple=64,
    ),
    ModelSpec(
        name="hourglass_8",
        family="hourglass",
        options={"num_stacks": 8},
        input_hw=(256, 256),
        params=25_598_472,
        macs=28_110_225_408,
        paper=PAPER,
        reference_keypoints=16,
        input_multiple=64,
    ),
)
