"""The sizes of a COCO file's pictures: what the file says, against the pictures.

A picture that fits neither way is an error; labels for pictures of another size would be
read in silence otherwise, and be wrong everywhere.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from keras_pose.data.readers.checks import Notes
from keras_pose.data.readers.coco_people import CocoPeople
from keras_pose.pictures.images import ImageError, PictureSize, picture_size

# Headers that are read of a file whose stated sizes are all there; if one of them is
# wrong, all are read. Half a minute for 100,000 pictures would be lost at every start.
SAMPLE = 500
_TOLERANCE = 1.5  # pixels that rounding may make of a scaled size


def settle_sizes(
    people: CocoPeople,
    names: dict[int, str],
    root: Path,
    notes: Notes,
    rescale: bool = False,
) -> CocoPeople:
    """Puts the sizes that labels are on in place of those that a file gets wrong.

    - absent or 0: that of the upright picture, which labelling tools show;
    - width and height exchanged, and no EXIF that turns the picture: the picture's own;
    - the picture's times one factor: an error, or labels scaled to the picture.

    Sizes that fit the stored picture, or the one that EXIF turns upright, stay.

    Args:
        people: images and annotations of one file.
        names: file names by image index of the pictures that are there and have labels.
        root: folder that names start from.
        notes: counter of the sizes that were settled.
        rescale: True to scale labels where one factor fits both sides.

    Raises:
        ValueError: names the file, its size and the stated one, where they do not fit.
    """
    sizes = people.images.sizes_hw.copy()
    factors: dict[int, tuple[float, float]] = {}
    misfits: dict[int, PictureSize] = {}
    for image, actual in _pictures(names, root, sizes):
        stated = tuple(sizes[image])
        if not all(stated):
            sizes[image] = actual.upright_hw
            notes.add(_ABSENT, [_name(people, image)])
        elif stated[::-1] == actual.stored_hw:
            sizes[image] = actual.stored_hw
            notes.add(_EXCHANGED, [_name(people, image)])
        else:
            misfits[image] = actual
    for image, actual in misfits.items():
        scaled_hw = _scaled_from(sizes[image], actual)
        if scaled_hw is None or not rescale:
            path = root / names[image]
            raise ValueError(_misfit(people, path, image, sizes[image], misfits))
        factors[image] = (scaled_hw[1] / sizes[image][1], scaled_hw[0] / sizes[image][0])
        sizes[image] = scaled_hw
        notes.add(_SCALED, [_name(people, image)])
    settled = replace(people, images=replace(people.images, sizes_hw=sizes))
    return _scaled(settled, factors) if factors else settled


_ABSENT = "{} pictures without width and height: those of the picture are taken"
_EXCHANGED = "{} pictures with width and height exchanged: the picture's are taken"
_SCALED = "{} pictures of another size than their labels, which are scaled to the picture"


def _pictures(names, root, sizes):
    """Yields (image index, size) of the pictures that do not have the stated size."""
    chosen = list(names)
    if len(chosen) > SAMPLE and all(sizes[i].all() for i in chosen):
        spread = np.linspace(0, len(chosen) - 1, SAMPLE).astype(int)
        sample = [chosen[i] for i in spread]
        if not any(_misfitting(root / names[i], sizes[i]) for i in sample):
            return
    for image in chosen:
        actual = _misfitting(root / names[image], sizes[image])
        if actual is not None:
            yield image, actual


def _misfitting(path, stated_hw) -> PictureSize | None:
    """Returns the size of a picture that is not as stated; None if it fits or is broken."""
    try:
        actual = picture_size(path)
    except ImageError:  # reported where pictures are decoded
        return None
    fits = tuple(stated_hw) in (actual.stored_hw, actual.upright_hw)
    return None if fits else actual


def _scaled_from(stated_hw, actual: PictureSize) -> tuple[int, int] | None:
    """Returns the picture's size if one factor leads to it from the stated one."""
    for hw in dict.fromkeys((actual.stored_hw, actual.upright_hw)):
        factor = max(hw) / max(stated_hw)
        expected = np.asarray(stated_hw) * factor
        if (np.abs(expected - hw) <= _TOLERANCE).all():
            return hw
    return None


def _misfit(people, path, image, stated_hw, misfits) -> str:
    """Returns the words of the error about a picture of another size."""
    actual = misfits[image]
    is_scaled = _scaled_from(stated_hw, actual) is not None
    advice = (
        "The pictures were made smaller or larger after they were labelled: take the "
        "original ones, or scale the labels with --rescale-labels"
        if is_scaled
        else "No one factor leads from one to the other, so the labels are of another "
        "picture or of a part of it"
    )
    count = f" ({len(misfits)} pictures in all do not fit)" if len(misfits) > 1 else ""
    return (
        f"{people.path}: {_name(people, image)}, fields 'width' and 'height' say "
        f"{_words(stated_hw)}, but {path} is {_words(actual.stored_hw)}{count}. "
        f"{advice}."
    )


def _words(size_hw) -> str:
    return f"{size_hw[1]:g} x {size_hw[0]:g}"


def _name(people: CocoPeople, image: int) -> Any:
    return f"image id {people.images.ids[image]}"


def _scaled(people: CocoPeople, factors: dict[int, tuple[float, float]]) -> CocoPeople:
    """Scales the labels of images by their factors (x, y)."""
    of_images = np.ones((len(people.images.ids), 2))
    for image, factor in factors.items():
        of_images[image] = factor
    factor = of_images[people.image_index]
    is_scaled = (factor != 1).any(axis=1)
    # Pixel centres are whole numbers: the first of a scaled picture is not at 0.
    moved = (people.keypoints_xy + 0.5) * factor[:, None] - 0.5
    labelled = (people.visibility > 0) & is_scaled[:, None]
    return replace(
        people,
        boxes_xywh=people.boxes_xywh * np.tile(factor, 2),
        keypoints_xy=np.where(labelled[..., None], moved, people.keypoints_xy).astype(
            np.float32
        ),
        areas=people.areas * factor.prod(axis=1),
        is_mended=people.is_mended | is_scaled,
    )
