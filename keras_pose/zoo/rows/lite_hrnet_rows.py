"""Lite-HRNet."""

from keras_pose.zoo.spec import ModelSpec

PLACE = 70
BUILDERS = {"lite_hrnet": "lite_hrnet.build_lite_hrnet"}
PAPER = "Yu et al. 2021, arXiv:2104.06403"

ROWS = (
    ModelSpec(
        name="lite_hrnet_18",
        family="lite_hrnet",
        options={"num_modules": (2, 4, 2)},
        input_hw=(256, 192),
        params=1_130_769,
        macs=198_626_688,
        paper=PAPER,
    ),
    ModelSpec(
        name="lite_hrnet_30",
        family="lite_hrnet",
        options={"num_modules": (3, 8, 3)},
        input_hw=(256, 192),
        params=1_763_717,
        macs=309_451_488,
        paper=PAPER,
    ),
)
