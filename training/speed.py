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


MEASURED = {"oks_nms": measure_oks_nms}


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
