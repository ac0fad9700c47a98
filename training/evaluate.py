"""Measures model files on a data set's people, by the data set's official metrics.

    python training/evaluate.py --weights runs/NAME/best.keras --dataset coco
    python training/evaluate.py --weights w.weights.h5 --model hrnet_w32 --data-dir ~/coco
    python training/evaluate.py --weights best.keras int8.tflite --dataset synthetic
    python training/evaluate.py --weights best.keras --boxes detections.json --flip-test
    python training/evaluate.py --weights pose.tflite --detector person.tflite
    python training/evaluate.py --weights runs/openpose_light_1_coco/best.keras
    python training/evaluate.py --weights best.keras --plots charts --output numbers
    python training/evaluate.py --compare numbers/*.json

People are found by their ground-truth boxes, by those that a detector found before
(--boxes, COCO results of all persons), or by a detector itself (--detector), which is then
measured too: box AP, and milliseconds an image with 1, 5 and 20 people. Bottom-up networks
find everybody in a picture by themselves, and are measured by COCO AP. Writes
metrics_<file>_<data set>_<split>.json, with the protocol the number was measured under:
beside files of a training run; of others into `results` in the working folder. Several
files are also printed as one table; numbers of two protocols are not.
"""

import argparse
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # run from a clone

from keras_pose.commandline import plain_errors, positive_float, positive_int


def parse_args(argv=None):
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    what = parser.add_mutually_exclusive_group(required=True)
    what.add_argument("--weights", nargs="+", type=Path, metavar="FILE",
        help=".keras, .tflite, .onnx; with --model .weights.h5, .pth or: coco")  # fmt: skip
    what.add_argument("--compare", nargs="+", type=Path, metavar="JSON",
        help="print files of numbers as one table, measuring nothing")  # fmt: skip
    add("--model", help="zoo name, for weights that do not say it")
    add("--num-keypoints", type=int, help="of .weights.h5, if not the zoo's")
    add("--input-hw", type=int, nargs=2, metavar=("H", "W"), help="of .weights.h5, pixels")
    add("--dataset", default="coco", help="name of the data set (default: coco); "
        "mine=FOLDER for a set of your own in COCO's format")  # fmt: skip
    add("--skeleton", metavar="NAME|FILE", help="what the keypoints are, of weights that "
        "do not say it: built in (coco_17), or your own, in place of the model's "
        "(docs/skeletons.md)")  # fmt: skip
    add("--sigmas", choices=("uniform",), help="measure keypoints without OKS sigmas by AP "
        "with one sigma for all (default: PCK)")  # fmt: skip
    add("--data-dir", help="folder of the data set (default: data/<data set>)")
    add("--split", default="val", help="train or val (default: val)")
    add("--category", metavar="NAME", help="of files in COCO's format with several "
        "categories that have keypoints: the one to read")  # fmt: skip
    add("--rescale-labels", action="store_true", help="scale labels to pictures that were "
        "made smaller or larger after they were labelled")  # fmt: skip
    add("--metrics", nargs="+", metavar="NAME",
        help="in place of the data set's own: coco_ap, wholebody_ap, crowdpose_ap, "
        "single_ap, apk, pckh, pck_torso, pck_box, nme_interocular, nme_bone, nme_box, "
        "auc_epe, calibration, pixel_error, posetrack_ap, mota")  # fmt: skip
    people = parser.add_mutually_exclusive_group().add_argument
    people("--boxes", type=Path, metavar="FILE", help="a detector's boxes, as COCO "
           "results; for MOTA a tracker's, with track_id")  # fmt: skip
    people("--detector", type=Path, metavar="FILE",
           help="find people by it: .keras, .tflite, .onnx or a description")  # fmt: skip
    add("--box-threshold", type=float, default=0.0, metavar="SCORE",
        help="leave boxes below this score out (default: 0)")  # fmt: skip
    add("--nms", default="hard", choices=("hard", "soft", "off"),
        help="OKS-NMS of what is ranked by score (default: hard)")  # fmt: skip
    add("--box-padding", type=positive_float, metavar="FACTOR", help="from person box to "
        "crop, in place of the model's: is another one better?")  # fmt: skip
    add("--flip-test", action="store_true", help="average with mirrored crops")
    add("--limit", type=positive_int, metavar="N", help="only the first N images")
    add("--batch-size", type=positive_int, default=32, help="people at once (default: 32)")
    add("--output", type=Path, metavar="PATH",
        help="folder, or .json file for a single model file")  # fmt: skip
    add("--predictions", type=Path, metavar="FILE", help="also write COCO results there")
    add("--plots", type=Path, metavar="FOLDER", help="also draw charts into it")
    add("--results", type=Path, metavar="FILE",
        help="also write the table as data, for docs/results")  # fmt: skip
    args = parser.parse_args(argv)
    several = args.weights is not None and len(args.weights) > 1
    if several and (args.predictions or is_file_name(args.output)):
        parser.error("several --weights take a folder as --output, and no --predictions")
    if args.model is None and any(
        path.name.endswith(".weights.h5") for path in args.weights or ()
    ):
        parser.error("a .weights.h5 file holds nothing but weights: add --model NAME")
    return args


def is_file_name(path):
    return path is not None and path.suffix == ".json"


def metrics_path(weights, args):
    """Returns where the numbers of one model file go.

    In a folder for several, the name holds the file's folder and hash: exports of one
    network are all called pose_model.tflite.
    """
    from keras_pose.files import file_sha256
    from keras_pose.files.runs import lies_in_run, results_folder
    from keras_pose.weights.file_kinds import split_table

    if is_file_name(args.output):
        return args.output
    file, _ = split_table(weights)
    parts = ["metrics", weights.name.replace(".", "_").replace("#", "_")]
    if args.output or not lies_in_run(weights):
        parts[1:1] = [weights.resolve().parent.name]
        parts.append(file_sha256(file)[:8])
    parts += [args.dataset, args.split, *(args.metrics or ())]
    parts += [args.boxes.stem] if args.boxes else []
    if args.detector:
        parts += [f"by-{args.detector.stem}-{file_sha256(args.detector)[:8]}"]
    parts += [f"from{args.box_threshold:g}"] * bool(args.box_threshold)
    parts += [f"nms-{args.nms}"] * (args.nms != "hard")
    parts += [f"sigmas-{args.sigmas}"] * bool(args.sigmas)
    parts += [f"box-x{args.box_padding:g}"] if args.box_padding else []
    parts += ["flip"] * args.flip_test + [f"first{args.limit}"] * bool(args.limit)
    return (args.output or results_folder(weights)) / ("_".join(parts) + ".json")


def settings_of(args):
    """Returns the data to measure on, and how, as the command line says it."""
    from keras_pose.data.mixing import load_skeleton
    from keras_pose.data.readers.coco import Reading
    from keras_pose.measuring import MeasureSettings

    return MeasureSettings(
        dataset=args.dataset,
        data_dir=args.data_dir,
        split=args.split,
        limit=args.limit,
        reading=Reading(args.category, args.rescale_labels),
        skeleton=load_skeleton(args.skeleton) if args.skeleton else None,
        sigmas=args.sigmas,
        metrics=tuple(args.metrics or ()),
        boxes=args.boxes,
        box_threshold=args.box_threshold,
        nms=args.nms,
        flip_test=args.flip_test,
        box_padding=args.box_padding,
        batch_size=args.batch_size,
    )


def measure(args):
    """Measures the model files, one after the other."""
    from keras_pose.files import check_writable
    from keras_pose.measuring.finding import open_finder
    from keras_pose.measuring.tasks import Said, common_task, file_of, skeleton_of

    task = common_task(args.weights, args.model)
    for name in task.refused:
        if getattr(args, name):
            raise ValueError(f"--{name.replace('_', '-')} is {task.why_refused}")
    args.weights = [file_of(path, args.model) for path in args.weights]
    for weights in args.weights:  # all of them, before the first takes its minutes
        check_writable(metrics_path(weights, args).parent)
    finder = open_finder(args.detector) if args.detector else None
    settings = settings_of(args)
    input_hw = args.input_hw and tuple(args.input_hw)
    said = Said(args.model, args.num_keypoints, input_hw, settings.skeleton)
    opened, measurements = {}, []
    for weights in args.weights:
        model = task.load(weights, said)
        skeleton = skeleton_of(model)
        if skeleton not in opened:  # once for all files of one network
            opened[skeleton] = task.open(settings, skeleton, finder)
            for line in opened[skeleton].remarks:
                print(line)
        measured = opened[skeleton].measure(model, weights)
        report(measured, weights, args, finder)
        measurements.append(measured.measurement)
    return measurements


def report(measured, weights, args, finder):
    """Prints and writes what was found of one model file."""
    from keras_pose.files import write_json
    from keras_pose.measuring.finding import describe_pipeline

    measurement = measured.measurement
    print(measurement.describe())
    if finder:
        print(describe_pipeline(measurement.pipeline, finder, args.dataset))
    path = write_json(metrics_path(weights, args), measurement.to_dict())
    print(f"written     {path}")
    if args.predictions:
        print(f"written     {write_json(args.predictions, measured.result.detections)}")


def draw_charts(measurements, folder):
    """Writes one picture per kind of chart, with all measurements in each."""
    from keras_pose.metrics.protocol import describe_data, labels
    from keras_pose.pictures.images import write_image
    from keras_pose.pictures.plots import plot_tables

    names = labels([measurement.protocol for measurement in measurements])
    tables = [measurement.tables for measurement in measurements]
    title = describe_data(measurements[0].protocol)
    for name, picture in plot_tables(dict(zip(names, tables, strict=True)), title).items():
        file_name = name.replace(" ", "_").replace("@", "_at_") + ".png"
        print(f"written     {write_image(folder / file_name, picture)}")


def keep(args, measurements):
    """Writes the figures of all files as data, with the protocol of the first."""
    import dataclasses

    from keras_pose.metrics.result_files import write_results

    names = list(measurements[0].stats)
    columns = {"file": "", "MB": ".2f"} | dict.fromkeys(names, ".3f")
    rows = []
    for each in measurements:
        figures = [None if each.stats[x] != each.stats[x] else each.stats[x] for x in names]
        rows.append([each.protocol.file_name, each.protocol.file_bytes / 1e6, *figures])
    protocol = dataclasses.asdict(measurements[0].protocol)
    code = ["keras_pose/metrics", "keras_pose/runtime", "keras_pose/codecs"]
    print(f"written     {write_results(args.results, columns, rows, code, protocol)}")


def print_table(measurements):
    from keras_pose.metrics.box_protocol import BoxMeasurement, box_table
    from keras_pose.metrics.protocol import comparison_table

    is_of_boxes = isinstance(measurements[0], BoxMeasurement)
    print("\n" + (box_table if is_of_boxes else comparison_table)(measurements))


@plain_errors()
def main(argv=None):
    args = parse_args(argv)
    # Imported after parsing: TensorFlow takes seconds, `--help` must not.
    from keras_pose.data.mixing import one_set
    from keras_pose.files import check_writable

    args.dataset, args.data_dir = one_set(args.dataset, args.data_dir)
    if args.compare:
        from keras_pose.metrics.protocol import read_measurement

        measurements = [read_measurement(path) for path in args.compare]
    else:
        measurements = measure(args)
    if args.compare or len(measurements) > 1:
        print_table(measurements)
    if args.results:
        keep(args, measurements)
    if args.plots:
        draw_charts(measurements, check_writable(args.plots))


if __name__ == "__main__":
    main()
