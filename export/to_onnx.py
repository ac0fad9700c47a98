"""Converts a trained model to ONNX: uint8 RGB pixels in (NHWC), heatmaps or keypoints out.

    python export/to_onnx.py
    python export/to_onnx.py --weights runs/NAME/best.keras --output pose.onnx
    python export/to_onnx.py --weights w.weights.h5 --model hrnet_w32 --opset 18
    python export/to_onnx.py --int8 --data-dir ~/coco
    python export/to_onnx.py --int8 --max-drop 0.5 --validation-dataset coco

Without --weights it takes the newest run in runs/. Inputs and outputs are the same in all
formats; outputs are float32. Beside the file lies pose_model.json, which says what goes in
and what comes out.
"""

import argparse
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # run from a clone

from keras_pose.commandline import plain_errors
from keras_pose.exporting.commands import max_drop, options
from keras_pose.exporting.formats.table import FORMATS, ONNX_FORMATS


def parse_args(argv=None):
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    short = {name.removeprefix("onnx_"): name for name in ONNX_FORMATS}
    texts = {kind: FORMATS[name].text for kind, name in short.items()}
    options.add_format_options(parser, texts, "float32")
    options.add_model_options(parser)
    add = parser.add_argument
    add("--output", metavar="FILE",
        help="default: export/KIND/pose_model.onnx beside the weights")  # fmt: skip
    add("--opset", type=int, default=17, help="13 to 18 (default: 17)")
    options.add_calibration_options(parser)
    max_drop.add_drop_options(parser)
    args = parser.parse_args(argv)
    args.formats = [short[kind] for kind in args.formats]
    options.check_options(parser, args, args.formats, ".onnx")
    max_drop.check_drop_options(parser, args, args.formats)
    return args


@plain_errors()
def main(argv=None):
    max_drop.run_command(parse_args(argv))


if __name__ == "__main__":
    main()
