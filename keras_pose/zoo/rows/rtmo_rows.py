"""RTMO."""

from keras_pose.pictures.normalization import Normalization
from keras_pose.zoo.spec import ModelSpec

PLACE = 125
BUILDERS = {"rtmo": "rtmo.build_rtmo"}
PAPER = "Lu et al. 2023, arXiv:2312.07526"
# Blue, green and red as they are, from 0 to 255.
NORMALIZATION = Normalization(
    mean=(0.0, 0.0, 0.0), std=(1 / 255, 1 / 255, 1 / 255), channel_order="bgr"
)


def _row(size, input_hw, params, macs, **options):
    return ModelSpec(
        name=f"rtmo_{size}",
        family="rtmo",
        options=options,
        input_hw=input_hw,
        params=params,
        macs=macs,
        paper=PAPER,
        task="one_stage",
        stride=16,
        is_convolutional=False,
        normalization=NORMALIZATION,
    )


ROWS = (
    _row("t", (416, 416), params=6_819_453, macs=4_156_266_624, width=0.375, depth=0.33),
    _row("s", (640, 640), params=9_854_669, macs=12_893_100_800, width=0.5, depth=0.33),
    _row("m", (640, 640), params=22_505_005, macs=32_426_246_400, width=0.75, depth=0.67),
    _row("l", (640, 640), params=44_664_941, macs=68_308_108_800, width=1.0, depth=1.0),
)
