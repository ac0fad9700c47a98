"""Measures how large the zoo's networks are as float16 .tflite files.

    python export/model_sizes.py                 # those that were never measured
    python export/model_sizes.py hrnet_w32 pose_slim

The sizes go into keras_pose/zoo/tflite_sizes.json, after each network, so an interrupted
run goes on where it stopped. `python -m keras_pose models` shows them. Each network is
converted in a process of its own: memory that one took is free for the next.
"""

import argparse
import subprocess
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # run from a clone

from keras_pose.commandline import plain_errors


def parse_args(argv=None):
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("models", nargs="*", metavar="MODEL", help="zoo names")
    parser.add_argument("--one", metavar="MODEL", help=argparse.SUPPRESS)
    return parser.parse_args(argv)


def measure_here(name):
    """Prints a network's size; the other end is `measure`."""
    from keras_pose.commandline.quiet import import_tensorflow

    import_tensorflow()
    from keras_pose.exporting.inspection.sizes import float16_bytes

    print(f"bytes {float16_bytes(name)}")


def measure(name):
    """Returns a network's size, found by a process of its own; None if it failed."""
    command = [sys.executable, __file__, "--one", name]
    result = subprocess.run(command, capture_output=True, text=True)
    words = result.stdout.split()
    if result.returncode or "bytes" not in words:
        print(f"{name}: not converted\n{result.stderr[-1000:]}", file=sys.stderr)
        return None
    return int(words[words.index("bytes") + 1])


@plain_errors()
def main(argv=None):
    args = parse_args(argv)
    if args.one:
        return measure_here(args.one)
    from keras_pose.weights.model_table import read_sizes, write_size
    from keras_pose.zoo import get_spec, list_models

    sizes = read_sizes()
    names = args.models or [name for name in list_models() if name not in sizes]
    for name in names:
        spec = get_spec(name)
        start = time.perf_counter()
        size = measure(name)
        if size is not None:
            write_size(spec, size)
            seconds = time.perf_counter() - start
            print(f"{name:32} {size / 1e6:8.2f} MB   {seconds:.0f} s", flush=True)


if __name__ == "__main__":
    main()
