"""RTMPose."""

from keras_pose.zoo.spec import ModelSpec

PLACE = 90
BUILDERS = {"rtmpose": "rtmpose.build_rtmpose"}
PAPER = "Jiang et al. 2023, arXiv:2303.07399"


def _row(size, width, depth, params, macs):
    return ModelSpec(
        name=f"rtmpose_{size}",
        family="rtmpose",
        options={"width": width, "depth": depth},
        input_hw=(256, 192),
        params=params,
        macs=macs,
        paper=PAPER,
        is_convolutional=False,
        codec="simcc",
    )


ROWS = (
    _row("t", 0.375, 0.167, params=3_337_007, macs=354_796_416),
    _row("s", 0.5, 0.33, params=5_473_251, macs=676_405_888),
    _row("m", 0.75, 0.67, params=13_587_611, macs=1_917_671_040),
    _row("l", 1.0, 1.0, params=27_660_339, macs=4_142_310_016),
)
