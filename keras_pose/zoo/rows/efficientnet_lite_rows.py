"""EfficientNet-Lite classifiers, and our own networks on their features."""

from keras_pose.pictures.normalization import Normalization
from keras_pose.zoo.spec import ModelSpec

PLACE = 120
BUILDERS = {
    "efficientnet_lite": "efficientnet_lite.build_efficientnet_lite",
    "pose_lite": "pose_lite.build_pose_lite",
    "rtmdet_lite": "rtmdet_lite.build_rtmdet_lite",
    "openpose_lite": "openpose_lite.build_openpose_lite",
}
PAPER = "Tan and Le 2019, arXiv:1905.11946, and its Lite variants"
POSE_PAPER = f"{PAPER}; head: our own design, see keras_pose/models/pose_lite.py"
# (x - 127) / 128 of pixels in [0, 255].
NORMALIZATION = Normalization(mean=(127 / 255,) * 3, std=(128 / 255,) * 3)
# Factors on channels and blocks: efficientnet_lite_builder.py of tensorflow/tpu.
FACTORS = {
    "lite0": {"width": 1.0, "depth": 1.0},
    "lite1": {"width": 1.0, "depth": 1.1},
    "lite2": {"width": 1.1, "depth": 1.2},
}


def _classifier(size, input_hw, params, macs):
    return ModelSpec(
        name=f"efficientnet_{size}",
        family="efficientnet_lite",
        options=FACTORS[size],
        input_hw=input_hw,
        params=params,
        macs=macs,
        paper=PAPER,
        task="classification",
        num_keypoints=1000,
        reference_keypoints=1000,
        input_multiple=1,
        normalization=NORMALIZATION,
    )


def _pose(name, size, params, macs):
    return ModelSpec(
        name=name,
        family="pose_lite",
        options=FACTORS[size] | {"pyramid_channels": (96, 64, 32)},
        input_hw=(224, 160),
        params=params,
        macs=macs,
        paper=POSE_PAPER,
        codec="dark",  # rounded targets cost most at small inputs
        normalization=NORMALIZATION,
    )


def _detector(name, size, channels, params, macs):
    return ModelSpec(
        name=name,
        family="rtmdet_lite",
        options=FACTORS[size] | {"channels": channels},
        input_hw=(224, 224),
        params=params,
        macs=macs,
        paper=f"{PAPER}; head: our own design, see keras_pose/models/rtmdet_lite.py",
        task="detection",
        num_keypoints=1,
        reference_keypoints=1,
        stride=8,
        normalization=NORMALIZATION,
    )


ROWS = (
    _classifier("lite0", (224, 224), 4_652_008, 385_187_552),
    _classifier("lite1", (240, 240), 5_416_680, 600_185_232),
    _classifier("lite2", (260, 260), 6_092_072, 859_736_272),
    _pose("pose_lite", "lite0", 3_142_577, 321_743_520),
    _pose("pose_lite_1", "lite1", 3_907_249, 405_515_040),
    _pose("pose_lite_2", "lite2", 4_546_033, 457_470_160),
    _detector("rtmdet_lite0", "lite0", 48, 3_035_231, 382_679_024),
    ModelSpec(
        name="openpose_lite",
        family="openpose_lite",
        options=FACTORS["lite0"] | {"num_limbs": 19, "pyramid_channels": (96, 96)},
        input_hw=(320, 320),
        params=3_282_672,
        macs=1_084_745_600,
        paper=f"{PAPER}; maps: our own design, see keras_pose/models/openpose_lite.py",
        task="bottom_up",
        stride=8,
        normalization=NORMALIZATION,
    ),
)
