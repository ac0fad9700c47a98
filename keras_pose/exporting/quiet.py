"""Keeping converters quiet, until they fail."""

from __future__ import annotations

import contextlib
import os
import sys
import tempfile


@contextlib.contextmanager
def quiet_stderr():
    """Withholds stderr, that of C++ code included; prints it all if the block raises."""
    sys.stderr.flush()
    stderr_copy = os.dup(2)
    with tempfile.TemporaryFile() as log:
        os.dup2(log.fileno(), 2)
        try:
            yield
        except BaseException:
            _restore(stderr_copy)
            log.seek(0)
            sys.stderr.write(log.read().decode(errors="replace"))
            raise
        else:
            _restore(stderr_copy)


def _restore(stderr_copy) -> None:
    sys.stderr.flush()
    os.dup2(stderr_copy, 2)
    os.close(stderr_copy)
