"""Layouts of checkpoints: the names of their tensors, and the input of their networks.

Our layers bear the names of the reference's modules (with dashes for dots), so of a name
only wrappers have to go: `module.` of data-parallel training, `_orig_mod.` of
`torch.compile`, `model.` of Lightning, `backbone.` and `head.` of mmpose. Tensors that
training left beside the network's go, too, and a printed line names them.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass

import numpy as np

from keras_pose.commandline import some_of
from keras_pose.pictures.normalization import IMAGENET, OPENPOSE, Normalization
from keras_pose.zoo import ModelSpec, get_spec

# The layers of which PyTorch stores a counter that nothing reads.
COUNTER = "num_batches_tracked"
# Families of which there are no weights but ours, and their layer that predicts.
OWN_FAMILIES = {
    "slim": "heatmaps",
    "pose_lite": "heatmaps",
    "rtmdet_lite": "bbox_head-rtm_cls-0",
    "openpose_lite": "stage1-heatmaps",
    "deep_pose_alexnet": "fc8",
}
# Usual wrappers of the names of a checkpoint, which come in any number and order.
WRAPPERS = ("module.", "model.", "net.", "network.", "ema_model.", "pose_model.")
# A wrapper, too, but mmpose's layout goes by it.
BACKBONE = "backbone."
# Of `torch.compile`, which puts it before the names of whatever part it compiled.
COMPILED = "_orig_mod."
# Last parts of names: the counters of thop (FLOPs), and of averaged models.
COUNTERS = ("total_ops", "total_params", "n_averaged")
# Last parts of names: what pictures are normalised by, numbers for three channels or one.
STATISTICS = ("mean", "std", "pixel_mean", "pixel_std", "img_mean", "img_std")
# mmcv's moving averages: buffers named after the weights, with underscores for dots.
AVERAGED = "ema_"
NUM_NAMES_SHOWN = 3
MOST = 0.9  # of the names; the others are not of the network
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

# Of RTMO, what only training reads, and numbers that our layers compute.
RTMO_BESIDE = re.compile(
    r"head_module\.out_kpt_reg\.|dcc\.sigma_fc\.|dcc\.[xy]_bins$|loss_oks\.sigmas$|"
    r"(dcc\.spe|neck\.sincos_pos_enc)\.dim_t$"
)

# leoxiaobin's and microsoft's pose_resnet read images with OpenCV and leave them BGR,
# under the numbers that ImageNet training has for RGB, in that order.
IMAGENET_NUMBERS_ON_BGR = Normalization(IMAGENET.mean, IMAGENET.std, channel_order="bgr")
# bearpaw's mean of MPII; nothing is divided.
PLAIN = Normalization(mean=(0.0, 0.0, 0.0), std=(1.0, 1.0, 1.0))
# The numbers of mmdet's configs, for blue, green and red in [0, 255].
RTMDET = get_spec("rtmdet_nano").normalization
RTMO = get_spec("rtmo_s").normalization
MPII_MEAN = Normalization(mean=(0.4404, 0.4440, 0.4327), std=(1.0, 1.0, 1.0))


@dataclass(frozen=True)
class Layout:
    """One way to name a network's tensors.

    Attributes:
        name: name for messages.
        prefixes: beginnings of some of the names, to be cut off.
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
        "rtmw": IMAGENET,
        "vitpose": IMAGENET,
        "rtmdet": RTMDET,
        "rtmo": RTMO,
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
# EfficientNet-Lite of the PyTorch port, whose modules have names like "_blocks.0._bn1".
EFFICIENTNET = Layout(
    name="efficientnet",
    prefixes=(),
    normalizations={"efficientnet_lite": get_spec("efficientnet_lite0").normalization},
)
EFFICIENTNET_MARK = "_conv_stem.weight"
LEADING_UNDERSCORE = re.compile(r"(^|\.)_")


def recognize(
    tensors: Mapping[str, np.ndarray],
) -> tuple[Layout, dict[str, np.ndarray]]:
    """Returns a checkpoint's layout, found by its names.

    Wrappers that all names carry are taken off, one after the other. Moving averages of
    mmcv, counters of thop and the numbers of a preprocessor are left out; printed lines
    name them.

    Returns:
        The layout, and the tensors under the reference's names.

    Raises:
        ValueError: if two names become the same; names both.
    """
    names = _renamed(((n.replace(COMPILED, ""), n) for n in tensors), COMPILED)
    names = _without_wrappers(_without_leftovers(names, tensors))
    found = {name: tensors[origin] for name, origin in names.items()}
    if VITAE_MARK in found:
        found = _from_vitae(found)
    layout = _layout(found)
    if layout is PADDLE:
        found = _from_paddle(found)
    if layout is EFFICIENTNET:
        found = {LEADING_UNDERSCORE.sub(r"\1", name): t for name, t in found.items()}
    names = _renamed(((layout.strip(n), n) for n in found), ", ".join(layout.prefixes))
    found = {name: found[origin] for name, origin in names.items()}
    return layout, _without_sequence(found) if layout is MMPOSE else found


def _renamed(pairs: Iterable[tuple[str, str]], cut_off: str) -> dict[str, str]:
    """Returns new name -> old name, of pairs; refuses two that become the same."""
    names: dict[str, str] = {}
    for new, old in pairs:
        if new in names:
            raise ValueError(
                f"Two tensors have the same name, {new}, once {cut_off} are cut off: "
                f"{names[new]} and {old}."
            )
        names[new] = old
    return names


def _without_wrappers(names: Mapping[str, str]) -> dict[str, str]:
    """Takes wrappers off names (new name -> the file's) while all of them carry one.

    Where all but a few names carry a known one, the few are of something beside the
    network, such as a loss of Lightning's: they are left out, and a printed line says so.
    """
    found = dict(names)
    while len(found) > 1:
        wrapper = _common_wrapper(found)
        if wrapper is None:
            wrapper = next((w for w in WRAPPERS if _is_carried_by_most(found, w)), None)
            if wrapper is None:
                return found
            beside = [o for n, o in found.items() if not n.startswith(wrapper)]
            _say_left_out(f"tensors beside {wrapper}*", beside)
            found = {n: o for n, o in found.items() if n.startswith(wrapper)}
        found = {name.removeprefix(wrapper): origin for name, origin in found.items()}
    return found


def _common_wrapper(names: Collection[str]) -> str | None:
    """Returns the part that all names begin with, if it is a wrapper; else None.

    No network has all its modules in one, whatever that is called, but for a backbone
    alone, and for Caffe's layers, whose layouts go by it.
    """
    first = next(iter(names)).partition(".")[0] + "."
    if not all(name.startswith(first) for name in names) or first in CAFFE_PREFIXES:
        return None
    if first in WRAPPERS:
        return first
    if first == BACKBONE:
        inner = [BACKBONE + w for w in (*WRAPPERS, BACKBONE)]
        return first if any(all(n.startswith(i) for n in names) for i in inner) else None
    modules = {name.removeprefix(first).rpartition(".")[0] for name in names}
    return first if len(modules) > 1 and "" not in modules else None


def _is_carried_by_most(names: Collection[str], wrapper: str) -> bool:
    return sum(name.startswith(wrapper) for name in names) >= MOST * len(names)


def _say_left_out(kind: str, names: list[str]) -> None:
    shown = some_of(names, NUM_NAMES_SHOWN)
    print(f"left out of the checkpoint: {len(names)} {kind} ({shown})")


def _without_leftovers(
    names: Mapping[str, str], tensors: Mapping[str, np.ndarray]
) -> dict[str, str]:
    """Leaves out what training put beside the network's tensors, and says so."""
    averages = _averages(names)
    kinds: dict[str, list[str]] = {}
    for name, origin in names.items():
        last = name.rpartition(".")[2]
        if name in averages:
            kinds.setdefault("moving averages of mmcv", []).append(origin)
        elif last in COUNTERS:
            kinds.setdefault("counters", []).append(origin)
        elif last in STATISTICS and tensors[origin].size in (1, 3):
            kinds.setdefault("numbers of a preprocessor", []).append(origin)
    for kind, left_out in kinds.items():
        _say_left_out(kind, left_out)
    gone = {origin for left_out in kinds.values() for origin in left_out}
    return {name: origin for name, origin in names.items() if origin not in gone}


def _averages(names: Collection[str]) -> set[str]:
    """Returns the names of mmcv's averages: ema_conv1_weight, where conv1.weight is."""
    candidates = [name for name in names if AVERAGED in name]
    if not candidates:
        return set()
    flat = {name.replace(".", "_") for name in names}
    found = set()
    for name in candidates:
        wrapper, _, rest = name.rpartition(".")
        if rest.startswith(AVERAGED) and "." not in rest:
            averaged = f"{wrapper}.{rest.removeprefix(AVERAGED)}".removeprefix(".")
            if averaged.replace(".", "_") in flat:
                found.add(name)
    return found


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
    if EFFICIENTNET_MARK in names:
        return EFFICIENTNET
    if any(CAFFE.strip(name) in CAFFE_FIRST_LAYERS for name in names):
        return CAFFE
    return REFERENCE


def is_idle(tensor_name: str, modules: Collection[str]) -> bool:
    """Returns True if a reference holds a tensor that its network never applies.

    Princeton's residuals all have a convolution for their shortcut, used only where the
    channels change; mmpose's hourglass has a block for a next stack after its last one;
    mmdet's RTMDet repeats, for each level, the kernels that its levels share; RTMO has
    predictions that only its training reads. Of the refinements of lightweight OpenPose,
    later ones may be left away.

    Args:
        tensor_name: name of a tensor that the model does not take.
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
    if RTMO_BESIDE.match(tensor_name):
        return "dcc.x_fc" in modules
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
        case "rtmw":
            return "final_layer.conv"
        case "rtmdet":
            return "bbox_head.rtm_cls.0"
        case "rtmo":
            return "head_module.out_kpt_vis.0"
        case "hrnet_classification":
            return "classifier"
        case "efficientnet_lite":
            return "fc"
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
    if spec.task == "bottom_up":
        return num_channels - 1  # the last one is the background
    match spec.family:
        case "hrnet":
            return num_channels // spec.options.get("maps_per_keypoint", 1)
        case "cpm_mpii":
            return num_channels - 1  # the last one is the background
        case "deep_pose_resnet" | "deep_pose_alexnet":
            return num_channels // 2  # x and y of each
        case _:
            return num_channels
