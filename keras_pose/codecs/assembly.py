"""From heatmaps and part affinity fields to people. NumPy only, and no loop over pixels.

Source: Cao et al. 2017 (arXiv:1611.08050), sec. 2.3 and 2.4: candidates are the peaks of
the heatmaps; the worth of a limb is the line integral of its field between two candidates;
every kind of limb is matched by itself. Limbs that share a candidate are one person's.
Where two chains would give a person two keypoints of one kind, the stronger limb decides,
whereas the paper's code lets the limb decide that comes first in its list.

Two steps are not the paper's: people may share a peak where their keypoints lie on each
other, and parts of a person between whom a keypoint is hidden are joined over the gap.

Positions are cells, (x, y), the first cell's middle at (0, 0).

Programs in other languages find the same people (mobile_demo/SPEC.md): what is float32 or
double, the order of sums and which of two equals goes first are part of the rules.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

# Pairs of candidates whose limbs are measured at a time.
PAIRS_AT_A_TIME = 1 << 15
# A limb shorter than this, in cells, need not be in its field: that may hold none of it.
# OpenPose has such a rule, too (`bodyPartConnectorBase.cpp`).
NEAR = 1.0
# People of fewer keypoints do not share those of others.
LEAST_OWN = 3
# Share of the smallest field from which cells are looked at closer, whatever was rounded.
_STRONG_SHARE = 0.999
# A neighbour counts as no lower than this share of its peak: maps of networks go below 0.
_LOWEST_SHARE = 1e-3


@dataclass(frozen=True)
class Rules:
    """Thresholds on candidates, limbs and people; see `PartAffinityCodec`."""

    sigma: float
    min_peak: float
    max_peaks: int
    num_points: int
    min_field: float
    min_share: float
    max_gap: float
    min_keypoints: int
    min_score: float
    matching: str


class Candidates(NamedTuple):
    """M peaks of heatmaps.

    Attributes:
        keypoints: (M,) int64, the heatmaps that they are in.
        xy: (M, 2) float32, cells.
        scores: (M,) float32, heights.
    """

    keypoints: np.ndarray
    xy: np.ndarray
    scores: np.ndarray

    def take(self, indices) -> Candidates:
        return Candidates(*(values[indices] for values in self))


class Limbs(NamedTuple):
    """N pairs of candidates that may be limbs.

    Attributes:
        limbs: (N,) int32, the kinds of limb.
        first: (N,) int32, candidates at which they begin.
        last: (N,) int32, candidates at which they end.
        scores: (N,) float64, line integrals.
    """

    limbs: np.ndarray
    first: np.ndarray
    last: np.ndarray
    scores: np.ndarray

    def take(self, indices) -> Limbs:
        return Limbs(*(values[indices] for values in self))


class People(NamedTuple):
    """N people, by falling score.

    Attributes:
        keypoints_xy: (N, K, 2) float32; (0, 0) where a keypoint was not found.
        keypoint_scores: (N, K) float32, heights of the peaks; 0 where it was not found.
        scores: (N,) float32, their mean over all K.
    """

    keypoints_xy: np.ndarray
    keypoint_scores: np.ndarray
    scores: np.ndarray


def assemble_people(heatmaps, fields, limb_pairs, rules: Rules) -> People:
    """Finds the people in the maps of one picture.

    Args:
        heatmaps: (h, w, K) float32, without background.
        fields: (h, w, 2 L) float32.
        limb_pairs: L pairs of keypoints.
        rules: thresholds on candidates, limbs and people.
    """
    candidates = find_candidates(heatmaps, rules)
    return people_among(candidates, fields, limb_pairs, heatmaps.shape[-1], rules)


def people_among(candidates, fields, limb_pairs, num_keypoints: int, rules) -> People:
    """Does what `assemble_people` does, for candidates that are known, in any order."""
    candidates = _in_order(candidates)
    limbs = measure_limbs(candidates, fields, limb_pairs, rules)
    matched = MATCHINGS[rules.matching](limbs, len(candidates.scores))
    people = _join(candidates, matched)
    _share(people, candidates, limbs)
    people = _bridge(people, candidates, rules)
    return _gather(people, candidates, num_keypoints, rules)


def find_candidates(heatmaps, rules: Rules) -> Candidates:
    """Finds the peaks of heatmaps, to a part of a cell.

    A peak is no lower than its eight neighbours; of equal ones beside each other, the first
    is the peak. The part of a cell is the top of the parabola through three logarithms,
    along each axis: for a Gaussian, its very middle. Beyond the border, the curvature is
    taken to be that of the Gaussians drawn.

    Args:
        heatmaps: (h, w, K) float32.
        rules: thresholds; the one on peaks matters here.
    """
    height, width, num_keypoints = heatmaps.shape
    padded = np.full((height + 2, width + 2, num_keypoints), -np.inf, np.float32)
    padded[1:-1, 1:-1] = heatmaps
    flat = padded.reshape(-1)
    row, column = (width + 2) * num_keypoints, num_keypoints
    index = np.flatnonzero(flat >= np.float32(rules.min_peak))
    for step in (-column, -row, -row - column, -row + column):
        index = index[flat.take(index) > flat.take(index + step)]
    for step in (column, row, row - column, row + column):
        index = index[flat.take(index) >= flat.take(index + step)]
    cells, keypoints = np.divmod(index, num_keypoints)
    y, x = np.divmod(cells, width + 2)
    y, x, center = y - 1, x - 1, flat[index]
    offsets = [
        _top(flat[index - step], center, flat[index + step], rules.sigma)
        for step in (column, row)
    ]
    xy = np.stack([x, y], axis=-1) + np.stack(offsets, axis=-1)
    found = Candidates(keypoints, xy.astype(np.float32), center)
    return _highest(found, rules.max_peaks)


def _top(before, center, after, sigma):
    """Returns where the parabola through three logarithms has its top, -0.5 to 0.5."""
    center = center.astype(np.float64)
    curvature = -1 / sigma**2

    def log_share(values):
        return np.log(np.maximum(values / center, _LOWEST_SHARE))

    is_first, is_last = np.isneginf(before), np.isneginf(after)
    before = log_share(np.where(is_first, center, before))
    after = log_share(np.where(is_last, center, after))
    before = np.where(is_first, np.where(is_last, 0, curvature - after), before)
    after = np.where(is_last, np.where(is_first, 0, curvature - before), after)
    bend = before + after
    offset = (before - after) / np.where(bend < 0, 2 * bend, 1)
    return np.clip(np.where(bend < 0, offset, 0), -0.5, 0.5)


def _highest(candidates: Candidates, count: int) -> Candidates:
    """Keeps the highest candidates of each keypoint."""
    if len(candidates.scores) <= count:
        return candidates
    order = np.lexsort((-candidates.scores, candidates.keypoints))
    rank = np.arange(len(order))
    ordered = candidates.keypoints[order]
    rank -= np.searchsorted(ordered, ordered)
    return candidates.take(np.sort(order[rank < count]))


def _in_order(candidates: Candidates) -> Candidates:
    """Sorts by keypoint and position, so that nothing depends on the order they come in."""
    xy = candidates.xy
    return candidates.take(np.lexsort((xy[:, 0], xy[:, 1], candidates.keypoints)))


def measure_limbs(candidates: Candidates, fields, limb_pairs, rules: Rules) -> Limbs:
    """Finds the pairs of candidates that may be limbs.

    Some pairs at a time, so that memory does not grow with the square of the people.

    Args:
        candidates: peaks by rising keypoint.
        fields: (h, w, 2 L) float32.
        limb_pairs: L pairs of keypoints.
        rules: thresholds; those on limbs matter here.
    """
    ends = np.searchsorted(candidates.keypoints, np.arange(np.max(limb_pairs) + 2))
    found: list[Limbs] = []
    waiting: list[tuple[np.ndarray, ...]] = []
    num_waiting = 0
    for limb, (first, last) in enumerate(limb_pairs):
        begins = np.arange(ends[first], ends[first + 1], dtype=np.int32)
        stops = np.arange(ends[last], ends[last + 1], dtype=np.int32)
        size = len(begins) * len(stops)
        pair = np.repeat(begins, len(stops)), np.tile(stops, len(begins))
        waiting.append((np.full(size, limb, np.int32), *pair))
        num_waiting += size
        if num_waiting >= PAIRS_AT_A_TIME or limb + 1 == len(limb_pairs):
            kinds, from_, to = map(np.concatenate, zip(*waiting, strict=True))
            found.append(_measure(candidates.xy, fields, kinds, from_, to, rules))
            waiting, num_waiting = [], 0
    return Limbs(*map(np.concatenate, zip(*found, strict=True)))


def _measure(xy, fields, kinds, first, last, rules: Rules) -> Limbs:
    """Reads fields along lines, and keeps the pairs of which enough points are limb."""
    shares = (np.arange(rules.num_points, dtype=np.float32) + 0.5) / rules.num_points
    num_needed = int(np.ceil(rules.min_share * rules.num_points - 1e-9))
    vectors = _framed(fields)
    # Counted from the frame's first cell. Candidates lie up to half a cell beyond the map.
    x, y = np.ascontiguousarray((xy + np.float32(1)).T)
    dx, dy = x[last] - x[first], y[last] - y[first]
    is_near = dx**2 + dy**2 < NEAR**2
    is_strong = _is_strong(vectors, rules.min_field)

    def count_strong(chosen):
        columns, rows = _along(x[first], y[first], dx, dy, chosen)
        index = rows.astype(np.int32) * vectors.shape[1] + columns.astype(np.int32)
        index = index * vectors.shape[2] + kinds
        return is_strong.take(index).sum(axis=0, dtype=np.uint8)

    # Where fields are weak there is no limb, as of most pairs: as many points as can be
    # missed and one more, spread out, then all of them.
    num_tests = rules.num_points - num_needed + 1
    tests = np.linspace(0, rules.num_points, num_tests + 2)[1:-1].astype(np.int64)
    for chosen, least in ((shares[tests], 1), (shares, num_needed)):
        kept = np.flatnonzero((count_strong(chosen) >= least) | is_near)
        kinds, first, last = kinds[kept], first[kept], last[kept]
        dx, dy, is_near = dx[kept], dy[kept], is_near[kept]
    length = np.maximum(np.sqrt(dx**2 + dy**2), np.float32(1e-6))
    read = _read(vectors, kinds, *_along(x[first], y[first], dx, dy, shares))
    along = (read.real * dx + read.imag * dy) / length
    scores = _sum_in_order(along) / rules.num_points
    is_limb = (along > rules.min_field).sum(axis=0) >= num_needed
    # The nearer, the better: between nothing and a limb that is in its field.
    by_nearness = np.float32(rules.min_field) * (2 - length / np.float32(NEAR))
    scores = np.where(is_near, np.fmax(scores, by_nearness), scores)
    return Limbs(kinds, first, last, scores).take(is_limb | is_near)


def _sum_in_order(rows):
    """Adds rows one after the other; NumPy's own order hangs on the shape."""
    total = rows[0].copy()
    for row in rows[1:]:
        total += row
    return total


def _framed(fields):
    """Returns (h + 2, w + 2, L) complex64 vectors; outermost cells are there twice."""
    # One number a vector, so that one reading gets both of its components.
    vectors = np.ascontiguousarray(fields).view(np.complex64)
    height, width, num_limbs = vectors.shape
    framed = np.empty((height + 2, width + 2, num_limbs), np.complex64)
    framed[1:-1, 1:-1] = vectors
    framed[[0, -1], 1:-1] = vectors[[0, -1]]
    framed[:, [0, -1]] = framed[:, [1, -2]]
    return framed


def _is_strong(vectors, min_field):
    """Returns where one of the four cells from here to the right and below is strong.

    What is interpolated between them is no longer than the longest.
    """
    is_strong = np.abs(vectors) > np.float32(_STRONG_SHARE * min_field)
    is_strong[:-1] |= is_strong[1:]
    is_strong[:, :-1] |= is_strong[:, 1:]
    return is_strong.reshape(-1)


def _along(x, y, dx, dy, shares):
    """Returns x and y, (S, N) each, at shares of the length of N lines."""
    shares = shares[:, None]
    return x + shares * dx, y + shares * dy


def _read(vectors, kinds, x, y):
    """Interpolates fields of some kinds at positions (S, N), bilinearly."""
    columns, rows = x.astype(np.int32), y.astype(np.int32)
    right, below = x - columns, y - rows
    _, width, num_limbs = vectors.shape
    index = (rows * width + columns) * num_limbs + kinds
    flat = vectors.reshape(-1)
    near = flat.take(index) * (1 - right) + flat.take(index + num_limbs) * right
    index += width * num_limbs
    far = flat.take(index) * (1 - right) + flat.take(index + num_limbs) * right
    return near * (1 - below) + far * below


def match_greedy(limbs: Limbs, num_candidates: int) -> Limbs:
    """Takes limbs by falling score, none with an end that one of its kind has already.

    All kinds at once: each round takes the limbs that are the best of both of their ends,
    which are those that would be taken one by one.
    """
    order = np.lexsort((limbs.last, limbs.first, limbs.limbs, -limbs.scores))
    limbs = limbs.take(order)
    size = (int(limbs.limbs.max(initial=0)) + 1) * num_candidates
    kinds = limbs.limbs.astype(np.int64)
    ends = [kinds * num_candidates + end for end in (limbs.first, limbs.last)]
    left = np.arange(len(order))
    chosen = np.zeros(len(order), bool)
    while len(left):
        is_best = np.ones(len(left), bool)
        for end in ends:
            best = np.zeros(size, np.int64)
            best[end[left[::-1]]] = left[::-1]  # of equal ends, the first limb stays
            is_best &= best[end[left]] == left
        taken = left[is_best]
        chosen[taken] = True
        is_free = np.ones(len(left), bool)
        for end in ends:
            is_taken = np.zeros(size, bool)
            is_taken[end[taken]] = True
            is_free &= ~is_taken[end[left]]
        left = left[is_free]
    return limbs.take(chosen)


def match_hungarian(limbs: Limbs, num_candidates: int) -> Limbs:
    """Takes the limbs of each kind whose scores add up to most; needs SciPy.

    Raises:
        ImportError: names the package to install.
    """
    try:
        from scipy.optimize import linear_sum_assignment
    except ImportError as error:
        raise ImportError(
            f"Hungarian matching needs the package scipy, which cannot be imported "
            f"({error}). Install it: pip install scipy, or take greedy matching."
        ) from error
    limbs = limbs.take(np.lexsort((limbs.last, limbs.first, limbs.limbs)))
    chosen = []
    for limb in np.unique(limbs.limbs):
        of_kind = np.flatnonzero(limbs.limbs == limb)
        (_, row), (_, column) = (
            np.unique(end[of_kind], return_inverse=True)
            for end in (limbs.first, limbs.last)
        )
        worth = np.zeros((row.max() + 1, column.max() + 1))
        worth[row, column] = limbs.scores[of_kind]
        places = np.full(worth.shape, -1)
        places[row, column] = of_kind
        found = places[linear_sum_assignment(worth, maximize=True)]
        chosen.append(found[found >= 0])
    taken = limbs.take(np.concatenate(chosen) if chosen else np.zeros(0, np.int64))
    order = np.lexsort((taken.last, taken.first, taken.limbs, -taken.scores))
    return taken.take(order)


Matching = Callable[[Limbs, int], Limbs]
MATCHINGS: dict[str, Matching] = {"greedy": match_greedy, "hungarian": match_hungarian}


def _join(candidates: Candidates, limbs: Limbs) -> list[list[int]]:
    """Joins candidates to people, strongest limb first.

    Returns:
        The candidates of each, in the order of their first ones.
    """
    group: list[int] = list(range(len(candidates.scores)))
    members: list[list[int]] = [[i] for i in group]
    kinds = _bits(candidates)
    for first, last in zip(limbs.first.tolist(), limbs.last.tolist(), strict=True):
        one, other = group[first], group[last]
        if one == other or kinds[one] & kinds[other]:
            continue
        kinds[one] |= kinds[other]
        for i in members[other]:
            group[i] = one
        members[one] += members[other]
        members[other] = []
    return sorted((each for each in members if each), key=min)


def _bits(candidates: Candidates) -> list[int]:
    """Returns a number with one bit set for each candidate: its keypoint."""
    return [1 << k for k in candidates.keypoints.tolist()]


def _share(people: list[list[int]], candidates: Candidates, limbs: Limbs) -> None:
    """Lets people use keypoints of others that their own limbs lead to, in place.

    Where a keypoint of one person lies on the same of another, there is one peak for both.
    """
    bits = _bits(candidates)
    kinds = [sum(bits[i] for i in person) for person in people]
    owner = {i: n for n, person in enumerate(people) for i in person}
    own = [len(person) for person in people]
    order = np.lexsort((limbs.last, limbs.first, limbs.limbs, -limbs.scores))
    pairs = zip(limbs.first[order].tolist(), limbs.last[order].tolist(), strict=True)
    for first, last in pairs:
        for mine, other in ((first, last), (last, first)):
            person = owner[mine]
            if own[person] >= LEAST_OWN and not kinds[person] & bits[other]:
                people[person].append(other)
                kinds[person] |= bits[other]


def _bridge(people: list[list[int]], candidates: Candidates, rules: Rules):
    """Joins people who are parts of one: near each other, with no keypoint in common.

    Where a keypoint in between is hidden, no limb leads from one part to the other. The
    gap is the distance between the nearest keypoints, in extents of the larger part; the
    smallest gap is bridged first, of equal ones that of the earlier people. Who is joined
    stands where the earlier one stood.
    """
    num_people = len(people)
    if num_people < 2:
        return people
    rows = np.concatenate(people)
    person = np.repeat(np.arange(num_people), [len(each) for each in people])
    starts = np.searchsorted(person, np.arange(num_people))
    xy = candidates.xy[rows]
    low, high = np.minimum.reduceat(xy, starts), np.maximum.reduceat(xy, starts)
    extent = np.sqrt(((high - low) ** 2).sum(axis=-1))
    num_keypoints = int(candidates.keypoints.max()) + 1
    has = np.zeros((num_people, num_keypoints), bool)
    has[person, candidates.keypoints[rows]] = True
    pairs = []
    # Of two parts that share no keypoint, the smaller has at most half of all.
    for small in np.flatnonzero(2 * has.sum(axis=1) <= num_keypoints):
        begin = starts[small]
        steps = xy[begin : begin + len(people[small]), None] - xy
        nearest = np.minimum.reduceat((steps**2).sum(axis=-1).min(axis=0), starts)
        size = np.maximum(np.maximum(extent, extent[small]), np.float32(1e-3))
        gaps = np.sqrt(nearest) / size
        is_part = (gaps < rules.max_gap) & ~(has & has[small]).any(axis=1)
        pairs += [
            (gaps[other], min(small, other), max(small, other))
            for other in np.flatnonzero(is_part)
        ]
    group = np.arange(num_people)
    for _, one, other in sorted(pairs):
        a, b = sorted((group[one], group[other]))
        if a != b and not (has[a] & has[b]).any():
            has[a] |= has[b]
            group[group == b] = a
            people[a] = people[a] + people[b]
            people[b] = []
    return [each for each in people if each]


def _gather(people, candidates, num_keypoints: int, rules: Rules) -> People:
    """Makes arrays of people; those of too little go."""
    rows = np.concatenate(people) if people else np.zeros(0, np.int64)
    person = np.repeat(np.arange(len(people)), [len(each) for each in people])
    xy = np.zeros((len(people), num_keypoints, 2), np.float32)
    keypoint_scores = np.zeros((len(people), num_keypoints), np.float32)
    xy[person, candidates.keypoints[rows]] = candidates.xy[rows]
    keypoint_scores[person, candidates.keypoints[rows]] = candidates.scores[rows]
    counts = (keypoint_scores > 0).sum(axis=1)
    # In double precision such a sum is exact, whatever the order.
    totals = keypoint_scores.sum(axis=1, dtype=np.float64)
    is_kept = counts >= rules.min_keypoints
    is_kept &= totals >= np.float32(rules.min_score) * counts
    scores = (totals / num_keypoints).astype(np.float32)
    order = np.argsort(-scores, kind="stable")
    order = order[is_kept[order]]
    return People(xy[order], keypoint_scores[order], scores[order])
