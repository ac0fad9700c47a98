"""Fills the apps with models, ready to be built: a pose model and a detector, or one
network that finds everybody by itself (one-stage or bottom-up).

    python export/bundle_mobile.py
    python export/bundle_mobile.py --weights pose.tflite --detector det.tflite --apps web
    python export/bundle_mobile.py --weights pose.tflite --detector det.tflite --output DIR
    python export/bundle_mobile.py --weights rtmo.tflite

Where none are named, they are the models that came with keras_pose. Each app gets the
models, their contracts, label files, parity packs, and manifest.json with the task, and
with the size and hash of every file, which an app checks when it starts.
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
    add("--detector", metavar="FILE", help="detector, .tflite (default: the shipped one; "
        "none for a pose model that finds everybody by itself)")  # fmt: skip
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
    from keras_pose.parity.model_pictures import drawn_people, finder_of, people_in
    from keras_pose.shipped import shipped_box_threshold, shipped_file

    models = {"pose": ModelFile(args.weights or shipped_file("pose"))}
    if args.detector or not models["pose"].finds_everybody:
        models["detector"] = ModelFile(args.detector or shipped_file("detector"))
    check_models(models)
    if args.images == "synthetic":
        people = drawn_people(args.cases)
    else:
        people = people_in(args.images, args.cases, finder_of(models))
    # Measured of the shipped detector; what another network is worth is not known.
    is_shipped = "detector" in models and not args.detector
    threshold = shipped_box_threshold() if is_shipped else None
    for folder in targets(args):
        write_bundle(folder, models, people, threshold)
        print(describe_bundle(folder))


if __name__ == "__main__":
    main()
