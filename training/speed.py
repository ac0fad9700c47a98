"""Measures what vectorised code gains over plain loops that follow the same rule.

    python training/speed.py
    python training/speed.py --only oks_nms

Both run on the same input in one process, must give the same result, and are timed as
the best of some runs.
"""

import argparse
import math
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # run from a clone

from keras_pose.commandline import plain_errors


def parse_args(argv=None):
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--only", choices=sorted(MEASURED), help="one of them")
    return parser.parse_args(argv)


def best_seconds(function, runs):
    """Returns the shortest time of some runs, and the last result."""
    times = []
    for _ in range(runs):
        started = time.perf_counter()
        result = function()
        times.append(time.perf_counter() - started)
    return min(times), result


def oks_nms_by_loops(keypoints_xy, scores, areas, sigmas, threshold=0.9):
    """OKS-NMS joint by joint; takes and returns lists."""
    order = sorted(range(len(scores)), key=lambda i: -scores[i])
    kept = []
    for candidate in order:
        for other in kept:
            area = (areas[candidate] + areas[other]) / 2
            total = 0.0
            for k, sigma in enumerate(sigmas):
                dx = keypoints_xy[candidate][k][0] - keypoints_xy[other][k][0]
                dy = keypoints_xy[candidate][k][1] - keypoints_xy[other][k][1]
                total += math.exp(-(dx * dx + dy * dy) / (2 * sigma) ** 2 / area / 2)
            if total / len(sigmas) > threshold:
                break
        else:
            kept.append(candidate)
    return kept


def measure_oks_nms(num_people=1000):
    """Returns (what, seconds of loops, seconds of vectorised code)."""
    import numpy as np

    from keras_pose.metrics import oks_nms
    from keras_pose.skeleton import COCO_17

    rng = np.random.default_rng(seed=0)
    # Every person is there twice, some pixels apart, so that there is work to do.
    people = rng.uniform(0, 600, (num_people // 2, 1, 2)) + rng.uniform(
        0, 200, (num_people // 2, 17, 2)
    )
    people = np.concatenate([people, people + rng.normal(0, 2, people.shape)])
    scores, areas = rng.uniform(size=num_people), rng.uniform(1e4, 4e4, num_people)
    sigmas = COCO_17.oks_sigmas
    lists = people.tolist(), scores.tolist(), areas.tolist(), list(sigmas)
    fast, kept = best_seconds(lambda: oks_nms(people, scores, areas, sigmas), 5)
    slow, expected = best_seconds(lambda: oks_nms_by_loops(*lists), 1)
    if kept.tolist() != expected:
        raise ValueError("The vectorised OKS-NMS keeps others than the loops do.")
    return f"OKS-NMS of {num_people} poses, {len(expected)} kept", slow, fast


def decode_by_plain_loops(codec, heatmaps):
    """The quarter-pixel rule in plain Python; takes lists [person][joint][row][column]."""
    keypoints, scores = [], []
    height, width = codec.heatmap_hw
    for person in heatmaps:
        for rows in person:
            best, x, y = -math.inf, 0, 0
            for i, row in enumerate(rows):
                highest = max(row)
                if highest > best:
                    best, x, y = highest, row.index(highest), i
            dx = dy = 0.0
            if 1 < x < width - 1 and 1 < y < height - 1:
                dx = math.copysign(0.25, rows[y][x + 1] - rows[y][x - 1])
                dy = math.copysign(0.25, rows[y + 1][x] - rows[y - 1][x])
            keypoints.append([codec.stride * (x + dx), codec.stride * (y + dy)])
            scores.append(best)
    return keypoints, scores


def decode_by_joints(codec, heatmaps):
    """Decodes one joint at a time, as the reference codes do: NumPy on single maps."""
    import numpy as np

    refine = {"gaussian": _quarter, "dark": _dark, "udp": _udp}[codec.kind]
    people, _, _, joints = heatmaps.shape
    keypoints = np.zeros((people, joints, 2), np.float32)
    scores = np.zeros((people, joints), np.float32)
    for n in range(people):
        for k in range(joints):
            heatmap = heatmaps[n, :, :, k]
            y, x = np.unravel_index(np.argmax(heatmap), heatmap.shape)
            scores[n, k] = heatmap[y, x]
            if scores[n, k] > 0:
                offset_xy = refine(codec, heatmap, x, y)
                keypoints[n, k] = (np.array([x, y]) + offset_xy) * codec.pixel_xy
    return keypoints, scores


def _quarter(codec, heatmap, x, y):
    import numpy as np

    height, width = heatmap.shape
    if not (1 < x < width - 1 and 1 < y < height - 1):
        return np.zeros(2)
    dx = heatmap[y, x + 1] - heatmap[y, x - 1]
    dy = heatmap[y + 1, x] - heatmap[y - 1, x]
    return 0.25 * np.sign([dx, dy])


def _log_blurred(heatmap, kernel, low, high):
    import cv2
    import numpy as np

    # As both references do it: the map amid zeros, smoothed, and cut out again.
    margin, (height, width) = kernel // 2, heatmap.shape
    padded = np.zeros((height + 2 * margin, width + 2 * margin))
    padded[margin:-margin, margin:-margin] = heatmap
    blurred = cv2.GaussianBlur(padded, (kernel, kernel), 0)
    blurred = blurred[margin:-margin, margin:-margin]
    return np.log(np.clip(blurred * heatmap.max() / blurred.max(), low, high))


def _dark(codec, heatmap, x, y):
    import numpy as np

    height, width = heatmap.shape
    if not (1 < x < width - 2 and 1 < y < height - 2):
        return np.zeros(2)
    log = _log_blurred(heatmap, 2 * int(3 * codec.sigma) - 1, 1e-10, np.inf)
    slope = np.array([log[y, x + 1] - log[y, x - 1], log[y + 1, x] - log[y - 1, x]]) / 2
    bend_xx = (log[y, x + 2] - 2 * log[y, x] + log[y, x - 2]) / 4
    bend_yy = (log[y + 2, x] - 2 * log[y, x] + log[y - 2, x]) / 4
    bend_xy = log[y + 1, x + 1] - log[y - 1, x + 1] - log[y + 1, x - 1]
    bend_xy = (bend_xy + log[y - 1, x - 1]) / 4
    hessian = np.array([[bend_xx, bend_xy], [bend_xy, bend_yy]])
    return -np.linalg.inv(hessian) @ slope


def _udp(codec, heatmap, x, y):
    import numpy as np

    log = np.pad(_log_blurred(heatmap, codec.blur_kernel, 1e-3, 50), 1, mode="edge")
    log = log[y : y + 3, x : x + 3]
    slope = np.array([log[1, 2] - log[1, 0], log[2, 1] - log[0, 1]]) / 2
    bend_xx = log[1, 2] - 2 * log[1, 1] + log[1, 0]
    bend_yy = log[2, 1] - 2 * log[1, 1] + log[0, 1]
    around = log[1, 2] + log[2, 1] + log[1, 0] + log[0, 1]
    bend_xy = (log[2, 2] + log[0, 0] + 2 * log[1, 1] - around) / 2
    hessian = np.array([[bend_xx, bend_xy], [bend_xy, bend_yy]])
    hessian += np.finfo(np.float32).eps * np.eye(2)
    return -np.linalg.inv(hessian) @ slope


def noisy_heatmaps(codec, num_people):
    """Returns (N, H, W, 17) float32: Gaussians as networks draw them, with some noise."""
    import numpy as np

    rng = np.random.default_rng(seed=0)
    height, width = codec.input_hw
    points_xy = rng.uniform(0, [width, height], (num_people, 17, 2))
    heatmaps, _ = codec.encode(points_xy, np.full(points_xy.shape[:2], 2))
    heatmaps *= rng.uniform(0.3, 1, (num_people, 1, 1, 17)).astype(np.float32)
    return heatmaps + 0.02 * rng.random(heatmaps.shape, np.float32)


def measure_decode(kind, is_plain=False, num_people=1000):
    """Returns (what, seconds of loops, seconds of vectorised code)."""
    import numpy as np

    from keras_pose.codecs import CODECS

    codec = CODECS[kind].for_input((256, 192))
    heatmaps = noisy_heatmaps(codec, num_people)
    fast, found = best_seconds(lambda: codec.decode(heatmaps), 5)
    if is_plain:
        lists = heatmaps.transpose(0, 3, 1, 2).tolist()
        slow, expected = best_seconds(lambda: decode_by_plain_loops(codec, lists), 1)
    else:
        slow, expected = best_seconds(lambda: decode_by_joints(codec, heatmaps), 1)
    for ours, theirs in zip(found, expected, strict=True):
        # float32 coordinates of up to 256 pixels.
        if not np.allclose(ours.reshape(np.shape(theirs)), theirs, rtol=0, atol=1e-3):
            raise ValueError(
                f"The vectorised {kind} codec finds other points than loops do."
            )
    loops = "in plain Python" if is_plain else "joint by joint, NumPy"
    return f"{kind} decoding of {num_people} people ({loops})", slow, fast


def people_by_loops(heatmaps, fields, limb_pairs, rules):
    """Parses fields in plain Python: pixel by pixel, limb by limb; takes nested lists.

    Returns:
        Per person, the positions of the keypoints by number, in cells.
    """
    height, width, num_keypoints = len(heatmaps), len(heatmaps[0]), len(heatmaps[0][0])
    peaks = [[] for _ in range(num_keypoints)]
    for k in range(num_keypoints):
        for y in range(height):
            for x in range(width):
                if heatmaps[y][x][k] >= rules.min_peak and _is_peak(heatmaps, x, y, k):
                    peaks[k].append((k, len(peaks[k]), *_refined(heatmaps, x, y, k, rules)))
    chosen, all_found = [], []
    for limb, (first, last) in enumerate(limb_pairs):
        found = []
        for a in peaks[first]:
            for b in peaks[last]:
                score = _limb_score(fields, limb, a[2:], b[2:], rules)
                if score is not None:
                    found.append((score, a, b))
        all_found += found
        used = set()
        for score, a, b in sorted(found, key=lambda pair: -pair[0]):
            if a not in used and b not in used:
                used |= {a, b}
                chosen.append((score, a, b))
    people = _joined(chosen, [peak for of_kind in peaks for peak in of_kind])
    _shared(people, all_found)
    people = _bridged(people, rules.max_gap, num_keypoints)
    return [
        {k: (x, y) for k, _, x, y in person}
        for person in people
        if len(person) >= rules.min_keypoints
    ]


def _is_peak(heatmaps, x, y, k):
    center = heatmaps[y][x][k]
    for dy in (-1, 0, 1):
        for dx in (-1, 0, 1):
            if not (0 <= y + dy < len(heatmaps) and 0 <= x + dx < len(heatmaps[0])):
                continue
            other = heatmaps[y + dy][x + dx][k]
            if other > center or (other == center and (dy, dx) < (0, 0)):
                return False
    return True


def _refined(heatmaps, x, y, k, rules):
    center = heatmaps[y][x][k]
    place = []
    for position, size, read in (
        (x, len(heatmaps[0]), lambda i: heatmaps[y][i][k]),
        (y, len(heatmaps), lambda i: heatmaps[i][x][k]),
    ):
        logs = {}
        for side in (-1, 1):
            if 0 <= position + side < size:
                logs[side] = math.log(max(read(position + side) / center, 1e-3))
        before = logs[-1] if -1 in logs else -1 / rules.sigma**2 - logs[1]
        after = logs[1] if 1 in logs else -1 / rules.sigma**2 - logs[-1]
        bend = before + after
        offset = (before - after) / (2 * bend) if bend < 0 else 0.0
        place.append(position + min(max(offset, -0.5), 0.5))
    return tuple(place)


def _limb_score(fields, limb, a, b, rules):
    dx, dy = b[0] - a[0], b[1] - a[1]
    length = math.sqrt(dx * dx + dy * dy)
    total, count = 0.0, 0
    for point in range(rules.num_points):
        share = (point + 0.5) / rules.num_points
        vector = _between_cells(fields, limb, a[0] + share * dx, a[1] + share * dy)
        along = (vector[0] * dx + vector[1] * dy) / max(length, 1e-6)
        total += along
        count += along > rules.min_field
    score = total / rules.num_points
    if length < 1:
        return max(score, rules.min_field * (2 - length))
    return score if count >= rules.min_share * rules.num_points else None


def _between_cells(fields, limb, x, y):
    column, row = math.floor(x), math.floor(y)
    vector = [0.0, 0.0]
    for i, weight_y in ((row, row + 1 - y), (row + 1, y - row)):
        for j, weight_x in ((column, column + 1 - x), (column + 1, x - column)):
            inside_i = min(max(i, 0), len(fields) - 1)
            inside_j = min(max(j, 0), len(fields[0]) - 1)
            cell = fields[inside_i][inside_j]
            vector[0] += weight_y * weight_x * cell[2 * limb]
            vector[1] += weight_y * weight_x * cell[2 * limb + 1]
    return vector


def _joined(limbs, peaks):
    people = [{peak} for peak in peaks]
    for _, a, b in sorted(limbs, key=lambda limb: -limb[0]):
        joined = set().union(*(person for person in people if a in person or b in person))
        if len(_kinds(joined)) == len(joined):
            people = [person for person in people if not person & joined]
            people.append(joined)
    return people


def _kinds(person):
    return {peak[0] for peak in person}


def _shared(people, limbs):
    own = [(set(person), person) for person in people if len(person) >= 3]
    for _, first, last in sorted(limbs, key=lambda limb: -limb[0]):
        for mine, other in ((first, last), (last, first)):
            for at_first, person in own:
                if mine in at_first and other[0] not in _kinds(person):
                    person.add(other)


def _extent(person):
    low = [min(peak[axis] for peak in person) for axis in (2, 3)]
    high = [max(peak[axis] for peak in person) for axis in (2, 3)]
    return math.dist(low, high)


def _bridged(people, max_gap, num_keypoints):
    gaps = []
    for i, one in enumerate(people):
        for j, other in enumerate(people[:i]):
            if _kinds(one) & _kinds(other):
                continue
            nearest = min(math.dist(a[2:], b[2:]) for a in one for b in other)
            gap = nearest / max(_extent(one), _extent(other), 1e-3)
            if gap < max_gap:
                gaps.append((gap, i, j))
    group = list(range(len(people)))
    people = [set(person) for person in people]
    for _, i, j in sorted(gaps):
        a, b = group[i], group[j]
        if a != b and not _kinds(people[a]) & _kinds(people[b]):
            people[a] |= people[b]
            people[b] = set()
            group = [a if each == b else each for each in group]
    return [person for person in people if person]


# A standing person, (x, y) in heights from the middle, in the order of OPENPOSE_COCO_18:
# face and neck, right arm, left arm, right leg, left leg, eyes and ears.
STANDING = (
    (0.0, -0.42), (0.0, -0.32),
    (-0.11, -0.31), (-0.15, -0.15), (-0.14, 0.01),
    (0.11, -0.31), (0.15, -0.15), (0.14, 0.01),
    (-0.07, 0.02), (-0.08, 0.25), (-0.08, 0.47),
    (0.07, 0.02), (0.08, 0.25), (0.08, 0.47),
    (-0.02, -0.44), (0.02, -0.44), (-0.05, -0.43), (0.05, -0.43),
)  # fmt: skip


def crowd(num_people, size):
    """Returns (P, 18, 2) pixels: people in rows, so near that they overlap."""
    import numpy as np

    rng = np.random.default_rng(seed=0)
    side = math.ceil(math.sqrt(num_people))
    places = np.stack(np.divmod(np.arange(num_people), side)[::-1], axis=-1)
    places = (places + rng.uniform(0.3, 0.7, places.shape)) * size / side
    height = size / side * rng.uniform(1.2, 1.8, (num_people, 1, 1))
    poses = np.array(STANDING) + rng.normal(0, 0.03, (num_people, len(STANDING), 2))
    return places[:, None] + height * poses


def measure_parsing(num_people=56, size=640):
    """Returns (what, seconds of loops, seconds of vectorised code)."""
    import numpy as np

    from keras_pose.codecs.assembly import assemble_people, find_candidates
    from keras_pose.codecs.part_affinity import PartAffinityCodec
    from keras_pose.models.openpose_channels import OPENPOSE_COCO_18

    skeleton, codec = OPENPOSE_COCO_18, PartAffinityCodec((size, size))
    shape = (num_people, skeleton.num_keypoints, 2)
    people = crowd(num_people, size)
    heatmaps, fields = codec.encode(people, np.full(shape[:2], 2), skeleton)
    heatmaps, rules = heatmaps[..., :-1], codec._rules
    # No two limbs alike, which sorting could leave in either order.
    fields = fields + np.random.default_rng(0).normal(0, 0.01, fields.shape).astype(
        np.float32
    )
    pairs = skeleton.limb_pairs
    lists = heatmaps.tolist(), fields.tolist()
    fast, found = best_seconds(lambda: assemble_people(heatmaps, fields, pairs, rules), 20)
    slow, expected = best_seconds(lambda: people_by_loops(*lists, pairs, rules), 1)
    if not _are_same_people(found, expected):
        raise ValueError("The vectorised parsing finds other people than loops do.")
    count = len(find_candidates(heatmaps, rules).scores)
    return f"parsing of {count} candidates, {len(expected)} people", slow, fast


def _are_same_people(found, expected):
    """Compares people by their keypoints, to 1e-3 cells, in whatever order."""

    def in_thousandths(person):
        return tuple(sorted((k, round(1e3 * x), round(1e3 * y)) for k, (x, y) in person))

    ours = [
        [(k, xy) for k, xy in enumerate(points.tolist()) if scores[k] > 0]
        for points, scores in zip(found.keypoints_xy, found.keypoint_scores, strict=True)
    ]
    theirs = [person.items() for person in expected]
    if len(ours) != len(theirs):
        return False
    pairs = zip(
        sorted(map(in_thousandths, ours)), sorted(map(in_thousandths, theirs)), strict=True
    )
    return all(
        len(a) == len(b) and all(
            p[0] == q[0] and abs(p[1] - q[1]) <= 1 and abs(p[2] - q[2]) <= 1
            for p, q in zip(a, b, strict=True)
        )
        for a, b in pairs
    )  # fmt: skip


MEASURED = {
    "parsing": measure_parsing,
    "gaussian": lambda: measure_decode("gaussian", is_plain=True),
    "gaussian_by_joints": lambda: measure_decode("gaussian"),
    "dark": lambda: measure_decode("dark"),
    "udp": lambda: measure_decode("udp"),
    "oks_nms": measure_oks_nms,
}


@plain_errors()
def main(argv=None):
    args = parse_args(argv)
    from keras_pose.runtime.instructions import machine_line

    print(machine_line())
    for name in [args.only] if args.only else MEASURED:
        what, slow, fast = MEASURED[name]()
        print(
            f"{what}: loops {1000 * slow:.0f} ms, vectorised {1000 * fast:.1f} ms, "
            f"{slow / fast:.0f} times as fast"
        )


if __name__ == "__main__":
    main()
