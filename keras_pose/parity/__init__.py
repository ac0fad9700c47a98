"""Parity packs: golden cases by which programs in other languages prove that they agree.

docs/parity_pack.md is the format. A case's kind is one function of `kinds`, by which the
writer makes what is expected, and the replay what is compared with it.
"""

from keras_pose.parity.packs import FORMAT_VERSION, Case, Pack, read_pack, write_pack
from keras_pose.parity.replay import Result, replay

__all__ = [
    "FORMAT_VERSION",
    "Case",
    "Pack",
    "Result",
    "read_pack",
    "replay",
    "write_pack",
]
