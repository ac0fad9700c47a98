"""Checks of the pictures of a set: each is decoded once."""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image
from tqdm import tqdm

from keras_pose.data.check.findings import ERROR, Finding, Split, Spot
from keras_pose.pictures.images import ImageError, PictureSize, picture_size, read_image

_HASH_HW = (8, 9)
# Fewer edges than these of 64 are in pictures of one colour, which are all alike.
_LEAST_EDGES = 6


@dataclass(frozen=True)
class _Look:
    """One picture: its size, marks of its bytes and of its looks; or what is wrong."""

    size: PictureSize | None = None
    digest: str = ""
    looks: bytes = b""
    error: str = ""


def check_pictures(splits: Sequence[Split]) -> Iterator[Finding]:
    """Yields what is suspicious about the labelled pictures of all splits."""
    places = [(split, image) for split in splits for image in split.names]
    spots = [split.picture(image) for split, image in places]
    looks = _look(dict.fromkeys(spot.path for spot in spots))
    yield from _missing(splits)
    broken = [spot for spot in spots if looks[spot.path].error]
    if broken:
        yield Finding(
            "broken pictures",
            f"{{}} pictures cannot be read ({looks[broken[0].path].error})",
            broken,
            ERROR,
        )
    yield from _doubled(spots, looks)
    yield from _turned(places, looks)


def _look(paths) -> dict[Path, _Look]:
    with ThreadPoolExecutor() as pool:
        found = tqdm(pool.map(_look_at, paths), "pictures", len(paths), disable=None)
        return dict(zip(paths, found, strict=True))


def _look_at(path) -> _Look:
    try:
        size = picture_size(path)
        pixels = read_image(path)
        digest = hashlib.sha256(path.read_bytes()).hexdigest()
    except (ImageError, OSError) as error:
        return _Look(error=str(error))
    small = (
        Image.fromarray(pixels).convert("L").resize(_HASH_HW[::-1], Image.Resampling.BOX)
    )
    grey = np.asarray(small).astype(int)
    # Zauner 2010, "difference hash": which of two neighbours is brighter.
    edges = np.diff(grey, axis=1)
    looks = np.packbits(edges > 0).tobytes() if _has_edges(edges) else b""
    return _Look(size, digest, looks)


def _has_edges(edges) -> bool:
    return bool(np.count_nonzero(np.abs(edges) > 2) >= _LEAST_EDGES)


def _missing(splits):
    spots = []
    for split in splits:
        used = np.unique(split.people.image_index[split.people.is_labelled])
        spots += [split.picture(int(i)) for i in used if int(i) not in split.names]
    if spots:
        yield Finding("missing pictures", "{} pictures are not there", spots, ERROR)


def _doubled(spots: list[Spot], looks):
    """Pictures that are there twice, which tell on train from val."""
    for field, what in (("digest", "the same file"), ("looks", "alike to the eye")):
        groups: dict[object, list[Spot]] = defaultdict(list)
        for spot in spots:
            mark = getattr(looks[spot.path], field)
            if mark:
                groups[mark].append(spot)
        alike = [
            group
            for group in groups.values()
            if len({_mark(spot, field, looks) for spot in group}) > 1
        ]
        across = [group for group in alike if len({spot.split for spot in group}) > 1]
        within = [group for group in alike if len({spot.split for spot in group}) == 1]
        if across:
            yield Finding(
                f"pictures of two splits, {what}",
                f"{{}} pictures of several splits are {what}: val measures what was "
                "trained on",
                [spot for group in across for spot in group],
                ERROR if field == "digest" else "warning",
            )
        if within:
            yield Finding(
                f"pictures twice, {what}",
                f"{{}} pictures of one split are {what}",
                [spot for group in within for spot in group],
            )


def _mark(spot, field, looks):
    """Returns what makes pictures two: their places, or else their bytes."""
    return (spot.split, spot.path) if field == "digest" else looks[spot.path].digest


def _turned(places, looks):
    """Pictures that EXIF turns, by the pixels that their labels are on."""
    upright: list[Spot] = []
    stored: list[Spot] = []
    unclear: list[Spot] = []
    for split, image in places:
        size = looks[split.path(image)].size
        if size is None or not size.is_turned:
            continue
        stated = tuple(split.people.images.sizes_hw[image].astype(int).tolist())
        if size.stored_hw == size.upright_hw or stated not in (
            size.stored_hw,
            size.upright_hw,
        ):
            unclear.append(split.picture(image))
        else:
            ours = upright if stated == size.upright_hw else stored
            ours.append(split.picture(image))
    kinds = (
        ("stored", stored, "are on the stored pixels, by their size, not as viewers show"),
        (
            "unclear",
            unclear,
            "are taken for the upright picture's: no size can tell",
        ),
    )
    for kind, spots, text in kinds:
        if spots:
            yield Finding(
                f"EXIF, {kind}", f"{{}} pictures are turned by EXIF, and labels {text}",
                spots,
            )  # fmt: skip
    if upright and stored:
        yield Finding(
            "EXIF, mixed",
            "{} pictures turned by EXIF have labels on the upright picture, others on the "
            "stored one",
            upright,
        )
