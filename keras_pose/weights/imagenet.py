"""ImageNet classifiers, and trained networks on their trunks, as the start of others.

Every recipe of HRNet and Simple Baselines starts from one (Sun et al. 2019, sec. 4.1;
Xiao et al. 2018, sec. 3.1). Of its tensors the backbone's go into the pose network, and
the classifier's are left behind.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from keras_pose.commandline import some_of
from keras_pose.weights.catalog import entries_of
from keras_pose.weights.importer import NUM_NAMES_SHOWN, at_size_of, fill, tensor_names
from keras_pose.weights.layouts import module_name
from keras_pose.weights.provenance import Provenance, set_provenance
from keras_pose.zoo import ModelSpec, build_model, get_spec

HRNET_FAMILIES = ("hrnet", "hrnet_v2_segmentation", "hrnet_v2_landmarks", "hrnet_v2p")
LITE_FAMILIES = ("pose_lite", "rtmdet_lite", "openpose_lite")
# The last exchange: a pose network keeps less of it than a classifier, or widens it.
LAST_FUSION = "stage4.2.fuse_layers."
# Names of a classifier's last layers, of whatever it classifies.
CLASSIFYING = ("fc.", "classifier.", "head.")


@dataclass(frozen=True)
class Classifier:
    """Names of the tensors of an ImageNet classifier.

    Attributes:
        origin: name of the publisher of these checkpoints, for messages.
        backbone: prefixes of the tensors that pose networks share.
        rest: prefixes of the other tensors; each must occur: pose networks with the same
            backbone have none of them.
    """

    origin: str
    backbone: tuple[str, ...]
    rest: tuple[str, ...]


HRNET = Classifier(
    origin="HRNet-Image-Classification",
    backbone=("conv1.", "bn1.", "conv2.", "bn2.", "layer1.", "transition", "stage"),
    # `final_layer` is a sequence here, and a single convolution in pose networks.
    rest=(
        "incre_modules.",
        "downsamp_modules.",
        "final_layer.0.",
        "final_layer.1.",
        "classifier.",
    ),
)
RESNET = Classifier(
    origin="torchvision's ResNets",
    backbone=("conv1.", "bn1.", "layer1.", "layer2.", "layer3.", "layer4."),
    rest=("fc.",),
)
# The last convolution of the classifier widens what the pose network takes as it is.
EFFICIENTNET_LITE = Classifier(
    origin="EfficientNet-Lite's PyTorch port",
    backbone=("conv_stem.", "bn0.", "blocks."),
    rest=("conv_head.", "bn1.", "fc."),
)


def model_of_backbone(name: str, num_keypoints, input_hw, tensors, source):
    """Builds a model with the backbone of a checkpoint that has no head of its kind.

    ImageNet classifiers are taken as `load_backbone` does; else what the file has must be
    whole layers of the model, the first one among them, and all of it must be used.

    Args:
        name: one of `zoo.list_models()`.
        num_keypoints: number of keypoints; it and `input_hw` are arguments of
            `zoo.build_model`.
        tensors: tensors of the checkpoint by name, as `load_backbone` takes them.
        source: origin of the tensors, for messages.

    Returns:
        The model; a printed line names the layers that start at random.

    Raises:
        ValueError: if they fit no backbone of the model.
    """
    model = build_model(name, num_keypoints, input_hw)
    if _is_classifier(get_spec(name), tensors):
        load_backbone(model, tensors, source)
        modules = _modules_to_fill(model, get_spec(name), _classifier(get_spec(name)))
    else:
        modules = _modules_in(model, tensors)
        first = next(layer for layer in model.layers if layer.weights)
        if module_name(first.name) not in modules:
            fill(model, tensors, source)  # refuses, with what is missing and left over
        body = {n: t for n, t in tensors.items() if not n.startswith(CLASSIFYING)}
        fill(model, at_size_of(model, body, source), source, modules)
    new = [
        layer.name
        for layer in model.layers
        if layer.weights and module_name(layer.name) not in modules
    ]
    print(
        f"{name}: {source} holds a backbone, so these layers start at random: "
        f"{some_of(new, NUM_NAMES_SHOWN)}."
    )
    known = [entry.normalization for entry in entries_of(name) if entry.is_backbone]
    normalization = known[0] if known else None
    return set_provenance(model, Provenance(str(source), normalization, is_backbone=True))


def _is_classifier(spec: ModelSpec, tensors: Mapping[str, np.ndarray]) -> bool:
    try:
        rest = _classifier(spec).rest
    except ValueError:
        return False
    return all(any(name.startswith(part) for name in tensors) for part in rest)


def _modules_in(model, tensors: Mapping[str, np.ndarray]) -> set[str]:
    """Returns the reference's names of the layers of which a checkpoint has all."""
    return {
        module_name(layer.name)
        for layer in model.layers
        if layer.weights and all(name in tensors for name in tensor_names(layer))
    }


def have_one_trunk(name: str, other: str) -> bool:
    """Returns True for two models of the zoo whose trunks come from one classifier."""
    try:
        return _classifier(get_spec(name)) is _classifier(get_spec(other))
    except ValueError:
        return False


def model_on_trunk_of(name: str, num_keypoints, input_hw, stored, other: str, said, path):
    """Builds a model that starts with the layers of another one, trained before.

    Args:
        name: one of `zoo.list_models()`.
        num_keypoints: number of keypoints; it and `input_hw` are arguments of
            `zoo.build_model`.
        stored: tensors of the file by layer, see `models.checkpoint.read_layers`.
        other: zoo name of the file's network; `have_one_trunk` is true of both.
        said: provenance of the file's network.
        path: the file, for messages.

    Returns:
        The model, with all layers that both have in one shape; a printed line names the
        layers that start at random.

    Raises:
        ValueError: if the trunk of the file has other layers or shapes.
    """
    spec = get_spec(name)
    model = build_model(name, num_keypoints, input_hw)
    trunk = _modules_to_fill(model, spec, _classifier(spec))
    new = []
    for layer in (layer for layer in model.layers if layer.weights):
        shapes = [tuple(weight.shape) for weight in layer.weights]
        found = [array.shape for array in stored.get(layer.name, ())]
        if shapes == found:
            layer.set_weights(stored[layer.name])
        elif module_name(layer.name) in trunk:
            raise ValueError(
                f"{path} holds {other}, whose trunk is not that of {name}: layer "
                f"{layer.name} has the shapes {shapes}, in the file {found}."
            )
        else:
            new.append(layer.name)
    print(
        f"{name}: {path} holds {other}, so these layers start at random: "
        f"{some_of(new, NUM_NAMES_SHOWN)}."
    )
    provenance = Provenance(str(path), said.normalization, is_backbone=True)
    return set_provenance(model, provenance)


def load_backbone(model, tensors: Mapping[str, np.ndarray], source) -> None:
    """Sets a pose network's backbone from an ImageNet classifier; leaves its head alone.

    HRNets (V2 and V2p too) take the checkpoints of HRNet-Image-Classification, Simple
    Baselines those of torchvision's ResNets, of the same width or depth. In an HRNet of
    UDP-Pose the last fusion, which is wider than the classifier's, keeps its random
    start too, as in the reference code.

    Args:
        model: model of the zoo.
        tensors: PyTorch's name -> array in PyTorch's axis order; all of a checkpoint,
            without the wrappers that `layouts.recognize` takes off.
        source: origin of the tensors, for messages.

    Raises:
        ValueError: if there are no such classifiers for the model, or the tensors are
            not exactly those of one with this backbone; the model is as it was then.
    """
    spec = get_spec(model.name)
    classifier = _classifier(spec)
    missing = [
        part
        for part in classifier.rest
        if not any(name.startswith(part) for name in tensors)
    ]
    if missing:
        raise ValueError(
            f"The backbone of {spec.name} starts from checkpoints of {classifier.origin}, "
            f"with tensors {', '.join(classifier.rest)}; {source} lacks "
            f"{', '.join(missing)}."
        )
    modules = _modules_to_fill(model, spec, classifier)
    used = {
        name: tensor
        for name, tensor in tensors.items()
        if not name.startswith(classifier.rest) and not _is_spare(name, modules)
    }
    fill(model, used, source, modules)


def _modules_to_fill(model, spec: ModelSpec, classifier: Classifier) -> set[str]:
    """Returns the reference's names of the layers that a classifier has, too."""
    modules = {module_name(layer.name) for layer in model.layers if layer.weights}
    # With a dot after it, "conv1" begins with "conv1.", and "conv10" does not.
    modules = {name for name in modules if f"{name}.".startswith(classifier.backbone)}
    if spec.options.get("widens_last_fusion"):
        return {name for name in modules if not name.startswith(LAST_FUSION)}
    return modules


def _classifier(spec: ModelSpec) -> Classifier:
    if spec.family in HRNET_FAMILIES:
        return HRNET
    if spec.family in LITE_FAMILIES:
        return EFFICIENTNET_LITE
    is_resnet = spec.options.get("backbone", "").startswith("resnet")
    if spec.family == "simple_baseline" and is_resnet:
        if spec.options.get("style") == "caffe":
            raise ValueError(
                f"{spec.name} has its strides elsewhere than torchvision's ResNets: "
                "their ImageNet weights would compute something else in it."
            )
        return RESNET
    raise ValueError(
        f"ImageNet weights are read for HRNets ({HRNET.origin}), ResNets "
        f"({RESNET.origin}) and EfficientNet-Lites ({EFFICIENTNET_LITE.origin}), not for "
        f"{spec.name}."
    )


def _is_spare(tensor_name: str, modules: set[str]) -> bool:
    """Returns True if a tensor is of the part of the last exchange that is left out."""
    module = tensor_name.rpartition(".")[0]
    return tensor_name.startswith(LAST_FUSION) and module not in modules
