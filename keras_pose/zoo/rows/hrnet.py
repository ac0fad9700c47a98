"""HRNet."""

from keras_pose.zoo.spec import ModelSpec

PAPER = "Sun et al. 2019, arXiv:1902.09212"

ROWS = (
    ModelSpec(
        name="hrnet_w32",
        family="hrnet",
        options={"width": 32},
        input_hw=(256, 192),
        params=28_536_113,
        macs=7_645_003_776,
        paper=PAPER,
    ),
    ModelSpec(
        name="hrnet_w48",
        family="hrnet",
        options={"width": 48},
        input_hw=(256, 192),
        params=63_595_745,
        macs=15_691_825_152,
        paper=PAPER,
    ),
)
