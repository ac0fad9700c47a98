"""Measures what int8 costs and gains, family by family, in one table.

    python export/families.py                                   # times of all families
    python export/families.py --runs runs --dataset coco --data-dir ~/coco --max-drop 0.5
    python export/families.py --runs runs/NAME other/best.keras --models --dataset coco
    python export/families.py --models hrnet_w32 pose_slim --times-again
    python export/families.py --runs runs --models --dataset coco --formats int8 float16

Trained networks (--runs) are written as float32 and int8, or --formats, and measured on the
val split by one evaluator: metric, drop, and how far keypoints move. Where int8 loses more
than --max-drop points, other ranges are tried, and operators put into float until it fits.
Families of which no run is given are timed with random weights, each by its lightest
network (or --models). The table says how many times as fast each file is, and where its
time goes. What is finished is not done again: the same command goes on where it stopped.
"""

import argparse
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # run from a clone

from keras_pose.commandline import plain_errors, positive_int
from keras_pose.exporting.commands import options
from keras_pose.exporting.formats.table import FORMATS, NUM_CALIBRATION_CROPS

# What the figures hang on.
CODE = ("keras_pose/exporting/float_graph", "keras_pose/exporting/formats",
        "keras_pose/exporting/quantization")  # fmt: skip


def parse_args(argv=None):
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    add("--runs", type=Path, nargs="+", default=[], metavar="PATH",
        help="trained networks: runs, folders of runs, .keras files")  # fmt: skip
    add("--models", nargs="*", metavar="NAME",
        help="networks to time with random weights, none if no name follows (default: "
        "the lightest of every family that --runs lack)")  # fmt: skip
    add("--dataset", help="data set to measure --runs on; without it, times only")
    add("--data-dir", help="its folder (default: data/<data set>)")
    add("--limit", type=positive_int, metavar="N", help="only the first N images")
    add("--formats", nargs="+", default=["int8"], choices=list(FORMATS), metavar="NAME",
        help="formats of --runs to set against float32 (default: int8)")  # fmt: skip
    add("--max-drop", type=float, metavar="POINTS",
        help="where int8 loses more of the metric x 100, try other ranges, and operators "
        "in float, until it does not")  # fmt: skip
    add("--calibration-images", type=positive_int, default=NUM_CALIBRATION_CROPS,
        metavar="N",
        help="crops to calibrate --runs on (default: %(default)s)")  # fmt: skip
    options.add_range_options(add)
    add("--threads", type=positive_int, nargs="+", default=[1, 2], help="default: 1 2")
    add("--num-runs", type=positive_int, default=20, metavar="N",
        help="measurements of each time (default: %(default)s)")  # fmt: skip
    add("--times-again", action="store_true", help="time all files anew")
    add("--output", type=Path, default=Path("families"), metavar="DIR",
        help="default: %(default)s")  # fmt: skip
    add("--results", type=Path, metavar="FILE",
        help="also write the table as data, for docs/results")  # fmt: skip
    args = parser.parse_args(argv)
    if args.max_drop is not None and not (args.dataset and args.runs):
        parser.error("--max-drop needs --runs and a --dataset to measure them on")
    if args.dataset and not args.runs:
        parser.error("random weights have no accuracy: --dataset needs --runs")
    return args


def choose_cases(args):
    """Returns the trained networks, then those to be timed with random weights."""
    from keras_pose.exporting.ledger.cases import (
        lightest_models,
        random_cases,
        trained_cases,
    )
    from keras_pose.zoo import get_spec

    trained = trained_cases(args.runs)
    names = args.models
    if names is None:
        families = {case.family for case in trained}
        names = [n for n in lightest_models() if get_spec(n).family not in families]
    return [*trained, *random_cases(names)]


@plain_errors()
def main(argv=None):
    args = parse_args(argv)
    from keras_pose.exporting.ledger.families import FamiliesSettings, make_families
    from keras_pose.exporting.ledger.family_table import as_markdown, write_families

    settings = FamiliesSettings(
        output=args.output,
        dataset=args.dataset,
        data_dir=args.data_dir,
        limit=args.limit,
        formats=tuple(args.formats),
        max_drop=args.max_drop,
        calibration_images=args.calibration_images,
        range_rule=options.range_rule(args),
        threads=tuple(args.threads),
        num_runs=args.num_runs,
        times_again=args.times_again,
    )
    rows = make_families(
        choose_cases(args), settings, say=lambda text: print(text, flush=True)
    )
    paths = write_families(args.output, rows)
    print(f"\n{as_markdown(rows)}")
    for path in paths:
        print(f"written     {path}")
    if args.results:
        keep(args, rows)


def keep(args, rows):
    """Writes the table as data."""
    from keras_pose.exporting.ledger.family_table import RESULT_COLUMNS, results_of
    from keras_pose.metrics.result_files import write_results

    protocols = {row.accuracy.protocol for row in rows if row.accuracy}
    words = "; ".join(sorted(protocols)) or "random weights"
    written = write_results(args.results, RESULT_COLUMNS, results_of(rows), CODE, words)
    print(f"written     {written}")


if __name__ == "__main__":
    main()
