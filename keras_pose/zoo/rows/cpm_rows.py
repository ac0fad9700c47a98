"""Convolutional Pose Machines."""

from keras_pose.pictures.normalization import OPENPOSE
from keras_pose.zoo.spec import ModelSpec

PLACE = 40
BUILDERS = {
    "cpm": "cpm.build_cpm",
    "cpm_mpii": "cpm.build_cpm_mpii",
}
PAPER = "Wei et al. 2016, arXiv:1602.00134"

ROWS = (
    ModelSpec(
        name="cpm",
        family="cpm",
        input_hw=(256, 192),
        params=31_304_166,
        macs=63_736_184_832,
        paper=PAPER,
        stride=8,
        input_multiple=8,
    ),
    ModelSpec(
        name="cpm_mpii",
        family="cpm_mpii",
        input_hw=(368, 368),
        params=31_455_660,
        macs=175_936_631_296,
        paper=PAPER,
        reference_keypoints=14,
        stride=8,
        input_multiple=8,
        normalization=OPENPOSE,
    ),
)
