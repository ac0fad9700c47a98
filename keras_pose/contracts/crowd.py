"""Contracts of networks that see whole pictures, whichever of the two kinds they are."""

from __future__ import annotations

from typing import Any

from keras_pose.contracts.bottom_up import BOTTOM_UP, BottomUpContract
from keras_pose.contracts.entries import named, read_entry
from keras_pose.contracts.fields import task_of
from keras_pose.contracts.one_stage import ONE_STAGE, OneStageContract

AnyCrowdContract = BottomUpContract | OneStageContract
# Tasks of such contracts, and their classes.
CROWD_CONTRACTS: dict[str, type[BottomUpContract] | type[OneStageContract]] = {
    BOTTOM_UP: BottomUpContract,
    ONE_STAGE: OneStageContract,
}


def crowd_contract_of_dict(values: dict[str, Any]) -> AnyCrowdContract:
    """Reads an entry of either kind.

    Raises:
        ValueError: for another task, and where fields are missing or do not fit.
    """
    task = task_of(values)
    if task not in CROWD_CONTRACTS:
        raise ValueError(
            f"This is a contract for {task}, not of a network that finds everybody in a "
            f"picture ({', '.join(CROWD_CONTRACTS)})."
        )
    return CROWD_CONTRACTS[task].from_dict(values)


def read_crowd_contract(model_path) -> AnyCrowdContract:
    """Reads the contract of a file of either kind; errors as `pose.read_contract`."""
    values, path = read_entry(model_path)
    return named(crowd_contract_of_dict, values, path)


def is_crowd(model_path) -> bool:
    """Returns True for a file of either kind; errors as `pose.read_contract`."""
    return task_of(read_entry(model_path)[0]) in CROWD_CONTRACTS
