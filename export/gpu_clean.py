"""Says which operators of the zoo's phone networks a phone's GPU leaves to the CPU.

    python export/gpu_clean.py                         # the networks that phones are given
    python export/gpu_clean.py rtmpose_m runs/NAME/best.keras
    python export/gpu_clean.py --results docs/results/gpu_clean.json

Networks are converted to float16, with random weights by their zoo names, and held against
the rules of LiteRT's GPU delegate (as `benchmark.py --audit`). Those of which weights are
known, the shipped ones and .keras files, are run on the demo's photographs: half precision
holds nothing above 65504. Each network is converted in a process of its own.
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
    parser.add_argument("networks", nargs="*", metavar="NETWORK",
        help="zoo names, or .keras files")  # fmt: skip
    parser.add_argument("--results", type=Path, metavar="FILE",
        help="also write the table as data, for docs/results")  # fmt: skip
    return parser.parse_args(argv)


def usual_networks():
    """Returns the networks that phones are given, shipped ones with their weights."""
    from keras_pose.exporting.ledger.gpu_files import PHONE_NETWORKS
    from keras_pose.shipped import KINDS, shipped_network

    shipped = [path for kind in KINDS if (path := shipped_network(kind)) is not None]

    def best_of(name):
        # Files are called like their network, followed by the size of its input.
        files = [path for path in shipped if path.name.rpartition("_")[0] == name]
        return str(files[0]) if files else name

    return [best_of(name) for name in PHONE_NETWORKS]


@plain_errors()
def main(argv=None):
    args = parse_args(argv)
    from keras_pose.demo.stills import CREDITS, FOLDER
    from keras_pose.exporting.ledger.gpu_files import (
        COLUMNS,
        MOST_FLOAT16,
        audit_for_gpu,
        row_of,
    )
    from keras_pose.files import check_writable
    from keras_pose.metrics.result_files import write_results

    if args.results:
        check_writable(args.results.parent)
    pictures = [str(FOLDER / f"{name}.jpg") for name in CREDITS]
    rows = []
    for network in args.networks or usual_networks():
        file = audit_for_gpu(network, pictures)
        rows.append(row_of(file))
        verdict = "clean" if file.is_clean else "not clean"
        print(f"{' | '.join(map(str, rows[-1]))} | {verdict}", flush=True)
    if args.results:
        protocol = (
            "float16 .tflite; rules of the GPU delegate; largest magnitude on "
            f"{len(pictures)} photographs (limit {MOST_FLOAT16:.0f})"
        )
        # What a float16 file's graph hangs on, and the rules.
        code = [
            "keras_pose/exporting/float_graph",
            "keras_pose/exporting/formats/pixels.py",
            "keras_pose/exporting/inspection/delegates.py",
            "keras_pose/models",
        ]
        print(f"written     {write_results(args.results, COLUMNS, rows, code, protocol)}")


if __name__ == "__main__":
    main()
