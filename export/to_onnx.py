"""Converts a trained model to ONNX: uint8 RGB pixels in (NHWC), float32 heatmaps out.

    python export/to_onnx.py
    python export/to_onnx.py --weights runs/NAME/best.keras --output pose.onnx
    python export/to_onnx.py --weights w.weights.h5 --model hrnet_w32 --opset 18

Without --weights it takes the newest run in runs/. Beside the file lies
pose_model.json, which says what goes in and what comes out.
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
    add = parser.add_argument
    add("--weights", metavar="FILE",
        help=".keras, or with --model .weights.h5, .pth, or a word: coco")  # fmt: skip
    add("--runs-dir", default="runs", help="where the newest run is looked for")
    add("--model", help="zoo name, needed for all but .keras files")
    add("--num-keypoints", type=int, help="of .weights.h5, if not the zoo's")
    add("--input-hw", type=int, nargs=2, metavar=("H", "W"), help="likewise, pixels")
    add("--output", metavar="FILE",
        help="default: export/onnx/pose_model.onnx beside the weights")  # fmt: skip
    add("--opset", type=int, default=17, help="13 to 18 (default: 17)")
    add("--batch", type=positive_int, default=1, help="images at a time (default: 1)")
    args = parser.parse_args(argv)
    if args.output and not args.output.endswith(".onnx"):
        parser.error(f"--output must end in .onnx, got {args.output}")
    return args


@plain_errors()
def main(argv=None):
    args = parse_args(argv)
    # Imported after parsing: TensorFlow takes seconds, `--help` must not.
    import_tensorflow()
    from keras_pose.exporting.calibration import check_crops
    from keras_pose.exporting.onnx_export import export_onnx
    from keras_pose.exporting.report import describe_export
    from keras_pose.exporting.sources import open_source

    source = open_source(
        args.weights, args.runs_dir, args.model, args.num_keypoints, args.input_hw
    )
    output = args.output or source.default_output("onnx", ".onnx")
    exported = export_onnx(
        source.model,
        source.contract,
        output,
        check_crops(source.contract),
        args.opset,
        args.batch,
    )
    print(describe_export(exported, source.path, source.model))


if __name__ == "__main__":
    main()
