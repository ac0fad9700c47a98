"""Contracts: facts that a program needs to run a model file. Read and written here only.

`pose`, `bottom_up` and `detector` are the contracts by the kind of network, made of the
`fields` that all have; `entries` reads and writes them, beside files and inside.
`detector_description` explains detectors that others made, `activation_ranges` are what
quantization-aware training adds to a `.keras` file.

docs/contract.md explains every field, `pose_model.schema.json` is the JSON Schema. Within
a version, fields are only added, and those that a reader does not know it may ignore.
"""

from keras_pose.contracts.bottom_up import BottomUpContract
from keras_pose.contracts.detector import (
    DetectorContract,
    is_detector,
    read_detector_contract,
)
from keras_pose.contracts.entries import save_keras_model, write_contract
from keras_pose.contracts.pose import Contract, read_contract

__all__ = [
    "BottomUpContract",
    "Contract",
    "DetectorContract",
    "is_detector",
    "read_contract",
    "read_detector_contract",
    "save_keras_model",
    "write_contract",
]
