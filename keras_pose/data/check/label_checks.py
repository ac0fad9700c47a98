"""Checks of the numbers of labels; no picture is opened."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from keras_pose.data.check.findings import ERROR, Finding, Split
from keras_pose.data.remarks import label_remarks
from keras_pose.skeleton import Skeleton

_BEYOND = 0.25  # share of a box's side by which keypoints may lie beyond it
_TOO_FEW = 0.1  # share of the usual count, under which a keypoint is rare
_SMALL = 10.0  # pixels: sides of a box, under which nothing is to be seen
_SAME = 0.01  # share of sqrt(area): mean distance of the keypoints of one person
_CLEAR = 0.1  # share of the box's width, from which on a pair's sides are clear
_USUAL = 0.8  # share of people in whom a pair lies as the others, if it usually does
_SHORTER = 0.7  # length of a person's limbs after an exchange that mends them
# So that a rate is no accident of few people.
_ENOUGH = 10
# Sizes of boxes over the extents of their keypoints; the median of COCO's people is 1.3.
_LEAST_RATIO, _MOST_RATIO = 0.6, 5.0
# A person who shows these faces the camera; their own left is on the picture's right.
_FACE = ("nose", "left_eye", "right_eye")


def check_people(splits: Sequence[Split]) -> Iterator[Finding]:
    """Yields what is suspicious about the labels of all splits."""
    yield from _boxes(splits)
    yield from _outside(splits)
    yield from _doubled(splits)
    yield from _sides(splits)
    yield from _balance(splits)


def _found(splits, kind, text, mask, level="warning") -> Iterator[Finding]:
    """Yields a finding of the people of whom `mask(split)`, (N,) bool, is true."""
    spots = [s.spot(i) for s in splits for i in np.flatnonzero(mask(s))]
    if spots:
        yield Finding(kind, text, spots, level)


def _used(split) -> np.ndarray:
    people = split.people
    return np.asarray(people.is_labelled & ~people.is_crowd)


def _extents(split) -> np.ndarray:
    """Returns (N, 2): width and height of each person's labelled keypoints."""
    labelled = split.people.visibility[..., None] > 0
    xy = split.people.keypoints_xy
    high = np.where(labelled, xy, -np.inf).max(axis=1, initial=-np.inf)
    low = np.where(labelled, xy, np.inf).min(axis=1, initial=np.inf)
    return np.where(np.isfinite(high - low), high - low, 0)


def _boxes(splits):
    """Boxes in other units, and boxes of nothing."""
    used = [_used(split) for split in splits]
    pairs = list(zip(splits, used, strict=True))
    boxes = np.concatenate([split.people.boxes_xywh[rows] for split, rows in pairs])
    extents = np.concatenate([_extents(split)[rows] for split, rows in pairs])
    if not len(boxes):
        return
    if boxes.max() <= 1.5 and extents.max() > 1.5:
        yield Finding(
            "box units",
            "all boxes of {} people lie within 0 and 1, and keypoints do not: boxes are "
            "shares, where pixels are expected",
            level=ERROR,
            count=len(boxes),
        )
        return
    size, extent = boxes[:, 2:].max(axis=1), extents.max(axis=1)
    is_wide = extent > 1
    ratio = np.median(size[is_wide] / extent[is_wide]) if is_wide.any() else 1
    if not _LEAST_RATIO <= ratio <= _MOST_RATIO:
        yield Finding(
            "box units",
            f"boxes of the {{}} people are {ratio:.2g} times as large as their keypoints "
            "reach, in the middle: boxes and keypoints are of different units or sizes of "
            "picture",
            level=ERROR,
            count=len(boxes),
        )
    yield from _found(
        splits,
        "small people",
        f"{{}} people with a box under {_SMALL:g} pixels: nothing is to be seen of them",
        lambda s: _used(s) & (s.people.boxes_xywh[:, 2:].max(axis=1) < _SMALL),
    )


def _outside(splits):
    """Labels outside of boxes and pictures."""

    def beyond_box(split):
        low, size = np.split(split.people.boxes_xywh[:, None], 2, axis=2)
        reach = size * _BEYOND
        xy = split.people.keypoints_xy
        beyond = ((xy < low - reach) | (xy > low + size + reach)).any(axis=2)
        # Boxes are of what is seen: hidden keypoints lie outside of many in COCO, too.
        return (beyond & (split.people.visibility == 2)).any(axis=1) & _used(split)

    def beyond_picture(split):
        limits = split.people.images.sizes_hw[split.people.image_index][:, None, ::-1]
        xy = split.people.keypoints_xy
        beyond = ((xy < -1) | ((xy > limits) & (limits > 0))).any(axis=2)
        return (beyond & (split.people.visibility > 0)).any(axis=1) & _used(split)

    yield from _found(
        splits,
        "outside box",
        "{} people with a visible label outside their box by over a quarter of its side",
        beyond_box,
    )
    yield from _found(
        splits, "outside picture", "{} people with a label outside the picture",
        beyond_picture,
    )  # fmt: skip


def _doubled(splits):
    """People who are labelled twice."""
    spots = []
    for split in splits:
        people = split.people
        rows = np.flatnonzero(_used(split))
        rows = rows[np.argsort(people.image_index[rows], kind="stable")]
        starts = np.flatnonzero(np.diff(people.image_index[rows])) + 1
        for group in np.split(rows, starts):
            spots += [split.spot(i) for i in _repeated(people, group)]
    if spots:
        yield Finding(
            "labelled twice", "{} people whose keypoints another one of the picture has, "
            "too: they count double", spots,
        )  # fmt: skip


def _repeated(people, rows) -> list[int]:
    """Returns the people of one picture whose keypoints an earlier one has."""
    repeated = []
    for place, i in enumerate(rows):
        for j in rows[:place]:
            both = (people.visibility[i] > 0) & (people.visibility[j] > 0)
            alike = both.sum() >= max(1, (people.visibility[i] > 0).sum() - 1)
            away = people.keypoints_xy[i, both] - people.keypoints_xy[j, both]
            scale = np.sqrt(max(people.areas[i], people.areas[j], 1))
            if alike and np.linalg.norm(away, axis=1).mean() < _SAME * scale:
                repeated.append(int(i))
                break
    return repeated


def _sides(splits):
    """Left and right exchanged: in all people, in a pair, or in some people."""
    skeleton = splits[0].skeleton
    pairs = skeleton.mirror_pairs
    if not pairs:
        return
    signs = [_signs(split, pairs) for split in splits]
    every = np.concatenate(signs)
    facing = np.concatenate([_facing(split, skeleton) for split in splits])
    turned = np.sign(every.sum(axis=1))
    is_told = facing & (turned != 0)
    if is_told.sum() >= _ENOUGH and (turned[is_told] < 0).mean() > 0.5:
        yield Finding(
            "left and right",
            f"in {(turned[is_told] < 0).mean():.0%} of the {{}} people who face the camera "
            "left keypoints are on the picture's left: left and right are the person's "
            "own, so they are exchanged throughout",
            level=ERROR,
            count=int(is_told.sum()),
        )
    rates = [_disagreement(every, k) for k in range(len(pairs))]
    for (left, right), (rate, count) in zip(pairs, rates, strict=True):
        if count >= _ENOUGH and rate > 0.5:
            yield Finding(
                "left and right",
                f"{skeleton.names[left]} and {skeleton.names[right]} lie the other way "
                f"round than most pairs in {rate:.0%} of {{}} people: likely exchanged",
                level=ERROR,
                count=count,
            )
    usual = [count >= _ENOUGH and rate <= 1 - _USUAL for rate, count in rates]
    spots = [
        split.spot(i)
        for split, of_split in zip(splits, signs, strict=True)
        for i in np.flatnonzero(_used(split))
        if _is_exchanged(split, int(i), of_split[i], usual)
    ]
    if spots:
        yield Finding(
            "sides of a person",
            "{} people with a pair the other way round than their others, whose limbs are "
            "shorter if it is exchanged",
            spots,
        )


def _signs(split, pairs) -> np.ndarray:
    """Returns (N, P): 1 where a pair's left is on the picture's right, -1, 0 unclear."""
    people = split.people
    pair = np.asarray(pairs)
    away = people.keypoints_xy[:, pair[:, 0], 0] - people.keypoints_xy[:, pair[:, 1], 0]
    both = (people.visibility[:, pair] > 0).all(axis=2)
    is_clear = np.abs(away) > _CLEAR * np.maximum(people.boxes_xywh[:, 2:3], 1)
    return np.where(both & is_clear & _used(split)[:, None], np.sign(away), 0)


def _facing(split, skeleton) -> np.ndarray:
    """Returns (N,) bool: who shows nose and both eyes."""
    if not set(_FACE) <= set(skeleton.names):
        return np.zeros(len(split.people), bool)
    face = [skeleton.index(name) for name in _FACE]
    return np.asarray((split.people.visibility[:, face] == 2).all(axis=1))


def _disagreement(signs, k) -> tuple[float, int]:
    """Returns how often a pair lies against the majority of the others, of how many."""
    others = np.sign(np.delete(signs, k, axis=1).sum(axis=1))
    told = (signs[:, k] != 0) & (others != 0)
    rate = (signs[told, k] != others[told]).mean() if told.any() else 0.0
    return float(rate), int(told.sum())


def _is_exchanged(split, person, signs, usual) -> bool:
    """Returns True if a person's limbs get shorter if odd pairs are exchanged."""
    major = np.sign(signs.sum())
    odd = [k for k, sign in enumerate(signs) if sign == -major and usual[k]]
    agreeing = np.count_nonzero(signs == major)
    if not major or not odd or agreeing < 2:
        return False
    pairs = split.skeleton.mirror_pairs
    if all(_is_end(split.skeleton, pairs[k][0]) for k in odd):
        return False  # people fold their arms and cross their legs
    xy = split.people.keypoints_xy[person].astype(float)
    labelled = split.people.visibility[person] > 0
    moved = xy.copy()
    touched = set()
    for k in odd:
        left, right = pairs[k]
        moved[[left, right]] = xy[[right, left]]
        touched |= {left, right}
    limbs = [
        limb
        for limb in split.skeleton.limb_pairs
        if touched & set(limb) and labelled[list(limb)].all()
    ]
    if not limbs:
        return bool(agreeing >= 3)  # no limb can tell: the other pairs must
    before, after = (
        sum(np.linalg.norm(points[a] - points[b]) for a, b in limbs)
        for points in (xy, moved)
    )
    return bool(after < _SHORTER * before)


def _is_end(skeleton, keypoint) -> bool:
    """Returns True if a keypoint ends a chain of limbs, as wrists and ankles do."""
    return sum(keypoint in limb for limb in skeleton.limb_pairs) == 1


def _balance(splits):
    """Keypoints that are rare, or one-sided."""
    skeleton: Skeleton = splits[0].skeleton
    flags = np.concatenate([split.people.visibility[_used(split)] for split in splits])
    for line in label_remarks(skeleton, flags):
        yield Finding("keypoints", line, count=1)
    counts = np.count_nonzero(flags, axis=0)
    usual = np.median(counts)
    rare = [
        f"{name} ({count})"
        for name, count in zip(skeleton.names, counts, strict=True)
        if 0 < count < _TOO_FEW * usual
    ]
    if rare:
        yield Finding(
            "keypoints",
            f"{{}} keypoints labelled under a tenth as often as usual ({usual:g} times): "
            f"{', '.join(rare)}",
            count=len(rare),
        )
    uneven = [
        f"{skeleton.names[a]} ({counts[a]}) and {skeleton.names[b]} ({counts[b]})"
        for a, b in skeleton.mirror_pairs
        if max(counts[a], counts[b]) >= _ENOUGH
        and min(counts[a], counts[b]) < max(counts[a], counts[b]) / 2
    ]
    if uneven:
        yield Finding(
            "keypoints",
            "{} mirror pairs of which one side is labelled over twice as often: "
            + ", ".join(uneven),
            count=len(uneven),
        )
