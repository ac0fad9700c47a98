"""Options of `export/to_tflite.py`, by which `export/ship.py` makes its files, too.

Imported by scripts before they parse, so TensorFlow is not imported up here.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence

from keras_pose.exporting.commands import max_drop, options
from keras_pose.exporting.formats.table import FORMATS, TFLITE_FORMATS

SCRIPT = "export/to_tflite.py"


def parse_args(
    argv: Sequence[str] | None = None,
    description: str | None = None,
    prog: str | None = None,
) -> argparse.Namespace:
    """Reads the options; ends the program with a line where they contradict each other.

    Args:
        argv: words of the command line; None for those of the program.
        description: text for `--help`.
        prog: name in messages; None for that of the program.
    """
    parser = argparse.ArgumentParser(
        prog=prog,
        description=description,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    texts = {name: FORMATS[name].text for name in TFLITE_FORMATS}
    options.add_format_options(parser, texts, "float32")
    options.add_model_options(parser)
    add = parser.add_argument
    add("--output", metavar="FILE",
        help="default: export/KIND/pose_model.tflite beside the weights")  # fmt: skip
    add("--integers-only", action="store_true",
        help="compute attention in integers, too, in which it is slower on CPUs: for "
        "int8 on NPUs that have nothing else")  # fmt: skip
    options.add_calibration_options(parser)
    max_drop.add_drop_options(parser)
    args = parser.parse_args(argv)
    options.check_options(parser, args, args.formats, ".tflite")
    max_drop.check_drop_options(parser, args, args.formats)
    if args.integers_only and "int8" not in args.formats:
        parser.error(
            f"--integers-only is for int8, got {', '.join(args.formats)}; int8_per_tensor "
            "and int16x8 have integers only, the others have none"
        )
    return args
