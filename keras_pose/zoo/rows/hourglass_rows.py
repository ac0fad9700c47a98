"""Stacked Hourglass: bearpaw's form, Princeton's, and CornerNet's with one stack."""

from keras_pose.pictures.normalization import Normalization
from keras_pose.zoo.spec import ModelSpec

PLACE = 30
BUILDERS = {
    "hourglass": "hourglass.build_hourglass",
    "hourglass_princeton": "hourglass_princeton.build_hourglass_princeton",
    "hourglass_52": "hourglass_52.build_hourglass_52",
}
PAPER = "Newell et al. 2016, arXiv:1603.06937"
CORNERNET = "Law and Deng 2018, arXiv:1808.01244"
# Princeton's code only divides by 255.
PLAIN = Normalization(mean=(0.0, 0.0, 0.0), std=(1.0, 1.0, 1.0))

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
        name="hourglass_4",
        family="hourglass",
        options={"num_stacks": 4},
        input_hw=(256, 256),
        params=13_020_612,
        macs=15_364_784_128,
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
    ModelSpec(
        name="hourglass_princeton_2",
        family="hourglass_princeton",
        options={"num_stacks": 2},
        input_hw=(256, 256),
        params=6_571_170,
        macs=8_337_752_064,
        paper=PAPER,
        reference_keypoints=16,
        input_multiple=64,
        normalization=PLAIN,
    ),
    ModelSpec(
        name="hourglass_princeton_8",
        family="hourglass_princeton",
        options={"num_stacks": 8},
        input_hw=(256, 256),
        params=25_437_960,
        macs=27_455_913_984,
        paper=PAPER,
        reference_keypoints=16,
        input_multiple=64,
        normalization=PLAIN,
    ),
    ModelSpec(
        name="hourglass_52",
        family="hourglass_52",
        input_hw=(256, 256),
        params=93_667_217,
        macs=28_620_161_024,
        paper=CORNERNET,
        input_multiple=128,
    ),
)
