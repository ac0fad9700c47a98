"""Writes and measures every format of a model, and puts them into one table.

    python export/ledger.py --weights runs/NAME/best.keras --dataset coco --data-dir ~/coco
    python export/ledger.py --weights best.keras --dataset synthetic --limit 50
    python export/ledger.py --model hrnet_w32                   # size and time only
    python export/ledger.py --weights best.keras --formats float32 int8 onnx_float32

Size, the data set's metric with its protocol, drop and keypoint shift against float
Keras, milliseconds at 1 and 2 threads from one interleaved run, load time, memory, share
of operators run by XNNPACK, and what each phone accelerator leaves to the CPU. Writes
ledger.md, .csv, .json and .png beside the files. Detectors too (box AP). What is finished
is not done again: the same command goes on where it was stopped.
"""

import argparse
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # run from a clone

from keras_pose.commandline import plain_errors, positive_int
from keras_pose.exporting.commands import options
from keras_pose.exporting.formats.table import FORMATS, NUM_CALIBRATION_CROPS


def parse_args(argv=None):
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    add("--weights", metavar="FILE",
        help=".keras, or with --model .weights.h5, .pth, or a word: coco")  # fmt: skip
    add("--model", help="zoo name; without --weights, with random ones")
    add("--num-keypoints", type=int, help="of .weights.h5, if not the zoo's")
    add("--input-hw", type=int, nargs=2, metavar=("H", "W"), help="of .weights.h5, pixels")
    add("--skeleton", metavar="NAME|FILE", help="what the keypoints are, of weights that "
        "do not say it: built in (coco_17), or your own (docs/skeletons.md)")  # fmt: skip
    add("--dataset", help="data set to measure on, or mine=FOLDER for one of your own; "
        "without it, size and time only")  # fmt: skip
    add("--data-dir", help="its folder (default: data/<data set>)")
    add("--split", default="val", help="train or val (default: val)")
    add("--category", metavar="NAME", help="of files in COCO's format with several "
        "categories that have keypoints: the one to read")  # fmt: skip
    add("--rescale-labels", action="store_true", help="scale labels to pictures that were "
        "made smaller or larger after they were labelled")  # fmt: skip
    add("--limit", type=positive_int, metavar="N", help="only the first N images")
    add("--flip-test", action="store_true", help="average with mirrored crops")
    add("--sigmas", choices=("uniform",), help="measure keypoints without OKS sigmas by AP "
        "with one sigma for all (default: PCK)")  # fmt: skip
    add("--formats", nargs="+", default=list(FORMATS), choices=list(FORMATS),
        metavar="NAME", help=f"default: all of {', '.join(FORMATS)}")  # fmt: skip
    add("--calibration-images", type=positive_int, default=NUM_CALIBRATION_CROPS,
        metavar="N",
        help="crops to calibrate integer files on (default: %(default)s)")  # fmt: skip
    options.add_range_options(add)
    add("--threads", type=positive_int, nargs="+", default=[1, 2], help="default: 1 2")
    add("--runs", type=positive_int, default=50,
        help="measurements of each time (default: 50)")  # fmt: skip
    add("--output", type=Path, metavar="DIR",
        help="default: ledger beside the weights, or ledger_MODEL")  # fmt: skip
    args = parser.parse_args(argv)
    if not (args.weights or args.model):
        parser.error("name --weights, or a --model with random ones")
    if args.output is None:
        names = (args.weights, args.weights.rpartition("#")[0]) if args.weights else ()
        is_file = any(Path(name).is_file() for name in names)
        args.output = Path(f"ledger_{args.model}")
        if is_file:
            args.output = Path(args.weights).parent / "ledger"
    return args


@plain_errors()
def main(argv=None):
    args = parse_args(argv)
    from keras_pose.data.mixing import one_set
    from keras_pose.exporting.ledger.ledger_settings import LedgerSettings
    from keras_pose.exporting.ledger.ledger_table import as_markdown, write_ledger
    from keras_pose.exporting.ledger.making import make_ledger
    from keras_pose.exporting.quantization.measured_ranges import EXTREMES

    dataset, data_dir = args.dataset, args.data_dir
    if dataset is not None:
        dataset, data_dir = one_set(dataset, data_dir)
    settings = LedgerSettings(
        weights=args.weights,
        output=args.output,
        model=args.model,
        num_keypoints=args.num_keypoints,
        input_hw=tuple(args.input_hw) if args.input_hw else None,
        dataset=dataset,
        data_dir=data_dir,
        split=args.split,
        limit=args.limit,
        flip_test=args.flip_test,
        sigmas=args.sigmas,
        skeleton=args.skeleton,
        category=args.category,
        rescale_labels=args.rescale_labels,
        formats=tuple(args.formats),
        calibration_images=args.calibration_images,
        range_rule=options.range_rule(args) or EXTREMES,
        threads=tuple(args.threads),
        num_runs=args.runs,
    )
    ledger = make_ledger(settings, say=lambda text: print(text, flush=True))
    paths = write_ledger(args.output, ledger)
    print(f"\n{as_markdown(ledger)}")
    for path in paths:
        print(f"written     {path}")


if __name__ == "__main__":
    main()
