"""Argument types, plain errors and hints that all command-line programs share."""

from __future__ import annotations

import argparse
import contextlib
import math
import os
import sys
from collections.abc import Iterable, Iterator

from keras_pose.commandline.quiet import quiet_tensorflow

TRACEBACK_VARIABLE = "KERAS_POSE_TRACEBACK"


@contextlib.contextmanager
def plain_errors() -> Iterator[None]:
    """Ends the program with one line where a file or an option is at fault.

    For `with`, or as the decorator of a script's `main`.

    Such errors are raised as OSError, ValueError or ImportError, and say by
    themselves what is wrong. The traceback is shown when the environment has
    `KERAS_POSE_TRACEBACK=1`.
    """
    quiet_tensorflow()
    try:
        yield
    except (OSError, ValueError, ImportError) as error:
        if os.environ.get(TRACEBACK_VARIABLE):
            raise
        sys.exit(
            f"error: {error}{_advice(error)}\n"
            f"({TRACEBACK_VARIABLE}=1 shows where it was raised)"
        )


def some_of(names: Iterable, most: int) -> str:
    """Lists the first names of many for a message, and "..." for the others."""
    listed = list(map(str, names))
    return ", ".join(listed[:most]) + ", ..." * (len(listed) > most)


def _advice(error: Exception) -> str:
    """Returns how to get a package that training and export need, and running does not."""
    if not isinstance(error, ModuleNotFoundError):
        return ""
    if str(error.name).startswith("keras_pose"):
        return ""
    return ". Training and export need: pip install 'keras-pose[train]'"


def positive_float(text: str) -> float:
    """Reads a finite number above 0, as an argparse `type`."""
    try:
        number = float(text)
    except ValueError:
        number = 0.0
    if not 0 < number < math.inf:
        raise argparse.ArgumentTypeError(f"must be a number above 0, got {text!r}")
    return number


def positive_int(text: str) -> int:
    """Reads a whole number above 0, as an argparse `type`."""
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(
            f"must be a whole number, at least 1, got {text!r}"
        )
    return int(text)
