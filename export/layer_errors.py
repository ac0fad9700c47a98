"""Lists what the layers of an int8 file lose against float, worst first.

    python export/layer_errors.py --weights runs/NAME/best.keras
    python export/layer_errors.py --weights best.keras --data-dir ~/coco --range mse

The columns are errors of tensors, in percent of their standard deviation:

    isolated    of one operator in int8, where all before it ran in float; made of
    inputs      what the integers of its inputs lose: one scale for all channels
    weights     what those of its weights lose
    result      what those of its own tensor lose; try another --range
    clipped     share of values beyond the range
    cumulative  of the int8 file as it runs, with the errors of all operators before

Without --weights it takes the newest run in runs/. Writes layer_errors.csv and
layer_errors.png to --output, by default export/int8 beside the weights.
"""

import argparse
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # run from a clone

from keras_pose.commandline import plain_errors, positive_int
from keras_pose.commandline.quiet import import_tensorflow
from keras_pose.exporting.commands import options


def parse_args(argv=None):
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    add("--weights", metavar="FILE",
        help=".keras, or with --model .weights.h5, .pth, or a word: coco")  # fmt: skip
    add("--runs-dir", default="runs", help="where the newest run is looked for")
    add("--model", help="zoo name, needed for all but .keras files")
    add("--num-keypoints", type=int, help="of .weights.h5, if not the zoo's")
    add("--input-hw", type=int, nargs=2, metavar=("H", "W"), help="of .weights.h5, pixels")
    options.add_calibration_options(parser)
    add("--images", type=positive_int, default=16, metavar="N",
        help="of the crops, how many to measure on (default: 16)")  # fmt: skip
    add("--unequalized", action="store_true",
        help="leave the ranges of channels as training left them")  # fmt: skip
    add("--per-tensor", action="store_true", help="one scale for all channels of weights")
    add("--top", type=positive_int, default=20, metavar="N", help="rows to print")
    add("--output", type=Path, metavar="FOLDER")
    return parser.parse_args(argv)


@plain_errors()
def main(argv=None):
    args = parse_args(argv)
    # Imported after parsing: TensorFlow takes seconds, `--help` must not.
    import_tensorflow()
    from keras_pose.exporting.accuracy.error_report import report_layer_errors
    from keras_pose.exporting.formats.tflite_export import TFLiteConversion
    from keras_pose.exporting.inputs import open_source
    from keras_pose.exporting.quantization.measured_ranges import EXTREMES
    from keras_pose.files import check_writable

    rule = options.range_rule(args) or EXTREMES
    source = open_source(
        args.weights, args.runs_dir, args.model, args.num_keypoints, args.input_hw
    )
    quantization = "int8_per_tensor" if args.per_tensor else "int8"
    folder = args.output or source.default_output(quantization, ".tflite").parent
    check_writable(folder)
    crops = options.make_crops(args, source, [quantization])
    conversion = TFLiteConversion(
        source.model, source.contract, crops, equalizes=not args.unequalized
    )
    content = conversion.quantized(quantization, range_rule=rule)
    print(report_layer_errors(conversion, content, folder, args.images, args.top))


if __name__ == "__main__":
    main()
