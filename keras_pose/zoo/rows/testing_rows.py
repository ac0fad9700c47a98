"""Networks for tests that are not about networks: traced and converted in a moment.

They are built, trained and exported like any others of their families, but no list shows
them.
"""

from keras_pose.zoo.spec import ModelSpec

PLACE = None  # no list shows it
BUILDERS: dict[str, str] = {}
TINY = {
    "stem_channels": 4,
    "stage_channels": (8, 8),
    "stage_blocks": (1, 0),
    "pyramid_channels": (8,),
}

ROWS = (
    ModelSpec(
        name="testing_pose",
        family="slim",
        options=TINY,
        input_hw=(64, 48),
        params=3_101,
        macs=539_136,
        paper="see keras_pose/models/slim.py",
        codec="dark",
        input_multiple=8,
    ),
    ModelSpec(
        name="testing_stacks",
        family="slim",
        options=TINY | {"num_stacks": 2},
        input_hw=(64, 48),
        params=3_998,
        macs=701_952,
        paper="see keras_pose/models/slim.py",
        input_multiple=8,
    ),
    ModelSpec(
        name="testing_hrnet",
        family="hrnet",
        options={"width": 4, "num_modules": (1, 1, 1), "blocks_per_branch": 1},
        input_hw=(64, 64),
        params=394_133,
        macs=87_899_648,
        paper="see keras_pose/models/hrnet.py",
    ),
    ModelSpec(
        name="testing_detector",
        family="rtmdet_lite",
        options={"width": 0.1, "depth": 0.1, "channels": 8},
        input_hw=(64, 64),
        params=29_447,
        macs=2_472_224,
        paper="see keras_pose/models/rtmdet_lite.py",
        task="detection",
        num_keypoints=1,
        reference_keypoints=1,
        stride=8,
    ),
    ModelSpec(
        name="testing_one_stage",
        family="rtmo",
        options={"width": 0.0625, "depth": 0.1, "neck_channels": 16},
        input_hw=(64, 64),
        params=317_285,
        macs=74_601_024,
        paper="see keras_pose/models/rtmo.py",
        task="one_stage",
        stride=16,
        is_convolutional=False,
    ),
)
