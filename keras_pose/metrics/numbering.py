"""Ids of files, and the numbers that libraries get in their place.

Files name images, people, categories and tracks by 0, by negative numbers, by numbers
beyond 2^53 or by text. pycocotools takes the id 0 for "not matched" and sorts ids as
arrays of one type. So no id of a file reaches a library: it counts 1, 2, 3, ...
"""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Mapping, Sequence
from numbers import Real
from typing import Any

from keras_pose.commandline import some_of

_NAMED = 5  # ids that an error names


def sorted_ids(ids: Iterable[Any]) -> list[Any]:
    """Sorts distinct ids: numbers by size, then text."""

    def key(each):
        is_number = isinstance(each, Real)
        return not is_number, each if is_number else 0, str(each)

    return sorted(set(ids), key=key)


def number_ids(ids: Iterable[Hashable]) -> dict[Any, int]:
    """Numbers distinct ids from 1 on, in the order in which they are given."""
    return {each: i for i, each in enumerate(dict.fromkeys(ids), start=1)}


def check_known_images(detections: Sequence[Mapping[str, Any]], known, source="") -> None:
    """Raises ValueError for detections of images that the ground truth does not have.

    Args:
        detections: COCO results.
        known: ids of the images of the ground truth.
        source: the file that the detections are from, for the message.
    """
    known = set(known)
    unknown = sorted_ids(
        each["image_id"] for each in detections if each["image_id"] not in known
    )
    if not unknown:
        return
    named = some_of(map(repr, unknown), _NAMED)
    same_words = {str(each) for each in known}.intersection(map(str, unknown))
    hint = (
        "one of the two files has these ids as text, the other as numbers"
        if same_words
        else f"the ground truth has {', '.join(map(repr, sorted_ids(known)[:3]))}, ..."
    )
    raise ValueError(
        f"{source or 'Detections'}: {len(unknown)} image ids are not in the ground truth: "
        f"{named}; {hint}."
    )
