"""Draws the learning curves of a run: loss, PCK, and AP where it was measured.

python training/plot_run.py runs/pose_slim_coco_20260101-120000 --output curves.png
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
    parser.add_argument("run", type=Path, help="run folder")
    parser.add_argument("--output", type=Path, help="picture (default: RUN/curves.png)")
    parser.add_argument("--title", default="", help="stands above the curves")
    return parser.parse_args(argv)


@plain_errors()
def main(argv=None):
    args = parse_args(argv)
    # Imported after parsing: `--help` must not wait for NumPy.
    from keras_pose.pictures.images import write_image
    from keras_pose.pictures.plots import plot_run

    picture = plot_run(args.run, args.title)
    print(f"written     {write_image(args.output or args.run / 'curves.png', picture)}")


if __name__ == "__main__":
    main()
