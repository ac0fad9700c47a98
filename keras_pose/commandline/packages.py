"""Packages that not every installation has."""

from __future__ import annotations

import importlib
from typing import Any

from keras_pose.commandline.quiet import import_tensorflow


def import_runtime(module: str, package: str, file_type: str) -> Any:
    """Imports what runs files of one type.

    Raises:
        ImportError: names the package to install.
    """
    try:
        if module in ("tensorflow", "keras"):
            import_tensorflow()
        return importlib.import_module(module)
    except ImportError as error:
        raise ImportError(
            f"Running a {file_type} file needs the package {package}, which cannot be "
            f"imported ({error}). Install it: pip install {package}"
        ) from error
