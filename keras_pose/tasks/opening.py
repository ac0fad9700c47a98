"""What a task begins with: a network or a file to run, and what is known of it.

Presets, model files and trunks are opened here; nothing of it is run or trained.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from keras_pose.contracts.crowd_fields import CrowdContract
from keras_pose.pictures.normalization import Normalization
from keras_pose.runtime.crowd_model import CrowdModel, load_pose
from keras_pose.runtime.loading import KERAS_TYPES, file_type
from keras_pose.runtime.pose_model import PoseModel
from keras_pose.shipped import POSE, SHIPPED, shipped_file, shipped_network
from keras_pose.skeleton import COCO_17, Skeleton, default_skeleton, is_numbered
from keras_pose.tasks import folders, hub, presets

if TYPE_CHECKING:
    from keras_pose.weights.catalog import CatalogEntry

# Facts of a row of the catalogue that stay with its weights.
FACTS = ("licence", "trained_on", "source", "metric", "value", "protocol")


@dataclass(frozen=True)
class Opened:
    """A network or a file to run, and what is known of it.

    Attributes:
        network: the Keras model; None for a file that is only run.
        contract: its contract.
        facts: source of the weights, as in `PoseTask.facts`.
        recipe: recipe of the run that trained it; {} where that is not known.
        runnable: the file, ready to run; None for a Keras model.
        file: file that has the weights as they are; None where there is none.
        network_file: Keras file of the same network, to train on; None where there is none.
        untrained: words for the trunk whose head is at random; "" for a whole network.
        skeleton: keypoints that the user names to train it on; None where none are named.
    """

    network: Any
    contract: folders.PoseContract
    facts: dict[str, Any] = field(default_factory=dict)
    recipe: dict[str, Any] = field(default_factory=dict)
    runnable: PoseModel | CrowdModel | None = None
    file: Path | None = None
    network_file: Path | None = None
    untrained: str = ""
    skeleton: Skeleton | None = None

    def asked_for(self, skeleton: Skeleton | None) -> Opened:
        """Returns it with keypoints that the user names: `fit` trains on no others."""
        contract = self.contract
        if skeleton is not None and is_numbered(contract.skeleton):
            contract = dataclasses.replace(contract, skeleton=skeleton)
        return dataclasses.replace(self, contract=contract, skeleton=skeleton)


def open_network(network, contract, facts: dict[str, Any] | None = None) -> Opened:
    """Returns what a task of a Keras model begins with; see `PoseTask`.

    Raises:
        ValueError: for a detector.
    """
    if contract is None:
        from keras_pose.weights.provenance import file_contract_of, runnable_network

        network = runnable_network(network)
        contract = file_contract_of(network)
    return Opened(network, _of_poses(contract, network.name), dict(facts or {}))


def open_file(path: str | Path, model: str | None = None) -> Opened:
    """Opens a model file; see `PoseTask.from_file`."""
    if file_type(path) in KERAS_TYPES:
        from keras_pose.exporting.inputs import open_source

        source = open_source(path, model=model)
        contract = _of_poses(source.contract, path)
        return Opened(source.model, contract, recipe=source.recipe, file=Path(path))
    runnable = load_pose(path, model)
    return Opened(None, runnable.contract, runnable=runnable, file=Path(path))


def open_preset(
    preset: str | Path, skeleton: Skeleton | str | None, num_keypoints: int | None
) -> Opened:
    """Opens a preset; see `PoseTask.from_preset`."""
    text = str(preset)
    wanted = _named_skeleton(skeleton)
    if hub.is_address(text):
        folder = hub.download(hub.parse_address(text))
        return _open_folder(folder, wanted, num_keypoints)
    if Path(preset).is_dir():
        return _open_folder(Path(preset), wanted, num_keypoints)
    if isinstance(preset, Path) or not presets.is_preset_name(text):
        raise FileNotFoundError(
            f"The preset {text!r} is neither a folder nor a name: {_hint(text)}"
        )
    if text == SHIPPED:
        return _open_shipped(wanted, num_keypoints)
    return _open_entry(presets.pose_preset(text), wanted, num_keypoints)


def _open_shipped(skeleton, num_keypoints) -> Opened:
    """Opens the file that is run; for other keypoints, the network it was made of."""
    network = shipped_network(POSE)
    count = skeleton.num_keypoints if skeleton else num_keypoints
    if count is None:
        return dataclasses.replace(open_file(shipped_file(POSE)), network_file=network)
    if network is None:
        raise ValueError(
            f"{SHIPPED} is a file to run, whose keypoints cannot be changed; start from "
            "the preset of a network."
        )
    opened = _with_keypoints(open_file(network), count, skeleton, SHIPPED)
    return opened.asked_for(skeleton)


def _open_entry(entry: CatalogEntry, skeleton, num_keypoints) -> Opened:
    from keras_pose.weights.creation import create_model

    presets.announce([entry])
    count = skeleton.num_keypoints if skeleton else num_keypoints
    network = create_model(entry.model, count, weights=entry.weights, skeleton=skeleton)
    contract = _with_skeleton(network, skeleton) if entry.is_backbone else None
    facts = {name: getattr(entry, name) for name in FACTS}
    opened = open_network(network, contract, facts).asked_for(skeleton)
    if entry.is_backbone:
        return dataclasses.replace(opened, untrained=presets.preset_name(entry))
    if opened.network is network and count is None:
        from keras_pose.weights.weight_files import conversion_path

        return dataclasses.replace(opened, file=conversion_path(entry))
    return opened


def _open_folder(folder: Path, skeleton, num_keypoints) -> Opened:
    preset = folders.read_preset(folder)
    network = folders.build_preset(preset)
    opened = open_network(network, preset.contract, preset.facts)
    opened = dataclasses.replace(opened, file=preset.weights)
    count = skeleton.num_keypoints if skeleton else num_keypoints
    if count is None:
        return opened
    return _with_keypoints(opened, count, skeleton, str(folder)).asked_for(skeleton)


def _with_keypoints(opened: Opened, count: int, skeleton, source: str) -> Opened:
    """Returns the network with a head for other keypoints."""
    from keras_pose.weights.heads import with_keypoints
    from keras_pose.weights.provenance import Provenance, contract_of, set_provenance

    contract = opened.contract
    if isinstance(contract, CrowdContract):
        raise ValueError(
            f"{contract.model} finds everybody in a picture: its keypoints and limbs "
            "cannot be changed."
        )
    said = Provenance(
        source,
        contract.normalization,
        contract.codec.kind,
        contract.skeleton,
        box_padding=contract.box_padding,
    )
    network = with_keypoints(set_provenance(opened.network, said), count, skeleton)
    if network is opened.network:
        return opened
    return open_network(network, contract_of(network), opened.facts)


def open_trunk(
    backbone,
    skeleton: Skeleton | str | None,
    input_hw: tuple[int, int],
    head_channels: int,
    normalization: Normalization | None,
    load_weights: bool,
) -> Opened:
    """Builds a Simple Baseline on a trunk; see `PoseTask.from_backbone`."""
    from keras_pose.models.trunks import build_on_trunk
    from keras_pose.tasks.backbones import open_backbone, usual_normalization
    from keras_pose.weights.provenance import Provenance, contract_of, set_provenance
    from keras_pose.zoo import TRUNK_MODEL

    asked = _named_skeleton(skeleton)
    wanted = asked or COCO_17
    trunk, found = open_backbone(backbone, load_weights)
    network = build_on_trunk(
        trunk, wanted.num_keypoints, input_hw, head_channels, TRUNK_MODEL
    )
    said = normalization or usual_normalization(found)
    name = str(getattr(trunk, "name", backbone))
    set_provenance(network, Provenance(name, said, skeleton=wanted, is_backbone=True))
    opened = open_network(network, contract_of(network), {"trunk": name})
    return dataclasses.replace(opened.asked_for(asked), untrained=f"a head on {name}")


def _named_skeleton(skeleton):
    if isinstance(skeleton, str):
        from keras_pose.data.mixing import load_skeleton

        return load_skeleton(skeleton)
    return skeleton


def _of_poses(contract, source) -> folders.PoseContract:
    """Returns a contract of a network that finds keypoints; refuses those of detectors."""
    if not isinstance(contract, folders.PoseContract):
        raise ValueError(f"A PoseTask finds keypoints; {source} finds boxes.")
    return contract


def _with_skeleton(network, skeleton):
    """Returns the contract of a network whose head is at random."""
    from keras_pose.weights.heads import num_predicted
    from keras_pose.weights.provenance import contract_of, provenance_of, set_provenance

    wanted = skeleton or default_skeleton(num_predicted(network))
    set_provenance(network, dataclasses.replace(provenance_of(network), skeleton=wanted))
    return contract_of(network)


def _hint(text: str) -> str:
    if "/" not in text and "\\" not in text and "." not in text:
        return "names are letters, digits and _."
    if Path(text).is_file():
        return "a model file goes to PoseTask.from_file."
    return "the folder does not exist."
