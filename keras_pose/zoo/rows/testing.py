"""Networks for tests that are not about networks: traced and converted in a moment.

They are built, trained and exported like any others of their families, but no list shows
them.
"""

from keras_pose.zoo.spec import ModelSpec

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
)
