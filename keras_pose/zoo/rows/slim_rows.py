"""Our own slim networks."""

from keras_pose.zoo.spec import ModelSpec

PLACE = 110
BUILDERS = {"slim": "slim.build_slim"}
PAPER = "our own design, see keras_pose/models/slim.py"

ROWS = (
    ModelSpec(
        name="pose_slim",
        family="slim",
        input_hw=(256, 192),
        params=1_841_729,
        macs=403_243_008,
        paper=PAPER,
        codec="dark",  # rounded targets cost most at small inputs
    ),
)
