"""Times model files against each other, interleaved on this machine's CPU.

    python export/benchmark.py runs/NAME/export/*/pose_model.tflite
    python export/benchmark.py int8.tflite pose.onnx best.keras --threads 1,2 --runs 50
    python export/benchmark.py int8.tflite --profile --output benchmark.json
    python export/benchmark.py anybodys.tflite --audit

Milliseconds here are ratios to each other, not phone figures; the last columns say which
share of this machine's peak a file reaches (large products of matrices, timed in the same
run), how long it takes to load, and how much memory it adds. `.keras` files are timed at
TensorFlow's own number of threads.
"""

import argparse
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # run from a clone

from keras_pose.commandline import plain_errors, positive_int


def parse_args(argv=None):
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    add("files", nargs="+", metavar="FILE", help=".tflite, .onnx or .keras")
    add("--threads", type=counts, default=(1, 2), metavar="N,...", help="default: 1,2")
    add("--runs", type=positive_int, default=50,
        help="measurements of each (default: 50)")  # fmt: skip
    add("--profile", action="store_true", help="time operators one by one, too")
    add("--audit", action="store_true",
        help="say instead what is in the files, and what phones' accelerators take of it; "
        "runs nothing, and is safe for files from anywhere")  # fmt: skip
    add("--output", type=Path, metavar="FILE", help="also write .json or .csv")
    return parser.parse_args(argv)


def counts(text):
    values = tuple(positive_int(part) for part in text.split(","))
    if len(set(values)) < len(values):
        raise argparse.ArgumentTypeError(f"must differ, got {text}")
    return values


def audit(files):
    from keras_pose.exporting.inspection.audit import audit_file, describe_audit

    for file in files:
        print(f"{file}\n{describe_audit(audit_file(file))}")


@plain_errors()
def main(argv=None):
    args = parse_args(argv)
    if args.audit:
        return audit(args.files)
    from keras_pose.exporting.inspection.benchmark import (
        benchmark_files,
        benchmark_table,
        check_output,
        write_benchmark,
    )

    if args.output:
        check_output(args.output)
    benchmark = benchmark_files(args.files, args.threads, args.runs, args.profile)
    print(f"Median and quartile spread of {args.runs} interleaved runs, one batch each.")
    print(benchmark_table(benchmark))
    if args.output:
        print(f"written     {write_benchmark(args.output, benchmark)}")


if __name__ == "__main__":
    main()
