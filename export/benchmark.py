"""Times model files against each other, interleaved on this machine's CPU.

    python export/benchmark.py runs/NAME/export/*/pose_model.tflite
    python export/benchmark.py int8.tflite pose.onnx best.keras --threads 1,2 --runs 50
    python export/benchmark.py float32.tflite int8.tflite float32.onnx int8.onnx \
        --runtimes litert,onnxruntime,openvino --threads 1 --cpu-time
    python export/benchmark.py int8.tflite --profile --output benchmark.json
    python export/benchmark.py a.tflite b.tflite --dataset coco --plot tradeoff.png
    python export/benchmark.py pose.tflite bottom_up.tflite --people 1,2,5,10,20
    python export/benchmark.py anybodys.tflite --audit

Milliseconds here are ratios to each other, not phone figures; the last columns say which
share of this machine's peak a file reaches (large products of matrices, timed in the same
run), how long it takes to load, and how much memory it adds. `.keras` files are timed at
TensorFlow's own number of threads. At the end it says which file and runtime is fastest
here, and which int8 file does not pay on this processor, with the reason.

With --dataset, all are measured on its val split, too (AP in ground-truth boxes, or box
AP), and --plot draws accuracy against time: which files no other one beats in both. A file
without a contract can be timed only; its figure from elsewhere is given by --known.

With --people, whole pictures are timed: top-down files behind a detector, and files that
see everybody at once. It says from how many people on another file is the faster one.
"""

import argparse
import dataclasses
import math
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # run from a clone

from keras_pose.commandline import plain_errors, positive_int

TIMED_RUNTIMES = ("litert", "onnxruntime", "openvino")


def parse_args(argv=None):
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    add("files", nargs="+", metavar="FILE", help=".tflite, .onnx or .keras")
    add("--threads", type=counts, default=(1, 2), metavar="N,...", help="default: 1,2")
    add("--runs", type=positive_int, default=50,
        help="measurements of each (default: 50)")  # fmt: skip
    add("--runtimes", type=names, metavar="NAME,...",
        help=f"of {', '.join(TIMED_RUNTIMES)}; each runs what it can of the files "
        "(default: the usual one of each file)")  # fmt: skip
    add("--cpu-time", action="store_true",
        help="count the time on processors, in which other programs have no part; for "
        "busy machines, with --threads 1")  # fmt: skip
    add("--people", type=counts, metavar="N,...",
        help="time whole pictures with so many people instead, at the first of --threads; "
        "the people are the demo's photographs, or of --dataset")  # fmt: skip
    add("--detector", metavar="FILE",
        help="of top-down files, with --people (default: the package's)")  # fmt: skip
    add("--profile", action="store_true", help="time operators one by one, too")
    add("--audit", action="store_true",
        help="say instead what is in the files, and what phones' accelerators take of it; "
        "runs nothing, and is safe for files from anywhere")  # fmt: skip
    add("--dataset", metavar="NAME", help="measure the files on this data set, too; "
        "mine=FOLDER for a set of your own in COCO's format")  # fmt: skip
    add("--data-dir", help="its folder (default: data/<data set>)")
    add("--split", default="val", help="default: val")
    add("--limit", type=positive_int, metavar="N", help="the first N images of it")
    add("--known", type=known_figure, action="append", default=[], metavar="FILE=FIGURE",
        help="figure of a file that another program measured; repeat for more")  # fmt: skip
    add("--plot", type=Path, metavar="FILE", help="picture of accuracy against time")
    add("--output", type=Path, metavar="FILE", help="also write .json or .csv")
    add("--results", type=Path, metavar="FILE",
        help="also write the table as data, for docs/results")  # fmt: skip
    args = parser.parse_args(argv)
    if args.cpu_time and args.threads != (1,):
        threads = ",".join(map(str, args.threads))
        parser.error(
            f"--cpu-time tells nothing of several threads, which wait on processors, too: "
            f"add --threads 1 (got {threads})"
        )
    if args.detector and not args.people:
        parser.error("--detector finds the people of whole pictures: add --people")
    for option in ("profile", "runtimes", "known", "limit"):
        if args.people and getattr(args, option):
            parser.error(f"--{option} is for files by themselves: leave out --people")
    if args.people and args.output and args.output.suffix != ".json":
        parser.error(f"Times of whole pictures are written as .json, got {args.output}")
    for option in ("known", *(() if args.people else ("plot",))):
        if getattr(args, option) and not args.dataset:
            parser.error(f"--{option} needs a data set to compare files on: add --dataset")
    return args


def known_figure(text):
    """Returns (file, figure) of FILE=FIGURE."""
    name, _, figure = text.rpartition("=")
    try:
        value = float(figure)
    except ValueError:
        value = float("nan")
    if not name or not math.isfinite(value):
        raise argparse.ArgumentTypeError(f"must be FILE=FIGURE, got {text!r}")
    return name, value


def names(text):
    values = tuple(text.split(","))
    unknown = [name for name in values if name not in TIMED_RUNTIMES]
    if unknown or len(set(values)) < len(values):
        raise argparse.ArgumentTypeError(
            f"must be different ones of {', '.join(TIMED_RUNTIMES)}, got {text}"
        )
    return values


def counts(text):
    values = tuple(positive_int(part) for part in text.split(","))
    if len(set(values)) < len(values):
        raise argparse.ArgumentTypeError(f"must differ, got {text}")
    return values


def audit(files):
    from keras_pose.exporting.inspection.audit import audit_file, describe_audit

    for file in files:
        print(f"{file}\n{describe_audit(audit_file(file))}")


def measure_files(args):
    """Measures the files on the data set, but for those whose figures are known."""
    from keras_pose.measuring import MeasureSettings
    from keras_pose.measuring.tradeoff import measure_accuracy

    settings = MeasureSettings(
        args.dataset, args.data_dir, args.split, args.limit, only_main=True
    )
    return measure_accuracy(args.files, settings, dict(args.known))


def time_people(args):
    """Times whole pictures of more and more people, and says where files cross."""
    import time

    from keras_pose.exporting.inspection.frame_times import (
        frame_table,
        people_picture,
        time_frames,
    )
    from keras_pose.inference import PoseEstimator
    from keras_pose.runtime.crowd_model import CrowdModel, load_pose
    from keras_pose.runtime.instructions import instructions

    estimators = {}
    for file, name in zip(args.files, distinct_names(args.files), strict=True):
        model = load_pose(file, num_threads=args.threads[0])
        detector = None if isinstance(model, CrowdModel) else args.detector
        estimators[name] = PoseEstimator(model, detector, num_threads=args.threads[0])
    tiles = people_of(args)
    pictures = {count: people_picture(tiles, count) for count in args.people}
    clock = time.process_time if args.cpu_time else time.perf_counter
    times = time_frames(estimators, pictures, args.runs, clock)
    print(f"Median of {args.runs} interleaved runs a picture (and people found), "
          f"{args.threads[0]} threads; {instructions()}")  # fmt: skip
    print(frame_table(times))
    return times


def distinct_names(files):
    """Returns names for files: their own, with as many folders as it takes to differ."""
    paths = [Path(file) for file in files]
    for depth in range(1, max(len(path.parts) for path in paths) + 1):
        names = ["/".join(path.parts[-depth:]) for path in paths]
        if len(set(names)) == len(names):
            break
    return names


def people_of(args):
    """Returns pictures of a person each: those of a data set, or the demo's."""
    from keras_pose.demo.stills import read_photographs
    from keras_pose.exporting.inspection.frame_times import tiles_of_dataset

    if not args.dataset:
        return list(read_photographs().values())
    where = (args.dataset, args.data_dir, args.split)
    return tiles_of_dataset(*where, count=max(args.people))


def keep_people(args, times):
    """Draws the times and writes them as data, where that was asked for."""
    from keras_pose.files import write_json
    from keras_pose.metrics.result_files import write_results
    from keras_pose.pictures.images import write_image
    from keras_pose.pictures.plots import plot_frame_times
    from keras_pose.runtime.instructions import instructions

    if args.plot:
        marks = [(each.people, each.faster_after) for each in times.crossings]
        title = f"{times.num_runs} runs each, {args.threads[0]} threads; {instructions()}"
        picture = plot_frame_times(times.people, times.milliseconds, marks, title)
        print(f"written     {write_image(args.plot, picture)}")
    names = list(times.milliseconds)
    if args.output:
        write_json(args.output, times.to_dict())
        print(f"written     {args.output}")
    if args.results:
        columns = {"people": "d"}
        for name in names:
            columns |= {f"{name}, ms": ".1f", f"{name}, found": "d"}
        rows = [
            [count, *(cell for name in names for cell in times.of(name, index))]
            for index, count in enumerate(times.people)
        ]
        protocol = f"median of {times.num_runs} interleaved runs, {args.threads[0]} threads"
        code = ["keras_pose/inference", "keras_pose/runtime"]
        print(f"written     {write_results(args.results, columns, rows, code, protocol)}")


def draw(path, benchmark):
    """Draws accuracy against time."""
    from keras_pose.exporting.inspection.benchmark import milliseconds_of
    from keras_pose.measuring.tradeoff import best_files
    from keras_pose.pictures.images import write_image
    from keras_pose.pictures.plots import plot_tradeoff

    accuracy, times = benchmark.accuracy, milliseconds_of(benchmark)
    title = f"{benchmark.num_runs} runs each; {benchmark.instructions}"
    best = best_files(times, accuracy)
    picture = plot_tradeoff(times, accuracy.values, best, accuracy.name, title)
    print(f"written     {write_image(path, picture)}")


def keep(args, benchmark):
    """Writes sizes, times and figures as data."""
    from keras_pose.metrics.result_files import write_results

    accuracy = benchmark.accuracy
    columns = {"file": "", "MB": ".2f", "threads": "d", "ms": ".2f", "ratio": ".2f"}
    rows = [
        [Path(row.file).name, row.num_bytes / 1e6, row.num_threads, row.milliseconds,
         row.ratio, *([accuracy.values[row.file]] if accuracy else [])]
        for row in benchmark.rows
    ]  # fmt: skip
    columns |= {accuracy.name: ".3f"} if accuracy else {}
    code = ["keras_pose/exporting", "keras_pose/runtime"]
    protocol = f"median of {benchmark.num_runs} interleaved runs"
    return write_results(args.results, columns, rows, code, protocol)


@plain_errors()
def main(argv=None):
    args = parse_args(argv)
    if args.audit:
        return audit(args.files)
    from keras_pose.files import check_writable

    if args.people:
        if args.plot:
            check_writable(args.plot.parent)
        return keep_people(args, time_people(args))
    from keras_pose.exporting.inspection.advice import advise, describe_files
    from keras_pose.exporting.inspection.benchmark import (
        benchmark_files,
        benchmark_table,
        check_output,
        write_benchmark,
    )

    if args.output:
        check_output(args.output)
    if args.plot:
        check_writable(args.plot.parent)
    accuracy = measure_files(args) if args.dataset else None
    benchmark = benchmark_files(
        args.files, args.threads, args.runs, args.profile, args.runtimes, args.cpu_time
    )
    benchmark = dataclasses.replace(benchmark, accuracy=accuracy)
    print(f"Median and quartile spread of {args.runs} interleaved runs, one batch each.")
    print(benchmark_table(benchmark))
    for line in advise(benchmark, describe_files(benchmark)):
        print(line)
    if args.output:
        print(f"written     {write_benchmark(args.output, benchmark)}")
    if args.plot:
        draw(args.plot, benchmark)
    if args.results:
        print(f"written     {keep(args, benchmark)}")


if __name__ == "__main__":
    main()
