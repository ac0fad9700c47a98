"""Choice of a COCO file's category: the one with keypoints, whatever its name."""

from __future__ import annotations

import json
import re
from collections import Counter
from pathlib import Path
from typing import Any

from keras_pose.data.readers.json_sections import read_sections

PERSON = "person"
_TAIL = 1 << 18  # bytes in which `categories` stands at a file's end, as COCO writes it


def choose_category(path, name: str | None = None) -> dict[str, Any]:
    """Returns the category whose annotations are read.

    It is the one with named keypoints. Of several "person" comes first; of several of
    one name, or where none names its keypoints, the one that annotations with keypoints
    use.

    Args:
        path: file in COCO's format.
        name: name or id of a category; None for the rule above.

    Raises:
        ValueError: lists the categories where the rule leaves several or none, or there
            is none of that name.
    """
    categories = read_categories(path)
    found = [c for c in categories if name in (None, c.get("name"), id_as_text(c["id"]))]
    if not found:
        raise ValueError(f"{path} has no category {name!r}: {_listed(categories)}.")
    named = [c for c in found if names_of(c)] or found
    chosen = _only(named) or _only([c for c in named if c.get("name") == PERSON])
    if chosen is None:
        counts = _usage(path)
        used = [c for c in named if counts[id_as_text(c["id"])]]
        chosen = _only(used) or _only([c for c in used if c.get("name") == PERSON])
    if chosen is None:
        raise ValueError(
            f"{path} has several categories or none with keypoints: "
            f"{_listed(categories)}. Choose one with --category NAME."
        )
    return chosen


def choose_box_category(path, name: str | None = None) -> dict[str, Any]:
    """Returns the category whose boxes are people's: "person", or the one with keypoints.

    Raises:
        ValueError: where there is none, or none of that name; lists the categories.
    """
    categories = read_categories(path)
    people = [c for c in categories if c.get("name") == PERSON]
    if name is None and len(people) == 1:
        return people[0]
    if name is None and not any(names_of(c) for c in categories) and not people:
        raise ValueError(
            f"{path} has no category named 'person': {_listed(categories)}. Choose one "
            "with --category NAME."
        )
    return choose_category(path, name)


def names_of(category: dict[str, Any]) -> tuple[str, ...]:
    """Returns the names of a category's keypoints; () where it has none."""
    names = category.get("keypoints")
    return tuple(map(str, names)) if isinstance(names, list) else ()


def id_as_text(value) -> str:
    """Returns the text that an id of a category is compared by: 1, 1.0 and "1" are one."""
    is_whole = isinstance(value, float) and value.is_integer()
    return str(int(value)) if is_whole else str(value)


def read_categories(path) -> list[dict[str, Any]]:
    """Reads the categories of a COCO file, without the rest of it where possible.

    Raises:
        FileNotFoundError: for a missing file.
        ValueError: names the file that is no COCO file, and the category without an id.
    """
    path = Path(path)
    categories = _at_the_end(path)
    if categories is None:
        for section, values in read_sections(path, ("images", "annotations")):
            if section == "categories":
                categories = values
    if not isinstance(categories, list):
        raise ValueError(f"{path} is not a COCO keypoint file: no list 'categories'.")
    for i, category in enumerate(categories):
        if not isinstance(category, dict) or "id" not in category:
            raise ValueError(f"{path}: categories entry {i} lacks the field 'id'.")
    return categories


def _at_the_end(path: Path):
    """Returns the section where it ends the file; None where it does not."""
    if not path.is_file():
        raise FileNotFoundError(f"File {path} does not exist.")
    with open(path, "rb") as file:
        file.seek(max(0, path.stat().st_size - _TAIL))
        tail = file.read().decode("utf-8", errors="replace")
    starts = list(re.finditer(r'"categories"\s*:\s*', tail))
    if not starts:
        return None
    try:
        values, end = json.JSONDecoder().raw_decode(tail, starts[-1].end())
    except (ValueError, RecursionError):
        return None
    # Nothing but the end of the object follows, so it is no deeper section of that name.
    return values if tail[end:].strip() == "}" else None


def _only(categories):
    return categories[0] if len(categories) == 1 else None


def _usage(path) -> Counter[str]:
    """Counts the annotations with keypoints of each category, by its id as text."""
    counts: Counter[str] = Counter()
    for section, values in read_sections(path, ("images", "annotations")):
        if section == "annotations" and isinstance(values, list):
            counts.update(
                id_as_text(row.get("category_id"))
                for row in values
                if isinstance(row, dict) and row.get("keypoints")
            )
    return counts


def _listed(categories) -> str:
    words = [f"{c.get('name')!r} (id {c['id']})" for c in categories]
    return "its categories are " + ", ".join(words) if words else "it has no categories"
