"""`--max-drop` of `export/to_tflite.py` and `to_onnx.py`: its options, and what it does.

Imported by the script before it parses, so TensorFlow is not imported up here.
"""

from __future__ import annotations

import argparse
from functools import partial
from pathlib import Path

from keras_pose.commandline import positive_int
from keras_pose.commandline.quiet import import_tensorflow
from keras_pose.exporting.commands import options
from keras_pose.exporting.formats.table import DROP_FORMATS, FORMATS


def add_drop_options(parser: argparse.ArgumentParser) -> None:
    """Adds what says how much an int8 file may lose, and of what."""
    title = "selective float, of one int8 format"
    add = parser.add_argument_group(title).add_argument
    add("--max-drop", type=float, metavar="POINTS",
        help="try other ranges (unless --range names one), then the worst layers in float, "
        "until no more than this is lost of the data set's metric x 100, against "
        "float32")  # fmt: skip
    add("--validation-dataset", metavar="NAME", help="measured on (default: the run's)")
    add("--validation-dir", metavar="DIR", help="its folder (default: the run's)")
    add("--validation-images", type=positive_int, metavar="N",
        help="only the first N images of its val split")  # fmt: skip


def check_drop_options(parser, args, formats) -> None:
    """Ends the program with a line where options contradict each other."""
    if args.max_drop is None:
        given = ("validation_dataset", "validation_dir", "validation_images")
        if any(getattr(args, name) for name in given):
            parser.error("--validation-... is to measure a drop: add --max-drop POINTS")
        return
    if len(formats) != 1 or formats[0] not in DROP_FORMATS:
        parser.error(f"--max-drop is for one of {', '.join(DROP_FORMATS)}, got {formats}")
    if args.with_decode:
        parser.error("--max-drop and --with-decode do not go together")
    if args.max_drop < 0:
        parser.error(f"--max-drop must be at least 0, got {args.max_drop:g}")


def run_command(args) -> None:
    """Exports a model as parsed options say, and prints a report on each file.

    Raises:
        ValueError: for options, weights or data that do not fit; `errors.ExportError` for
            a file that does not do what the model does.
        FileNotFoundError: where weights or data are not there.
    """
    # Not before the options are read: TensorFlow takes seconds.
    import_tensorflow()
    if args.max_drop is not None:
        run_to_drop(args, *args.formats)
    else:
        options.run_export(args, args.formats)


def run_to_drop(args, name: str) -> None:
    """Exports a model to int8 with as much float as it takes, and prints a report."""
    from keras_pose.exporting.accuracy.mixed import MixedExport
    from keras_pose.exporting.accuracy.validation import open_validation
    from keras_pose.exporting.commands.export_report import describe_export

    rules = options.range_rules(args)
    source = options.source_of(args)
    dataset, folder = validation_set(args, source.recipe)
    validation = open_validation(
        source.contract,
        dataset,
        folder,
        args.validation_images,
        options.reading_of(args, source.recipe),
    )
    crops = options.make_crops(args, source, [name])
    path = Path(args.output or options.default_output(source, name))
    mixed = MixedExport(
        _conversion(args, name)(source.model, source.contract, crops, args.batch),
        validation,
        args.max_drop,
        rules,
        FORMATS[name].quantization,
    )
    export, rule = mixed.write(path)
    print(describe_export(export, source.path, source.model))
    print(f"ranges   by {rule}")
    print(f"in float {len(export.contract.float_operators)} operators, see float_operators")


def _conversion(args, name: str):
    """Returns what converts a model to a format: crops, batch and so on are still open."""
    if FORMATS[name].suffix == ".tflite":
        from keras_pose.exporting.formats.tflite_export import TFLiteConversion

        return partial(TFLiteConversion, integers_only=args.integers_only)
    from keras_pose.exporting.formats.onnx_export import OnnxConversion

    return partial(OnnxConversion, opset=args.opset)


def validation_set(args, recipe) -> tuple[str, str | None]:
    """Returns name and folder of what to validate on: as asked, or the run's.

    Raises:
        ValueError: where neither is known.
    """
    dataset = args.validation_dataset or recipe.get("dataset")
    if dataset is None:
        raise ValueError(
            "--max-drop needs to know what to measure on: the weights are of no run, so "
            "add --validation-dataset NAME."
        )
    is_runs = dataset == recipe.get("dataset")
    return dataset, args.validation_dir or (recipe.get("data_dir") if is_runs else None)
