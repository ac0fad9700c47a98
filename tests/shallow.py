"""Networks of the zoo in which what is repeated comes once or twice.

To build, trace and convert a network costs by the layer, and most of its layers are there
a dozen times. What holds of a block, of its first and its later forms, and of how parts are
joined, shows here as well; what depends on how often (parameters, multiply-accumulates,
names) is checked on whole networks.
"""

import contextlib
import dataclasses
import importlib
from unittest import mock

from keras_pose.zoo import ZOO, get_spec

# Of the builders in keras_pose/models: how often they repeat.
CONSTANTS = {
    # The last module of the last stage may fuse otherwise than the one before it.
    "hrnet.NUM_MODULES": (1, 1, 2),
    "hrnet.BLOCKS_PER_BRANCH": 1,
    "hrnet.NUM_STEM_BLOCKS": 2,
    "hourglass_52.LEVEL_BLOCKS": (2, 1, 1, 1, 1, 1),
    "cpm.NUM_STAGES": 3,
    "openpose.NUM_STAGES": 3,
    "openpose.NUM_DENSE_BLOCKS": 2,
    "openpose.BODY_25_FIELD_STAGES": ((96, 256), (128, 512)),
    "openpose_light.BLOCKS_PER_REFINEMENT": 1,
}
# By family: entries of the row that are greater there.
OPTIONS = {
    "hourglass": {"num_stacks": 2},
    "hourglass_princeton": {"num_stacks": 2},
    "lite_hrnet": {"num_modules": (1, 1, 2)},
    "tiny_pose": {"num_modules": (1, 1, 2)},
    "efficientnet_lite": {"depth": 0.5},
    "pose_lite": {"depth": 0.5},
    "rtmdet_lite": {"depth": 0.5},
    "rtmpose": {"depth": 0.33},
    "rtmdet": {"depth": 0.33},
    "rtmo": {"depth": 0.33},
    "openpose_lite": {"depth": 0.5},
    "openpose_light": {"num_refinements": 1},
}
# Of the same blocks, in the same order.
BACKBONES = {
    "resnet34": "resnet18",
    "resnet101": "resnet50",
    "resnet152": "resnet50",
}


def shallow_options(spec) -> dict:
    """Returns the options of a row's network with as few repetitions as possible."""
    options = dict(spec.options)
    for name, value in OPTIONS.get(spec.family, {}).items():
        options[name] = min(options[name], value)
    if spec.family == "vitpose":
        options["num_blocks"] = 2
    if "backbone" in options:
        options["backbone"] = BACKBONES.get(options["backbone"], options["backbone"])
    return options


@contextlib.contextmanager
def shallow(name):
    """Lets a name stand for its shallow network, within the block."""
    spec = get_spec(name)
    with contextlib.ExitStack() as stack:
        for place, value in CONSTANTS.items():
            module, _, constant = place.partition(".")
            module = importlib.import_module(f"keras_pose.models.{module}")
            assert hasattr(module, constant), place
            stack.enter_context(mock.patch.object(module, constant, value))
        changed = dataclasses.replace(spec, options=shallow_options(spec))
        stack.enter_context(mock.patch.dict(ZOO, {name: changed}))
        yield changed
