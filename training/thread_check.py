"""Asks one estimator from many threads, and compares with the answers of one thread.

    python training/thread_check.py
    python training/thread_check.py --threads 8 --pictures 1000

Every thread asks for the poses in pictures of its own; each answer must be the one that
the picture has alone.
"""

import argparse
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # run from a clone

from keras_pose.commandline import plain_errors, positive_int


def parse_args(argv=None):
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--weights", help="model file (default: the package's)")
    parser.add_argument("--threads", type=positive_int, default=8)
    parser.add_argument("--pictures", type=positive_int, default=1000, help="a thread")
    return parser.parse_args(argv)


def draw(number):
    """Returns a picture of its own for each number, (H, W, 3) uint8."""
    import numpy as np

    rng = np.random.default_rng(number)
    blocks = rng.integers(0, 256, (8, 6, 3), np.uint8)
    return np.kron(blocks, np.ones((10, 10, 1), np.uint8))


def measure_threads(args):
    """Counts the answers that are not those of the picture alone."""
    from concurrent.futures import ThreadPoolExecutor

    import numpy as np

    from keras_pose.inference import PoseEstimator
    from keras_pose.runtime.instructions import machine_line

    estimator = PoseEstimator(args.weights, num_threads=1)
    boxes = [[2.0, 2.0, 57.0, 77.0]]

    def ask(first):
        numbers = range(first, first + args.pictures)
        return np.stack([estimator(draw(i), boxes).keypoints_xy for i in numbers])

    firsts = [i * args.pictures for i in range(args.threads)]
    started = time.perf_counter()
    alone = [ask(first) for first in firsts]
    alone_seconds = time.perf_counter() - started
    started = time.perf_counter()
    with ThreadPoolExecutor(args.threads) as pool:
        together = list(pool.map(ask, firsts))
    seconds = time.perf_counter() - started
    num_foreign = sum(
        int((a != b).any(axis=(1, 2, 3)).sum())
        for a, b in zip(alone, together, strict=True)
    )
    total = args.threads * args.pictures
    print(machine_line())
    print(
        f"{args.threads} threads x {args.pictures} pictures: {num_foreign} of {total} "
        f"answers are not the picture's own; {seconds:.1f} s, alone {alone_seconds:.1f} s"
    )
    return f"{num_foreign} foreign answers" if num_foreign else None


@plain_errors()
def main(argv=None):
    return measure_threads(parse_args(argv))


if __name__ == "__main__":
    sys.exit(main())
