"""Keeping TensorFlow and its converters quiet, until they fail."""

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


def import_tensorflow(for_training: bool = False) -> None:
    """Imports TensorFlow without the lines it prints while starting.

    What follows imports it as usual. Devices are listed too, since a machine without
    a GPU complains of that only then.

    Args:
        for_training: True to let oneDNN convolve: gradients are faster by it on every
            processor tried (docs/results.md), and TensorFlow turns it on by itself only for
            those with newer vector units. Outputs differ in the last digits.
    """
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")  # errors only
    if for_training:
        os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "1")
    with quiet_stderr():
        import tensorflow

        tensorflow.config.list_physical_devices()


def _restore(stderr_copy) -> None:
    sys.stderr.flush()
    os.dup2(stderr_copy, 2)
    os.close(stderr_copy)
