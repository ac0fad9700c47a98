"""Contracts: facts that a program needs to run a model file. Read and written here only.

`pose`, `bottom_up`, `one_stage` and `detector` are the contracts by the kind of network,
made of the `fields` that all have; `crowd` is either of the two for whole pictures.
`entries` reads and writes them, beside files and inside.
`detector_description` explains detectors that others made, `activation_ranges` are what
quantization-aware training adds to a `.keras` file.

docs/contract.md explains every field, `pose_model.schema.json` is the JSON Schema. Within
a version, fields are only added, and those that a reader does not know it may ignore.
"""

from keras_pose.contracts.bottom_up import BottomUpContract
from keras_pose.contracts.crowd import read_crowd_contract
from keras_pose.contracts.crowd_fields import CrowdContract
from keras_pose.contracts.detector import (
    DetectorContract,
    is_detector,
    read_detector_contract,
)
from keras_pose.contracts.entries import save_keras_model, write_contract
from keras_pose.contracts.one_stage import OneStageContract
from keras_pose.contracts.pose import Contract, read_contract

__all__ = [
    "BottomUpContract",
    "Contract",
    "CrowdContract",
    "DetectorContract",
    "OneStageContract",
    "is_detector",
    "read_contract",
    "read_crowd_contract",
    "read_detector_contract",
    "save_keras_model",
    "write_contract",
]
