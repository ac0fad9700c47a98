"""Provenance of weights: facts that came with them, kept with the model in memory.

In files the contract says it. A `keras.Model` has no place for a contract, so
`create_model` notes here what came with the weights.
"""

from __future__ import annotations

from dataclasses import dataclass

from keras_pose.codecs import CODECS, Codec
from keras_pose.codecs.part_affinity import PartAffinityCodec
from keras_pose.contracts.bottom_up import BottomUpContract, bottom_up_contract
from keras_pose.contracts.crowd_fields import CrowdContract
from keras_pose.contracts.detector import detector_contract
from keras_pose.contracts.entries import AnyContract
from keras_pose.contracts.one_stage import OneStageContract, one_stage_contract
from keras_pose.contracts.pose import Contract, keras_contract
from keras_pose.models.openpose_channels import last_maps, skeleton_for
from keras_pose.pictures.geometry import BOX_PADDING
from keras_pose.pictures.normalization import Normalization
from keras_pose.skeleton import Skeleton, default_skeleton, plain_skeleton
from keras_pose.zoo import get_spec
from keras_pose.zoo.spec import CROWD_TASKS

ATTRIBUTE = "pose_weights"


@dataclass(frozen=True)
class Provenance:
    """Facts that came with the weights of a model.

    Attributes:
        source: origin of the weights, for messages.
        normalization: normalisation of the network's training; None if it is not known.
        codec: key of `codecs.CODECS`; None for the zoo's, as after a change of head.
        skeleton: names of the keypoints; None if nothing says them.
        is_backbone: True where the head starts at random, so that nothing can be run
            before it is trained.
        box_padding: factor from person box to crop; None if it is not known.
    """

    source: str
    normalization: Normalization | None = None
    codec: str | None = None
    skeleton: Skeleton | None = None
    is_backbone: bool = False
    box_padding: float | None = None


def set_provenance(model, provenance: Provenance):
    """Notes on a model where its weights are from; returns the model."""
    setattr(model, ATTRIBUTE, provenance)
    return model


def provenance_of(model) -> Provenance:
    """Returns what came with a model's weights; nothing, for a random start."""
    return getattr(model, ATTRIBUTE, Provenance(source="a random start"))


def normalization_of(model) -> Normalization:
    """Returns what images must go through before a model of the zoo sees them.

    That of its weights, order of channels included, or else the zoo's.
    """
    return provenance_of(model).normalization or get_spec(model.name).normalization


def box_padding_of(model) -> float:
    """Returns the factor from person box to crop of a model's weights, or the usual."""
    return provenance_of(model).box_padding or BOX_PADDING


def contract_of(model) -> Contract:
    """Describes a model that `create_model` made, with all that its weights demand.

    Keypoints that the weights do not name are numbered: their number is that of COCO or
    MPII for many a network of other keypoints, too. Those of a random start are the
    zoo's.

    Raises:
        ValueError: for a network that does not see one person at a time.
    """
    provenance = provenance_of(model)
    codec = _codec(model, provenance)
    num_keypoints = codec.count_keypoints(model.outputs[-1].shape)
    usual = plain_skeleton if hasattr(model, ATTRIBUTE) else default_skeleton
    skeleton = provenance.skeleton or usual(num_keypoints)
    return keras_contract(
        model, codec, skeleton, normalization_of(model), box_padding_of(model)
    )


def runnable_network(model):
    """Returns what a file of a model holds: of a bottom-up network, its last maps."""
    spec = get_spec(model.name)
    if spec.task != "bottom_up":
        return model
    num_keypoints, _ = _counts(model)
    return set_provenance(last_maps(model, num_keypoints), provenance_of(model))


def crowd_contract_of(model) -> CrowdContract:
    """Describes a network of whole pictures that `runnable_network` returned.

    Raises:
        ValueError: for keypoints and limbs that no skeleton has.
    """
    if get_spec(model.name).task == "one_stage":
        return _one_stage_contract_of(model)
    return bottom_up_contract_of(model)


def _one_stage_contract_of(model) -> OneStageContract:
    num_keypoints = model.outputs[-1].shape[-1]
    usual = plain_skeleton if hasattr(model, ATTRIBUTE) else default_skeleton
    skeleton = provenance_of(model).skeleton or usual(num_keypoints)
    return one_stage_contract(model, skeleton, normalization_of(model))


def bottom_up_contract_of(model) -> BottomUpContract:
    """Describes a bottom-up network; errors as `crowd_contract_of`."""
    provenance = provenance_of(model)
    skeleton = provenance.skeleton or skeleton_for(model.name, *_counts(model))
    height, width = model.inputs[0].shape[1:3]
    codec = PartAffinityCodec((height, width), get_spec(model.name).stride)
    return bottom_up_contract(model, codec, skeleton, normalization_of(model))


def _counts(model) -> tuple[int, int]:
    """Returns the keypoints and the limbs of a bottom-up network."""
    num_limbs = get_spec(model.name).options["num_limbs"]
    channels = {output.shape[-1] for output in model.outputs}
    (heatmaps,) = channels - {2 * num_limbs}
    return heatmaps - 1, num_limbs


def file_contract_of(model) -> AnyContract:
    """Describes a `runnable_network` for a file of it, whatever it finds.

    Raises:
        ValueError: for other networks, and detectors of more than people.
    """
    if get_spec(model.name).task == "detection":
        return detector_contract(model, normalization_of(model))
    if get_spec(model.name).task in CROWD_TASKS:
        return crowd_contract_of(model)
    return contract_of(model)


def _codec(model, provenance: Provenance) -> Codec:
    spec, input_hw = get_spec(model.name), model.inputs[0].shape[1:3]
    if provenance.codec is None:
        return spec.make_codec(input_hw)
    return CODECS[provenance.codec].for_input(input_hw, spec.stride)
