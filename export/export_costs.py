"""Measures what exports take, in processor time and memory, build beside build.

    git worktree add ../earlier cb2f2cd
    python export/export_costs.py --builds cb2f2cd=../earlier now=. --rounds 2 \\
        --results docs/results/export_hrnet_w32.json

The same weights, random ones with settled batch norms, go to TFLite and to ONNX; the builds
take turns. Memory is that of all processes of an export together. Linux only.
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
    add("--builds", nargs="+", required=True, metavar="NAME=DIR", help="checkouts")
    add("--model", default="hrnet_w32", help="zoo name (default: hrnet_w32)")
    add("--rounds", type=positive_int, default=1, help="times each runs (default: 1)")
    add("--note", default="", help="what else ran, for the protocol")
    add("--results", metavar="FILE", help="write the table there")
    args = parser.parse_args(argv)
    for build in args.builds:
        name, _, folder = build.partition("=")
        if not name or not (Path(folder) / "export").is_dir():
            parser.error(f"--builds wants NAME=DIR, DIR a checkout, got {build}")
    return args


@plain_errors()
def main(argv=None):
    args = parse_args(argv)
    from keras_pose.exporting.commands.export_costs import COLUMNS, EXPORTS, compare_builds
    from keras_pose.metrics.result_files import write_results
    from keras_pose.runtime.instructions import machine_line

    builds = dict(build.split("=", 1) for build in args.builds)
    rows = compare_builds(builds, args.model, args.rounds)
    print(machine_line())
    for row in rows:
        print("{:12} {:10} {:7.0f} s {:5.2f} {:9,.0f} MB {:5.2f}".format(*row))
    if args.results:
        formats = "; ".join(f"{name}: {' '.join(of)}" for name, of in EXPORTS.items())
        protocol = (
            f"{args.model} with random weights and settled batch norms, 50 crops; "
            f"{formats}; median of {args.rounds} rounds, in turns. {args.note}"
        )
        code = ["float_graph", "formats", "quantization"]
        folder = "keras_pose/exporting"
        write_results(
            args.results, COLUMNS, rows, [f"{folder}/{x}" for x in code], protocol
        )


if __name__ == "__main__":
    main()
