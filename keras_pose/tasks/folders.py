"""Folders of presets: what `PoseTask.save_to_preset` writes and `from_preset` reads.

config.json       the network's row, and the contract: codec, keypoints, normalization
metadata.json     versions, date, parameters, hash of the weights, where they are from
model.weights.h5  weights by layer name; model.keras of a network that is in no row of the
                  zoo, such as one on a trunk of KerasHub
README.md         the model card

A folder from elsewhere is checked before it is used: nothing in it names a file outside
of it, and `.weights.h5` holds numbers only. A `model.keras` is loaded in Keras' safe mode.
"""

from __future__ import annotations

import contextlib
import datetime
import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import keras_pose
from keras_pose.contracts.crowd import (
    CROWD_CONTRACTS,
    AnyCrowdContract,
    crowd_contract_of_dict,
)
from keras_pose.contracts.entries import (
    VERSION_FIELDS,
    check_version,
    named,
    save_keras_model,
)
from keras_pose.contracts.fields import task_of
from keras_pose.contracts.pose import Contract
from keras_pose.files import atomic_path, check_writable, file_sha256, read_json, write_json
from keras_pose.zoo import build_model, get_spec

FORMAT = "keras_pose preset"
FORMAT_VERSION = 1
CONFIG_NAME, METADATA_NAME, CARD_NAME = "config.json", "metadata.json", "README.md"
WEIGHTS_NAMES = ("model.weights.h5", "model.keras")
FILE_NAMES = (CONFIG_NAME, METADATA_NAME, CARD_NAME, *WEIGHTS_NAMES)

PoseContract = Contract | AnyCrowdContract


@dataclass(frozen=True)
class Preset:
    """What a folder holds, read but not built.

    Attributes:
        folder: path of the folder.
        contract: contract of the network.
        num_outputs: keypoints (or maps) that a network of the zoo is built for.
        weights: path of the file of weights.
        facts: source of the weights, as in `PoseTask.facts`.
    """

    folder: Path
    contract: PoseContract
    num_outputs: int | None
    weights: Path
    facts: dict[str, Any] = field(default_factory=dict)


def write_preset(
    folder, network, contract: PoseContract, facts: dict[str, Any], card: str
) -> Path:
    """Writes a preset; config.json last, so that a folder that has one is complete.

    Args:
        folder: folder to write into, made if absent; another preset in it is replaced.
        network: the Keras model.
        contract: contract of the network.
        facts: source of the weights, as in `PoseTask.facts`.
        card: text of the README.md.

    Returns:
        The folder.

    Raises:
        PermissionError: if the folder takes no files.
    """
    from keras_pose.models.complexity import count_params

    folder = check_writable(folder)
    for name in (CONFIG_NAME, *WEIGHTS_NAMES):
        (folder / name).unlink(missing_ok=True)
    is_of_zoo = is_rebuilt(network.name)
    weights = folder / (WEIGHTS_NAMES[0] if is_of_zoo else WEIGHTS_NAMES[1])
    _write_weights(network, contract, weights)
    metadata = {
        "keras_version": _keras_version(),
        "keras_pose_version": keras_pose.__version__,
        "date_saved": datetime.datetime.now(datetime.UTC).strftime("%Y-%m-%d@%H:%M:%S"),
        "parameter_count": count_params(network),
        "weights": {"bytes": weights.stat().st_size, "sha256": file_sha256(weights)},
        "facts": facts,
    }
    write_json(folder / METADATA_NAME, metadata)
    with atomic_path(folder / CARD_NAME) as temporary:
        temporary.write_text(card, encoding="utf-8")
    config = {
        "format": FORMAT,
        "format_version": FORMAT_VERSION,
        "module": "keras_pose",
        "class_name": "PoseTask",
        "network": _describe_row(network) if is_of_zoo else {"model": network.name},
        "weights": weights.name,
        "contract": {**VERSION_FIELDS, **contract.to_dict()},
    }
    write_json(folder / CONFIG_NAME, config)
    return folder


def is_rebuilt(model: str) -> bool:
    """Returns True for a network that the zoo can build again by its name."""
    try:
        return not get_spec(model).needs_trunk
    except ValueError:
        return False


def _describe_row(network) -> dict[str, Any]:
    from keras_pose.weights.heads import num_predicted

    spec = get_spec(network.name)
    return {
        "model": spec.name,
        "family": spec.family,
        "options": dict(spec.options),
        "input_hw": list(network.inputs[0].shape[1:3]),
        "num_outputs": num_predicted(network),
    }


def _write_weights(network, contract: PoseContract, path: Path) -> None:
    if path.suffix == ".keras":
        save_keras_model(network, path, contract)
        return
    from keras_pose.weights.importer import save_weights

    save_weights(network, path)


def _keras_version() -> str:
    import keras

    return keras.__version__


def read_preset(folder) -> Preset:
    """Reads a folder that `write_preset` wrote, and checks that it is whole.

    Raises:
        FileNotFoundError: for a folder without a config.json, or without its weights.
        ValueError: for a config.json of another program or of a newer version, and for
            weights that are not those the folder was saved with.
    """
    folder = Path(folder)
    config = _read_config(folder)
    path = folder / CONFIG_NAME
    with _named_fields(path):
        network, entry = config["network"], config["contract"]
        model, weights_name = network["model"], config["weights"]
        num_outputs = network["num_outputs"] if is_rebuilt(model) else None
        contract = _read_contract(entry, path)
    if weights_name not in WEIGHTS_NAMES:
        raise ValueError(
            f"{path}: weights must be {' or '.join(WEIGHTS_NAMES)}, got {weights_name!r}."
        )
    if weights_name == WEIGHTS_NAMES[0]:
        get_spec(model)
        _check_row(network, num_outputs, path)
    if contract.model != model:
        raise ValueError(
            f"{path}: the contract is of {contract.model}, but the network is {model}."
        )
    weights = folder / weights_name
    if not weights.is_file():
        raise FileNotFoundError(
            f"The preset {folder} lacks its weights, {weights_name}: copy the whole folder."
        )
    metadata = _read_metadata(folder)
    _check_weights(weights, metadata)
    return Preset(folder, contract, num_outputs, weights, metadata.get("facts") or {})


def _check_row(network: dict[str, Any], num_outputs, path: Path) -> None:
    """Refuses a row that is not the zoo's of that name, as after a change of the zoo."""
    if type(num_outputs) is not int or num_outputs < 1:
        raise ValueError(
            f"{path}: num_outputs must be a whole number above 0, got {num_outputs!r}."
        )
    options = json.loads(json.dumps(dict(get_spec(network["model"]).options)))
    if network.get("options") != options:
        raise ValueError(
            f"{path}: {network['model']} was saved with the options "
            f"{network.get('options')}, this version of keras_pose builds it with "
            f"{options}."
        )


def _read_config(folder: Path) -> dict[str, Any]:
    path = folder / CONFIG_NAME
    if not path.is_file():
        there = sorted(each.name for each in folder.iterdir())[:5]
        raise FileNotFoundError(
            f"{folder} is no preset: it has no {CONFIG_NAME}, but {there}. PoseTask."
            "save_to_preset writes such folders; a .keras file goes to "
            "PoseTask.from_file."
        )
    config = read_json(path)
    if not isinstance(config, dict) or config.get("format") != FORMAT:
        found = config.get("class_name") if isinstance(config, dict) else None
        of_another = f" (it is of {found!r})" if found else ""
        raise ValueError(
            f"{path} is not of a preset of keras_pose{of_another}: its format must be "
            f"{FORMAT!r}."
        )
    version = config.get("format_version")
    if version != FORMAT_VERSION:
        by_whom = _read_metadata(folder).get("keras_pose_version", "another version")
        hint = ""
        if isinstance(version, int) and version > FORMAT_VERSION:
            hint = f" A newer keras_pose ({by_whom}) wrote it: update this one."
        raise ValueError(
            f"{path} has format_version {version}; this version of keras_pose reads "
            f"{FORMAT_VERSION}.{hint}"
        )
    return config


@contextlib.contextmanager
def _named_fields(path: Path) -> Iterator[None]:
    """Names the file in which a field is missing or of another type."""
    try:
        yield
    except KeyError as error:
        raise ValueError(f"{path} lacks the field {error}.") from error
    except TypeError as error:
        raise ValueError(f"{path}: a field has another type: {error}.") from error


def _read_contract(entry, path: Path) -> PoseContract:
    check_version(entry, path)
    if task_of(entry) in CROWD_CONTRACTS:
        return named(crowd_contract_of_dict, entry, path)
    return named(Contract.from_dict, entry, path)


def _read_metadata(folder: Path) -> dict[str, Any]:
    path = folder / METADATA_NAME
    values = read_json(path) if path.is_file() else {}
    return values if isinstance(values, dict) else {}


def _check_weights(weights: Path, metadata: dict[str, Any]) -> None:
    """Refuses weights of another preset; one without metadata is held to its row alone."""
    stated = metadata.get("weights")
    expected = stated.get("sha256") if isinstance(stated, dict) else None
    if expected is None:
        return
    actual = file_sha256(weights)
    if actual != expected:
        raise ValueError(
            f"{weights} is not the file that the preset was saved with: its SHA-256 begins "
            f"{actual[:12]}, {METADATA_NAME} says {str(expected)[:12]}."
        )


def build_preset(preset: Preset):
    """Builds the network of a preset, with its weights.

    Raises:
        ValueError: if the weights are not of the row's network.
    """
    if preset.weights.suffix == ".keras":
        from keras_pose.runtime.keras_backend import load_network

        return load_network(preset.weights)
    from keras_pose.models.checkpoint import load_weights
    from keras_pose.weights.provenance import runnable_network

    contract = preset.contract
    network = build_model(contract.model, preset.num_outputs, contract.input_hw)
    network = runnable_network(network)
    load_weights(network, preset.weights)
    return network
