"""Converts a trained model to TFLite: uint8 RGB pixels in, heatmaps out.

    python export/to_tflite.py --int8
    python export/to_tflite.py --int8 --weights runs/NAME/best.keras --data-dir ~/coco
    python export/to_tflite.py --float16 --weights w.weights.h5 --model hrnet_w32

Without --weights it takes the newest run in runs/. An int8 file is calibrated on crops
of the training set. Beside the file lies pose_model.json, which a phone needs to run it.
"""

import argparse
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # run from a clone

from keras_pose.commandline import plain_errors, positive_int
from keras_pose.quiet import import_tensorflow


def parse_args(argv=None):
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    kinds = parser.add_mutually_exclusive_group()
    for kind, text in (
        ("int8", "integers throughout: smallest and fastest"),
        ("float16", "weights of half the size"),
        ("dynamic", "int8 weights, float arithmetic between them"),
    ):
        kinds.add_argument(
            f"--{kind}", dest="quantization", action="store_const", const=kind, help=text
        )
    parser.set_defaults(quantization="float32")
    add = parser.add_argument
    add("--weights", metavar="FILE",
        help=".keras, or with --model .weights.h5, .pth, or a word: coco")  # fmt: skip
    add("--runs-dir", default="runs", help="where the newest run is looked for")
    add("--model", help="zoo name, needed for all but .keras files")
    add("--num-keypoints", type=int, help="of .weights.h5, if not the zoo's")
    add("--input-hw", type=int, nargs=2, metavar=("H", "W"), help="likewise, pixels")
    add("--output", metavar="FILE",
        help="default: export/KIND/pose_model.tflite beside the weights")  # fmt: skip
    add("--batch", type=positive_int, default=1, help="images at a time (default: 1)")
    add("--dataset", help="calibrate on this one (default: the run's)")
    add("--data-dir", help="its folder (default: the run's)")
    add("--calibration-images", type=positive_int, default=200, metavar="N",
        help="crops to calibrate int8 on (default: 200)")  # fmt: skip
    add("--seed", type=int, default=0, help="picks the crops")
    args = parser.parse_args(argv)
    if args.output and not args.output.endswith(".tflite"):
        parser.error(f"--output must end in .tflite, got {args.output}")
    if args.quantization != "int8" and (args.dataset or args.data_dir):
        parser.error("--dataset and --data-dir are to calibrate, which only --int8 does")
    return args


def make_crops(args, source):
    """Cuts the crops that calibrate an int8 file, or the few that check another."""
    from keras_pose.exporting.calibration import calibration_crops, check_crops
    from keras_pose.exporting.sources import calibration_source

    if args.quantization != "int8":
        return check_crops(source.contract)
    people, description = calibration_source(source.recipe, args.dataset, args.data_dir)
    crops = calibration_crops(people, source.contract, args.calibration_images, args.seed)
    print(f"Calibrating on {len(crops)} crops of {description}.")
    return crops


@plain_errors()
def main(argv=None):
    args = parse_args(argv)
    # Imported after parsing: TensorFlow takes seconds, `--help` must not.
    import_tensorflow()
    from keras_pose.exporting.report import describe_export
    from keras_pose.exporting.sources import open_source
    from keras_pose.exporting.tflite import export_tflite

    source = open_source(
        args.weights, args.runs_dir, args.model, args.num_keypoints, args.input_hw
    )
    output = args.output or source.default_output(args.quantization, ".tflite")
    crops = make_crops(args, source)
    exported = export_tflite(
        source.model, source.contract, output, crops, args.quantization, args.batch
    )
    print(describe_export(exported, source.path, source.model))


if __name__ == "__main__":
    main()
