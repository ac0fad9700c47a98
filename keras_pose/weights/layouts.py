"""How checkpoints name their tensors, and what their networks want to see.

Our layers bear the names of the reference's modules (with dashes for dots), so of a name
only wrappers have to go: `module.` of data-parallel training, `backbone.` and `head.` of
mmpose.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass

import numpy as np

from keras_pose.normalization import IMAGENET, OPENPOSE, Normalization
from keras_pose.zoo import ModelSpec, get_spec

# The layers of which PyTorch stores a counter that nothing reads.
COUNTER = "num_batches_tracked"
# Families of which there are no weights but ours, and their layer that predicts.
OWN_FAMILIES = {"slim": "heatmaps", "deep_pose_alexnet": "fc8"}
# Wrappers every name of a checkpoint may carry, the longest first.
PARALLEL_PREFIXES = ("model.module.", "module.")
# Wrappers of some of the names; `keypoint_head.` is mmpose before 1.0.
MMPOSE_PREFIXES = ("backbone.", "head.", "keypoint_head.")
# Wrappers of Caffe's names in ports to PyTorch: one module for all layers, or one for each
# stage and branch of OpenPose (Hzzone/pytorch-openpose).
CAFFE_PREFIXES = (
    "layers.",
    "model0.",
    *(f"model{stage}_{branch}." for stage in range(1, 7) for branch in (1, 2)),
)
# Caffe's first layers of OpenPose and of Convolutional Pose Machines.
CAFFE_FIRST_LAYERS = ("conv1_1.weight", "conv1_stage1.weight")

# ViTPose's modules in ViTAE's repository, and what mmpose calls them.
VITAE_NAMES = (
    (re.compile(r"^backbone\.blocks\.(\d+)\.norm([12])\."), r"backbone.layers.\1.ln\2."),
    (re.compile(r"^backbone\.blocks\.(\d+)\.attn\."), r"backbone.layers.\1.attn."),
    (
        re.compile(r"^backbone\.blocks\.(\d+)\.mlp\.fc1\."),
        r"backbone.layers.\1.ffn.layers.0.0.",
    ),
    (
        re.compile(r"^backbone\.blocks\.(\d+)\.mlp\.fc2\."),
        r"backbone.layers.\1.ffn.layers.1.",
    ),
    (re.compile(r"^backbone\.patch_embed\.proj\."), "backbone.patch_embed.projection."),
    (re.compile(r"^backbone\.last_norm\."), "backbone.ln1."),
)
VITAE_MARK, VITAE_POSITIONS = "backbone.last_norm.weight", "backbone.pos_embed"
# Words of PaddleDetection, and what mmpose has in their places.
PADDLE_WORDS = (
    (re.compile(r"\._mean$"), ".running_mean"),
    (re.compile(r"\._variance$"), ".running_var"),
    (re.compile(r"\.norm\."), ".bn."),
    (re.compile(r"^final_conv\."), "final_layer."),
)
PADDLE_MARK = "._variance"
# Of mmpose's heatmap heads, where they end in a sequence of layers.
LAST_OF_SEQUENCE = re.compile(r"^final_layer\.(\d+)\.")
# Of lightweight OpenPose, one of its refinements.
REFINEMENT = re.compile(r"refinement_stages\.\d+\.")
# Of RTMDet, the second and third of three names of one tensor.
SHARED_KERNEL = re.compile(r"bbox_head\.(cls|reg)_convs\.[12]\.(\d\.conv)\.weight")

# leoxiaobin's and microsoft's pose_resnet read images with OpenCV and leave them BGR,
# under the numbers that ImageNet training has for RGB, in that order.
IMAGENET_NUMBERS_ON_BGR = Normalization(IMAGENET.mean, IMAGENET.std, channel_order="bgr")
# bearpaw's mean of MPII; nothing is divided.
PLAIN = Normalization(mean=(0.0, 0.0, 0.0), std=(1.0, 1.0, 1.0))
# The numbers of mmdet's configs, for blue, green and red in [0, 255].
RTMDET = get_spec("rtmdet_nano").normalization
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
        "hrnet_classification": IMAGENET,
        "hrnet_v2_segmentation": IMAGENET,
        "hrnet_v2_landmarks": IMAGENET,
        "simple_baseline": IMAGENET_NUMBERS_ON_BGR,
        "hourglass": MPII_MEAN,
        "hourglass_princeton": PLAIN,
        "openpose_light": OPENPOSE,
    },
)
MMPOSE = Layout(
    name="mmpose",
    prefixes=MMPOSE_PREFIXES,
    normalizations={
        "hrnet": IMAGENET,
        "simple_baseline": IMAGENET,
        "hourglass_52": IMAGENET,
        "cpm": IMAGENET,
        "deep_pose_resnet": IMAGENET,
        "lite_hrnet": IMAGENET,
        "tiny_pose": IMAGENET,
        "rtmpose": IMAGENET,
        "vitpose": IMAGENET,
        "rtmdet": RTMDET,
    },
)
# PaddleDetection's names are mmpose's but for these words.
PADDLE = Layout(
    name="paddle",
    prefixes=("backbone.",),
    normalizations={"tiny_pose": IMAGENET},
)
# Networks as files of operators: what all who publish them train a family with.
EXPORTED = Layout(
    name="exported",
    prefixes=(),
    normalizations={"lite_hrnet": IMAGENET, "tiny_pose": IMAGENET},
)
# Networks that were Caffe's first, under the names of its layers.
CAFFE = Layout(
    name="caffe",
    prefixes=CAFFE_PREFIXES,
    normalizations={
        "cpm_mpii": OPENPOSE,
        "openpose": OPENPOSE,
        "openpose_body25": OPENPOSE,
    },
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
    if VITAE_MARK in stripped:
        stripped = _from_vitae(stripped)
    layout = _layout(stripped)
    if layout is PADDLE:
        stripped = _from_paddle(stripped)
    renamed = {layout.strip(name): tensor for name, tensor in stripped.items()}
    if layout is MMPOSE:
        renamed = _without_sequence(renamed)
    if len(renamed) < len(stripped):
        raise ValueError(
            f"Two tensors have the same name once {layout.prefixes} are cut off."
        )
    return layout, renamed


def _without_sequence(tensors: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Takes the number off a last layer that is the only one of its sequence.

    Heads of mmpose before 1.0 may be such sequences, see the hook that loads them in
    `mmpose/models/heads/heatmap_heads/heatmap_head.py`.
    """
    numbers = {match[1] for name in tensors if (match := LAST_OF_SEQUENCE.match(name))}
    if len(numbers) != 1:
        return dict(tensors)
    return {
        LAST_OF_SEQUENCE.sub("final_layer.", name): tensor
        for name, tensor in tensors.items()
    }


def _from_vitae(tensors: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Gives ViTPose's own checkpoints mmpose's names, and its positions.

    Theirs have a row for a class token, which the network adds to all the others.
    """
    renamed = {}
    for name, tensor in tensors.items():
        for pattern, replacement in VITAE_NAMES:
            name = pattern.sub(replacement, name)
        renamed[name] = tensor
    positions = renamed.get(VITAE_POSITIONS)
    if positions is not None and positions.ndim == 3:
        renamed[VITAE_POSITIONS] = positions[:, 1:] + positions[:, :1]
    return renamed


def _from_paddle(tensors: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Gives PaddleDetection's tensors mmpose's names."""
    renamed = {}
    for name, tensor in tensors.items():
        for pattern, replacement in PADDLE_WORDS:
            name = pattern.sub(replacement, name)
        renamed[name] = tensor
    return renamed


def _layout(names: Collection[str]) -> Layout:
    if any(name.endswith(PADDLE_MARK) for name in names):
        return PADDLE
    if any(name.startswith("backbone.") for name in names):
        return MMPOSE
    if any(CAFFE.strip(name) in CAFFE_FIRST_LAYERS for name in names):
        return CAFFE
    return REFERENCE


def is_idle(tensor_name: str, modules: Collection[str]) -> bool:
    """Tells whether a reference holds a tensor that its network never applies.

    Princeton's residuals all have a convolution for their shortcut, used only where the
    channels change; mmpose's hourglass has a block for a next stack after its last one;
    mmdet's RTMDet repeats, for each level, the kernels that its levels share. Of the
    refinements of lightweight OpenPose, later ones may be left away.

    Args:
        tensor_name: of a tensor that the model does not take.
        modules: names of the modules that the model does have.
    """
    if stage := REFINEMENT.match(tensor_name):
        return not any(module.startswith(stage.group()) for module in modules)
    residual, is_shortcut, _ = tensor_name.partition(".skip_layer.conv.")
    if is_shortcut:
        return f"{residual}.conv3.conv" in modules
    if repeated := SHARED_KERNEL.fullmatch(tensor_name):
        kind, rest = repeated.groups()
        return f"bbox_head.{kind}_convs.0.{rest}" in modules
    return tensor_name.startswith("inters.0.") and "multi_final_layers.0" in modules


def module_name(layer_name: str) -> str:
    """Returns the reference's name of a layer of ours."""
    return layer_name.replace("-", ".")


def layer_name(module: str) -> str:
    """Returns our name of a module of the reference."""
    return module.replace(".", "-")


def final_layer(spec: ModelSpec) -> str:
    """Returns the module of the reference that gives the (last) heatmaps.

    Raises:
        ValueError: if there is no reference implementation of the model, or no such
            layer in it.
    """
    match spec.family:
        case (
            "hrnet" | "simple_baseline" | "lite_hrnet" | "tiny_pose" | "rtmpose" | "vitpose"
        ):
            return "final_layer"
        case "rtmdet":
            return "bbox_head.rtm_cls.0"
        case "hrnet_classification":
            return "classifier"
        case "hrnet_v2_segmentation":
            return "last_layer.3"
        case "hrnet_v2_landmarks":
            return "head.3"
        case "hourglass":
            return f"score.{spec.options['num_stacks'] - 1}"
        case "hourglass_princeton":
            return f"outs.{spec.options['num_stacks'] - 1}.conv"
        case "hourglass_52":
            return "multi_final_layers.0"
        case "cpm":
            return "out_convs.4.1.conv"
        case "cpm_mpii":
            return "Mconv5_stage6"
        case "openpose":
            return "Mconv7_stage6_L2"
        case "openpose_body25":
            return "Mconv7_stage1_L1"
        case "openpose_light":
            return f"refinement_stages.{spec.options['num_refinements'] - 1}.heatmaps.1.0"
        case "deep_pose_resnet":
            return "fc"
        case "hrnet_v2p":
            raise ValueError(
                f"{spec.name} gives features: none of its layers predicts keypoints, and "
                "checkpoints hold it as a part of a detector."
            )
        case _:
            raise ValueError(
                f"{spec.name} is {spec.paper}: no other implementation has weights for it."
            )


def count_keypoints(spec: ModelSpec, num_channels: int) -> int:
    """Returns how many keypoints the outputs of `final_layer` stand for."""
    match spec.family:
        case "hrnet":
            return num_channels // spec.options.get("maps_per_keypoint", 1)
        case "cpm_mpii" | "openpose" | "openpose_body25" | "openpose_light":
            return num_channels - 1  # the last one is the background
        case "deep_pose_resnet" | "deep_pose_alexnet":
            return num_channels // 2  # x and y of each
        case _:
            return num_channels
