"""Converts a trained model to a Core ML package: a picture in, heatmaps or boxes out.

    python export/to_coreml.py
    python export/to_coreml.py --weights runs/NAME/best.keras --output Pose.mlpackage
    python export/to_coreml.py --format float16 dynamic

Without --weights it takes the newest run in runs/. It needs coremltools (pip install
"keras_pose[coreml]"), not a Mac. The package is read back and compared with Keras before it
gets its name. Beside it lies pose_model.json, which says what goes in and what comes out;
the same stands in the package's metadata.
"""

import argparse
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # run from a clone

from keras_pose.commandline import plain_errors
from keras_pose.commandline.quiet import import_tensorflow
from keras_pose.exporting.commands import options
from keras_pose.exporting.formats.table import COREML_FORMATS
from keras_pose.runtime.loading import COREML_TYPE


def parse_args(argv=None):
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    options.add_format_options(parser, COREML_FORMATS, "float16")
    options.add_model_choice(parser)
    parser.add_argument(
        "--output",
        metavar="FOLDER",
        help="default: export/coreml_KIND/pose_model.mlpackage beside the weights",
    )
    args = parser.parse_args(argv)
    if args.output and not args.output.endswith(COREML_TYPE):
        parser.error(f"--output must end in {COREML_TYPE}, got {args.output}")
    if args.output and len(args.formats) > 1:
        parser.error("--output is for one format")
    return args


@plain_errors()
def main(argv=None):
    args = parse_args(argv)
    # After parsing: TensorFlow takes seconds, `--help` must not.
    import_tensorflow()
    from keras_pose.exporting.commands.export_report import describe_export
    from keras_pose.exporting.formats.coreml import export_coreml
    from keras_pose.exporting.quantization.calibration import check_crops

    source = options.source_of(args)
    crops = check_crops(source.contract)
    for kind in args.formats:
        path = args.output or source.default_output(f"coreml_{kind}", COREML_TYPE)
        export = export_coreml(source.model, source.contract, path, crops, kind)
        print(describe_export(export, source.path, source.model))


if __name__ == "__main__":
    main()
