"""RTMW, for whole bodies."""

from keras_pose.zoo.spec import ModelSpec

PLACE = 100
BUILDERS = {"rtmw": "rtmw.build_rtmw"}
PAPER = "Jiang et al. 2024, arXiv:2407.08634"


def _row(size, width, depth, params, macs):
    return ModelSpec(
        name=f"rtmw_{size}",
        family="rtmw",
        options={"width": width, "depth": depth},
        input_hw=(256, 192),
        params=params,
        macs=macs,
        paper=PAPER,
        num_keypoints=133,
        reference_keypoints=133,
        is_convolutional=False,
        codec="simcc",
    )


ROWS = (
    _row("m", 0.75, 0.67, params=32_258_207, macs=4_299_139_712),
    _row("l", 1.0, 1.0, params=57_201_207, macs=7_888_090_752),
    _row("x", 1.25, 1.33, params=92_041_903, macs=13_043_948_160),
)
