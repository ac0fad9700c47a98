"""Times model files against each other, interleaved on this machine's CPU.

    python export/benchmark.py runs/NAME/export/*/pose_model.tflite
    python export/benchmark.py int8.tflite pose.onnx best.keras --threads 1,2 --runs 50

Milliseconds here are ratios to each other, not phone figures. `.keras` files are timed
at TensorFlow's own number of threads.
"""

import argparse
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # run from a clone

from keras_pose.commandline import plain_errors


def parse_args(argv=None):
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    add("files", nargs="+", metavar="FILE", help=".tflite, .onnx or .keras")
    add("--threads", type=counts, default=(1, 2), metavar="N,...", help="default: 1,2")
    add("--runs", type=int, default=50, help="measurements of each (default: 50)")
    return parser.parse_args(argv)


def counts(text):
    values = tuple(int(part) for part in text.split(","))
    if min(values) < 1:
        raise argparse.ArgumentTypeError(f"must be at least 1, got {text}")
    return values


@plain_errors()
def main(argv=None):
    args = parse_args(argv)
    from keras_pose.exporting.timing import time_files, timing_table

    timings = time_files(args.files, args.threads, args.runs)
    print(f"Median and quartile spread of {args.runs} interleaved runs, one batch each.")
    print(timing_table(timings))


if __name__ == "__main__":
    main()
