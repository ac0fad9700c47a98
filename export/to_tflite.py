"""Converts a trained model to TFLite: uint8 RGB pixels in, heatmaps or keypoints out.

    python export/to_tflite.py --int8
    python export/to_tflite.py --int8 --weights runs/NAME/best.keras --data-dir ~/coco
    python export/to_tflite.py --float16 --weights w.weights.h5 --model hrnet_w32
    python export/to_tflite.py --int8 --max-drop 0.5 --validation-dataset coco
    python export/to_tflite.py --format float32 int8 int16x8 --with-decode

Without --weights it takes the newest run in runs/. Files with integers are calibrated on
crops of the training set. Beside the file lies pose_model.json, which a phone needs to run
it.
"""

import argparse
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # run from a clone

from keras_pose.commandline import plain_errors
from keras_pose.exporting.commands import drop, options
from keras_pose.exporting.formats.table import FORMATS, TFLITE_FORMATS
from keras_pose.quiet import import_tensorflow


def parse_args(argv=None):
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    kinds = parser.add_mutually_exclusive_group()
    for name in TFLITE_FORMATS:
        flag = f"--{name.replace('_', '-')}"
        kinds.add_argument(
            flag,
            dest="formats",
            action="store_const",
            const=[name],
            help=FORMATS[name].text,
        )
    kinds.add_argument("--format", dest="formats", nargs="+", choices=TFLITE_FORMATS,
                       metavar="NAME", help="several at once: converts once")  # fmt: skip
    parser.set_defaults(formats=["float32"])
    options.add_model_options(parser)
    add = parser.add_argument
    add("--output", metavar="FILE",
        help="default: export/KIND/pose_model.tflite beside the weights")  # fmt: skip
    add("--integers-only", action="store_true",
        help="compute attention in integers, too, in which it is slower on CPUs: for "
        "int8 on NPUs that have nothing else")  # fmt: skip
    options.add_calibration_options(parser)
    drop.add_drop_options(parser)
    args = parser.parse_args(argv)
    options.check_options(parser, args, args.formats, ".tflite")
    drop.check_drop_options(parser, args, args.formats)
    if args.integers_only and "int8" not in args.formats:
        parser.error(
            f"--integers-only is for int8, got {', '.join(args.formats)}; int8_per_tensor "
            "and int16x8 have integers only, the others have none"
        )
    return args


@plain_errors()
def main(argv=None):
    args = parse_args(argv)
    # After parsing: TensorFlow takes seconds, `--help` must not.
    import_tensorflow()
    if args.max_drop is not None:
        return drop.run_to_drop(args, *args.formats)
    return options.run_export(args, args.formats)


if __name__ == "__main__":
    main()
