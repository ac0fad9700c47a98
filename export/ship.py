"""Makes the models that come with the package: exports, measures and puts them in place.

    python export/ship.py --pose runs/POSE/best.keras --detector runs/DETECTOR/best.keras \\
        --dataset coco --data-dir ~/coco
    python export/ship.py --detector runs/DETECTOR/best.keras --data-dir ~/coco

A model that is not named stays as it is, and is measured anew with the other. The others
are written as int8 (calibrated on the train split) and float16, and as a .keras file with
rounded kernels, to train on; and measured on the val split as training/evaluate.py does:
keypoint AP in ground-truth boxes, box AP, and AP of both together with milliseconds an
image. Files, contracts, model cards and the index go into keras_pose/shipped; what is said
of the data in keras_pose/shipped/data.md ends both cards. An int8 file is the default
unless it loses more than 0.01 AP against float16. Where all would be more than 16 MB,
float16 files are left out, and then .keras files, the detector's first; the cards say so.
"""

import argparse
import shlex
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))  # run from a clone

from keras_pose.commandline import plain_errors, positive_int
from keras_pose.exporting.commands import tflite_options
from keras_pose.exporting.formats.table import NUM_CALIBRATION_CROPS

KINDS = ("pose", "detector")
QUANTIZATIONS = ("int8", "float16")


def parse_args(argv=None):
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    for kind in KINDS:
        add(f"--{kind}", type=Path, metavar="FILE",
            help=".keras (default: the model that is shipped stays)")  # fmt: skip
    add("--dataset", default="coco", help="name of the data set (default: coco)")
    add("--data-dir", required=True, help="its folder, with train and val splits")
    add("--output", type=Path, default=ROOT / "keras_pose" / "shipped", metavar="FOLDER",
        help="default: keras_pose/shipped")  # fmt: skip
    add("--data-note", type=Path, default=ROOT / "keras_pose" / "shipped" / "data.md",
        metavar="FILE", help="Markdown about the data, its terms and limits")  # fmt: skip
    add("--calibration-images", type=positive_int, default=NUM_CALIBRATION_CROPS,
        metavar="N", help="of int8 (default: %(default)s)")  # fmt: skip
    for kind in KINDS:
        add(f"--{kind}-int8-options", default="", metavar="'...'",
            help="more options of export/to_tflite.py, for its int8 file")  # fmt: skip
    add("--box-threshold", type=float, default=0.1, metavar="SCORE",
        help="of both together: boxes from this score (default: 0.1)")  # fmt: skip
    add("--limit", type=positive_int, metavar="N", help="measure on the first N images")
    add("--results", type=Path, metavar="FOLDER",
        help="also write the figures as data, for docs/results")  # fmt: skip
    args = parser.parse_args(argv)
    if args.pose is None and args.detector is None:
        parser.error("nothing to ship: name --pose, --detector, or both")
    return args


def export_words(kind, quantization, entry, args, work):
    """Returns the words after export/to_tflite.py that write one file."""
    height, width = entry["input"]["shape"][1:3]
    path = work / f"{entry['model']}_{height}x{width}_{quantization}.tflite"
    words = [f"--{quantization}", "--weights", getattr(args, kind), "--output", path]
    if quantization == "int8":
        words += ["--dataset", args.dataset, "--data-dir", args.data_dir]
        words += ["--calibration-images", args.calibration_images]
        words += shlex.split(getattr(args, f"{kind}_int8_options"))
    return list(map(str, words))


def plan_exports(entries, args, work):
    """Returns kind -> quantization -> words; wrong ones end the program before the work."""
    plan = {
        kind: {name: export_words(kind, name, entry, args, work) for name in QUANTIZATIONS}
        for kind, entry in entries.items()
    }
    for quantizations in plan.values():
        for words in quantizations.values():
            tflite_options.parse_args(words, prog=tflite_options.SCRIPT)
    return plan


def export_files(plan):
    """Exports one model; returns its files, and reasons for those that were refused."""
    from keras_pose.exporting.commands import max_drop

    files, refused = {}, {}
    for quantization, words in plan.items():
        print(f"\n$ python {tflite_options.SCRIPT} {shlex.join(words)}", flush=True)
        options = tflite_options.parse_args(words, prog=tflite_options.SCRIPT)
        try:
            max_drop.run_command(options)
            files[quantization] = Path(options.output)
        except ValueError as error:
            reason = f"{tflite_options.SCRIPT}: {str(error).splitlines()[0]}"
            refused[quantization] = reason
            print(f"refused     {reason}")
    return files, refused


def measure(args, paths, detector=None):
    """Measures model files; returns what `training/evaluate.py` would write of each.

    `detector`: file of the detector that finds people, for both together.
    """
    from keras_pose import measuring
    from keras_pose.measuring.finding import open_finder

    settings = measuring.MeasureSettings(
        args.dataset,
        args.data_dir,
        limit=args.limit,
        box_threshold=args.box_threshold if detector else 0.0,
    )
    finder = open_finder(detector) if detector else None
    figures = []
    for path in paths:
        measurement = measuring.measure(path, settings, finder=finder).measurement
        print(measurement.describe())
        figures.append(measurement.to_dict())
    return figures


def prepare(kind, entry, plan, args, work):
    """Exports and measures one model; measures only, if it stays as it is."""
    import dataclasses

    from keras_pose.exporting.shipping import NETWORK, Shipment, kept_shipment
    from keras_pose.files.runs import training_history
    from keras_pose.weights.compact import write_compact

    if entry is None:
        kept = kept_shipment(kind, args.output, work)
        figures = measure(args, kept.files.values())
        return dataclasses.replace(
            kept, metrics=dict(zip(kept.files, figures, strict=True))
        )
    height, width = entry["input"]["shape"][1:3]
    network = work / f"{entry['model']}_{height}x{width}.keras"
    write_compact(getattr(args, kind), network)

    files, refused = export_files(plan)
    weights = {"float32": getattr(args, kind), NETWORK: network, **files}
    metrics = dict(zip(weights, measure(args, weights.values()), strict=True))
    recipes = training_history(getattr(args, kind))
    return Shipment(
        kind,
        entry["model"],
        (height, width),
        files,
        refused,
        metrics,
        recipes,
        network,
        earlier_runs(kind, recipes),
    )


def earlier_runs(kind, recipes):
    """Returns the runs of the model that is shipped, if these went on from it."""
    from keras_pose.exporting.shipping import card_runs
    from keras_pose.shipped import SHIPPED

    if not recipes or recipes[0].get("weights") != SHIPPED:
        return ()
    card = ROOT / "keras_pose" / "shipped" / f"{kind}.md"
    return card_runs(card.read_text(encoding="utf-8"))


def measure_pairs(pose, detector, args):
    """Measures the pairs of one type, and that of the defaults."""
    pairs = {(pose.default, detector.default)} | {(name, name) for name in QUANTIZATIONS}
    found = {}
    for pair in sorted(pairs):
        if pair[0] in pose.files and pair[1] in detector.files:
            files = pose.files[pair[0]], detector.files[pair[1]]
            (found[pair],) = measure(args, files[:1], files[1])
    return found


def choose_box_threshold(pose, detector, args):
    """Chooses the score that an app's boxes must exceed; see `measuring.shown`."""
    from keras_pose import measuring
    from keras_pose.exporting.shipping import BoxThreshold
    from keras_pose.inference import PoseEstimator
    from keras_pose.measuring.shown import THRESHOLDS, choose_threshold, find_people

    files = (each.files[each.default] for each in (pose, detector))
    estimator = PoseEstimator(*files, box_threshold=min(THRESHOLDS))
    settings = measuring.MeasureSettings(args.dataset, args.data_dir, limit=args.limit)
    seen = list(find_people(estimator, settings))
    threshold, counts = choose_threshold(seen, estimator.nms_threshold)
    text = (
        f"An app shows boxes above {threshold:g}: of {counts.labelled} labelled people it "
        f"finds {counts.found}, and {counts.right_share:.0%} of its skeletons are of a "
        f"labelled person (`training/shown_people.py`; doubles: {counts.doubles}, "
        f"{counts.wrong} of nobody with labelled keypoints)."
    )
    print(text)
    return BoxThreshold(threshold, text)


def keep(path, shipment):
    """Writes the figures of a model's files as data."""
    from keras_pose.metrics.result_files import write_results

    figures = list(shipment.metrics.values())
    names = [name for name, value in figures[0].items() if isinstance(value, float)]
    columns = {"file": "", "MB": ".2f"} | dict.fromkeys(names, ".3f")
    rows = [
        [kind, each["protocol"]["file_bytes"] / 1e6, *(each.get(name) for name in names)]
        for kind, each in shipment.metrics.items()
    ]
    code = ["keras_pose/shipped", "keras_pose/metrics"]
    return write_results(path, columns, rows, code, figures[0]["protocol"])


@plain_errors()
def main(argv=None):
    args = parse_args(argv)
    from keras_pose.contracts.entries import read_entry
    from keras_pose.exporting.shipping import write_shipment

    given = [kind for kind in KINDS if getattr(args, kind)]
    entries = {kind: read_entry(getattr(args, kind))[0] for kind in given}
    data_note = args.data_note.read_text(encoding="utf-8")
    with tempfile.TemporaryDirectory() as folder:
        work = Path(folder)
        plan = plan_exports(entries, args, work)
        shipments = [
            prepare(kind, entries.get(kind), plan.get(kind), args, work) for kind in KINDS
        ]
        pipelines = measure_pairs(*shipments, args)
        threshold = choose_box_threshold(*shipments, args)
        written = write_shipment(
            shipments, pipelines, work, args.output, data_note, threshold
        )
    for shipment in shipments if args.results else ():
        path = args.results / f"shipped_{shipment.kind}.json"
        print(f"written     {keep(path, shipment)}")
    for path in written:
        print(f"written     {path} ({path.stat().st_size / 1e6:.2f} MB)")


if __name__ == "__main__":
    main()
