"""Data sets of one's own: any name, a folder of labels, keypoints as its files say.

    --dataset mine=FOLDER,coco

Keypoints are matched by name, so a `left_knee` of one's own is COCO's `left_knee`. The
folder is in COCO's format, or as a labelling tool wrote it (`readers.tools`).
"""

from __future__ import annotations

import re
from typing import Any

from keras_pose.data.datasets import locate_split
from keras_pose.data.readers.coco import AS_WRITTEN, Reading
from keras_pose.data.readers.coco_categories import choose_category, names_of
from keras_pose.data.readers.labels import Labels
from keras_pose.data.readers.tools import READ, find_labels
from keras_pose.data.specs import SPECS
from keras_pose.skeleton import SKELETONS, Skeleton

_NAME = re.compile(r"[A-Za-z0-9_-]+")
_SIDES = ("left", "right")


def check_own_name(name: str) -> str:
    """Returns the name of a data set of one's own, or raises ValueError."""
    if not _NAME.fullmatch(name):
        raise ValueError(
            f"The name of a data set is of letters, digits, _ and -, got {name!r}."
        )
    return name


def own_skeleton(name: str, data_dir, reading: Reading = AS_WRITTEN) -> Skeleton:
    """Returns the keypoints that a folder's files name.

    A built-in skeleton of the same names in the same order is taken whole. Else mirror
    pairs are of names that differ in left and right, or those that the files state, and
    limbs are the files'.

    Args:
        name: name that the user gives the set, and its skeleton.
        data_dir: folder in COCO's format or in a tool's own.
        reading: options of the user for reading the file.

    Raises:
        FileNotFoundError: when there is no annotation file.
        ValueError: when it names no keypoints.
    """
    found = locate_split(SPECS["coco"], data_dir, "train") or locate_split(
        SPECS["coco"], data_dir, "val"
    )
    if found is None:
        labels = find_labels(data_dir, reading.category)
        if labels is None:
            raise FileNotFoundError(
                f"No annotation file in COCO's format in {data_dir}, nor labels of another "
                f"that is read: {READ}."
            )
        return skeleton_of_labels(name, labels)
    category = choose_category(found.paths[0], reading.category)
    names = names_of(category)
    if not names:
        raise ValueError(
            f"{found.paths[0]}: category {category.get('name')!r} does not name its "
            "keypoints, so they cannot be matched with those of other sets. Add "
            "'keypoints' to the category."
        )
    return _known(names) or Skeleton(
        name, names, mirror_pairs_of(names), _limbs(category, names)
    )


def skeleton_of_labels(name: str, labels: Labels) -> Skeleton:
    """Returns the keypoints of labels in a tool's own format, see `own_skeleton`."""
    known = _known(labels.names)
    stated = labels.mirrored
    if known is not None and (stated is None or _pairs(stated) == _pairs(known.mirrored)):
        return known
    mirrored = mirror_pairs_of(labels.names) if stated is None else stated
    return Skeleton(name, labels.names, mirrored, labels.limbs)


def _pairs(mirrored) -> set[frozenset[str]]:
    return {frozenset(pair) for pair in mirrored}


def _known(names: tuple[str, ...]) -> Skeleton | None:
    """Returns the built-in skeleton of these names in this order."""
    return next((known for known in SKELETONS.values() if known.names == names), None)


def mirror_pairs_of(names: tuple[str, ...]) -> tuple[tuple[str, str], ...]:
    """Returns the pairs of names that differ in left and right alone."""
    pairs = ((name, other_side(name)) for name in names)
    return tuple(
        (name, other)
        for name, other in pairs
        if other in names and side_of(name) == "left" and other is not None
    )


def side_of(name: str) -> str | None:
    """Returns "left" or "right" for a name that starts or ends with it as a word."""
    parts = re.split(r"[_\-. ]|(?<=[a-z])(?=[A-Z])", name)  # also "leftKnee"
    words = [part.lower() for part in parts]
    found = [side for side in _SIDES if side in (words[0], words[-1])]
    return found[0] if len(found) == 1 else None


def other_side(name: str) -> str | None:
    """Returns the name of the keypoint on the other side; None for those of the middle."""
    side = side_of(name)
    if side is None:
        return None
    other = _SIDES[1 - _SIDES.index(side)]

    def turned(match):
        found = match.group()
        if found.isupper():
            return other.upper()
        return other.capitalize() if found[0].isupper() else other

    return re.sub(side, turned, name, count=1, flags=re.IGNORECASE)


def _limbs(category: dict[str, Any], names) -> tuple[tuple[str, str], ...]:
    """Returns the category's limbs: pairs of places that count from 1."""
    limbs = []
    for pair in category.get("skeleton") or ():
        if isinstance(pair, list) and len(pair) == 2 and pair[0] != pair[1]:
            places = [int(place) - 1 for place in pair if str(place).isdecimal()]
            if len(places) == 2 and all(0 <= place < len(names) for place in places):
                limbs.append((names[places[0]], names[places[1]]))
    return tuple(dict.fromkeys(limbs))


def is_own(name: str) -> bool:
    """Returns True if a name is of no built-in data set."""
    return name not in SPECS
