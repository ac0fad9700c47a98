"""Options, calibration and writing of files that the export programs share.

Imported by scripts before they parse, so TensorFlow is not imported up here.
"""

from __future__ import annotations

import argparse
from collections.abc import Collection, Mapping
from pathlib import Path

from keras_pose.commandline import positive_int
from keras_pose.exporting.formats.table import FORMATS, NUM_CALIBRATION_CROPS
from keras_pose.exporting.quantization.measured_ranges import (
    DEFAULT_PERCENTILE,
    EXTREMES,
    RANGE_METHODS,
    RULES,
    RangeRule,
)


def add_format_options(parser, texts: Mapping[str, str], usual: str) -> None:
    """Adds a flag for each format, and `--format` for several at once.

    Args:
        parser: parser of a program that writes one kind of files.
        texts: format -> text for `--help`.
        usual: format where none is said.
    """
    kinds = parser.add_mutually_exclusive_group()
    for name, text in texts.items():
        flag = f"--{name.replace('_', '-')}"
        kinds.add_argument(
            flag, dest="formats", action="store_const", const=[name], help=text
        )
    kinds.add_argument("--format", dest="formats", nargs="+", choices=tuple(texts),
                       metavar="NAME", help="several at once: converts once")  # fmt: skip
    parser.set_defaults(formats=[usual])


def add_model_options(parser: argparse.ArgumentParser) -> None:
    """Adds what says which model is exported, for how many images and to what outputs."""
    add_model_choice(parser)
    add = parser.add_argument
    add("--batch", type=positive_int, default=1, help="images at a time (default: 1)")
    add("--with-decode", action="store_true",
        help="return keypoints (K, 3), decoded in the graph")  # fmt: skip


def add_model_choice(parser: argparse.ArgumentParser) -> None:
    """Adds what says which model is exported."""
    add = parser.add_argument
    add("--weights", metavar="FILE",
        help=".keras, or with --model .weights.h5, .pth, or a word: coco")  # fmt: skip
    add("--runs-dir", default="runs", help="where the newest run is looked for")
    add("--model", help="zoo name, needed for all but .keras files")
    add("--num-keypoints", type=int, help="of .weights.h5, if not the zoo's")
    add("--input-hw", type=int, nargs=2, metavar=("H", "W"), help="of .weights.h5, pixels")
    add("--skeleton", metavar="NAME|FILE", help="what the keypoints are, of weights that "
        "do not say it: built in (coco_17), or your own (docs/skeletons.md)")  # fmt: skip


def add_calibration_options(parser: argparse.ArgumentParser) -> None:
    """Adds what says how integer formats get their ranges."""
    add = parser.add_argument_group("calibration, of formats with integers").add_argument
    add("--dataset", help="calibrate on this one (default: the run's)")
    add("--data-dir", help="its folder (default: the run's)")
    add("--category", metavar="NAME", help="of files in COCO's format with several "
        "categories that have keypoints: the one to read")  # fmt: skip
    add("--rescale-labels", action="store_true", help="scale labels to pictures that were "
        "made smaller or larger after they were labelled")  # fmt: skip
    add("--calibration-data", metavar="DIR",
        help="calibrate on the pictures in a folder, cut to the input's size")  # fmt: skip
    add("--calibration-images", type=positive_int, default=NUM_CALIBRATION_CROPS,
        metavar="N", help="crops to calibrate on (default: %(default)s)")  # fmt: skip
    add("--calibration-choice", choices=("spread", "random"), default="spread",
        help="people who are least alike, or any (default: spread)")  # fmt: skip
    add_range_options(add)
    add("--seed", type=int, default=0, help="picks the crops")


def add_range_options(add) -> None:
    """Adds what says how a tensor's range comes of what it held.

    Args:
        add: `add_argument` of a parser or of a group.
    """
    add("--range", choices=RANGE_METHODS, dest="range_method",
        help="how a range is made of what was met (default: minmax)")  # fmt: skip
    add("--percentile", type=float, metavar="P",
        help=f"of --range percentile (default: {DEFAULT_PERCENTILE:g})")  # fmt: skip


def range_rule(args) -> RangeRule | None:
    """Returns the rule that was asked for; None where none was.

    Raises:
        ValueError: for a percentile without its method, or one that is none.
    """
    if args.percentile is None:
        return None if args.range_method is None else RangeRule(args.range_method)
    if args.range_method != "percentile":
        raise ValueError(
            f"--percentile {args.percentile:g} is of --range percentile, which was not "
            "asked for."
        )
    return RangeRule("percentile", args.percentile)


def range_rules(args) -> tuple[RangeRule, ...]:
    """Returns the rule that was asked for, or all that a search tries."""
    rule = range_rule(args)
    return RULES if rule is None else (rule,)


def check_options(parser, args, formats: Collection[str], suffix: str) -> None:
    """Ends the program with a line where options contradict each other."""
    if args.output and not args.output.endswith(suffix):
        parser.error(f"--output must end in {suffix}, got {args.output}")
    if args.output and len(formats) > 1:
        parser.error(f"--output is for one format, got {', '.join(formats)}")
    labelled = args.dataset or args.data_dir
    if labelled and args.calibration_data:
        parser.error("calibrate on --calibration-data or on --dataset and --data-dir")
    is_calibrated = any(FORMATS[name].is_calibrated for name in formats)
    if (labelled or args.calibration_data) and not is_calibrated:
        calibrated = [name for name, row in FORMATS.items() if row.is_calibrated]
        parser.error(
            "--dataset, --data-dir and --calibration-data are to calibrate, which only "
            f"{', '.join(calibrated)} do"
        )


def run_export(args, formats: list[str]) -> None:
    """Exports a model to some formats, and prints a report on each."""
    from keras_pose.exporting.commands.export_report import describe_export
    from keras_pose.exporting.formats.table import export_formats

    rule = range_rule(args) or EXTREMES
    source = source_of(args)
    paths = {name: Path(args.output or default_output(source, name)) for name in formats}
    crops = make_crops(args, source, formats, rule)
    exports = export_formats(
        source.model,
        source.contract,
        paths,
        crops,
        args.batch,
        args.with_decode,
        getattr(args, "opset", None),
        getattr(args, "integers_only", False),
        range_rule=rule,
    )
    for export in exports.values():
        print(describe_export(export, source.path, source.model))


def source_of(args):
    """Loads the model that the options name."""
    from keras_pose.data.mixing import load_skeleton
    from keras_pose.exporting.inputs import open_source

    return open_source(
        args.weights,
        args.runs_dir,
        args.model,
        args.num_keypoints,
        args.input_hw,
        load_skeleton(args.skeleton) if args.skeleton else None,
    )


def default_output(source, name: str) -> Path:
    """Returns the default folder of a format; float32 ONNX is plain "onnx"."""
    folder = "onnx" if name == "onnx_float32" else name
    return source.default_output(folder, FORMATS[name].suffix)


def reading_of(args, recipe):
    """Returns what is said of a file in COCO's format: by options, or else by the run."""
    from keras_pose.data.readers.coco import Reading

    return Reading(
        args.category or recipe.get("category"),
        args.rescale_labels or recipe.get("rescale_labels", False),
    )


def make_crops(args, source, formats: Collection[str], written_by: RangeRule | None = None):
    """Cuts the crops that calibrate, and says of what, or the few that check a file."""
    return crops_for(
        source,
        formats,
        args.calibration_images,
        args.dataset,
        args.data_dir,
        reading_of(args, source.recipe),
        folder=args.calibration_data,
        seed=args.seed,
        choice=args.calibration_choice,
        written_by=written_by,
    )


def crops_for(
    source,
    formats: Collection[str],
    count: int = NUM_CALIBRATION_CROPS,
    dataset: str | None = None,
    data_dir=None,
    reading=None,
    *,
    folder=None,
    seed: int = 0,
    choice: str = "spread",
    written_by: RangeRule | None = None,
):
    """Cuts the crops that calibrate, and says of what, or the few that check a file.

    Args:
        source: the `exporting.inputs.ExportSource`.
        formats: keys of `FORMATS` that are to be written.
        count: crops to calibrate on.
        dataset: name of a data set to calibrate on; None for that of the model's run.
        data_dir: its folder; None for its usual one.
        reading: options for a file in COCO's format; None for the recipe's.
        folder: pictures of the model's input size to calibrate on instead.
        seed: picks the crops.
        choice: "spread" or "random", see `quantization.calibration.calibration_crops`.
        written_by: rule of ranges where files are written as they come, so that one
            that would be refused is refused now; None where they are tried and measured.

    Returns:
        (N, H, W, 3) uint8 RGB.
    """
    from keras_pose.exporting.formats.rehearsal import check_settled
    from keras_pose.exporting.inputs import calibration_source, skeleton_of
    from keras_pose.exporting.quantization.calibration import (
        calibration_crops,
        check_crops,
        folder_crops,
        warn_if_few,
    )

    if not any(FORMATS[name].is_calibrated for name in formats):
        return check_crops(source.contract)
    if folder:
        crops = folder_crops(folder, source.contract, count, seed)
        description = f"{folder}"
    else:
        people, description = calibration_source(
            source.recipe, dataset, data_dir, skeleton_of(source.contract), reading
        )
        crops = calibration_crops(people, source.contract, count, seed, choice)
    print(f"Calibrating on {len(crops)} crops of {description}.")
    warn_if_few(len(crops))
    refused = formats if written_by else ()
    check_settled(source.model, source.contract, crops, refused, written_by or EXTREMES)
    return crops
