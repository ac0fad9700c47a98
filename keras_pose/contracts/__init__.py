"""What programs need to know of model files, by the kind of network.

`pose` has top-down networks, and reads and writes the contracts of all kinds; `bottom_up`
and `detector` have the other kinds. `detector_description` explains detectors that others
made, and `activation_ranges` are what quantization-aware training adds to a `.keras` file.
"""

from keras_pose.contracts.bottom_up import BottomUpContract
from keras_pose.contracts.detector import (
    DetectorContract,
    is_detector,
    read_detector_contract,
)
from keras_pose.contracts.pose import Contract, read_contract

__all__ = [
    "BottomUpContract",
    "Contract",
    "DetectorContract",
    "is_detector",
    "read_contract",
    "read_detector_contract",
]
