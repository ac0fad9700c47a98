"""The parity pack that each core last replayed.

Replaying takes tools that not every machine has, and compiling takes minutes. So a core
keeps the hash of the pack in a file REPLAYED beside it. Only a replay that passes writes
it, and a test that needs no tool compares it with today's pack.
"""

import contextlib
import hashlib
from pathlib import Path

from keras_pose.parity import read_pack

MOBILE_DEMO = Path(__file__).resolve().parents[2] / "mobile_demo"
PACK = MOBILE_DEMO / "parity"
REPLAYED = {
    "JavaScript": MOBILE_DEMO / "web" / "REPLAYED",
    "Kotlin": MOBILE_DEMO / "kotlin" / "REPLAYED",
    "Swift": MOBILE_DEMO / "ios" / "KerasPoseCore" / "REPLAYED",
}
OPTION = "--record-replays"
COMMAND = f"python -m pytest tests/mobile -k replays_the_parity_pack {OPTION}"


def pack_hash() -> str:
    """Returns the SHA-256 of the pack's index, which holds that of its arrays.

    Raises:
        ValueError: if the arrays are not those of the index.
    """
    read_pack(PACK)
    return hashlib.sha256((PACK / "index.json").read_bytes()).hexdigest()


def last_replayed(core: str) -> str | None:
    """Returns the hash of the pack that a core last replayed; None if it never did."""
    path = REPLAYED[core]
    return path.read_text(encoding="ascii").strip() if path.exists() else None


@contextlib.contextmanager
def replay_of(core: str, is_recorded: bool):
    """Gives the number of cases a core must pass within the block, which replays them.

    Args:
        core: key of `REPLAYED`.
        is_recorded: whether the pack's hash is written down if the block does not fail.
    """
    before = pack_hash()
    yield len(read_pack(PACK).cases)
    assert pack_hash() == before, "the pack changed while it was replayed"
    if is_recorded:
        REPLAYED[core].write_text(f"{before}\n", encoding="ascii")
