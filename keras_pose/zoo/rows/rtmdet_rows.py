"""RTMDet."""

from keras_pose.pictures.normalization import Normalization
from keras_pose.zoo.spec import ModelSpec

PLACE = 140
BUILDERS = {"rtmdet": "rtmdet.build_rtmdet"}
PAPER = "Lyu et al. 2022, arXiv:2212.07784"
# The configs' numbers, for blue, green and red in [0, 255].
NORMALIZATION = Normalization(
    mean=(103.53 / 255, 116.28 / 255, 123.675 / 255),
    std=(57.375 / 255, 57.12 / 255, 58.395 / 255),
    channel_order="bgr",
)


def _row(size, input_hw, num_classes, params, macs, **options):
    return ModelSpec(
        name=f"rtmdet_{size}",
        family="rtmdet",
        options=options,
        input_hw=input_hw,
        params=params,
        macs=macs,
        paper=PAPER,
        task="detection",
        num_keypoints=num_classes,
        reference_keypoints=num_classes,
        stride=8,
        normalization=NORMALIZATION,
    )


ROWS = (
    _row(
        "nano",
        input_hw=(320, 320),
        num_classes=1,
        params=994_423,
        macs=308_035_840,
        width=0.25,
        depth=0.33,
        is_depthwise=True,
    ),
    _row(
        "tiny",
        input_hw=(640, 640),
        num_classes=80,
        params=4_896_168,
        macs=8_036_087_040,
        width=0.375,
        depth=0.167,
    ),
    _row(
        "m",
        input_hw=(640, 640),
        num_classes=1,
        params=24_663_447,
        macs=38_939_074_560,
        width=0.75,
        depth=0.67,
        neck_blocks=2,
        has_exponential=True,
    ),
)
