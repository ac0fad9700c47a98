"""Fills the apps with a pose model and a detector, ready to be built.

    python export/bundle_mobile.py
    python export/bundle_mobile.py --weights pose.tflite --detector det.tflite --apps web
    python export/bundle_mobile.py --weights pose.tflite --detector det.tflite --output DIR

Where none are named, they are the models that came with keras_pose. Each app gets the
models, their contracts, label files, parity packs, and manifest.json with the size and
hash of every file, which an app checks when it starts.
"""

import argparse
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))  # run from a clone

from keras_pose.commandline import plain_errors, positive_int

MOBILE = ROOT / "mobile_demo"
APPS = ("web", "android", "ios")


def parse_args(argv=None):
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    add("--weights", metavar="FILE", help="pose model, .tflite (default: the shipped one)")
    add("--detector", metavar="FILE", help="detector, .tflite (default: the shipped one)")
    add("--apps", nargs="+", choices=APPS, metavar="APP",
        help=f"of {', '.join(APPS)} (default: all)")  # fmt: skip
    add("--output", metavar="DIR", help="write one bundle there instead")
    add("--images", metavar="DIR", default="synthetic",
        help='of people, for the parity pack; or "synthetic" (default)')  # fmt: skip
    add("--cases", type=positive_int, default=3, metavar="N",
        help="people in the parity pack (default: 3)")  # fmt: skip
    args = parser.parse_args(argv)
    if args.apps and args.output:
        parser.error("--apps and --output exclude each other")
    return args


def targets(args) -> list[Path]:
    """Returns the folders to fill."""
    from keras_pose.parity.bundle import APP_FOLDERS

    if args.output:
        return [Path(args.output)]
    return [MOBILE / APP_FOLDERS[app] for app in args.apps or APPS]


@plain_errors()
def main(argv=None):
    args = parse_args(argv)
    # Imported after parsing: `--help` must be quick.
    from keras_pose.parity.bundle import check_models, describe_bundle, write_bundle
    from keras_pose.parity.model_file import ModelFile
    from keras_pose.parity.model_pictures import drawn_people, people_in
    from keras_pose.shipped import shipped_box_threshold, shipped_file

    models = {
        "pose": ModelFile(args.weights or shipped_file("pose")),
        "detector": ModelFile(args.detector or shipped_file("detector")),
    }
    check_models(models)
    if args.images == "synthetic":
        people = drawn_people(args.cases)
    else:
        people = people_in(args.images, args.cases, models["detector"])
    # Measured of the shipped detector; what another one is worth is not known.
    threshold = None if args.detector else shipped_box_threshold()
    for folder in targets(args):
        write_bundle(folder, models, people, threshold)
        print(describe_bundle(folder))


if __name__ == "__main__":
    main()
