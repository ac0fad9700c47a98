"""How checkpoints name their tensors, and what their networks want to see.

Our layers bear the names of the reference's modules (with dashes for dots), so of a name
only wrappers have to go: `module.` of data-parallel training, `backbone.` and `head.` of
mmpose.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from keras_pose.normalization import IMAGENET, Normalization
from keras_pose.zoo import ModelSpec

# The layers of which PyTorch stores a counter that nothing reads.
COUNTER = "num_batches_tracked"
# Wrappers every name of a checkpoint may carry, the longest first.
PARALLEL_PREFIXES = ("model.module.", "module.")
# Wrappers of some of the names; `keypoint_head.` is mmpose before 1.0.
MMPOSE_PREFIXES = ("backbone.", "head.", "keypoint_head.")

# leoxiaobin's and microsoft's pose_resnet read images with OpenCV and leave them BGR,
# under the numbers that ImageNet training has for RGB, in that order.
IMAGENET_NUMBERS_ON_BGR = Normalization(IMAGENET.mean, IMAGENET.std, channel_order="bgr")
# bearpaw's mean of MPII; nothing is divided.
MPII_MEAN = Normalization(mean=(0.4404, 0.4440, 0.4327), std=(1.0, 1.0, 1.0))


@dataclass(frozen=True)
class Layout:
    """One way to name a network's tensors.

    Attributes:
        name: for messages.
        prefixes: what some of the names begin with, to be cut off.
        normalizations: family -> what checkpoints of this layout were trained with.
    """

    name: str
    prefixes: tuple[str, ...]
    normalizations: Mapping[str, Normalization]

    def strip(self, tensor_name: str) -> str:
        for prefix in self.prefixes:
            if tensor_name.startswith(prefix):
                return tensor_name.removeprefix(prefix)
        return tensor_name


REFERENCE = Layout(
    name="reference",
    prefixes=(),
    normalizations={
        "hrnet": IMAGENET,
        "simple_baseline": IMAGENET_NUMBERS_ON_BGR,
        "hourglass": MPII_MEAN,
    },
)
# mmpose's own hourglass is another network, and not in the zoo.
MMPOSE = Layout(
    name="mmpose",
    prefixes=MMPOSE_PREFIXES,
    normalizations={"hrnet": IMAGENET, "simple_baseline": IMAGENET},
)


def recognize(
    tensors: Mapping[str, np.ndarray],
) -> tuple[Layout, dict[str, np.ndarray]]:
    """Tells a checkpoint's layout by its names.

    Returns:
        The layout, and the tensors under the reference's names.

    Raises:
        ValueError: if two names become the same.
    """
    stripped = dict(tensors)
    for prefix in PARALLEL_PREFIXES:
        if stripped and all(name.startswith(prefix) for name in stripped):
            stripped = {name.removeprefix(prefix): t for name, t in stripped.items()}
    is_mmpose = any(name.startswith("backbone.") for name in stripped)
    layout = MMPOSE if is_mmpose else REFERENCE
    renamed = {layout.strip(name): tensor for name, tensor in stripped.items()}
    if len(renamed) < len(stripped):
        raise ValueError(
            f"Two tensors have the same name once {layout.prefixes} are cut off."
        )
    return layout, renamed


def module_name(layer_name: str) -> str:
    """Returns the reference's name of a layer of ours."""
    return layer_name.replace("-", ".")


def final_layer(spec: ModelSpec) -> str:
    """Returns the module of the reference that gives the (last) heatmaps.

    Raises:
        ValueError: if there is no reference implementation of the model.
    """
    match spec.family:
        case "hrnet" | "simple_baseline":
            return "final_layer"
        case "hourglass":
            return f"score.{spec.options['num_stacks'] - 1}"
        case _:
            raise ValueError(
                f"{spec.name} is {spec.paper}: no other implementation has weights for it."
            )
