"""PP-TinyPose."""

from keras_pose.zoo.spec import ModelSpec

PLACE = 80
BUILDERS = {"tiny_pose": "tiny_pose.build_tiny_pose"}
PAPER = "PaddleDetection, configs/keypoint/tiny_pose; Yu et al. 2021, arXiv:2104.06403"


def _row(name, input_hw, macs):
    return ModelSpec(
        name=name,
        family="tiny_pose",
        options={"num_modules": (2, 4, 2)},
        input_hw=input_hw,
        params=1_318_625,
        macs=macs,
        paper=PAPER,
        codec="udp",
    )


ROWS = (
    _row("tiny_pose", (256, 192), macs=302_331_648),
    _row("tiny_pose_128x96", (128, 96), macs=75_582_912),
)
