"""OpenPose in its three forms, and the lightweight one."""

from keras_pose.pictures.normalization import OPENPOSE
from keras_pose.zoo.spec import ModelSpec

PLACE = 130
BUILDERS = {
    "openpose": "openpose.build_openpose",
    "openpose_body25": "openpose.build_openpose_body25",
    "openpose_light": "openpose_light.build_openpose_light",
}
PAPER = "Cao et al. 2017, arXiv:1611.08050"
BODY_25_PAPER = "Cao et al. 2019, arXiv:1812.08008"
LIGHT_PAPER = "Osokin 2018, arXiv:1811.12004"

ROWS = (
    ModelSpec(
        name="openpose_coco",
        family="openpose",
        options={"num_limbs": 19},
        input_hw=(368, 368),
        params=52_311_446,
        macs=135_934_006_784,
        paper=PAPER,
        task="bottom_up",
        num_keypoints=18,
        reference_keypoints=18,
        stride=8,
        input_multiple=8,
        normalization=OPENPOSE,
    ),
    ModelSpec(
        name="openpose_body25",
        family="openpose_body25",
        options={"num_limbs": 26},
        input_hw=(368, 368),
        params=26_166_084,
        macs=80_573_217_280,
        paper=BODY_25_PAPER,
        task="bottom_up",
        num_keypoints=25,
        reference_keypoints=25,
        stride=8,
        input_multiple=8,
        normalization=OPENPOSE,
    ),
    ModelSpec(
        name="openpose_mpi",
        family="openpose",
        options={"num_limbs": 14},
        input_hw=(368, 368),
        params=51_481_032,
        macs=134_177_015_808,
        paper=PAPER,
        task="bottom_up",
        num_keypoints=15,
        reference_keypoints=15,
        stride=8,
        input_multiple=8,
        normalization=OPENPOSE,
    ),
    ModelSpec(
        name="openpose_light_1",
        family="openpose_light",
        options={"num_limbs": 19, "num_refinements": 1},
        input_hw=(256, 456),
        params=4_091_698,
        macs=7_656_013_824,
        paper=LIGHT_PAPER,
        task="bottom_up",
        num_keypoints=18,
        reference_keypoints=18,
        stride=8,
        input_multiple=8,
        normalization=OPENPOSE,
    ),
    ModelSpec(
        name="openpose_light_3",
        family="openpose_light",
        options={"num_limbs": 19, "num_refinements": 3},
        input_hw=(256, 456),
        params=7_308_964,
        macs=13_506_822_144,
        paper=LIGHT_PAPER,
        task="bottom_up",
        num_keypoints=18,
        reference_keypoints=18,
        stride=8,
        input_multiple=8,
        normalization=OPENPOSE,
    ),
)
