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


MEASURED = {
    "gaussian": lambda: measure_decode("gaussian", is_plain=True),
    "gaussian_by_joints": lambda: measure_decode("gaussian"),
    "dark": lambda: measure_decode("dark"),
    "udp": lambda: measure_decode("udp"),
    "oks_nms": measure_oks_nms,
}


@plain_errors()
def main(argv=None):
    args = parse_args(argv)
    for name in [args.only] if args.only else MEASURED:
        what, slow, fast = MEASURED[name]()
        print(
            f"{what}: loops {1000 * slow:.0f} ms, vectorised {1000 * fast:.1f} ms, "
            f"{slow / fast:.0f} times as fast"
        )


if __name__ == "__main__":
    main()
