"""A cache of results of long work, with a hash of what each depends on.

Work that is stopped and started again asks here first, so that it goes on where it
stopped, and does anew only what was made of something else.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from keras_pose.files import read_json, write_json


def key_of(values: Any) -> str:
    """Returns a hash of what something is made of.

    Args:
        values: values that JSON can hold.
    """
    return hashlib.sha256(json.dumps(values, sort_keys=True).encode()).hexdigest()[:16]


def stored(path) -> Any:
    """Reads the file of an earlier call; None where there is none that can be read."""
    try:
        return read_json(path)
    except (FileNotFoundError, ValueError):
        return None


def cached(
    notes: Path, made_of: Any, make: Callable[[], Any], is_valid: bool = True
) -> Any:
    """Returns the result of an earlier call for the same, or computes and stores it.

    Args:
        notes: JSON file of the cache.
        made_of: values that the result depends on, and that JSON can hold.
        make: function that computes the result, which JSON can hold.
        is_valid: False forces a recomputation, e.g. if the file that the entry describes is
            gone.
    """
    key = key_of(made_of)
    earlier = stored(notes) if is_valid else None
    if earlier is not None and earlier.get("key") == key:
        return earlier["found"]
    found = make()
    write_json(notes, {"key": key, "found": found})
    return found
