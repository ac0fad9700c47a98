"""Keeping TensorFlow and its converters quiet, until they fail."""

from __future__ import annotations

import contextlib
import importlib
import importlib.abc
import importlib.util
import os
import sys
import tempfile

TENSORFLOW = "tensorflow"


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


def quiet_tensorflow() -> None:
    """Makes the first import of TensorFlow, by Keras or by us, a quiet one.

    What it prints while starting comes before any of its settings is read. Devices are
    listed, too, since a machine without a GPU complains of that only then.
    """
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")  # errors only
    waits = any(isinstance(finder, _QuietTensorFlow) for finder in sys.meta_path)
    if TENSORFLOW not in sys.modules and not waits:
        sys.meta_path.insert(0, _QuietTensorFlow())


def import_tensorflow(for_training: bool = False) -> None:
    """Imports TensorFlow without the lines it prints while starting.

    Args:
        for_training: True to let oneDNN convolve: gradients are faster by it on every
            processor tried (docs/results.md), and TensorFlow turns it on by itself only for
            those with newer vector units. Outputs differ in the last digits.
    """
    if for_training:
        os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "1")
    quiet_tensorflow()
    importlib.import_module(TENSORFLOW)


class _QuietTensorFlow(importlib.abc.MetaPathFinder):
    """Finder that steps aside at the first import of TensorFlow, and quietens that one."""

    def find_spec(self, fullname, path=None, target=None):
        if fullname != TENSORFLOW:
            return None
        sys.meta_path.remove(self)
        spec = importlib.util.find_spec(fullname)
        if spec is not None and spec.loader is not None:
            _quieten(spec.loader)
        return spec


def _quieten(loader) -> None:
    run = loader.exec_module

    def run_quietly(module) -> None:
        with quiet_stderr():
            run(module)
            module.config.list_physical_devices()

    loader.exec_module = run_quietly


def _restore(stderr_copy) -> None:
    sys.stderr.flush()
    os.dup2(stderr_copy, 2)
    os.close(stderr_copy)
