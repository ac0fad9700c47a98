"""DeepPose."""

from keras_pose.zoo.spec import ModelSpec

PLACE = 50
BUILDERS = {
    "deep_pose_alexnet": "deep_pose.build_deep_pose_alexnet",
    "deep_pose_resnet": "deep_pose.build_deep_pose_resnet",
}
PAPER = "Toshev and Szegedy 2014, arXiv:1312.4659"

ROWS = (
    ModelSpec(
        name="deep_pose_alexnet",
        family="deep_pose_alexnet",
        input_hw=(220, 220),
        params=58_420_642,
        macs=1_131_299_360,
        paper=PAPER,
        reference_keypoints=14,
        input_multiple=110,
        is_convolutional=False,
        codec="regression",
    ),
    ModelSpec(
        name="deep_pose_resnet50",
        family="deep_pose_resnet",
        options={"backbone": "resnet50"},
        input_hw=(256, 192),
        params=23_577_698,
        macs=4_003_794_944,
        paper=PAPER,
        codec="regression",
    ),
    ModelSpec(
        name="deep_pose_resnet18",
        family="deep_pose_resnet",
        options={"backbone": "resnet18"},
        input_hw=(256, 192),
        params=11_193_954,
        macs=1_776_567_296,
        paper=PAPER,
        codec="regression",
    ),
)
