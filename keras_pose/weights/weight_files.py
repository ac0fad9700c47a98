"""Models with weights: out of files of any kind, and out of the catalogue."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import keras

from keras_pose.contracts.crowd import is_crowd, read_crowd_contract
from keras_pose.contracts.detector import is_detector, read_detector_contract
from keras_pose.contracts.entries import read_entry, save_keras_model
from keras_pose.contracts.pose import read_contract
from keras_pose.files import cache_dir
from keras_pose.models.checkpoint import fill_layers, read_layers
from keras_pose.models.visibility import is_of_head
from keras_pose.shipped import SHIPPED, network_of_model
from keras_pose.skeleton import SKELETONS, Skeleton
from keras_pose.weights.catalog import CatalogEntry, entry_of_file, get_entry
from keras_pose.weights.download import fetch
from keras_pose.weights.file_kinds import (
    CHECKPOINT_ENDINGS,
    is_checkpoint,
    split_table,
)
from keras_pose.weights.heads import predicting_layer, with_keypoints, with_stored_head
from keras_pose.weights.importer import (
    from_tensors,
    import_weights,
    read_checkpoint,
    save_weights,
)
from keras_pose.weights.input_size import POSITIONS, check_places, fit_positions
from keras_pose.weights.layouts import count_keypoints, module_name, recognize
from keras_pose.weights.network_files import NETWORK_ENDINGS, is_network_file
from keras_pose.weights.provenance import (
    Provenance,
    file_contract_of,
    provenance_of,
    runnable_network,
    set_provenance,
)
from keras_pose.zoo import ModelSpec, build_model, get_spec
from keras_pose.zoo.spec import CROWD_TASKS

KERAS_ENDINGS = (".keras", ".weights.h5")
# Part of the name of converted files: raised when converting changes what it writes.
CONVERSION_VERSION = 1


def model_from_file(
    name: str, num_keypoints, input_hw, path, skeleton: Skeleton | None = None
):
    """Builds a model with the weights of a file; see `create_model`."""
    path = Path(path)
    if path.name.endswith(KERAS_ENDINGS):
        other = _other_network(name, path)
        if other is not None:
            from keras_pose.weights.imagenet import model_on_trunk_of

            start = (num_keypoints, input_hw, read_layers(path), other)
            return model_on_trunk_of(name, *start, _said_by(path)[0], path)
        model = _from_keras_file(name, input_hw, path)
        return with_keypoints(model, num_keypoints, skeleton)
    if not is_checkpoint(path) and not is_network_file(path):
        endings = (*KERAS_ENDINGS, *CHECKPOINT_ENDINGS, *NETWORK_ENDINGS)
        raise ValueError(
            f"Weights must be a {', '.join(endings)} file, or a word of the catalogue, "
            f"got {path}."
        )
    if is_network_file(path):
        model = import_weights(name, path, input_hw=input_hw)
    else:
        model = _from_checkpoint(name, num_keypoints, input_hw, path)
    if provenance_of(model).is_backbone:
        return model
    return with_keypoints(model, num_keypoints, skeleton)


def _other_network(name: str, path: Path) -> str | None:
    """Returns the zoo name of a file's network if another may start from its trunk."""
    from keras_pose.weights.imagenet import have_one_trunk

    found = _entry(path).get("model")
    if found in (None, name) or not have_one_trunk(name, found):
        return None
    return found


def _from_checkpoint(name: str, num_keypoints, input_hw, path: Path):
    """Builds a model from a file of another framework, a backbone's included.

    A file of the catalogue is recognized by its hash, and has the catalogue's provenance.
    """
    spec = get_spec(name)
    layout, tensors = recognize(read_checkpoint(path))
    entry = entry_of_file(name, split_table(path)[0])
    if f"{module_name(predicting_layer(spec))}.weight" not in tensors:
        from keras_pose.weights.imagenet import model_of_backbone

        model = model_of_backbone(name, num_keypoints, input_hw, tensors, path)
        if entry is not None:
            said = dataclasses.replace(
                provenance_of(model), normalization=entry.normalization
            )
            set_provenance(model, said)
        return model
    model = from_tensors(spec, layout, tensors, path, input_hw=input_hw)
    if entry is not None:
        set_provenance(model, dataclasses.replace(_provenance(entry), source=str(path)))
    return model


def model_from_entry(
    entry: CatalogEntry, num_keypoints, input_hw, skeleton: Skeleton | None = None
):
    """Builds a model with weights of the catalogue; see `create_model`."""
    if entry.is_backbone:
        return _with_backbone(entry, num_keypoints, input_hw)
    path = converted_file(entry)
    model = _from_keras_file(entry.model, input_hw or entry.input_hw, path)
    return with_keypoints(
        set_provenance(model, _provenance(entry)), num_keypoints, skeleton
    )


def file_of_word(model: str, word: str) -> Path:
    """Returns the Keras file of a model's weights that a word stands for.

    Raises:
        ValueError: for an unknown word, and as `converted_file`.
    """
    if word == SHIPPED:
        return network_of_model(model)
    return converted_file(get_entry(model, word))


def converted_file(entry: CatalogEntry) -> Path:
    """Returns the catalogue's weights as a Keras file, made on first use and kept.

    Pose networks and detectors of people come as `.keras` with their contract,
    others as `.weights.h5`.

    Raises:
        ValueError: for a backbone: without a head there is nothing to run.
    """
    if entry.is_backbone:
        raise ValueError(
            f"The weights {entry.weights!r} of {entry.model} are those of a backbone: "
            "nothing to run before it is trained (training/train.py starts from them)."
        )
    path = conversion_path(entry)
    if not path.exists():
        source = fetch(entry)
        print(f"Converting {source}, once.")
        model = import_weights(entry.model, source, entry.num_keypoints, entry.input_hw)
        if path.suffix == ".keras":
            network = runnable_network(set_provenance(model, _provenance(entry)))
            save_keras_model(network, path, file_contract_of(network))
        else:
            save_weights(model, path)
    return path


def conversion_path(entry: CatalogEntry) -> Path:
    """Returns where the Keras file of a row with a head is, or would be."""
    ending = ".keras" if _has_contract(entry) else ".weights.h5"
    mark = entry.sha256[0][:8] if entry.sha256 else "unchecked"
    name = f"{entry.model}-{entry.weights}-{mark}-v{CONVERSION_VERSION}{ending}"
    return cache_dir() / "converted" / name


def _has_contract(entry: CatalogEntry) -> bool:
    """Returns True if there is a kind of contract for the network."""
    task = get_spec(entry.model).task
    is_of_people = task == "detection" and entry.num_keypoints == 1
    return task in ("top_down", *CROWD_TASKS) or is_of_people


def _provenance(entry: CatalogEntry) -> Provenance:
    return Provenance(
        source=f"{entry.file_name} ({entry.weights!r})",
        normalization=entry.normalization,
        codec=entry.codec,
        skeleton=SKELETONS.get(entry.skeleton) if entry.skeleton else None,
    )


def _with_backbone(entry: CatalogEntry, num_keypoints, input_hw):
    from keras_pose.weights.imagenet import load_backbone

    source = fetch(entry)
    model = build_model(entry.model, num_keypoints, input_hw)
    _, tensors = recognize(read_checkpoint(source))
    load_backbone(model, tensors, source)
    return set_provenance(
        model, Provenance(str(source), entry.normalization, is_backbone=True)
    )


def _on_a_trunk(name: str, input_hw, path: Path):
    """Loads a network that only its own file can build.

    Raises:
        ValueError: for weights without their network, and for another input size.
    """
    if path.suffix != ".keras":
        raise ValueError(
            f"{name} stands on a network from elsewhere, so its files are whole (.keras), "
            f"got {path}."
        )
    model = keras.saving.load_model(path, compile=False)
    provenance, _ = _said_by(path)
    size = tuple(model.inputs[0].shape[1:3])
    if model.name != name or (input_hw is not None and tuple(input_hw) != size):
        raise ValueError(
            f"{path} holds {model.name} for an input of {size}, asked for was {name} for "
            f"{input_hw}."
        )
    return set_provenance(model, provenance)


def _from_keras_file(name: str, input_hw, path: Path):
    if get_spec(name).needs_trunk:
        return _on_a_trunk(name, input_hw, path)
    stored = read_layers(path)
    head = {key: stored.pop(key) for key in list(stored) if is_of_head(key)}
    provenance, trained_hw = _said_by(path)
    spec = get_spec(name)
    model = build_model(name, _stored_keypoints(spec, stored), input_hw or trained_hw)
    _bring_to_size(spec, model, stored, trained_hw, path)
    fill_layers(model, stored, path)
    return with_stored_head(set_provenance(model, provenance), head, path)


def _bring_to_size(spec: ModelSpec, model, stored, trained_hw, path) -> None:
    """Changes, in `stored`, what depends on the input size, or refuses it."""
    if spec.family == "vitpose" and POSITIONS in stored:
        input_hw = model.inputs[0].shape[1:3]
        (positions,) = stored[POSITIONS]
        positions = fit_positions(spec, positions, trained_hw, input_hw, path)
        stored[POSITIONS] = [positions]
    shapes = {name: arrays[0].shape for name, arrays in stored.items()}
    check_places(spec, model, shapes, path)


def _entry(path: Path) -> dict[str, Any]:
    """Reads the contract of a `.keras` file; empty if there is none."""
    try:
        return read_entry(path)[0] if path.suffix == ".keras" else {}
    except FileNotFoundError:  # saved by Keras itself: weights like any other
        return {}


def _said_by(path: Path) -> tuple[Provenance, tuple[int, int] | None]:
    """Reads what a `.keras` file's contract demands, and its input size; None if absent."""
    if not _entry(path):
        return Provenance(str(path)), None
    if is_detector(path):
        found = read_detector_contract(path)
        return Provenance(str(path), found.normalization), found.input_hw
    if is_crowd(path):
        whole = read_crowd_contract(path)
        provenance = Provenance(str(path), whole.normalization, None, whole.skeleton)
        return provenance, whole.input_hw
    contract = read_contract(path)
    provenance = Provenance(
        str(path),
        contract.normalization,
        contract.codec.kind,
        contract.skeleton,
        box_padding=contract.box_padding,
    )
    return provenance, contract.input_hw


def _stored_keypoints(spec: ModelSpec, stored) -> int | None:
    """Reads the number of keypoints off the layer that predicts them, if there is one."""
    if spec.task == "features":
        return None
    layer = predicting_layer(spec)
    # Without that layer the file is of another model, which filling it reports.
    return count_keypoints(spec, stored[layer][0].shape[-1]) if layer in stored else None
