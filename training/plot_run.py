"""Draws the learning curves of a run: loss, PCK, and AP where it was measured.

    python training/plot_run.py runs/pose_slim_coco_20260101-120000 --output curves.png
    python training/plot_run.py runs/A runs/B runs/C --output compared.png

Of several runs, the curves are drawn over each other.
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
    parser.add_argument("runs", type=Path, nargs="+", metavar="RUN", help="run folder")
    parser.add_argument("--output", type=Path, help="picture (default: RUN/curves.png, "
        "of several ./curves.png)")  # fmt: skip
    parser.add_argument("--title", default="", help="stands above the curves")
    return parser.parse_args(argv)


@plain_errors()
def main(argv=None):
    args = parse_args(argv)
    # Imported after parsing: `--help` must not wait for NumPy.
    from keras_pose.pictures.images import write_image
    from keras_pose.pictures.plots import plot_run, plot_runs

    if len(args.runs) == 1:
        folder = args.runs[0]
        picture = plot_run(folder, args.title)
    else:
        folder = Path()
        picture = plot_runs(names_of(args.runs), args.title)
    print(f"written     {write_image(args.output or folder / 'curves.png', picture)}")


def names_of(runs):
    """Returns run folders by their names; by their paths, where two have one name."""
    names = [run.resolve().name for run in runs]
    is_unique = len(set(names)) == len(names)
    return dict(zip(names if is_unique else map(str, runs), runs, strict=True))


if __name__ == "__main__":
    main()
