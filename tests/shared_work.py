"""Work that several tests need, done once for all processes that run tests."""

import contextlib
import fcntl
from pathlib import Path


@contextlib.contextmanager
def shared_folder(tmp_path_factory, name):
    """Yields a folder that all processes of a run share, and whether it is to be filled.

    One process at a time: those that come while it is being filled wait. What a process
    that failed left half done is done again by the next.

    Args:
        tmp_path_factory: pytest's.
        name: of the folder, one for every work.
    """
    base = tmp_path_factory.getbasetemp()
    # The processes of pytest-xdist have folders of their own, side by side.
    root = base.parent if base.name.startswith("popen-") else base
    folder = Path(root) / f"shared-{name}"
    folder.mkdir(exist_ok=True)
    with (root / f"shared-{name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        is_done = folder / ".done"
        yield folder, not is_done.exists()
        is_done.touch()
